//! Replicas of a model: made equal, and kept so.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use ray::collective::{Group, Mean};

use super::Model;
use crate::TrainContext;
use crate::faults::failed;

/// Models are made one after the other: burn has one generator for the whole process, and what rank 0 draws from it is to repeat.
static MAKING: Mutex<()> = Mutex::new(());

impl TrainContext {
    /// This rank's replica of a model: rank 0 makes it first, alone, then the others make theirs, and get rank 0's parameters.
    ///
    /// What is trained stays the same on all ranks to the last bit. What a layer only keeps, as the running means of a batch norm
    /// are, is each rank's own, of its own batches; a checkpoint has that of the rank which wrote it.
    ///
    /// # Errors
    /// What `make` returns; models that are not the same on all ranks; another rank has failed or left.
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
            let _alone = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
            make()
        })
    }

    /// This rank's replica of a module of burn, on the rank's device, as [`prepare_model`](Self::prepare_model) makes it. Initial
    /// parameters repeat for the run's seed.
    ///
    /// burn draws everything random from one generator for the whole process, and no checkpoint has its state. So what burn's
    /// layers draw while they train repeats with a single worker only, and not after a resume; dropout can draw from the rank's
    /// own generator instead: [`DropoutExt`](super::DropoutExt).
    ///
    /// # Errors
    /// As [`prepare_model`](Self::prepare_model), and as [`BurnModel::new`](super::BurnModel::new).
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
    ) -> ray::Result<super::BurnModel<M>> {
        let device = self.device().burn().autodiff();
        self.prepare_model(|| {
            device.seed(self.seed());
            super::BurnModel::new(make(&device))
        })
    }

    /// Averages a model's gradients over all ranks, in place: all have the same ones then, to the last bit. What each rank's
    /// backward passes added up stays a sum.
    ///
    /// # Errors
    /// There was no backward pass; another rank has failed or left, or does not come in time.
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

    /// Accumulates gradients: after every `passes`-th backward pass it divides their sum by that number, averages it over all
    /// ranks, and returns true, which is when to take a step. Until then it returns false and talks to nobody.
    ///
    /// # Errors
    /// As [`allreduce_grads`](Self::allreduce_grads).
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
        assert!(passes > 0, "gradients of no passes cannot be accumulated");
        if !model.gradients().passes().is_multiple_of(passes) {
            return Ok(false);
        }
        model.gradients_mut().scale(1.0 / passes as f32);
        self.allreduce_grads(model)?;
        Ok(true)
    }

    /// Shortens averaged gradients to a length of `largest`, see [`Gradients::clip_norm`](super::Gradients::clip_norm); returns
    /// what it was, the same on all ranks.
    ///
    /// # Errors
    /// With several ranks: the gradients were not averaged yet, so each rank would clip its own.
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
        model.gradients().ready()?;
        Ok(model.gradients_mut().clip_norm(largest))
    }
}

/// Makes a model, first on rank 0; the others get its parameters.
fn prepare<M: Model>(group: &mut Group, make: impl FnOnce() -> ray::Result<M>) -> ray::Result<M> {
    let rank = group.rank();
    let mut make = Some(make);
    let mut made = || -> ray::Result<M> {
        let make = make.take().expect("a rank makes one model");
        make().map_err(|error| failed(format!("rank {rank} cannot make its model: {error}")))
    };
    let first = if rank == 0 { Some(made()?) } else { None };
    // Its arrival tells the others that rank 0 is done.
    let mut form = [first.as_ref().map_or(0, form_of)];
    group.broadcast(&mut form, 0)?;
    let mut model = match first {
        Some(model) => model,
        None => made()?,
    };
    if form_of(&model) != form[0] {
        return Err(failed(format!(
            "rank {rank} has made another model than rank 0, of {} parameters, {} numbers: the names, shapes and their order must be the same on all ranks",
            model.parameters().len(),
            model.num_parameters()
        )));
    }
    let mut all = Vec::with_capacity(model.num_parameters());
    model.visit(&mut |_, numbers| all.extend_from_slice(numbers));
    group.broadcast(&mut all, 0)?;
    let mut rest = &all[..];
    model.update(&mut |_, numbers| {
        let (mine, others) = rest.split_at(numbers.len());
        numbers.copy_from_slice(mine);
        rest = others;
    });
    if group.size() > 1 {
        model.gradients_mut().replicate();
    }
    Ok(model)
}

/// A number that two models share if their parameters have the same names and shapes in the same order.
fn form_of(model: &impl Model) -> u64 {
    let mut hasher = DefaultHasher::new();
    for parameter in model.parameters() {
        (parameter.path(), parameter.shape(), parameter.is_trainable()).hash(&mut hasher);
    }
    hasher.finish()
}

fn average(group: &mut Group, model: &mut impl Model) -> ray::Result<()> {
    let gradients = model.gradients_mut();
    if gradients.passes() == 0 {
        return Err(failed(format!("rank {} averages gradients before it has any: a backward pass comes first", group.rank())));
    }
    group.allreduce(gradients.as_mut_slice(), Mean)?;
    gradients.average();
    Ok(())
}
