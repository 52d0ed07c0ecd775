//! An interrupted run ends with the same bits as an uninterrupted one, with a checkpoint in the middle of an epoch, momentum, and a
//! generator for each rank.

use std::path::Path;

use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer, Worker};

use crate::process::{Process, child, is_child};
use crate::support::{Model, Progress, engine, run};

const EPOCHS: usize = 3;
const STEPS: usize = 7;
/// The number of steps between checkpoints. No checkpoint is at the end of an epoch.
const EVERY: usize = 5;

/// The step at which the first group is interrupted, counted through all epochs.
const CUT: usize = 13;

/// Trains. In the first attempt of a run, each rank calls `cut` at the step.
fn train(ctx: &TrainContext, cut: impl Fn(&TrainContext)) -> ray::Result<Vec<u64>> {
    let (mut model, progress) = Model::resume(ctx)?;
    let done = progress.map_or(0, |progress| progress.epoch * STEPS + progress.step + 1);
    let mut loss = 0.0;
    for at in done..EPOCHS * STEPS {
        let progress = Progress { epoch: at / STEPS, step: at % STEPS };
        if at == CUT && done == 0 {
            cut(ctx);
        }
        loss = model.step(ctx)?;
        if at % EVERY == EVERY - 1 {
            let checkpoint = model.save(ctx, progress)?;
            ctx.report(Metrics::new().with("loss", loss), Some(checkpoint))?;
        }
    }
    ctx.report(Metrics::new().with("loss", loss), None)?;
    Ok(model.bits())
}

fn uninterrupted() -> Vec<u64> {
    let train = |ctx: &TrainContext| train(ctx, |_| {});
    Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("uninterrupted")).fit().unwrap().into_value()
}

fn history(result: &ray_train::TrainResult<Vec<u64>>) -> Vec<u64> {
    result.history().iter().map(|report| report.number()).collect()
}

#[test]
fn after_a_panic() {
    let train = |ctx: &TrainContext| train(ctx, |ctx| assert!(ctx.world_rank() == 0, "cut off"));
    let run = run("after_a_panic").max_failures(1);
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    assert_eq!(history(&result), [1, 2, 3, 4, 5]);
    assert_eq!(*result.value(), uninterrupted());
}

#[test]
fn after_a_kill() {
    let train = |ctx: &TrainContext| {
        train(ctx, |ctx| {
            if ctx.world_rank() == 0 {
                ray::kill(&Worker::find(ctx.run_path(), 1).unwrap()).unwrap();
            }
        })
    };
    let run = run("after_a_kill").max_failures(1);
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    assert_eq!(history(&result), [1, 2, 3, 4, 5]);
    assert_eq!(*result.value(), uninterrupted());
}

/// The process is killed, and another process resumes the run.
#[cfg(unix)]
#[test]
fn after_the_process_was_killed() {
    const NAME: &str = "resume::after_the_process_was_killed";
    const STORAGE: &str = "RAY_TRAIN_TEST_STORAGE";
    if is_child(NAME) {
        engine();
        let train = |ctx: &TrainContext| {
            train(ctx, |ctx| {
                if ctx.world_rank() == 1 {
                    println!("at the step");
                    // body: the process is killed here
                    std::thread::park();
                }
            })
        };
        let storage = std::env::var_os(STORAGE).unwrap();
        let run = RunConfig::new("killed").storage(storage);
        let _ = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit();
        unreachable!("the process should have been killed");
    }
    let storage = tempfile::tempdir().unwrap();
    let mut process = Process::of(child(NAME).env(STORAGE, storage.path()));
    process.await_line("at the step");
    process.kill();

    let run = RunConfig::new("killed").storage(storage.path());
    assert!(locked_by(&run.path().unwrap()).contains("process"));
    let train = |ctx: &TrainContext| {
        assert_eq!(ctx.checkpoint().unwrap().metadata::<Progress>()?, Progress { epoch: 1, step: 2 });
        train(ctx, |_| {})
    };
    engine();
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    assert_eq!(history(&result), [1, 2, 3, 4, 5]);
    assert_eq!(*result.value(), uninterrupted());
}

fn locked_by(run: &Path) -> String {
    std::fs::read_to_string(run.join(".lock")).unwrap()
}

/// Ctrl-C, in a child process.
#[cfg(unix)]
mod interrupted {
    use std::os::unix::process::ExitStatusExt;

    use nix::sys::signal::{Signal, kill, raise};
    use nix::unistd::Pid;
    use ray_train::Interrupted;

    use super::*;
    use crate::process::passes;
    use crate::signal;

    /// Starts this test in a child process, and waits for a line of its output. Returns none in the child process.
    fn start(name: &str, line: &str) -> Option<Process> {
        if is_child(name) {
            signal::by_default();
            return None;
        }
        let mut process = Process::of(&mut child(name));
        process.await_line(line);
        Some(process)
    }

    fn press(process: &Process) {
        kill(Pid::from_raw(process.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    }

    /// Presses Ctrl-C once. The test in the child process must pass then.
    fn press_and_pass(process: Process) {
        press(&process);
        let (status, output) = process.end();
        assert!(status.success() && output.contains("1 passed"), "it ended with {status}:\n{output}");
    }

    /// The run stops at the next report, its error has the last checkpoint, and it can be resumed.
    #[test]
    fn ctrl_c_stops_the_run() {
        if let Some(process) = start("resume::interrupted::ctrl_c_stops_the_run", "under way") {
            return press_and_pass(process);
        }
        let run = run("interrupted");
        let train = |ctx: &TrainContext| {
            ctx.report((), Some(Model::new().save(ctx, Progress { epoch: 0, step: 0 })?))?;
            if ctx.world_rank() == 0 {
                println!("under way");
                loop {
                    ctx.report((), None)?;
                }
            }
            // Rank 1 reports as often as rank 0.
            loop {
                ctx.report((), None)?;
            }
        };
        let fit: ray::Result<ray_train::TrainResult<()>> =
            Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run.clone()).fit();
        let error = fit.unwrap_err();
        let stopped = error.downcast_ref::<Interrupted>().unwrap_or_else(|| panic!("{error:?}"));
        assert!(stopped.checkpoint.as_ref().unwrap().path().ends_with("checkpoint_000001"), "{stopped}");
        let on = Trainer::new(|ctx: &TrainContext| Ok(ctx.checkpoint().is_some())).run_config(run).fit().unwrap();
        assert!(*on.value());
    }

    /// One rank waits in a collective operation and another one is stuck; in place, the loop is in a report or a barrier.
    #[test]
    fn ctrl_c_does_not_wait_for_stuck_ranks() {
        if let Some(process) = start("resume::interrupted::ctrl_c_does_not_wait_for_stuck_ranks", "under way") {
            return press_and_pass(process);
        }
        engine();
        let run = RunConfig::temporary("stuck").unwrap().grace(std::time::Duration::from_millis(50));
        let train = |ctx: &TrainContext| {
            if ctx.world_rank() == 0 {
                println!("under way");
                loop {
                    // body: stuck, does not return
                    std::thread::park();
                }
            }
            ctx.barrier()
        };
        let error = Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run).fit().unwrap_err();
        let stopped = error.downcast_ref::<Interrupted>().unwrap_or_else(|| panic!("{error:?}"));
        assert!(stopped.checkpoint.is_none());

        let train = |ctx: &TrainContext| {
            raise(Signal::SIGINT).unwrap();
            ctx.report((), None)
        };
        let trainer = Trainer::new(train).scaling(ScalingConfig::in_place()).run_config(crate::support::run("here"));
        assert!(trainer.fit().unwrap_err().downcast_ref::<Interrupted>().is_some());

        let train = |ctx: &TrainContext| -> ray::Result<()> {
            raise(Signal::SIGINT).unwrap();
            loop {
                ctx.barrier()?;
            }
        };
        let trainer = Trainer::new(train).scaling(ScalingConfig::in_place()).run_config(crate::support::run("here"));
        assert!(trainer.fit().unwrap_err().downcast_ref::<Interrupted>().is_some());
    }

    /// A rank fails after Ctrl-C. A retry is left, but no other group is started.
    #[test]
    fn no_restart_after_ctrl_c() {
        const NAME: &str = "resume::interrupted::no_restart_after_ctrl_c";
        if !is_child(NAME) {
            return passes(&mut child(NAME));
        }
        signal::by_default();
        {
            for scaling in [ScalingConfig::workers(2), ScalingConfig::in_place()] {
                let train = |ctx: &TrainContext| -> ray::Result<()> {
                    assert_eq!(ctx.attempt(), 0);
                    if ctx.world_rank() == 0 {
                        raise(Signal::SIGINT).unwrap();
                    }
                    Err(ray::Error::other("the connection is lost"))
                };
                let error = Trainer::new(train).scaling(scaling).run_config(run("fails").max_failures(1)).fit().unwrap_err();
                assert!(error.downcast_ref::<Interrupted>().is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn a_second_ctrl_c_ends_the_process() {
        if let Some(mut process) = start("resume::interrupted::a_second_ctrl_c_ends_the_process", "under way") {
            press(&process);
            // Repeated until the process has ended: two signals that are pending at once count as one.
            while process.ended().is_none() {
                press(&process);
                std::thread::yield_now();
            }
            assert_eq!(process.end().0.signal(), Some(Signal::SIGINT as i32));
            return;
        }
        let train = |ctx: &TrainContext| {
            println!("under way {}", ctx.world_rank());
            loop {
                // body: stuck, does not return
                std::thread::park();
            }
        };
        let _: ray::Result<ray_train::TrainResult<()>> = Trainer::new(train).run_config(run("twice")).fit();
        unreachable!("the stuck rank keeps `fit` from returning");
    }

    /// After `fit` Ctrl-C has its former action.
    #[test]
    fn the_former_action_is_restored() {
        if let Some(process) = start("resume::interrupted::the_former_action_is_restored", "after it") {
            press(&process);
            assert_eq!(process.end().0.signal(), Some(Signal::SIGINT as i32));
            return;
        }
        Trainer::new(|_: &TrainContext| Ok(())).run_config(run("before")).fit().unwrap();
        println!("after it");
        loop {
            // body: until the signal comes
            std::thread::park();
        }
    }

    /// A process that was started with Ctrl-C ignored (`nohup`, a background job of a shell) also ignores it during a run.
    #[test]
    fn an_ignored_ctrl_c_stays_ignored() {
        const NAME: &str = "resume::interrupted::an_ignored_ctrl_c_stays_ignored";
        if !is_child(NAME) {
            return passes(&mut child(NAME));
        }
        signal::ignore();
        for scaling in [ScalingConfig::workers(2), ScalingConfig::in_place()] {
            let train = |ctx: &TrainContext| {
                raise(Signal::SIGINT).unwrap();
                ctx.report((), None)?;
                assert!(signal::is_ignored());
                ctx.report((), None)
            };
            let result = Trainer::new(train).scaling(scaling).run_config(run("ignored")).fit().unwrap();
            assert_eq!(result.history().len(), 2);
            assert!(signal::is_ignored());
        }
        // If the program stops ignoring Ctrl-C, the next run handles it.
        signal::by_default();
        let train = |ctx: &TrainContext| {
            raise(Signal::SIGINT).unwrap();
            ctx.report((), None)
        };
        let error = Trainer::new(train).run_config(run("heeded")).fit().unwrap_err();
        assert!(error.downcast_ref::<Interrupted>().is_some(), "{error:?}");
    }
}
