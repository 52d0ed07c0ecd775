//! Reports that cannot be kept: the error names the ranks whose checkpoint is the reason, and no others.

use ray_train::{Checkpoint, Metrics, RunConfig, ScalingConfig, TrainContext, Trainer, TrainingFailed};

use crate::support::{run, write};

/// As `report`, from one rank alone, fails: the ranks that `fit` names, and its text.
fn named(run: RunConfig, report: impl Fn(&TrainContext) -> ray::Result<()> + Send + Sync + 'static) -> (Vec<usize>, String) {
    let error = Trainer::new(report).scaling(ScalingConfig::workers(3)).run_config(run).fit().unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}"));
    (failed.worker_failures.iter().map(|failure| failure.rank).collect(), failed.to_string())
}

/// All ranks get the error and pass it on; which of them comes first is another one each time.
#[test]
fn the_rank_at_fault_is_named() {
    for round in 0..30 {
        let fault = round % 3;
        let (ranks, text) = named(run("fault"), move |ctx| {
            let checkpoint =
                if ctx.world_rank() == fault { Checkpoint::from_directory("nowhere") } else { ctx.new_checkpoint()? };
            ctx.report((), Some(checkpoint))
        });
        assert_eq!(ranks, [fault], "{text}");
        assert!(text.contains(&format!("rank {fault}: the checkpoint of rank {fault} could not be kept")), "{text}");
    }
}

/// A folder of files that the disk has no room for cannot be copied, here because one of them is a link to nothing.
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
fn two_ranks_at_fault_are_both_named() {
    let (ranks, text) = named(run("both"), |ctx| {
        let checkpoint = ctx.new_checkpoint()?;
        write(&checkpoint.path().join(if ctx.world_rank() == 0 { "mine" } else { "model" }), b"x")?;
        ctx.report((), Some(checkpoint))
    });
    assert_eq!(ranks, [1, 2], "{text}");
    assert!(text.contains("the checkpoint of ranks 1 and 2 could not be kept"), "{text}");
}

/// The files of the run are nobody's own: every rank that passes the error on is named.
#[test]
fn a_run_that_cannot_be_written_is_every_ranks_error() {
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

/// The rank at fault may go on; the error of another rank that does not is then the one to tell.
#[test]
fn a_rank_that_goes_on_is_not_named() {
    let (ranks, text) = named(run("goes_on"), |ctx| {
        let at_fault = ctx.world_rank() == 0;
        let reported = ctx.report(Metrics::new(), at_fault.then(|| Checkpoint::from_directory("nowhere")));
        if at_fault { ctx.barrier().or(Ok(())) } else { reported }
    });
    assert!(!ranks.contains(&0), "{text}");
    assert!(text.contains("the checkpoint of rank 0 could not be kept"), "{text}");
}
