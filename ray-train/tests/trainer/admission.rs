//! Admission: all workers of a group get their resources, or none does.

use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use ray_train::{NotAdmitted, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer};

use crate::support::{LONG, in_child, run};

#[test]
fn more_workers_than_the_node_can_have() {
    let trainer = Trainer::new(|_: &TrainContext| Ok(())).run_config(run("too_many")).scaling(ScalingConfig::workers(100));
    let error = trainer.fit().unwrap_err();
    let text = error.downcast_ref::<NotAdmitted>().unwrap().to_string();
    assert!(text.contains("100 workers of {CPU: 1} each") && text.contains("the node has {CPU: 64}"), "{text}");
    let scaling = ScalingConfig::workers(1).resource_per_worker("gold", 1.0);
    let error = Trainer::new(|_: &TrainContext| Ok(())).run_config(run("gold")).scaling(scaling).fit().unwrap_err();
    assert!(error.to_string().contains("gold"), "{error}");
    for scaling in [ScalingConfig::workers(0), ScalingConfig::elastic(3, 2), ScalingConfig::elastic(0, 2)] {
        assert!(Trainer::new(|_: &TrainContext| Ok(())).run_config(run("none")).scaling(scaling).fit().is_err());
    }
}

#[test]
fn more_workers_than_are_free() {
    in_child("admission::more_workers_than_are_free", || {
        ray::init_with(ray::Config::new().num_cpus(4)).unwrap();
        let inner = RunConfig::temporary("inner").unwrap();
        let outer = RunConfig::temporary("outer").unwrap();
        let train = move |ctx: &TrainContext| {
            if ctx.world_rank() == 0 {
                let scaling = ScalingConfig::workers(2).wait_for_resources(Duration::from_millis(50));
                let trainer = Trainer::new(|_: &TrainContext| Ok(())).scaling(scaling).run_config(inner.clone());
                let error = trainer.fit().unwrap_err();
                let text = error.downcast_ref::<NotAdmitted>().unwrap().to_string();
                assert!(text.contains("the run `outer` holds 3 workers of {CPU: 1}"), "{text}");
                assert!(text.contains("at most {CPU: 1} can become free"), "{text}");
                // One CPU is free, which is enough for one worker.
                Trainer::new(|_: &TrainContext| Ok(())).run_config(inner.clone()).fit()?;
            }
            ctx.barrier()
        };
        Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(outer).fit().unwrap();
        let deadline = Instant::now() + LONG;
        while ray::available_resources().unwrap()["CPU"] < 4.0 {
            assert!(Instant::now() < deadline, "not all CPUs are free again");
            std::thread::yield_now();
        }
    });
}

/// A group waits for the resources that tasks hold.
#[test]
fn a_group_waits_for_its_resources() {
    in_child("admission::a_group_waits_for_its_resources", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let (open, gate) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        let gate = Mutex::new(gate);
        let task = ray::task(move || {
            began.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        });
        let task = task.remote();
        begun.recv().unwrap();
        let fit = std::thread::spawn(|| {
            let run = RunConfig::temporary("waits").unwrap();
            Trainer::new(|ctx: &TrainContext| ctx.barrier()).scaling(ScalingConfig::workers(2)).run_config(run).fit().map(drop)
        });
        drop(open);
        fit.join().unwrap().unwrap();
        ray::get(task).unwrap();
    });
}

#[test]
fn an_elastic_group_is_as_large_as_possible() {
    in_child("admission::an_elastic_group_is_as_large_as_possible", || {
        ray::init_with(ray::Config::new().num_cpus(3)).unwrap();
        let size = |scaling: ScalingConfig| {
            let run = RunConfig::temporary("elastic").unwrap();
            Trainer::new(|ctx: &TrainContext| Ok(ctx.world_size()))
                .scaling(scaling)
                .run_config(run)
                .fit()
                .map(TrainResult::into_value)
        };
        assert_eq!(size(ScalingConfig::elastic(2, 8)).unwrap(), 3);
        assert_eq!(size(ScalingConfig::elastic(1, 2)).unwrap(), 2);
        assert_eq!(size(ScalingConfig::elastic(1, 8).cpus_per_worker(1.5)).unwrap(), 2);
        let error = size(ScalingConfig::elastic(4, 8)).unwrap_err();
        assert!(error.downcast_ref::<ray_train::NotAdmitted>().is_some(), "{error}");
    });
}

#[test]
fn a_worker_has_as_many_threads_as_cpus() {
    let train = |ctx: &TrainContext| {
        assert_eq!(ray::context().assigned_resources().num_cpus(), 2.5);
        Ok(ctx.threads())
    };
    let scaling = ScalingConfig::workers(2).cpus_per_worker(2.5);
    assert_eq!(*Trainer::new(train).scaling(scaling).run_config(run("wide")).fit().unwrap().value(), 3);
}

/// The workers hold every CPU, and a rank waits for tasks that need a CPU.
#[test]
fn tasks_run_in_a_loop_whose_group_holds_every_cpu() {
    in_child("admission::tasks_run_in_a_loop_whose_group_holds_every_cpu", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let train = |ctx: &TrainContext| {
            let rank = ctx.world_rank();
            let squares: Vec<_> = (0..4).map(|x| ray::task(move || x * x + rank).remote()).collect();
            let sum: usize = ray::get(squares)?.into_iter().sum();
            let one = ray::get(ray::task(|| 1).remote())?;
            ctx.barrier()?;
            Ok(sum + one)
        };
        let run = RunConfig::temporary("every_cpu").unwrap();
        let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
        assert_eq!(*result.value(), 15);
    });
}
