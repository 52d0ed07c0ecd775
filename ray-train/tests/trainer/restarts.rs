//! Groups after a restart: their size, their independence of abandoned ranks, and restarts that fail.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use ray_train::{NotAdmitted, RunConfig, ScalingConfig, TrainContext, Trainer, TrainingFailed};

use crate::support::{LONG, in_child, read, write};

/// An abandoned rank writes to the directory of its checkpoint and drops it, while the same rank of a later group fills its own.
#[test]
fn an_abandoned_rank_does_not_touch_files_of_later_groups() {
    in_child("restarts::an_abandoned_rank_does_not_touch_files_of_later_groups", || {
        ray::init_with(ray::Config::new().num_cpus(4)).unwrap();
        let run = RunConfig::temporary("late").unwrap().timeout(LONG).grace(Duration::from_millis(50));
        let ((inside, entered), (open, gate), (done, written)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let (entered, gate) = (Mutex::new(entered), Mutex::new(gate));
        let first = move |ctx: &TrainContext| -> ray::Result<()> {
            if ctx.world_rank() == 0 {
                entered.lock().unwrap().recv().unwrap();
                return Err(ray::Error::other("the first time"));
            }
            let checkpoint = ctx.new_checkpoint()?;
            inside.send(()).unwrap();
            gate.lock().unwrap().recv().unwrap();
            // The directory may have been removed.
            let _ = std::fs::write(checkpoint.path().join("model"), "old");
            drop(checkpoint);
            done.send(()).unwrap();
            Ok(())
        };
        let error = Trainer::new(first).scaling(ScalingConfig::workers(2)).run_config(run.clone()).fit().unwrap_err();
        assert!(error.to_string().contains("rank 1: it did not stop within the grace period"), "{error}");

        let written = Mutex::new(written);
        let second = move |ctx: &TrainContext| {
            if ctx.world_rank() == 0 {
                return ctx.report((), None);
            }
            let checkpoint = ctx.new_checkpoint()?;
            write(&checkpoint.path().join("model"), b"new")?;
            open.send(()).unwrap();
            written.lock().unwrap().recv().unwrap();
            ctx.report((), Some(checkpoint))
        };
        let result = Trainer::new(second).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
        assert_eq!(read(&result.checkpoint().unwrap().path().join("model")).unwrap(), b"new");
    });
}

#[test]
fn an_elastic_group_grows() {
    in_child("restarts::an_elastic_group_grows", || {
        ray::init_with(ray::Config::new().num_cpus(4)).unwrap();
        let ((began, begun), (open, gate)) = (mpsc::channel(), mpsc::channel::<()>());
        let gate = Mutex::new(gate);
        let holds = move || {
            began.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        };
        let task = ray::task(holds).num_cpus(2.0).remote();
        begun.recv().unwrap();
        let open = Mutex::new(Some(open));
        let train = move |ctx: &TrainContext| {
            if ctx.attempt() > 0 {
                return Ok(ctx.world_size());
            }
            assert_eq!(ctx.world_size(), 2, "the task holds the other CPUs");
            if ctx.world_rank() == 0 {
                drop(open.lock().unwrap().take());
                while ray::available_resources()?["CPU"] < 2.0 {
                    std::thread::yield_now();
                }
                return Err(ray::Error::other("the first time"));
            }
            ctx.barrier().map(|()| 0)
        };
        let run = RunConfig::temporary("grows").unwrap().timeout(LONG).max_failures(1);
        let result = Trainer::new(train).scaling(ScalingConfig::elastic(2, 4)).run_config(run).fit().unwrap();
        assert_eq!((*result.value(), result.workers()), (4, 4));
        ray::get(task).unwrap();
    });
}

/// A task takes the CPUs before the restart. The error names both the failure and the reason why the restart failed.
#[test]
fn a_group_that_is_not_admitted_again() {
    in_child("restarts::a_group_that_is_not_admitted_again", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(Some(gate));
        let train = move |ctx: &TrainContext| -> ray::Result<()> {
            if ctx.world_rank() == 1 {
                return ctx.barrier();
            }
            let gate = gate.lock().unwrap().take().unwrap();
            ray::task(move || gate.recv().is_ok()).num_cpus(2.0).tell();
            Err(ray::Error::other("torn to pieces"))
        };
        let run = RunConfig::temporary("again").unwrap().timeout(LONG).max_failures(1);
        let scaling = ScalingConfig::workers(2).wait_for_resources(Duration::from_millis(50));
        let error = Trainer::new(train).scaling(scaling).run_config(run).fit().unwrap_err();
        let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("{error:?}"));
        assert!(failed.restart.as_ref().unwrap().downcast_ref::<NotAdmitted>().is_some(), "{failed}");
        let text = failed.to_string();
        assert!(text.contains("rank 0: torn to pieces; it could not be restarted: the run `again` asks for 2 workers"), "{text}");
        drop(open);
    });
}
