//! `fit` in a task, in an actor's method, in another loop and in a callback: a task lends its CPU, and `fit` fails at once if the
//! resources of its group cannot become free.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ray::remote;
use ray_train::{Metrics, NotAdmitted, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer};

use crate::support::{LONG, in_child};

/// Longer than the watchdog allows a test to run: if `fit` waits for resources in vain, the test fails.
const FOREVER: Duration = Duration::from_secs(3600);

/// Trains a group of this many workers, with barriers and reports.
fn fit(workers: usize) -> ray::Result<usize> {
    fit_with(ScalingConfig::workers(workers))
}

fn fit_with(scaling: ScalingConfig) -> ray::Result<usize> {
    let train = |ctx: &TrainContext| {
        for step in 0..3 {
            ctx.barrier()?;
            ctx.report(Metrics::new().with("step", step), None)?;
        }
        Ok(ctx.world_size())
    };
    let run = RunConfig::temporary("inner")?.timeout(LONG);
    Trainer::new(train).scaling(scaling.wait_for_resources(FOREVER)).run_config(run).fit().map(TrainResult::into_value)
}

fn admission_error<R: std::fmt::Debug>(fit: ray::Result<R>) -> String {
    let error = fit.unwrap_err();
    error.downcast_ref::<NotAdmitted>().unwrap_or_else(|| panic!("another error: {error:?}")).to_string()
}

fn init(cpus: usize) {
    ray::init_with(ray::Config::new().num_cpus(cpus).resource("gold", 4.0)).unwrap();
}

/// Waits until all CPUs are free again.
fn wait_until_all_cpus_are_free(cpus: f64) {
    let deadline = Instant::now() + LONG;
    while ray::available_resources().unwrap()["CPU"] < cpus {
        assert!(Instant::now() < deadline, "not all CPUs are free again: {:?}", ray::available_resources());
        std::thread::yield_now();
    }
}

#[test]
fn a_task_lends_its_cpu_to_the_group() {
    in_child("callers::a_task_lends_its_cpu_to_the_group", || {
        init(4);
        assert_eq!(ray::get(ray::task(|| fit(4)).remote()).unwrap(), 4);
        assert_eq!(ray::get(ray::task(|| fit(4)).num_cpus(3.0).remote()).unwrap(), 4);
        // Several tasks at once. Each group needs every CPU, so the groups wait for each other.
        let tasks: Vec<_> = (0..6).map(|_| ray::task(|| fit(4)).remote()).collect();
        assert_eq!(ray::get(tasks).unwrap().into_iter().sum::<usize>(), 24);
        wait_until_all_cpus_are_free(4.0);
    });
}

#[test]
fn a_task_lends_its_only_cpu() {
    in_child("callers::a_task_lends_its_only_cpu", || {
        init(1);
        let nested = || ray::get(ray::task(|| fit(1)).remote());
        assert_eq!(ray::get(ray::task(nested).remote()).unwrap(), 1);
        wait_until_all_cpus_are_free(1.0);
    });
}

/// The engine lends only CPUs, so the group cannot get the other resources of the task.
#[test]
fn the_error_names_the_resources_of_the_caller() {
    in_child("callers::the_error_names_the_resources_of_the_caller", || {
        init(4);
        let fit = |workers| fit_with(ScalingConfig::workers(workers).resource_per_worker("gold", 1.0));
        let asks = move |workers| ray::get(ray::task(move || fit(workers)).name("digger").resource("gold", 2.0).remote());
        assert_eq!(asks(2).unwrap(), 2);
        let text = admission_error(asks(3));
        assert!(text.contains("the task `digger`, which called `fit`, holds {gold: 2} itself"), "{text}");
        assert!(text.contains("at most {CPU: 4, gold: 2} can become free"), "{text}");
    });
}

#[remote]
struct Trains;

#[remote(local)]
impl Trains {
    pub(crate) fn new() -> Self {
        Trains
    }

    pub(crate) fn fit(&mut self, workers: usize) -> ray::Result<usize> {
        fit(workers)
    }
}

/// An actor holds its CPUs for life.
#[test]
fn an_actor_keeps_its_cpus() {
    in_child("callers::an_actor_keeps_its_cpus", || {
        init(4);
        let actor = Trains::options().num_cpus(2.0).remote();
        assert_eq!(ray::get(actor.fit.remote(2)).unwrap(), 2);
        let error = ray::get(actor.fit.remote(3)).unwrap_err();
        let text = error.to_string();
        assert!(error.downcast_ref::<NotAdmitted>().is_some(), "{error:?}");
        assert!(text.contains("an actor's method `") && text.contains("which called `fit`, holds {CPU: 2} itself"), "{text}");
        // An actor without a CPU leaves all CPUs to the group.
        assert_eq!(ray::get(Trains::remote().fit.remote(2)).unwrap(), 2);
    });
}

/// The outer group waits for the inner group, so the CPUs of the outer group cannot become free for it.
#[test]
fn a_fit_in_a_loop_whose_group_holds_every_cpu() {
    in_child("callers::a_fit_in_a_loop_whose_group_holds_every_cpu", || {
        init(4);
        let outer = |workers: usize, inner: ScalingConfig| {
            let train = move |ctx: &TrainContext| {
                let fitted = if ctx.world_rank() == 0 { Some(fit_with(inner.clone())) } else { None };
                ctx.barrier()?;
                Ok(fitted)
            };
            let run = RunConfig::temporary("outer").unwrap().timeout(LONG);
            let trainer = Trainer::new(train).scaling(ScalingConfig::workers(workers)).run_config(run);
            trainer.fit().unwrap().into_value().unwrap()
        };
        let text = admission_error(outer(4, ScalingConfig::workers(1)));
        assert!(text.contains("cannot become free while this `fit` runs: the run `outer` holds 4 workers of {CPU: 1}"), "{text}");
        assert!(text.contains("at most {CPU: 0} can become free"), "{text}");
        assert!(admission_error(outer(3, ScalingConfig::elastic(2, 4))).contains("at most {CPU: 1} can become free"));
        assert_eq!(outer(3, ScalingConfig::workers(1)).unwrap(), 1);
        assert_eq!(outer(1, ScalingConfig::elastic(2, 8)).unwrap(), 3, "as many workers as the other CPUs allow");
        assert_eq!(outer(4, ScalingConfig::in_place()).unwrap(), 1);
        wait_until_all_cpus_are_free(4.0);
    });
}

/// Nested groups: each outer group waits for the innermost one.
#[test]
fn nested_groups_that_hold_every_cpu() {
    in_child("callers::nested_groups_that_hold_every_cpu", || {
        fn nest(depth: usize) -> ray::Result<String> {
            let train = move |_: &TrainContext| if depth == 0 { Ok(admission_error(fit(1))) } else { nest(depth - 1) };
            let run = RunConfig::temporary(format!("depth-{depth}"))?;
            Trainer::new(train).run_config(run).fit().map(TrainResult::into_value)
        }
        init(3);
        let text = nest(2).unwrap();
        for depth in 0..3 {
            assert!(text.contains(&format!("the run `depth-{depth}` holds 1 worker of {{CPU: 1}}")), "{text}");
        }
    });
}

/// The ranks wait for the callback.
#[test]
fn a_fit_in_a_callback_of_a_group_that_holds_every_cpu() {
    in_child("callers::a_fit_in_a_callback_of_a_group_that_holds_every_cpu", || {
        init(2);
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        let callback = |_: &ray_train::Report| {
            let text = admission_error(fit(1));
            assert!(text.contains("the run `outer` holds 2 workers of {CPU: 1}"), "{text}");
            CALLS.fetch_add(1, Ordering::Relaxed);
        };
        let run = RunConfig::temporary("outer").unwrap().timeout(LONG).on_report(callback);
        let train = |ctx: &TrainContext| ctx.report((), None);
        Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
        // After the callback this thread belongs to no group.
        assert_eq!(fit(2).unwrap(), 2);
    });
}

/// A cancel of the task stops its group at the next report, and all resources are free again.
#[test]
fn cancelling_the_task_stops_its_run() {
    in_child("callers::cancelling_the_task_stops_its_run", || {
        init(2);
        for scaling in [ScalingConfig::workers(2), ScalingConfig::in_place()] {
            let (began, begun) = mpsc::channel();
            let train = move |ctx: &TrainContext| -> ray::Result<()> {
                let _ = began.send(());
                loop {
                    ctx.report((), None)?;
                }
            };
            let run = RunConfig::temporary("cancelled").unwrap().timeout(LONG).grace(LONG);
            let task = ray::task(move || Trainer::new(train).scaling(scaling).run_config(run).fit().map(drop)).remote();
            begun.recv().unwrap();
            ray::cancel(&task).unwrap();
            assert!(ray::get(task).is_err());
            wait_until_all_cpus_are_free(2.0);
        }
    });
}

/// `fit` panics with the panic of a callback, on the thread of the task.
#[test]
fn a_callback_that_panics_in_a_task() {
    in_child("callers::a_callback_that_panics_in_a_task", || {
        init(2);
        let fit = || {
            let run = RunConfig::temporary("panics").unwrap().on_report(|_| panic!("the disk of the log is full"));
            Trainer::new(|ctx: &TrainContext| ctx.report((), None))
                .scaling(ScalingConfig::workers(2))
                .run_config(run)
                .fit()
                .map(drop)
        };
        let error = ray::get(ray::task(fit).remote()).unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("the disk of the log is full"), "{error:?}");
        wait_until_all_cpus_are_free(2.0);
    });
}
