//! Each checkpoint has the state of every rank's generator, and a resumed run continues with it.

use std::sync::Mutex;

use ray_train::{CheckpointConfig, Metrics, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer};

use crate::support::{Progress, run};

/// The numbers that each rank has drawn, with the step, for the steps of one attempt.
type Drawn = Vec<Vec<(usize, u64)>>;

/// Draws a number in each step, and reports after it. Every third report has a checkpoint.
fn draws(run: RunConfig, workers: usize, steps: usize, fails_at: Option<usize>) -> ray::Result<TrainResult<Drawn>> {
    let train = move |ctx: &TrainContext| {
        let first = match ctx.checkpoint() {
            None => 0,
            Some(checkpoint) => checkpoint.metadata::<Progress>()?.step + 1,
        };
        let mut drawn = Vec::new();
        for step in first..steps {
            if ctx.attempt() == 0 && fails_at == Some(step) {
                return Err(ray::Error::other("cut off"));
            }
            drawn.push((step, ctx.rng().u64(..)));
            let checkpoint = if step % 3 == 2 && ctx.world_rank() == 0 { Some(ctx.new_checkpoint()?) } else { None };
            if let Some(checkpoint) = &checkpoint {
                checkpoint.set_metadata(&Progress { epoch: 0, step })?;
            }
            ctx.report(Metrics::new().with("step", step), checkpoint)?;
        }
        // The numbers of all ranks, in the order of the ranks.
        let mut all = vec![0; ctx.world_size() * drawn.len()];
        let mine: Vec<u64> = drawn.iter().map(|(_, number)| *number).collect();
        ctx.collective().allgather(&mine, &mut all)?;
        let of = |rank: usize| drawn.iter().zip(&all[rank * mine.len()..]).map(|((step, _), number)| (*step, *number)).collect();
        Ok((0..ctx.world_size()).map(of).collect())
    };
    Trainer::new(train).scaling(ScalingConfig::workers(workers)).run_config(run).fit()
}

fn from(drawn: &Drawn, first: usize) -> Drawn {
    drawn.iter().map(|drawn| drawn.iter().filter(|(step, _)| *step >= first).copied().collect()).collect()
}

#[test]
fn generators_continue_from_the_last_checkpoint() {
    let whole = draws(run("whole"), 3, 10, None).unwrap().into_value();
    let first: Vec<u64> = whole.iter().map(|drawn| drawn[0].1).collect();
    assert!(first[0] != first[1] && first[1] != first[2], "each rank has its own generator: {first:?}");

    // After a failure, two steps after a checkpoint.
    let again = draws(run("again").max_failures(1), 3, 10, Some(8)).unwrap().into_value();
    assert_eq!(again, from(&whole, 6));

    // A second `fit` with the name of the run, and a third one from a checkpoint of the second.
    let by_name = run("by_name").checkpoints(CheckpointConfig::new().num_to_keep(1));
    draws(by_name.clone(), 3, 5, None).unwrap();
    assert_eq!(
        draws(by_name.clone(), 3, 7, None).unwrap().into_value(),
        from(&whole, 3).iter().map(|drawn| drawn[..4].to_vec()).collect::<Drawn>()
    );
    assert_eq!(draws(by_name, 3, 10, None).unwrap().into_value(), from(&whole, 6));
}

/// Existing ranks continue with their generators, and new ranks have new ones.
#[test]
fn generators_with_another_number_of_workers() {
    let whole = draws(run("whole"), 3, 6, None).unwrap().into_value();
    let grown = run("grown");
    draws(grown.clone(), 2, 3, None).unwrap();
    let grown = draws(grown, 3, 6, None).unwrap().into_value();
    assert_eq!(grown[..2], from(&whole, 3)[..2]);
    let numbers = |drawn: &[(usize, u64)]| drawn.iter().map(|(_, number)| *number).collect::<Vec<_>>();
    assert_eq!(numbers(&grown[2]), numbers(&whole[2][..3]));
}

/// A checkpoint of a version that did not write generators: all ranks have new ones.
#[test]
fn a_checkpoint_without_generators() {
    let run = run("older");
    let path = draws(run.clone(), 2, 3, None).unwrap().path().join("checkpoint_000003/.manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(manifest.as_object_mut().unwrap().remove("generators").unwrap().as_array().unwrap().len(), 2);
    std::fs::write(&path, manifest.to_string()).unwrap();
    let anew = draws(run, 2, 4, None).unwrap().into_value();
    assert_eq!(anew[0][0].1, draws(crate::support::run("first"), 2, 1, None).unwrap().value()[0][0].1);
}

#[test]
fn generators_in_place() {
    static DRAWN: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let train = |ctx: &TrainContext| {
        for _ in 0..2 {
            DRAWN.lock().unwrap().push(ctx.rng().u64(..));
            ctx.report((), Some(ctx.new_checkpoint()?))?;
        }
        Ok(())
    };
    let run = run("in_place");
    for _ in 0..2 {
        Trainer::new(train).scaling(ScalingConfig::in_place()).run_config(run.clone()).fit().unwrap();
    }
    let mut drawn = DRAWN.lock().unwrap().clone();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 4, "no number is drawn twice");
}
