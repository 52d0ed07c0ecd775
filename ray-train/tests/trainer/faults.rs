//! Ranks that fail in all ways: `fit` does not hang, its error names the ranks and the reasons, and it retries if that is allowed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ray_train::{Checkpoint, InProgress, Metrics, RunConfig, ScalingConfig, TrainContext, Trainer, TrainingFailed, Worker};

use crate::support::{LONG, in_child, run, write};

/// The error of `fit` for a loop that fails.
fn failure(
    name: &str,
    workers: usize,
    train: impl Fn(&TrainContext) -> ray::Result<()> + Send + Sync + 'static,
) -> TrainingFailed {
    fails(run(name), workers, train)
}

fn fails(
    run: RunConfig,
    workers: usize,
    train: impl Fn(&TrainContext) -> ray::Result<()> + Send + Sync + 'static,
) -> TrainingFailed {
    let error = Trainer::new(train).scaling(ScalingConfig::workers(workers)).run_config(run).fit().unwrap_err();
    error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}")).clone()
}

/// The ranks of a failure, and its text.
fn ranks(failed: &TrainingFailed) -> (Vec<usize>, String) {
    (failed.worker_failures.iter().map(|failure| failure.rank).collect(), failed.to_string())
}

#[test]
fn an_error_releases_the_waiting_ranks() {
    let failed = failure("error", 3, |ctx| match ctx.world_rank() {
        0 => ctx.barrier(),
        1 => Err(ray::Error::other("no such file: a.txt")),
        _ => ctx.report((), None),
    });
    let (ranks, text) = ranks(&failed);
    assert_eq!(ranks, [1], "{text}");
    assert!(text.contains("rank 1: ") && text.contains("no such file: a.txt") && text.contains("`error`"), "{text}");
    assert_eq!(failed.failures, 1);
    assert!(failed.checkpoint.is_none());
}

#[test]
fn the_users_error_is_found_by_its_type() {
    #[derive(Debug)]
    struct Mine(u32);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "mine {}", self.0)
        }
    }
    let failed = failure("own_error", 2, |ctx| match ctx.world_rank() {
        1 => Err(ray::Error::other(Mine(7))),
        _ => ctx.barrier(),
    });
    assert_eq!(failed.worker_failures[0].error.downcast_ref::<Mine>().unwrap().0, 7);
}

#[test]
fn a_panic_is_reported_with_its_location() {
    for at_report in [false, true] {
        let failed = failure("panic", 3, move |ctx| {
            assert!(ctx.world_rank() != 2, "torn to pieces");
            if at_report { ctx.report((), None) } else { ctx.barrier() }
        });
        let (ranks, text) = ranks(&failed);
        assert_eq!(ranks, [2], "{text}");
        assert!(text.contains("torn to pieces") && text.contains("faults.rs:"), "{text}");
        assert!(failed.worker_failures[0].error.is_panic(), "{text}");
    }
}

#[test]
fn a_panic_in_place() {
    let train = |_: &TrainContext| -> ray::Result<()> { panic!("torn to pieces") };
    let trainer = Trainer::new(train).scaling(ScalingConfig::in_place()).run_config(run("panic_in_place").max_failures(1));
    let error = trainer.fit().unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap();
    assert_eq!(failed.failures, 2);
    assert!(failed.to_string().contains("rank 0: its loop panicked: torn to pieces"), "{failed}");
}

#[test]
fn several_ranks_fail() {
    let failed = failure("several", 4, |ctx| {
        let rank = ctx.world_rank();
        ctx.barrier()?;
        if rank % 2 == 1 { Err(ray::Error::other(format!("odd {rank}"))) } else { Ok(()) }
    });
    let (ranks, text) = ranks(&failed);
    assert!(!ranks.is_empty() && ranks.iter().all(|rank| rank % 2 == 1), "{text}");
}

#[test]
fn a_killed_rank() {
    let at_work = Arc::new(AtomicU32::new(0));
    for waits_at_report in [false, true] {
        let run = run("killed");
        let path = run.path().unwrap();
        let told = Arc::clone(&at_work);
        let run = run.on_report(move |_| {
            told.fetch_add(1, Ordering::Relaxed);
            ray::kill(&Worker::find(&path, 1).unwrap()).unwrap();
        });
        let failed = fails(run, 3, move |ctx| {
            ctx.report((), None)?;
            if waits_at_report { ctx.report((), None) } else { ctx.barrier() }
        });
        let (ranks, text) = ranks(&failed);
        assert_eq!(ranks, [1], "{text}");
        assert!(text.contains("ray::kill"), "{text}");
    }
    assert_eq!(at_work.load(Ordering::Relaxed), 2);
}

/// The kill comes while the ranks are at their last report, after which they return at once.
#[test]
fn a_rank_is_killed_just_before_it_returns() {
    for _ in 0..20 {
        let run = run("killed_last");
        let path = run.path().unwrap();
        let run = run.on_report(move |_| ray::kill(&Worker::find(&path, 1).unwrap()).unwrap());
        let failed = fails(run, 2, |ctx| ctx.report((), None));
        let (ranks, text) = ranks(&failed);
        assert_eq!(ranks, [1], "{text}");
        assert!(text.contains("ray::kill"), "{text}");
    }
}

#[test]
fn a_rank_returns_early() {
    let failed = failure("early", 3, |ctx| {
        ctx.report((), None)?;
        if ctx.world_rank() == 1 { Ok(()) } else { ctx.report((), None) }
    });
    let (ranks, text) = ranks(&failed);
    assert_eq!(ranks, [1], "{text}");
    // One or both of the other ranks are at report 2.
    assert!(text.contains("returned after 1 report, but rank") && text.contains("at report 2"), "{text}");
}

#[test]
fn a_rank_returns_while_another_is_in_a_collective() {
    let failed = failure("leaves", 2, |ctx| if ctx.world_rank() == 1 { Ok(()) } else { ctx.barrier() });
    let (ranks, text) = ranks(&failed);
    assert_eq!(ranks, [0], "{text}");
    assert!(text.contains("rank 1 left"), "{text}");
}

#[test]
fn ranks_call_different_operations() {
    let failed = failure("different", 2, |ctx| match ctx.world_rank() {
        0 => ctx.collective().allreduce(&mut [1.0], ray::collective::Sum),
        _ => ctx.collective().allreduce(&mut [1.0, 2.0], ray::collective::Sum),
    });
    let (_, text) = ranks(&failed);
    assert!(text.contains("rank 0") && text.contains("rank 1") && text.contains("different operations"), "{text}");

    let failed = failure("different_reports", 2, |ctx| match ctx.world_rank() {
        0 => ctx.report((), None),
        _ => ctx.report_mean((), None),
    });
    assert!(failed.to_string().contains("rank 1 called report_mean and rank 0 called report"), "{failed}");
}

/// A gate at which a loop waits, as in a call that cannot be interrupted.
#[derive(Clone)]
struct Gate {
    entered: mpsc::Sender<()>,
    opened: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
}

/// A closed gate, the receiver that tells when a loop waits at it, and the sender that opens it.
fn gate() -> (Gate, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((enter, entered), (open, opened)) = (mpsc::channel(), mpsc::channel());
    (Gate { entered: enter, opened: Arc::new(Mutex::new(Some(opened))) }, entered, open)
}

impl Gate {
    /// The first caller waits until the gate is opened; later callers pass.
    fn wait(&self) {
        let opened = self.opened.lock().unwrap().take();
        if let Some(opened) = opened {
            self.entered.send(()).unwrap();
            let _ = opened.recv();
        }
    }
}

#[test]
fn a_rank_never_reaches_the_report() {
    let (gate, _entered, open) = gate();
    let run = run("never_reports").timeout(Duration::from_millis(50)).grace(Duration::from_millis(50));
    let failed = fails(run, 3, move |ctx| {
        if ctx.world_rank() == 1 {
            gate.wait();
        }
        ctx.report((), None)
    });
    let (ranks, text) = ranks(&failed);
    assert_eq!(ranks, [1], "{text}");
    assert!(text.contains("did not reach report 1, at which ranks 0 and 2 waited for 50ms"), "{text}");
    drop(open);
}

#[test]
fn a_rank_never_reaches_the_barrier() {
    let (gate, _entered, open) = gate();
    let run = run("never_at_barrier").timeout(Duration::from_millis(50)).grace(Duration::from_millis(50));
    let failed = fails(run, 2, move |ctx| {
        if ctx.world_rank() == 1 {
            gate.wait();
        }
        ctx.barrier()
    });
    let (ranks, text) = ranks(&failed);
    assert_eq!(ranks, [0, 1], "{text}");
    assert!(text.contains("rank 1 has not joined") || text.contains("rank 1 is in its own code"), "{text}");
    assert!(text.contains("rank 1: it did not stop within the grace period of 50ms"), "{text}");
    drop(open);
}

/// The engine has exactly the CPUs of the group, and the abandoned rank still holds one of them.
#[test]
fn a_stuck_rank_is_abandoned() {
    in_child("faults::a_stuck_rank_is_abandoned", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let (gate, entered, open) = gate();
        let (later, asked) = mpsc::channel();
        let run = RunConfig::temporary("stuck").unwrap().timeout(LONG).grace(Duration::from_millis(50)).max_failures(1);
        let entered = Mutex::new(entered);
        let train = move |ctx: &TrainContext| {
            match (ctx.attempt(), ctx.world_rank()) {
                (0, 0) => {
                    gate.wait();
                    // Each call of its context fails now.
                    later.send((ctx.report((), None), ctx.barrier())).unwrap();
                    return Ok(0);
                }
                (0, _) => {
                    entered.lock().unwrap().recv().unwrap();
                    return Err(ray::Error::other("the first time"));
                }
                _ => {}
            }
            ctx.report((), None)?;
            Ok(ctx.attempt())
        };
        let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
        assert_eq!(*result.value(), 1, "`fit` does not wait for the stuck rank");
        assert_eq!(result.history().len(), 1);
        drop(open);
        let (report, barrier) = asked.recv().unwrap();
        assert!(report.is_err() && barrier.is_err());
    });
}

#[test]
fn failures_are_counted() {
    for (allowed, happen, ends_well) in [(0, 1, false), (1, 1, true), (2, 3, false), (3, 3, true), (-1, 5, true)] {
        let count = Arc::new(AtomicU32::new(0));
        let failed = Arc::clone(&count);
        let train = move |ctx: &TrainContext| {
            if ctx.world_rank() == 0 && failed.load(Ordering::Relaxed) < happen {
                failed.fetch_add(1, Ordering::Relaxed);
                return Err(ray::Error::other("again"));
            }
            ctx.barrier()?;
            Ok(ctx.attempt())
        };
        let run = run("counted").max_failures(allowed);
        let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit();
        match result {
            Ok(result) => {
                assert!(ends_well);
                assert_eq!(*result.value(), happen);
            }
            Err(error) => {
                assert!(!ends_well, "{error}");
                assert_eq!(error.downcast_ref::<TrainingFailed>().unwrap().failures, count.load(Ordering::Relaxed));
            }
        }
    }
}

#[test]
fn a_group_restarts_from_the_last_checkpoint() {
    let callbacks = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&callbacks);
    let run = run("anew").max_failures(1).on_report(move |report| told.lock().unwrap().push(report.number()));
    let train = |ctx: &TrainContext| {
        let first = match ctx.checkpoint() {
            None => 0,
            Some(checkpoint) => checkpoint.metadata::<Metrics>()?.number("step").unwrap() as usize + 1,
        };
        assert_eq!(first, if ctx.attempt() == 0 { 0 } else { 3 });
        for step in first..6 {
            let checkpoint = if step == 2 && ctx.world_rank() == 1 {
                let checkpoint = ctx.new_checkpoint()?;
                checkpoint.set_metadata(&Metrics::new().with("step", step))?;
                Some(checkpoint)
            } else {
                None
            };
            assert!(step != 5 || ctx.attempt() > 0 || ctx.world_rank() == 0, "the first time");
            ctx.report(Metrics::new().with("step", step), checkpoint)?;
        }
        Ok(())
    };
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    let steps: Vec<_> = result.history().iter().map(|report| report.metrics().number("step").unwrap() as usize).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5], "the history has repeated reports once");
    assert_eq!(*callbacks.lock().unwrap(), [1, 2, 3, 4, 5, 4, 5, 6]);
}

/// The callbacks are called in the order of registration.
#[test]
fn every_callback_is_called() {
    for scaling in [ScalingConfig::workers(2), ScalingConfig::in_place()] {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let callback = |name: &'static str| {
            let calls = Arc::clone(&calls);
            move |report: &ray_train::Report| calls.lock().unwrap().push((report.number(), name))
        };
        let run = run("callbacks").on_report(callback("first")).on_report(callback("second"));
        let train = |ctx: &TrainContext| {
            ctx.report((), None)?;
            ctx.report((), None)
        };
        Trainer::new(train).scaling(scaling).run_config(run).fit().unwrap();
        assert_eq!(*calls.lock().unwrap(), [(1, "first"), (1, "second"), (2, "first"), (2, "second")]);
    }
}

#[test]
fn an_elastic_group_restarts_smaller() {
    in_child("faults::an_elastic_group_restarts_smaller", || {
        ray::init_with(ray::Config::new().num_cpus(3)).unwrap();
        let (gate, entered, open) = gate();
        let entered = Mutex::new(entered);
        let run = RunConfig::temporary("smaller").unwrap().timeout(LONG).grace(Duration::from_millis(50)).max_failures(1);
        let train = move |ctx: &TrainContext| {
            match (ctx.attempt(), ctx.world_rank()) {
                (0, 2) => gate.wait(),
                (0, 1) => {
                    entered.lock().unwrap().recv().unwrap();
                    return Err(ray::Error::other("the first time"));
                }
                _ => {}
            }
            ctx.barrier()?;
            Ok((ctx.attempt(), ctx.world_size()))
        };
        let result = Trainer::new(train).scaling(ScalingConfig::elastic(2, 4)).run_config(run).fit().unwrap();
        assert_eq!(*result.value(), (1, 2), "the abandoned rank still holds one of three CPUs");
        drop(open);
    });
}

#[test]
fn two_runs_of_one_name() {
    let again = run("twice");
    let inner = again.clone();
    let train = move |_: &TrainContext| {
        let error = Trainer::new(|_: &TrainContext| Ok(())).run_config(inner.clone()).fit().unwrap_err();
        let text = error.downcast_ref::<InProgress>().unwrap().to_string();
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        Ok(())
    };
    Trainer::new(train).run_config(again.clone()).fit().unwrap();
    Trainer::new(|_: &TrainContext| Ok(())).run_config(again).fit().unwrap();
}

#[test]
fn a_cluster_address_is_refused() {
    in_child("faults::a_cluster_address_is_refused", || {
        if std::env::var("RAY_ADDRESS").is_err() {
            // The variable is set for a child process only.
            let mut command = crate::process::child("faults::a_cluster_address_is_refused");
            return crate::process::passes(command.env("RAY_ADDRESS", "auto"));
        }
        for scaling in [ScalingConfig::workers(1), ScalingConfig::in_place()] {
            let run = RunConfig::temporary("address").unwrap();
            let path = run.path().unwrap();
            let error = Trainer::new(|_: &TrainContext| Ok(())).scaling(scaling).run_config(run).fit().unwrap_err();
            assert!(error.to_string().contains("unset RAY_ADDRESS"), "{error}");
            assert!(!path.exists(), "the run was not started");
        }
    });
}

#[test]
fn the_engine_is_shut_down_during_a_run() {
    in_child("faults::the_engine_is_shut_down_during_a_run", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let run = RunConfig::temporary("ends").unwrap().timeout(LONG);
        let once = AtomicBool::new(false);
        let run = run.on_report(move |_| {
            if !once.swap(true, Ordering::Relaxed) {
                // On another thread: the shutdown waits for the ranks, which wait for this callback.
                std::thread::spawn(ray::shutdown);
            }
        });
        let train = |ctx: &TrainContext| loop {
            ctx.report((), None)?;
        };
        let fit: ray::Result<ray_train::TrainResult<()>> =
            Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit();
        let error = fit.unwrap_err();
        assert!(error.is_runtime_gone(), "{error:?}");
    });
}

#[test]
fn invalid_configurations() {
    let fit = |run: RunConfig| Trainer::new(|_: &TrainContext| Ok(())).run_config(run).fit().map(drop).unwrap_err().to_string();
    assert!(fit(run("a").max_failures(-2)).contains("-1 for no limit"));
    assert!(fit(run("a").checkpoints(ray_train::CheckpointConfig::new().num_to_keep(0))).contains("num_to_keep"));
    for name in ["", " ", ".", "..", "a/b", "a\\b"] {
        assert!(fit(run(name)).contains("cannot be the name of a run"), "{name}");
    }
    let error =
        Trainer::new(|_: &TrainContext| Ok(())).scaling(ScalingConfig::workers(1).use_gpu(true)).run_config(run("gpu")).fit();
    let error = error.unwrap_err();
    assert!(error.downcast_ref::<TrainingFailed>().is_none(), "a rank was started: {error}");
}

#[test]
fn invalid_reports() {
    let failed = failure("bare", 1, |ctx| ctx.report(0.5, None));
    assert!(failed.to_string().contains("a struct or a map"), "{failed}");
    let failed = failure("gone", 1, |ctx| ctx.report((), Some(Checkpoint::from_directory("nowhere"))));
    assert!(failed.to_string().contains("the checkpoint of rank 0") && failed.to_string().contains("nowhere"), "{failed}");
    let failed = failure("two_files", 2, |ctx| {
        let checkpoint = ctx.new_checkpoint()?;
        write(&checkpoint.path().join("model"), b"x")?;
        ctx.report((), Some(checkpoint))
    });
    assert!(failed.to_string().contains("rank 0 and rank 1 both report a file `model`"), "{failed}");
}
