//! A process may be killed at any moment, also while it writes a checkpoint: the run can be resumed, and ends with the same bits.
#![cfg(unix)]

use std::time::{Duration, Instant};

use ray_train::{CheckpointConfig, Metrics, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer};

use crate::process::{Process, child, is_child};
use crate::support::{Model, Progress, engine, run, write};

const NAME: &str = "killed::at_any_moment";
const STORAGE: &str = "RAY_TRAIN_TEST_STORAGE";

/// The number of processes to kill.
const KILLS: usize = 12;
/// The approximate duration of a checkpoint.
const CHECKPOINT: Duration = Duration::from_millis(10);

/// Trains up to a step, with a checkpoint after each step that has a large file.
fn train(ctx: &TrainContext, steps: usize) -> ray::Result<Vec<u64>> {
    let (mut model, progress) = Model::resume(ctx)?;
    for step in progress.map_or(0, |progress| progress.step + 1)..steps {
        model.step(ctx)?;
        let checkpoint = model.save(ctx, Progress { epoch: 0, step })?;
        write(&checkpoint.path().join(format!("more-{}", ctx.world_rank())), &vec![step as u8; 100_000])?;
        if ctx.world_rank() == 0 {
            println!("step {step}");
        }
        ctx.report(Metrics::new().with("step", step), Some(checkpoint))?;
    }
    Ok(model.bits())
}

fn fit(run: RunConfig, steps: usize) -> ray::Result<TrainResult<Vec<u64>>> {
    let run = run.checkpoints(CheckpointConfig::new().num_to_keep(2));
    Trainer::new(train).config(steps).scaling(ScalingConfig::workers(2)).run_config(run).fit()
}

#[test]
fn at_any_moment() {
    if is_child(NAME) {
        engine();
        let run = RunConfig::new("killed").storage(std::env::var_os(STORAGE).unwrap());
        let ended = fit(run, usize::MAX);
        unreachable!("the process should have been killed: {:?}", ended.map(drop));
    }
    let storage = tempfile::tempdir().unwrap();
    let run_there = || RunConfig::new("killed").storage(storage.path());
    let path = run_there().path().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut next = 0;
    for life in 0..KILLS {
        let mut process = Process::of(child(NAME).env(STORAGE, storage.path()));
        let lines = std::iter::from_fn(|| process.next_line());
        let steps = lines.filter_map(|line| line.rsplit_once("step ")?.1.parse::<usize>().ok());
        // The process reports the step of the last line at this moment, or has just reported it.
        let reached = steps.take(random.usize(1..4)).last().unwrap_or_else(|| panic!("life {life}: it has not continued"));
        let (begin, moment) = (Instant::now(), CHECKPOINT.mul_f64(random.f64()));
        while begin.elapsed() < moment {
            std::hint::spin_loop();
        }
        process.kill();

        assert!(reached >= next, "life {life}: step {reached} was repeated, expected step {next}");
        let left = TrainResult::from_path(&path).unwrap();
        let kept: Vec<usize> = left.checkpoints().map(|(_, metrics)| metrics.number("step").unwrap() as usize).collect();
        let last = kept.last().copied();
        assert!(reached == 0 || last.is_some_and(|last| last + 1 >= reached), "life {life}: {kept:?} at step {reached}");
        assert!(kept.len() <= 2, "{kept:?}");
        next = last.map_or(0, |last| last + 1);
    }
    let end = fit(run_there(), next + 2).unwrap();
    let steps: Vec<usize> = end.history().iter().map(|report| report.metrics().number("step").unwrap() as usize).collect();
    assert_eq!(steps, (0..next + 2).collect::<Vec<_>>());
    assert_eq!(*end.value(), *fit(run("whole"), next + 2).unwrap().value(), "bit for bit");
    let mut names: Vec<String> =
        std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    let checkpoints = [next + 1, next + 2].map(|report| format!("checkpoint_{report:06}"));
    let expected = [".lock", &checkpoints[0], &checkpoints[1], "config.json", "reports.jsonl", "run.json"];
    assert_eq!(names, expected, "no unused file is left");
}
