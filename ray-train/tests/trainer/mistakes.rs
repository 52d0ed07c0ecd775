//! Mistakes in loops, callbacks and configurations: `fit` fails at once and never hangs, and its error names the rank and the mistake.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ray_train::{Checkpoint, Metrics, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer, TrainingFailed};

#[cfg(unix)]
use crate::process::Process;
use crate::support::{run, write};

fn failure(workers: usize, train: impl Fn(&TrainContext) -> ray::Result<()> + Send + Sync + 'static) -> (Vec<usize>, String) {
    let error = Trainer::new(train).scaling(ScalingConfig::workers(workers)).run_config(run("a_run")).fit().unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}"));
    (failed.worker_failures.iter().map(|failure| failure.rank).collect(), failed.to_string())
}

#[test]
fn a_rank_reports_more_often() {
    let (ranks, text) = failure(3, |ctx| {
        ctx.report((), None)?;
        if ctx.world_rank() == 1 { ctx.report((), None) } else { Ok(()) }
    });
    // The ranks that had returned before rank 1 reported, or the first one that returned after it.
    assert!(!ranks.is_empty() && !ranks.contains(&1), "{text}");
    assert!(text.contains("returned after 1 report, but rank 1 is at report 2"), "{text}");
}

/// Without detection the other ranks would wait in the all-reduce, and rank 1 at the report.
#[test]
fn a_rank_reports_while_others_are_in_a_collective() {
    let (ranks, text) = failure(3, |ctx| {
        ctx.report((), None)?;
        if ctx.world_rank() == 1 {
            ctx.report((), None)?;
        }
        ctx.collective().allreduce(&mut [1.0; 3], ray::collective::Sum)
    });
    assert!(ranks.contains(&1), "{text}");
    assert!(text.contains("rank 1: it waits at report 2, which other ranks do not reach"), "{text}");
    // With the locations of the report and of the all-reduce.
    assert!(text.contains("allreduce(sum) of 3 f64 at") && text.matches("mistakes.rs:").count() >= 2, "{text}");

    let (ranks, text) = failure(2, |ctx| if ctx.world_rank() == 0 { ctx.report((), None) } else { ctx.barrier() });
    assert!(ranks.contains(&0) && text.contains("it waits at report 1") && text.contains("barrier at"), "{text}");
}

#[test]
fn a_checkpoint_is_reported_twice() {
    let train = |ctx: &TrainContext| {
        let checkpoint = ctx.new_checkpoint()?;
        write(&checkpoint.path().join("model"), b"x")?;
        checkpoint.set_metadata(&Metrics::new().with("step", 1))?;
        ctx.report((), Some(checkpoint.clone()))?;
        let error = ctx.report((), Some(checkpoint)).unwrap_err().to_string();
        assert!(error.contains("rank 0 reported the same checkpoint twice"), "{error}");
        // The committed checkpoint may be reported again: its files are copied.
        ctx.report((), ctx.checkpoint())
    };
    let result = Trainer::new(train).run_config(run("a_run")).fit().unwrap();
    assert_eq!(result.checkpoints().filter(|(checkpoint, _)| checkpoint.path().join("model").exists()).count(), 2);
}

/// Opening a pipe would wait for a writer.
#[cfg(unix)]
#[test]
fn a_checkpoint_with_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let made = Process::of(std::process::Command::new("mkfifo").arg(dir.path().join("pipe"))).end();
    assert!(made.0.success(), "{}", made.1);
    let path = dir.path().to_owned();
    let (ranks, text) = failure(1, move |ctx| ctx.report((), Some(Checkpoint::from_directory(&path))));
    assert!(ranks == [0] && text.contains("pipe is not a regular file"), "{text}");
}

/// A value whose drop panics, unless the thread panics already.
#[derive(Debug)]
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "the drop panicked");
    }
}

#[test]
fn panics_of_every_kind() {
    let (ranks, text) = failure(3, |ctx| if ctx.world_rank() == 1 { panic_any(7_u8) } else { ctx.barrier() });
    assert!(ranks == [1] && text.contains("mistakes.rs:"), "{text}");

    let (ranks, text) = failure(3, |ctx| if ctx.world_rank() == 1 { panic_any(PanicsOnDrop) } else { ctx.barrier() });
    assert!(ranks == [1] && text.contains("mistakes.rs:"), "{text}");

    let (ranks, text) = failure(3, |ctx| {
        let _value = (ctx.world_rank() == 1).then(|| PanicsOnDrop);
        ctx.barrier()
    });
    assert!(ranks == [1] && text.contains("the drop panicked"), "{text}");

    // While the loop returns an error.
    let (ranks, text) = failure(3, |ctx| {
        let _value = (ctx.world_rank() == 1).then(|| PanicsOnDrop);
        ctx.barrier()?;
        if ctx.world_rank() == 1 { Err(ray::Error::other("mine")) } else { ctx.barrier() }
    });
    assert!(ranks == [1] && text.contains("the drop panicked"), "{text}");
}

#[test]
fn panics_of_every_kind_in_place() {
    let error_of = |train: fn(&TrainContext) -> ray::Result<()>| {
        let trainer = Trainer::new(train).scaling(ScalingConfig::in_place()).run_config(run("a_run"));
        trainer.fit().unwrap_err().downcast_ref::<TrainingFailed>().unwrap().to_string()
    };
    assert!(error_of(|_| panic_any(7_u8)).contains("rank 0: its loop panicked: (the panic value is not text)"));
    assert!(error_of(|_| panic_any(PanicsOnDrop)).contains("rank 0: its loop panicked: (the panic value is not text)"));
    let dropped = error_of(|_| {
        let _value = PanicsOnDrop;
        Ok(())
    });
    assert!(dropped.contains("rank 0: its loop panicked: the drop panicked"), "{dropped}");
}

/// The value of a rank other than 0 is dropped on the thread of that rank.
#[test]
fn a_value_that_panics_when_it_is_dropped() {
    let train = |ctx: &TrainContext| Ok((ctx.world_rank() == 1).then(|| PanicsOnDrop));
    let error = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("a_run")).fit().unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap();
    assert_eq!(failed.worker_failures[0].rank, 1, "{failed}");
    assert!(failed.to_string().contains("the drop panicked"), "{failed}");
}

/// `fit` panics with the panic of the callback, no rank waits any more, and the run can be resumed.
#[test]
fn a_callback_panics() {
    let once = AtomicBool::new(false);
    let run = run("a_run").on_report(move |_| assert!(once.swap(true, Ordering::Relaxed), "the callback fell over"));
    let train = |ctx: &TrainContext| {
        let before = ctx.checkpoint().is_some();
        ctx.report((), if ctx.world_rank() == 0 { Some(ctx.new_checkpoint()?) } else { None })?;
        ctx.barrier()?;
        Ok(before)
    };
    let trainer = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run);
    let panic = catch_unwind(AssertUnwindSafe(|| trainer.fit().map(drop))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the callback fell over"));
    assert!(*trainer.fit().unwrap().value(), "from the checkpoint that was reported");
}

/// The group fails, and the directory of the run is gone at the restart. The error names the failure of the group first.
#[test]
fn a_run_that_cannot_restart() {
    for scaling in [ScalingConfig::workers(1), ScalingConfig::in_place()] {
        let train = |ctx: &TrainContext| -> ray::Result<()> {
            std::fs::rename(ctx.run_path(), ctx.run_path().with_file_name("moved")).map_err(ray::Error::other)?;
            write(ctx.run_path(), b"")?;
            Err(ray::Error::other("torn to pieces"))
        };
        let error = Trainer::new(train).scaling(scaling).run_config(run("a_run").max_failures(3)).fit().unwrap_err();
        let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}"));
        let text = failed.to_string();
        assert_eq!((failed.failures, failed.worker_failures[0].rank), (1, 0), "{text}");
        assert!(failed.restart.is_some() && text.contains("rank 0: torn to pieces; it could not be restarted: "), "{text}");
    }
}

#[test]
fn unlimited_durations() {
    let train = |ctx: &TrainContext| {
        ctx.report((), None)?;
        ctx.barrier()
    };
    let run = run("a_run").timeout(Duration::MAX).grace(Duration::MAX);
    let scaling = ScalingConfig::workers(2).wait_for_resources(Duration::MAX);
    Trainer::new(train).scaling(scaling).run_config(run).fit().unwrap();
}

#[test]
fn invalid_resources_per_worker() {
    let fit = |scaling: ScalingConfig| {
        let fit: ray::Result<TrainResult<()>> =
            Trainer::new(|_: &TrainContext| Ok(())).scaling(scaling).run_config(run("a_run")).fit();
        fit.unwrap_err().to_string()
    };
    for cpus in [-1.0, f64::NAN, f64::INFINITY] {
        let text = fit(ScalingConfig::workers(2).cpus_per_worker(cpus));
        assert!(text.contains("CPU") || text.contains("cpus"), "{cpus}: {text}");
        let text = fit(ScalingConfig::workers(2).resource_per_worker("gold", cpus));
        assert!(text.contains("gold"), "{cpus}: {text}");
    }
    assert!(fit(ScalingConfig::workers(usize::MAX)).contains("CPU"));
    assert!(fit(ScalingConfig::elastic(usize::MAX, usize::MAX)).contains("CPU"));
}

/// A loss of NaN is preserved in the history and in the metadata of checkpoints when the run is resumed, twice.
#[test]
fn nan_survives_a_resume() {
    let run = run("a_run");
    for life in 0..3 {
        let train = move |ctx: &TrainContext| {
            if let Some(checkpoint) = ctx.checkpoint() {
                assert!(checkpoint.metadata::<Metrics>()?.number("loss").unwrap().is_nan());
            }
            let checkpoint = ctx.new_checkpoint()?;
            let metrics = Metrics::new().with("loss", if life == 1 { f64::INFINITY } else { f64::NAN });
            checkpoint.set_metadata(&Metrics::new().with("loss", f64::NAN))?;
            ctx.report(metrics, Some(checkpoint))
        };
        Trainer::new(train).run_config(run.clone()).fit().unwrap();
    }
    let losses = |result: &TrainResult<()>| -> Vec<f64> {
        result.history().iter().map(|report| report.metrics().number("loss").unwrap()).collect()
    };
    let found = losses(&TrainResult::from_path(run.path().unwrap()).unwrap());
    assert!(found[0].is_nan() && found[1] == f64::INFINITY && found[2].is_nan(), "{found:?}");
}

/// `fit` is refused in async code like `get`, because it would block the other futures of the thread. The advice of the error works.
#[test]
fn fit_in_async_code() {
    use ray::remote;

    #[remote(local)]
    async fn trains(run: RunConfig, scaling: ScalingConfig) -> String {
        let error = Trainer::new(|ctx: &TrainContext| ctx.barrier()).scaling(scaling).run_config(run).fit().unwrap_err();
        assert!(error.is_blocking_in_async(), "{error:?}");
        error.to_string()
    }

    for scaling in [ScalingConfig::workers(2), ScalingConfig::in_place()] {
        let run = run("a_run");
        let path = run.path().unwrap();
        let text = ray::get(trains.remote(run, scaling)).unwrap();
        assert!(text.contains("mistakes.rs:") && text.contains("`trains`") && text.contains("ray::task(..)"), "{text}");
        assert!(!path.exists(), "the run was not started");
    }
    #[remote(local)]
    async fn awaits(run: RunConfig) -> ray::Result<usize> {
        let train = move || {
            let trainer = Trainer::new(|ctx: &TrainContext| Ok(ctx.world_size())).scaling(ScalingConfig::workers(2));
            trainer.run_config(run).fit().map(TrainResult::into_value)
        };
        ray::task(train).remote().await
    }
    assert_eq!(ray::get(awaits.remote(run("a_run"))).unwrap(), 2);
}

/// The error types of `fit` implement `std::error::Error`, and the cause of a failure is the source of its error.
#[test]
fn public_errors_implement_std_error() {
    fn is_error<E: std::error::Error + Clone + Send + Sync + 'static>() {}
    is_error::<TrainingFailed>();
    is_error::<ray_train::Interrupted>();
    is_error::<ray_train::Damaged>();
    is_error::<ray_train::InProgress>();
    is_error::<ray_train::NotAdmitted>();
    let error = Trainer::new(|_: &TrainContext| -> ray::Result<()> { Err(ray::Error::other("no weights")) });
    let error = error.run_config(run("std")).fit().unwrap_err();
    let boxed: Box<dyn std::error::Error> = Box::new(error.downcast_ref::<TrainingFailed>().unwrap().clone());
    assert!(boxed.to_string().starts_with("the run `std` failed: rank 0: no weights; there is no checkpoint yet"), "{boxed}");
    assert_eq!(boxed.source().unwrap().to_string(), "no weights");
}
