//! What the article's program leaves out: how training goes on after a failure.

use std::panic::resume_unwind;

use ray_train::model::{Model, Optimizer, StateDict};
use ray_train::{Checkpoint, CheckpointConfig, RunConfig, TrainContext};
use serde::{Deserialize, Serialize};

use crate::options::{Kill, Options};
use crate::progress::Progress;

/// Reports in an epoch, about: the points of the loss curve.
const REPORTS: usize = 32;

/// Every so many reports there is a checkpoint, and at an epoch's end: it costs more, for it waits for the disk.
const CHECKPOINT_EVERY: usize = 8;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// How far the training is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The epoch to go on with.
    pub epoch: u64,
    /// What was taken of it, by all ranks together: the next group may have another number of them.
    batches: usize,
}

impl Place {
    /// The first step of an epoch that is still to be taken.
    pub(crate) fn first_step(self, ctx: &TrainContext, epoch: u64) -> usize {
        if epoch == self.epoch { self.batches / ctx.world_size() } else { 0 }
    }
}

/// Whether it is time for a report, after so many of an epoch's steps.
pub(crate) fn is_due(taken: usize, steps: usize) -> bool {
    taken.is_multiple_of(steps.div_ceil(REPORTS)) || taken == steps
}

/// The checkpoint that goes with a report, if it is time for one. The replicas are equal, so rank 0's is enough.
pub(crate) fn save(
    ctx: &TrainContext,
    model: &impl Model,
    optimizer: &impl Optimizer,
    epoch: u64,
    (taken, steps): (usize, usize),
) -> ray::Result<Option<Checkpoint>> {
    let is_kept = taken.is_multiple_of(steps.div_ceil(REPORTS) * CHECKPOINT_EVERY) || taken == steps;
    if ctx.world_rank() > 0 || !is_kept {
        return Ok(None);
    }
    let checkpoint = ctx.new_checkpoint()?;
    model.state_dict().save(checkpoint.path().join(MODEL))?;
    optimizer.state_dict(model).save(checkpoint.path().join(OPTIMIZER))?;
    let place = match taken == steps {
        true => Place { epoch: epoch + 1, batches: 0 },
        false => Place { epoch, batches: taken * ctx.world_size() },
    };
    checkpoint.set_metadata(&place)?;
    Ok(Some(checkpoint))
}

/// Takes model and optimiser to where the run's last checkpoint was, if it has one.
pub(crate) fn go_on(
    ctx: &TrainContext,
    model: &mut impl Model,
    optimizer: &mut impl Optimizer,
    progress: &Progress,
) -> ray::Result<Place> {
    let Some(checkpoint) = ctx.checkpoint() else {
        if ctx.attempt() > 0 && ctx.world_rank() == 0 {
            progress.say("starts again from the beginning: there was no checkpoint yet");
        }
        return Ok(Place::default());
    };
    load_model(&checkpoint, model)?;
    optimizer.load_state_dict(&StateDict::load(checkpoint.path().join(OPTIMIZER))?, model)?;
    let place: Place = checkpoint.metadata()?;
    if ctx.world_rank() == 0 {
        let first = place.first_step(ctx, place.epoch);
        progress.say(format!("goes on from the last checkpoint: epoch {}, after {first} of its steps", place.epoch));
    }
    Ok(place)
}

/// The parameters of a checkpoint.
pub(crate) fn load_model(checkpoint: &Checkpoint, model: &mut impl Model) -> ray::Result<()> {
    model.load_state_dict(&StateDict::load(checkpoint.path().join(MODEL))?)
}

/// Ends this rank if it is to die before this step, which is counted from 1 over all epochs. Later groups live.
pub(crate) fn die_if_asked(ctx: &TrainContext, kill: Option<Kill>, step: usize, progress: &Progress) {
    if ctx.attempt() == 0 && kill == Some(Kill { rank: ctx.world_rank(), step }) {
        progress.say(format!("rank {} dies at step {step}, and its group with it", ctx.world_rank()));
        // A panic that is not printed: that would tear the bars.
        resume_unwind(Box::new("it was asked to die"));
    }
}

/// Keeps the last checkpoint, and forgives one failure. A run without a name goes with the program.
pub(crate) fn run_config(options: &Options) -> ray::Result<RunConfig> {
    let run = match &options.name {
        Some(name) => RunConfig::new(name),
        None => RunConfig::temporary("train_fashion_mnist")?,
    };
    Ok(run.checkpoints(CheckpointConfig::new().num_to_keep(1)).max_failures(1))
}
