//! The replicas of a model: makes them equal, and keeps them equal.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use ray::collective::{Group, Mean};

use super::model_trait::Model;
use crate::TrainContext;
use crate::error::failed;

/// Serialises the construction of models in this process. burn has one generator for the whole process, and the numbers that rank 0
/// draws from it must repeat.
static MODEL_CONSTRUCTION: Mutex<()> = Mutex::new(());

impl TrainContext {
    /// Makes this rank's replica of a model. Rank 0 calls `make` first, alone; then the other ranks call it, and receive the parameters
    /// of rank 0.
    ///
    /// Trainable parameters stay equal on all ranks to the last bit. Other state, such as the running means of a batch norm, is that
    /// of each rank, from its own batches; a checkpoint has the state of the rank that wrote it.
    ///
    /// # Errors
    /// The error of `make`; the models differ in their parameters; another rank has failed or left.
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// use ray_train::model::{Mlp, Model};
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let train = |ctx: &TrainContext| {
    ///     let model = ctx.prepare_model(|| Ok(Mlp::new(&[4, 3], ctx.world_rank() as u64)))?;
    ///     assert_eq!(model.state_dict(), Mlp::new(&[4, 3], 0).state_dict());
    ///     Ok(())
    /// };
    /// Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(RunConfig::temporary("doc-model")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn prepare_model<M: Model>(&self, make: impl FnOnce() -> ray::Result<M>) -> ray::Result<M> {
        prepare(&mut self.collective(), || {
            let _exclusive = MODEL_CONSTRUCTION.lock().unwrap_or_else(PoisonError::into_inner);
            make()
        })
    }

    /// Makes this rank's replica of a module of burn on the rank's device, as [`prepare_model`](Self::prepare_model) does. The run's
    /// seed determines the initial parameters.
    ///
    /// All layers of burn draw from one generator for the whole process, and no checkpoint has its state. So the random numbers of
    /// training repeat only with a single worker, and not after a resume. For dropout use [`DropoutExt`](super::DropoutExt), which
    /// draws from the rank's own generator.
    ///
    /// # Errors
    /// Those of [`prepare_model`](Self::prepare_model) and of [`BurnModel::new`](super::BurnModel::new).
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// use ray_train::burn::{self, module::Module, nn::{Linear, LinearConfig}, tensor::Device};
    /// use ray_train::model::Model;
    ///
    /// #[derive(Module, Debug)]
    /// struct Net {
    ///     fc1: Linear,
    /// }
    ///
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let train = |ctx: &TrainContext| {
    ///     let model = ctx.prepare_module(|device: &Device| Net { fc1: LinearConfig::new(4, 3).init(device) })?;
    ///     assert_eq!(model.parameters()[0].shape(), [3, 4]); // as torch has it
    ///     Ok(())
    /// };
    /// Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(RunConfig::temporary("doc-module")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[cfg(feature = "burn")]
    pub fn prepare_module<M: burn::module::Module>(
        &self,
        make: impl FnOnce(&burn::tensor::Device) -> M,
    ) -> ray::Result<super::burn_model::BurnModel<M>> {
        let device = self.device().burn().autodiff();
        self.prepare_model(|| {
            device.seed(self.seed());
            super::burn_model::BurnModel::new(make(&device))
        })
    }

    /// Averages the gradients of a model over all ranks, in place. They are then equal on all ranks, to the last bit. If a rank has run
    /// several backward passes, its gradients are their sum, which is not divided.
    ///
    /// # Errors
    /// There was no backward pass; another rank has failed, left, or exceeded the timeout.
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// use ray_train::model::{Mlp, Model, Optimizer, Sgd};
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let train = |ctx: &TrainContext| {
    ///     let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[2, 3], 0)))?;
    ///     model.train(&[1.0, 2.0], &[ctx.world_rank() as u8])?;
    ///     ctx.allreduce_grads(&mut model)?;
    ///     Sgd::new(0.1).step(&mut model)
    /// };
    /// Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(RunConfig::temporary("doc-grads")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn allreduce_grads(&self, model: &mut impl Model) -> ray::Result<()> {
        average(&mut self.collective(), model)
    }

    /// Accumulates gradients: after every `passes`-th backward pass it divides their sum by `passes`, averages the result over all
    /// ranks, and returns true; the loop should take a step then. Otherwise it returns false, without communication.
    ///
    /// # Errors
    /// Those of [`allreduce_grads`](Self::allreduce_grads).
    ///
    /// # Panics
    /// If `passes` is 0.
    ///
    /// ```
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// use ray_train::model::{Mlp, Optimizer, Sgd};
    /// let train = |ctx: &TrainContext| {
    ///     let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[1, 2], 0)))?;
    ///     let mut optimizer = Sgd::new(0.1);
    ///     let mut steps = 0;
    ///     for pass in 0..8 {
    ///         model.train(&[pass as f32], &[pass % 2])?;
    ///         if ctx.allreduce_grads_every(4, &mut model)? {
    ///             optimizer.step(&mut model)?;
    ///             steps += 1;
    ///         }
    ///     }
    ///     assert_eq!(steps, 2);
    ///     Ok(())
    /// };
    /// Trainer::new(train).run_config(RunConfig::temporary("doc-accumulate")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn allreduce_grads_every(&self, passes: usize, model: &mut impl Model) -> ray::Result<bool> {
        assert!(passes > 0, "`passes` is 0: gradients accumulate over one backward pass or more");
        if !model.gradients().passes().is_multiple_of(passes) {
            return Ok(false);
        }
        model.gradients_mut().scale(1.0 / passes as f32);
        self.allreduce_grads(model)?;
        Ok(true)
    }

    /// Clips averaged gradients to a norm of `largest`, see [`Gradients::clip_norm`](super::Gradients::clip_norm). Returns the norm
    /// before, which is equal on all ranks.
    ///
    /// # Errors
    /// There was no backward pass; or there are several ranks and the gradients were not averaged, so each rank would clip
    /// differently.
    ///
    /// ```
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// # use ray_train::model::Mlp;
    /// let train = |ctx: &TrainContext| {
    ///     let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[1, 2], 0)))?;
    ///     model.train(&[100.0, 100.0], &[0, 1])?;
    ///     ctx.allreduce_grads(&mut model)?;
    ///     assert!(ctx.clip_grad_norm(&mut model, 1.0)? > 1.0);
    ///     Ok(())
    /// };
    /// Trainer::new(train).run_config(RunConfig::temporary("doc-clip")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn clip_grad_norm(&self, model: &mut impl Model, largest: f64) -> ray::Result<f64> {
        model.gradients().check_ready()?;
        Ok(model.gradients_mut().clip_norm(largest))
    }
}

/// Makes a model, first on rank 0, and copies the parameters of rank 0 to the other ranks.
fn prepare<M: Model>(group: &mut Group, make: impl FnOnce() -> ray::Result<M>) -> ray::Result<M> {
    let rank = group.rank();
    let mut make = Some(make);
    let mut made = || -> ray::Result<M> {
        let make = make.take().expect("`make` is called once");
        make().map_err(|error| failed(format!("rank {rank} could not make its model: {error}")))
    };
    let first = if rank == 0 { Some(made()?) } else { None };
    // The other ranks make their models only after this broadcast.
    let mut signature = [first.as_ref().map_or(0, signature_of)];
    group.broadcast(&mut signature, 0)?;
    let mut model = match first {
        Some(model) => model,
        None => made()?,
    };
    if signature_of(&model) != signature[0] {
        return Err(failed(format!(
            "rank {rank} has made a model that differs from that of rank 0; it has {} parameters with {} values: names, shapes and order must be the same on all ranks",
            model.parameters().len(),
            model.num_parameters()
        )));
    }
    let mut all = Vec::with_capacity(model.num_parameters());
    model.visit(&mut |_, values| all.extend_from_slice(values));
    group.broadcast(&mut all, 0)?;
    let mut rest = &all[..];
    model.update(&mut |_, values| {
        let (received, others) = rest.split_at(values.len());
        values.copy_from_slice(received);
        rest = others;
    });
    if group.size() > 1 {
        model.gradients_mut().mark_replicated();
    }
    Ok(model)
}

/// A hash of the names and shapes of all parameters, in their order.
fn signature_of(model: &impl Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    for parameter in model.parameters() {
        (parameter.path(), parameter.shape(), parameter.is_trainable()).hash(&mut hasher);
    }
    hasher.finish()
}

fn average(group: &mut Group, model: &mut impl Model) -> ray::Result<()> {
    let gradients = model.gradients_mut();
    if gradients.passes() == 0 {
        return Err(failed(format!(
            "rank {} averages gradients without a backward pass: run the backward pass first",
            group.rank()
        )));
    }
    group.allreduce(gradients.as_mut_slice(), Mean)?;
    gradients.mark_averaged();
    Ok(())
}
