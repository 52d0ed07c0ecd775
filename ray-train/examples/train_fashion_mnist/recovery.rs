//! Recovery after a failure, which the program of the article does not have.

use std::panic::resume_unwind;

use ray_train::model::{Model, Optimizer, StateDict};
use ray_train::{Checkpoint, CheckpointConfig, RunConfig, TrainContext};
use serde::{Deserialize, Serialize};

use crate::options::{Kill, Options};
use crate::progress::Progress;

/// The approximate number of reports in an epoch: the points of the loss curve.
const REPORTS: usize = 32;

/// The number of reports between checkpoints; the end of an epoch has one too. A checkpoint costs more, because it waits for the disk.
const CHECKPOINT_EVERY: usize = 8;

const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// The progress of training.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The epoch to continue with.
    pub epoch: u64,
    /// The batches of this epoch that all ranks together have taken: the next group may have another number of ranks.
    batches: usize,
}

impl Position {
    /// The first step of an epoch that is not done yet.
    pub(crate) fn first_step(self, ctx: &TrainContext, epoch: u64) -> usize {
        if epoch == self.epoch { self.batches / ctx.world_size() } else { 0 }
    }
}

/// Whether a report is due after this number of steps in an epoch.
pub(crate) fn is_due(taken: usize, steps: usize) -> bool {
    taken.is_multiple_of(steps.div_ceil(REPORTS)) || taken == steps
}

/// Saves a checkpoint if one is due. The replicas are equal, so only rank 0 saves its state.
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
    let position = match taken == steps {
        true => Position { epoch: epoch + 1, batches: 0 },
        false => Position { epoch, batches: taken * ctx.world_size() },
    };
    checkpoint.set_metadata(&position)?;
    Ok(Some(checkpoint))
}

/// Loads model and optimiser from the run's last checkpoint, if there is one.
pub(crate) fn resume(
    ctx: &TrainContext,
    model: &mut impl Model,
    optimizer: &mut impl Optimizer,
    progress: &Progress,
) -> ray::Result<Position> {
    let Some(checkpoint) = ctx.checkpoint() else {
        if ctx.attempt() > 0 && ctx.world_rank() == 0 {
            progress.say("restarts from the beginning: there was no checkpoint yet");
        }
        return Ok(Position::default());
    };
    load_model(&checkpoint, model)?;
    optimizer.load_state_dict(&StateDict::load(checkpoint.path().join(OPTIMIZER))?, model)?;
    let position: Position = checkpoint.metadata()?;
    if ctx.world_rank() == 0 {
        let first = position.first_step(ctx, position.epoch);
        progress.say(format!("continues from the last checkpoint: epoch {}, after {first} of its steps", position.epoch));
    }
    Ok(position)
}

/// Loads the parameters from a checkpoint.
pub(crate) fn load_model(checkpoint: &Checkpoint, model: &mut impl Model) -> ray::Result<()> {
    model.load_state_dict(&StateDict::load(checkpoint.path().join(MODEL))?)
}

/// Panics if the options request a failure of this rank at this step, counted from 1 over all epochs. Later groups do not fail.
pub(crate) fn fail_if_requested(ctx: &TrainContext, kill: Option<Kill>, step: usize, progress: &Progress) {
    if ctx.attempt() == 0 && kill == Some(Kill { rank: ctx.world_rank(), step }) {
        progress.say(format!("rank {} fails at step {step}, and the group is restarted", ctx.world_rank()));
        // A panic without a printed message, which would break the progress bars.
        resume_unwind(Box::new("the options requested a failure"));
    }
}

/// Keeps the last checkpoint, and tolerates one failure. A run without a name is removed at the end of the program.
pub(crate) fn run_config(options: &Options) -> ray::Result<RunConfig> {
    let run = match &options.name {
        Some(name) => RunConfig::new(name),
        None => RunConfig::temporary("train_fashion_mnist")?,
    };
    Ok(run.checkpoints(CheckpointConfig::new().num_to_keep(1)).max_failures(1))
}
