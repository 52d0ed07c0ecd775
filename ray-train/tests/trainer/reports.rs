//! Reports that cannot be recorded: the error names the ranks whose checkpoints are the cause, and no others.

use ray_train::{Checkpoint, Metrics, RunConfig, ScalingConfig, TrainContext, Trainer, TrainingFailed};

use crate::support::{run, write};

/// Trains with a loop whose report fails. Returns the ranks that the error of `fit` names, and its text.
fn named(run: RunConfig, report: impl Fn(&TrainContext) -> ray::Result<()> + Send + Sync + 'static) -> (Vec<usize>, String) {
    let error = Trainer::new(report).scaling(ScalingConfig::workers(3)).run_config(run).fit().unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}"));
    (failed.worker_failures.iter().map(|failure| failure.rank).collect(), failed.to_string())
}

/// All ranks get the error and return it, in an order that differs between the rounds.
#[test]
fn the_error_names_the_rank_at_fault() {
    for round in 0..30 {
        let fault = round % 3;
        let (ranks, text) = named(run("fault"), move |ctx| {
            let checkpoint =
                if ctx.world_rank() == fault { Checkpoint::from_directory("nowhere") } else { ctx.new_checkpoint()? };
            ctx.report((), Some(checkpoint))
        });
        assert_eq!(ranks, [fault], "{text}");
        assert!(text.contains(&format!("rank {fault}: the checkpoint of rank {fault} could not be saved")), "{text}");
    }
}

/// The copy fails because the file is a symbolic link without a target.
#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_copied() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nothing", folder.path().join("model")).unwrap();
    let path = folder.path().to_owned();
    let (ranks, text) =
        named(run("copy"), move |ctx| ctx.report((), (ctx.world_rank() == 0).then(|| Checkpoint::from_directory(&path))));
    assert_eq!(ranks, [0], "{text}");
    assert!(text.contains("model"), "{text}");
}

#[test]
fn the_error_names_both_ranks_at_fault() {
    let (ranks, text) = named(run("both"), |ctx| {
        let checkpoint = ctx.new_checkpoint()?;
        write(&checkpoint.path().join(if ctx.world_rank() == 0 { "mine" } else { "model" }), b"x")?;
        ctx.report((), Some(checkpoint))
    });
    assert_eq!(ranks, [1, 2], "{text}");
    assert!(text.contains("the checkpoint of ranks 1 and 2 could not be saved"), "{text}");
}

/// The files of the run belong to no rank, so the error names every rank that returns it.
#[test]
fn an_unwritable_run_is_an_error_of_every_rank() {
    let (ranks, text) = named(run("gone"), |ctx| {
        if ctx.world_rank() == 0 {
            let list = ctx.run_path().join("run.json");
            std::fs::remove_file(&list).map_err(ray::Error::other)?;
            std::fs::create_dir(&list).map_err(ray::Error::other)?;
        }
        ctx.barrier()?;
        ctx.report((), (ctx.world_rank() == 1).then(|| ctx.new_checkpoint()).transpose()?)
    });
    assert_eq!(ranks, [0, 1, 2], "{text}");
    assert!(text.contains("run.json"), "{text}");
}

/// The rank at fault ignores the error and continues, and the other ranks return it: the error names the other ranks.
#[test]
fn the_error_does_not_name_a_rank_that_continues() {
    let (ranks, text) = named(run("goes_on"), |ctx| {
        let at_fault = ctx.world_rank() == 0;
        let reported = ctx.report(Metrics::new(), at_fault.then(|| Checkpoint::from_directory("nowhere")));
        if at_fault { ctx.barrier().or(Ok(())) } else { reported }
    });
    assert!(!ranks.contains(&0), "{text}");
    assert!(text.contains("the checkpoint of rank 0 could not be saved"), "{text}");
}
