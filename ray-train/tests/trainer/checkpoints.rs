//! Which checkpoints a run keeps, and how a run continues from them.

use std::fs;
use std::path::{Path, PathBuf};

use ray_train::{
    Checkpoint, CheckpointConfig, Damaged, Metrics, Order, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer,
};

use crate::process::{child, is_child, passes};
use crate::support::{Model, Progress, in_child, run, write};

/// Trains one step for each score, with a checkpoint after each. A run of the same name continues after its last step. Returns the
/// first step of this call.
fn steps(run: RunConfig, scores: &'static [f64]) -> ray::Result<TrainResult<usize>> {
    let train = |ctx: &TrainContext, scores: Vec<f64>| {
        let first = match ctx.checkpoint() {
            None => 0,
            Some(checkpoint) => checkpoint.metadata::<Progress>()?.step + 1,
        };
        for (step, score) in scores.iter().enumerate().skip(first) {
            let checkpoint = ctx.new_checkpoint()?;
            write(&checkpoint.path().join("step"), step.to_string().as_bytes())?;
            checkpoint.set_metadata(&Progress { epoch: 0, step })?;
            ctx.report(Metrics::new().with("score", *score), Some(checkpoint))?;
        }
        Ok(first)
    };
    Trainer::new(train).config(scores.to_vec()).run_config(run).fit()
}

/// The numbers of the checkpoints in a run's directory.
fn on_disk(run: &Path) -> Vec<u64> {
    let names = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<u64> = names.filter_map(|name| name.strip_prefix("checkpoint_")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

fn kept<R>(result: &TrainResult<R>) -> Vec<u64> {
    let number = |checkpoint: &Checkpoint| checkpoint.path().file_name().unwrap().to_str().unwrap()[11..].parse().unwrap();
    result.checkpoints().map(|(checkpoint, _)| number(checkpoint)).collect()
}

#[test]
fn the_last_checkpoints_are_kept() {
    let run = run("last").checkpoints(CheckpointConfig::new().num_to_keep(2));
    let result = steps(run, &[5.0, 4.0, 3.0, 2.0, 1.0]).unwrap();
    assert_eq!(kept(&result), [4, 5]);
    assert_eq!(on_disk(result.path()), [4, 5]);
    assert_eq!(result.history().len(), 5, "all reports are kept");
    assert!(!result.path().join(".staging").read_dir().is_ok_and(|mut left| left.next().is_some()), "no incomplete file is left");
}

#[test]
fn the_best_checkpoints_are_kept_and_nan_is_never_best() {
    let config = CheckpointConfig::new().num_to_keep(2).score("score", Order::Max);
    let result = steps(run("best").checkpoints(config), &[0.5, f64::NAN, 0.9, 0.7, 0.1]).unwrap();
    assert_eq!(kept(&result), [3, 4, 5], "the two best, and the last, from which the run continues");
    assert_eq!(on_disk(result.path()), [3, 4, 5]);
    let best = result.best_checkpoints();
    assert_eq!(fs::read_to_string(best[0].0.path().join("step")).unwrap(), "2");
}

/// As in Ray's `CheckpointConfig`, the last checkpoint is kept in addition to the best ones.
#[test]
fn the_last_checkpoint_is_kept_beside_the_best() {
    const LOSSES: &[f64] = &[0.9, 0.1, 0.5, 0.6, 0.7];
    for (keep, expected) in [(1, &[2, 5][..]), (2, &[2, 3, 5]), (3, &[2, 3, 4, 5]), (4, &[2, 3, 4, 5]), (5, &[1, 2, 3, 4, 5])] {
        let config = CheckpointConfig::new().num_to_keep(keep).score("score", Order::Min);
        let run = run("beside").checkpoints(config);
        let result = steps(run.clone(), LOSSES).unwrap();
        assert_eq!(kept(&result), expected, "{keep}");
        assert_eq!(on_disk(result.path()), expected, "{keep}");
        assert_eq!(result.best_checkpoint("score", Order::Min).unwrap().path().file_name().unwrap(), "checkpoint_000002");
        assert_eq!(result.checkpoint().unwrap().path().file_name().unwrap(), "checkpoint_000005");
        // A resumed run removes none of them.
        assert_eq!(kept(&steps(run, LOSSES).unwrap()), expected, "{keep}");
    }
}

/// A user whose disk is full resumes with fewer checkpoints: the surplus is removed before the first report.
#[test]
fn a_resumed_run_may_keep_fewer_checkpoints() {
    let run = run("fewer");
    steps(run.clone(), &[5.0, 4.0, 3.0]).unwrap();
    let train = |ctx: &TrainContext| Ok(on_disk(ctx.run_path()));
    let config = CheckpointConfig::new().num_to_keep(1);
    let result = Trainer::new(train).run_config(run.checkpoints(config)).fit().unwrap();
    assert_eq!((&result.value()[..], kept(&result), result.history().len()), (&[3][..], vec![3], 3));
}

#[test]
fn a_missing_score_is_an_error() {
    let config = CheckpointConfig::new().score("accuracy", Order::Max);
    let error = steps(run("no_score").checkpoints(config), &[0.5]).unwrap_err();
    assert!(error.to_string().contains("`accuracy`") && error.to_string().contains("score"), "{error}");
}

#[test]
fn files_of_all_ranks_form_one_checkpoint() {
    let theirs = tempfile::tempdir().unwrap();
    let path = theirs.path().to_owned();
    let train = move |ctx: &TrainContext| {
        let name = format!("rank-{}", ctx.world_rank());
        match ctx.world_rank() {
            0 => {
                let checkpoint = ctx.new_checkpoint()?;
                fs::create_dir(checkpoint.path().join("deep")).map_err(ray::Error::other)?;
                write(&checkpoint.path().join("deep").join(&name), b"0")?;
                checkpoint.set_metadata(&Metrics::new().with("epoch", 1).with("loss", f64::NAN))?;
                ctx.report((), Some(checkpoint))
            }
            // The user's own directory keeps its files.
            1 => {
                write(&path.join(&name), b"1")?;
                let checkpoint = Checkpoint::from_directory(&path);
                checkpoint.set_metadata(&Metrics::new().with("loss", f64::NAN).with("more", true))?;
                ctx.report((), Some(checkpoint))
            }
            _ => ctx.report((), None),
        }?;
        let merged = ctx.checkpoint().unwrap();
        assert_eq!(fs::read_to_string(merged.path().join("deep/rank-0")).unwrap(), "0");
        assert_eq!(fs::read_to_string(merged.path().join("rank-1")).unwrap(), "1");
        let metadata: Metrics = merged.metadata()?;
        assert_eq!(metadata.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["epoch", "loss", "more"]);
        assert!(metadata.number("loss").unwrap().is_nan());
        Ok(())
    };
    Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run("merged")).fit().unwrap();
    assert!(theirs.path().join("rank-1").exists());
}

#[test]
fn ranks_with_different_metadata() {
    let train = |ctx: &TrainContext| {
        let checkpoint = ctx.new_checkpoint()?;
        checkpoint.set_metadata(&Metrics::new().with("epoch", ctx.world_rank()))?;
        ctx.report((), Some(checkpoint))
    };
    let error = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("disagree")).fit().unwrap_err();
    assert!(
        error.to_string().contains("the metadata `epoch` of the checkpoint is 1 on rank 1, and 0 on an earlier rank"),
        "{error}"
    );
}

/// A failed report leaves the run unchanged, and the loop may continue.
#[test]
fn a_loop_may_continue_after_a_failed_report() {
    let train = |ctx: &TrainContext| {
        for step in 0..3 {
            let checkpoint = ctx.new_checkpoint()?;
            let name = if step == 1 { "same".to_owned() } else { format!("rank-{}", ctx.world_rank()) };
            write(&checkpoint.path().join(name), b"x")?;
            assert_eq!(ctx.report(Metrics::new().with("step", step), Some(checkpoint)).is_err(), step == 1);
        }
        Ok(())
    };
    let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("goes_on")).fit().unwrap();
    assert_eq!(kept(&result), [1, 2]);
    assert_eq!(result.history().len(), 2);
}

#[test]
fn a_run_is_resumed_by_its_name() {
    let run = run("resumed");
    assert_eq!(*steps(run.clone(), &[1.0, 2.0]).unwrap().value(), 0);
    let more = steps(run.clone(), &[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(*more.value(), 2, "with more steps");
    assert_eq!((kept(&more), more.history().len()), (vec![1, 2, 3, 4], 4));
    let done = steps(run.clone(), &[1.0, 2.0]).unwrap();
    assert_eq!(*done.value(), 4, "without further steps");
    assert_eq!(done.metrics().number("score"), Some(4.0));
    // With another number of workers.
    let train = |ctx: &TrainContext| Ok((ctx.world_size(), ctx.checkpoint().unwrap().metadata::<Progress>()?.step));
    let result = Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run).fit().unwrap();
    assert_eq!(*result.value(), (3, 3));
}

/// The resumed run repeats the reports after the last checkpoint, and the history has each report once.
#[test]
fn reports_after_the_last_checkpoint_are_dropped() {
    let run = run("forgotten");
    let train = |ctx: &TrainContext| {
        let first = ctx.checkpoint().map_or(0, |_| 1);
        for step in first..3 {
            let checkpoint = if step == 0 { Some(ctx.new_checkpoint()?) } else { None };
            ctx.report(Metrics::new().with("step", step), checkpoint)?;
        }
        Ok(first)
    };
    let trainer = Trainer::new(train).run_config(run);
    assert_eq!(*trainer.fit().unwrap().value(), 0);
    let again = trainer.fit().unwrap();
    assert_eq!(*again.value(), 1);
    let numbers: Vec<u64> = again.history().iter().map(|report| report.number()).collect();
    assert_eq!(numbers, [1, 2, 3]);
}

/// Damages the files of a run with three checkpoints, and resumes the run.
fn after(name: &str, damage: impl FnOnce(&Path), fall_back: bool) -> ray::Result<TrainResult<usize>> {
    let run = run(name);
    let path = steps(run.clone(), &[1.0, 2.0, 3.0]).unwrap().path().to_owned();
    damage(&path);
    steps(run.fall_back(fall_back), &[1.0, 2.0, 3.0, 4.0])
}

#[test]
fn damaged_checkpoints() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 9] = [
        ("cut", |last| fs::write(last.join("step"), "").unwrap(), "`step` has 0 bytes, expected 1"),
        ("changed", |last| fs::write(last.join("step"), "9").unwrap(), "CRC-32"),
        ("gone", |last| fs::remove_file(last.join("step")).unwrap(), "`step` cannot be read"),
        ("all_gone", |last| fs::remove_dir_all(last).unwrap(), "the checkpoint is missing"),
        ("unfinished", |last| fs::remove_file(last.join(".manifest.json")).unwrap(), "not a complete checkpoint of ray-train"),
        (
            "foreign",
            |last| fs::write(last.join(".manifest.json"), "{\"format\": \"x\"}").unwrap(),
            "it does not have the format of ray-train",
        ),
        ("elsewhere", elsewhere, "it is the checkpoint of report 2, expected that of report 3"),
        ("of_another_run", of_another_run, "it is a checkpoint of the run `other`, expected one of the run `of_another_run`"),
        ("of_a_namesake", of_a_namesake, "it belongs to another run of the same name"),
    ];
    for (name, damage, text) in cases {
        let last = |run: &Path| damage(&run.join("checkpoint_000003"));
        let error = after(name, last, false).unwrap_err();
        let damaged = error.downcast_ref::<Damaged>().unwrap_or_else(|| panic!("{error:?}")).to_string();
        assert!(damaged.contains("checkpoint_000003") && damaged.contains(text) && damaged.contains("fall_back"), "{damaged}");
        let result = after(name, last, true).unwrap();
        assert_eq!(*result.value(), 2, "{name}: from the checkpoint before it");
        assert_eq!(kept(&result), [1, 2, 3, 4], "{name}");
    }
}

#[test]
fn damaged_lists() {
    type Damage = fn(&Path);
    let cases: [(&str, Damage, &str); 7] = [
        ("empty_list", |run| fs::write(run.join("run.json"), "").unwrap(), "truncated"),
        ("foreign_list", |run| fs::write(run.join("run.json"), "[1, 2]").unwrap(), "it does not have the format of ray-train"),
        ("no_list", |run| fs::remove_file(run.join("run.json")).unwrap(), "it is missing, although there are checkpoints"),
        ("garbled_reports", |run| fs::write(run.join("reports.jsonl"), "{}\n{}\n").unwrap(), "line 1"),
        ("no_reports", |run| fs::remove_file(run.join("reports.jsonl")).unwrap(), "the line of checkpoint_000001 is missing"),
        ("short_reports", short, "the line of checkpoint_000003 is missing"),
        ("newer", newer, "this version reads"),
    ];
    for (name, damage, text) in cases {
        let error = after(name, damage, false).unwrap_err();
        let damaged = error.downcast_ref::<Damaged>().unwrap_or_else(|| panic!("{error:?}")).to_string();
        assert!(damaged.contains(text), "{damaged}");
        let result = after(name, damage, true).unwrap();
        assert_eq!((*result.value(), kept(&result)), (3, vec![1, 2, 3, 4]), "{name}: the checkpoints are undamaged");
        assert_eq!(result.history().len(), 4);
    }
}

/// Replaces a checkpoint by the one before it.
fn elsewhere(last: &Path) {
    fs::remove_dir_all(last).unwrap();
    Checkpoint::from_directory(last.with_file_name("checkpoint_000002")).to_directory(last).unwrap();
}

/// Replaces a checkpoint by that of the same report in a run with another name.
fn of_another_run(last: &Path) {
    of_run("other", last);
}

/// Replaces a checkpoint by that of the same report in a run with the same name and another storage.
fn of_a_namesake(last: &Path) {
    of_run("of_a_namesake", last);
}

fn of_run(name: &str, last: &Path) {
    let result = steps(run(name), &[9.0, 9.0, 9.0]).unwrap();
    fs::remove_dir_all(last).unwrap();
    result.checkpoint().unwrap().to_directory(last).unwrap();
}

/// A run whose directory was renamed accepts the checkpoints from before and from after.
#[test]
fn a_renamed_directory_is_resumed() {
    let storage = tempfile::tempdir().unwrap();
    let named = |name: &str| RunConfig::new(name).storage(storage.path());
    crate::support::engine();
    let path = steps(named("before"), &[1.0, 2.0]).unwrap().path().to_owned();
    fs::rename(&path, path.with_file_name("after")).unwrap();
    assert_eq!(*steps(named("after"), &[1.0, 2.0, 3.0]).unwrap().value(), 2);
    assert_eq!(*steps(named("after"), &[1.0, 2.0, 3.0, 4.0]).unwrap().value(), 3);
}

fn short(run: &Path) {
    let path = run.join("reports.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, &text[..text.len() - 2]).unwrap();
}

fn newer(run: &Path) {
    let path = run.join("run.json");
    let text = fs::read_to_string(&path).unwrap().replace("ray-train run 1", "ray-train run 2");
    fs::write(path, text).unwrap();
}

/// A crash at any moment leaves incomplete files, which do not count.
#[test]
fn incomplete_files_of_a_crash_are_ignored() {
    let crash = |run: &Path| {
        let orphan = run.join("checkpoint_000004");
        fs::create_dir(&orphan).unwrap();
        fs::write(orphan.join("step"), "3").unwrap();
        fs::create_dir_all(run.join(".staging/checkpoint_000004")).unwrap();
        fs::write(run.join(".writing-abc"), "{").unwrap();
        let mut reports = fs::read_to_string(run.join("reports.jsonl")).unwrap();
        reports.push_str("{\"report\": 4, \"ti");
        fs::write(run.join("reports.jsonl"), reports).unwrap();
    };
    let result = after("crash", crash, false).unwrap();
    assert_eq!((*result.value(), kept(&result), result.history().len()), (3, vec![1, 2, 3, 4], 4));
    assert!(!result.path().join(".writing-abc").exists());
}

/// A limit on the size of the files that a process may write acts like a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    const NAME: &str = "checkpoints::a_full_disk";
    if !is_child(NAME) {
        let test = child(NAME);
        let mut shell = std::process::Command::new("sh");
        // 20 blocks of 512 or 1024 bytes. The signal is ignored, so that a write fails instead.
        shell.args(["-c", "trap '' XFSZ; ulimit -f 20; exec \"$@\"", "sh"]).arg(test.get_program()).args(test.get_args());
        return passes(shell.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?)))));
    }
    let train = |ctx: &TrainContext| {
        let small = ctx.new_checkpoint()?;
        write(&small.path().join("model"), b"small")?;
        ctx.report(Metrics::new().with("step", 0), Some(small))?;
        if ctx.attempt() == 0 && ctx.world_rank() == 1 {
            // A file above the limit.
            let theirs = ctx.run_path().join("theirs");
            fs::create_dir(&theirs).map_err(ray::Error::other)?;
            let result = write(&theirs.join("large"), &[0; 100_000]);
            assert!(result.is_err());
            fs::remove_dir_all(&theirs).map_err(ray::Error::other)?;
        }
        // The line of this many metrics is above the limit.
        let metrics: Metrics = (0..4000).map(|n| (format!("metric-{n}"), n as f64)).collect();
        let checkpoint = if ctx.world_rank() == 0 { Some(ctx.new_checkpoint()?) } else { None };
        ctx.report(metrics, checkpoint)
    };
    let run = run("full");
    let error = Trainer::new(train).scaling(ScalingConfig::workers(1)).run_config(run.clone()).fit().unwrap_err();
    assert!(error.to_string().contains("rank 0") && error.to_string().contains("large"), "{error}");
    let left = TrainResult::from_path(run.path().unwrap()).unwrap();
    assert_eq!((kept(&left), left.history().len()), (vec![1], 1), "the checkpoint before it is complete");
}

#[test]
fn an_unwritable_storage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Trainer::new(|_: &TrainContext| Ok(())).run_config(RunConfig::new("a").storage(&file)).fit().unwrap_err();
    assert!(error.to_string().contains("the run's directory cannot be created"), "{error}");

    // During the run: a file replaces the directory.
    let run = run("in_the_middle");
    let train = |ctx: &TrainContext| {
        let checkpoint = ctx.new_checkpoint()?;
        let moved = ctx.run_path().with_file_name("moved");
        fs::rename(ctx.run_path(), &moved).map_err(ray::Error::other)?;
        write(ctx.run_path(), b"")?;
        let failed = ctx.report((), Some(checkpoint)).unwrap_err().to_string();
        assert!(failed.contains("the checkpoint of rank 0") && failed.contains("in_the_middle"), "{failed}");
        Ok(())
    };
    Trainer::new(train).run_config(run).fit().unwrap();
}

#[test]
fn runs_are_stored_in_the_home_directory() {
    let test = "checkpoints::runs_are_stored_in_the_home_directory";
    let home = tempfile::tempdir().unwrap();
    if !is_child(test) {
        return passes(child(test).env("HOME", home.path()));
    }
    let result = Trainer::new(|_: &TrainContext| Ok(())).fit().unwrap();
    let home: PathBuf = std::env::var_os("HOME").unwrap().into();
    let storage = fs::canonicalize(home.join("ray_results")).unwrap();
    assert!(result.path().starts_with(storage), "{}", result.path().display());
    assert!(result.path().file_name().unwrap().to_str().unwrap().starts_with("ray_train_run-2"));
}

#[test]
fn a_temporary_run_is_removed_with_its_last_owner() {
    let run = run("temporary");
    let path = run.path().unwrap();
    let result = steps(run, &[1.0]).unwrap();
    let checkpoint = result.checkpoint().unwrap().clone();
    drop(result);
    assert!(path.exists(), "a checkpoint still uses the directory");
    drop(checkpoint);
    assert!(!path.exists());
}

#[test]
fn a_model_is_restored_bit_for_bit() {
    let train = |ctx: &TrainContext| {
        let mut model = Model::new();
        for _ in 0..5 {
            model.step(ctx)?;
        }
        ctx.report((), Some(model.save(ctx, Progress { epoch: 0, step: 4 })?))?;
        assert_eq!(Model::load(&ctx.checkpoint().unwrap())?.bits(), model.bits());
        Ok(())
    };
    in_child("checkpoints::a_model_is_restored_bit_for_bit", || {
        Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("bits")).fit().unwrap();
    });
}
