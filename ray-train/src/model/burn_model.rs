//! Makes a model of any module of burn.

use std::fmt;
use std::ops::Deref;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Gradients as BurnGradients, Int, Tensor};

use super::gradients::Gradients;
use super::model_trait::Model;
use super::parameter::Parameter;
use crate::error::failed;

/// A module of burn with its gradients, as a [`Model`].
///
/// It derefs to the module, for the forward pass. Parameters have the names of the module's fields. Where burn and torch differ in
/// a layer, names and shapes are torch's: the weight of `Linear` is `[out, in]`, and `gamma` and `beta` of a normalisation are
/// `weight` and `bias`. Use the optimisers [`Sgd`](super::Sgd) and [`Adam`](super::Adam), which store their state by name: burn's
/// own optimisers store it by ids that differ in each process.
///
/// ```
/// use ray_train::burn::{self, module::Module, nn::{Linear, LinearConfig, loss::CrossEntropyLoss}, tensor::{Device, Int, Tensor}};
/// use ray_train::model::{BurnModel, Model, Optimizer, Sgd};
///
/// #[derive(Module, Debug)]
/// struct Net {
///     fc1: Linear,
/// }
///
/// impl Net {
///     fn forward(&self, x: Tensor<2>) -> Tensor<2> {
///         self.fc1.forward(x)
///     }
/// }
///
/// let device = ray_train::Device::Cpu.burn().autodiff();
/// let mut model = BurnModel::new(Net { fc1: LinearConfig::new(4, 3).init(&device) })?;
/// let x = Tensor::<2>::ones([2, 4], &device);
/// let y = Tensor::<1, Int>::from_ints([0, 2], &device);
///
/// let loss = CrossEntropyLoss::new(None, &device).forward(model.forward(x), y);
/// assert!(model.backward(loss)? > 0.0);
/// Sgd::new(0.1).step(&mut model)?;
/// # Ok::<(), ray::Error>(())
/// ```
pub struct BurnModel<M> {
    /// Absent only while its parameters are being updated.
    module: Option<M>,
    parameters: Vec<Parameter>,
    gradients: Gradients,
}

impl<M: Module> BurnModel<M> {
    /// A model of a module. It initialises the parameters that are not initialised yet. The module must be on a device with autodiff,
    /// because its parameters have no gradients otherwise.
    ///
    /// # Errors
    /// A parameter is not of `f32`, or no parameter is trainable.
    ///
    /// ```
    /// use ray_train::burn::{nn::LinearConfig};
    /// use ray_train::model::{BurnModel, Model};
    /// let device = ray_train::Device::Cpu.burn();
    /// assert!(BurnModel::new(LinearConfig::new(4, 3).init(&device)).is_err()); // no autodiff
    /// let model = BurnModel::new(LinearConfig::new(4, 3).init(&device.autodiff()))?;
    /// assert_eq!(model.num_parameters(), 15);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn new(module: M) -> ray::Result<BurnModel<M>> {
        let mut collector = ParameterCollector::default();
        module.visit(&mut collector);
        if let Some(error) = collector.error {
            return Err(error);
        }
        if !collector.parameters.iter().any(Parameter::is_trainable) {
            return Err(failed(
                "no parameter of the module has a gradient: make the module on a device with autodiff, `ctx.device().burn().autodiff()`",
            ));
        }
        let parameters = collector.parameters;
        Ok(BurnModel { module: Some(module), gradients: Gradients::of(&parameters), parameters })
    }

    /// Renames the parameters, for instance to the names in a file of another program.
    ///
    /// # Panics
    /// If two parameters get the same name.
    ///
    /// ```
    /// use ray_train::burn::nn::LinearConfig;
    /// use ray_train::model::{BurnModel, Model};
    /// let device = ray_train::Device::Cpu.burn().autodiff();
    /// let model = BurnModel::new(LinearConfig::new(4, 3).init(&device))?.renamed(|name| format!("linear_relu_stack.0.{name}"));
    /// assert_eq!(model.parameters()[1].path(), "linear_relu_stack.0.bias");
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> BurnModel<M> {
        for parameter in &mut self.parameters {
            parameter.rename(name(parameter.path()));
        }
        let mut names: Vec<&str> = self.parameters.iter().map(Parameter::path).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            panic!("two parameters get the name `{}`", pair[0]);
        }
        self
    }

    /// Runs the backward pass of a loss, adds its gradients to those of the model, and returns the value of the loss. Keep no clone of
    /// the loss: if the graph of a step is still alive in the next step, burn copies the parameters.
    ///
    /// # Errors
    /// The loss is not connected to the model through autodiff; those of [`Gradients::record`].
    ///
    /// ```
    /// use ray_train::burn::{nn::LinearConfig, tensor::Tensor};
    /// use ray_train::model::{BurnModel, Model};
    /// let device = ray_train::Device::Cpu.burn().autodiff();
    /// let mut model = BurnModel::new(LinearConfig::new(2, 1).init(&device))?;
    /// let loss = model.forward(Tensor::<2>::ones([1, 2], &device)).sum();
    /// model.backward(loss)?;
    /// assert_eq!(model.gradients().as_slice(), [1.0, 1.0, 1.0]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn backward(&mut self, loss: Tensor<1>) -> ray::Result<f32> {
        if !loss.is_tracked() {
            return Err(failed(
                "the loss does not depend on the model: its tensors are not on a device with autodiff, or were detached",
            ));
        }
        let burn_gradients = loss.backward();
        let value = loss.without_autodiff().into_scalar::<f32>();
        let (module, parameters) = (self.module.as_ref().expect(PRESENT), &self.parameters[..]);
        self.gradients
            .record(|rest, add| module.visit(&mut GradientCollector { burn_gradients, parameters, at: 0, add, rest }))?;
        Ok(value)
    }

    /// The module in its current state without autodiff, for forward passes without training. It shares the parameters: drop it before
    /// the next step, which copies them otherwise.
    ///
    /// ```
    /// use ray_train::burn::{nn::LinearConfig, tensor::Tensor};
    /// use ray_train::model::BurnModel;
    /// let device = ray_train::Device::Cpu.burn();
    /// let model = BurnModel::new(LinearConfig::new(2, 1).init(&device.clone().autodiff()))?;
    /// let y = model.valid().forward(Tensor::<2>::ones([1, 2], &device));
    /// assert!(!y.is_autodiff());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn valid(&self) -> M {
        Deref::deref(self).valid()
    }

    /// Returns the module.
    ///
    /// ```
    /// use ray_train::burn::nn::LinearConfig;
    /// let device = ray_train::Device::Cpu.burn().autodiff();
    /// let model = ray_train::model::BurnModel::new(LinearConfig::new(2, 1).init(&device))?;
    /// let linear = model.into_module();
    /// assert_eq!(linear.weight.dims(), [2, 1]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn into_module(self) -> M {
        self.module.expect(PRESENT)
    }
}

impl<M: Module> BurnModel<M> {
    /// Applies the pending updates of running means. burn applies such an update when the value is used next, which would overwrite a
    /// loaded value. Making a validation module is the only operation of burn that applies all of them.
    fn apply_pending_updates(&self) {
        if self.parameters.iter().any(|parameter| !parameter.is_trainable()) {
            drop(self.valid());
        }
    }
}

const F32: &str = "`BurnModel::new` refuses parameters that are not of f32";
const PRESENT: &str = "the module is absent only while its parameters are being updated";

impl<M> Deref for BurnModel<M> {
    type Target = M;

    fn deref(&self) -> &M {
        self.module.as_ref().expect(PRESENT)
    }
}

impl<M: Module> Model for BurnModel<M> {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn visit(&self, body: &mut dyn FnMut(usize, &[f32])) {
        self.apply_pending_updates();
        Deref::deref(self).visit(&mut ParameterVisitor { at: 0, body });
    }

    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32])) {
        self.apply_pending_updates();
        let module = self.module.take().expect(PRESENT);
        self.module = Some(module.map(&mut ParameterUpdater { at: 0, body }));
    }

    fn gradients(&self) -> &Gradients {
        &self.gradients
    }

    fn gradients_mut(&mut self) -> &mut Gradients {
        &mut self.gradients
    }
}

impl<M: fmt::Debug> fmt::Debug for BurnModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}

/// Collects the parameters of a module. All visitors in this file see them in the same order, that of the declarations.
#[derive(Default)]
struct ParameterCollector {
    /// The path to the current module: the name of each field, and the type that declares it.
    path: Vec<(String, String)>,
    parameters: Vec<Parameter>,
    error: Option<ray::Error>,
}

impl ParameterCollector {
    fn refuse(&mut self, kind: &str) {
        let path: Vec<&str> = self.path.iter().map(|(name, _)| &name[..]).collect();
        let error = failed(format!("the parameter `{}` is of {kind}: a model has parameters of f32 only", path.join(".")));
        self.error.get_or_insert(error);
    }
}

impl ModuleVisitor for ParameterCollector {
    fn enter_module(&mut self, name: &str, owner: &str) {
        self.path.push((name.to_owned(), owner.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _owner: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if tensor.dtype() != DType::F32 {
            return self.refuse(&format!("{:?}", tensor.dtype()));
        }
        // The struct that declares the parameter. A `Vec` or an array between them is skipped.
        let owner = self.path.iter().rev().map(|(_, owner)| &owner[..]).find(|owner| owner.starts_with("Struct:"));
        let owner = owner.unwrap_or_default().trim_start_matches("Struct:");
        let mut path: Vec<&str> = self.path.iter().map(|(name, _)| &name[..]).collect();
        if owner.ends_with("Norm") {
            match path.last_mut() {
                Some(name) if *name == "gamma" => *name = "weight",
                Some(name) if *name == "beta" => *name = "bias",
                _ => {}
            }
        }
        let mut shape = tensor.dims().to_vec();
        let transposed = owner == "Linear" && D == 2;
        if transposed {
            shape.reverse();
        }
        let mut parameter = Parameter::new(path.join("."), shape);
        if transposed {
            parameter = parameter.transposed();
        }
        self.parameters.push(if tensor.is_require_grad() { parameter } else { parameter.fixed() });
    }

    fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, Int>>) {
        self.refuse("integers");
    }

    fn visit_bool<const D: usize>(&mut self, _: &Param<Tensor<D, Bool>>) {
        self.refuse("truth values");
    }
}

/// Moves the gradients from burn's graph into the buffer of a model.
struct GradientCollector<'a> {
    burn_gradients: BurnGradients,
    parameters: &'a [Parameter],
    at: usize,
    add: bool,
    /// The rest of the buffer, still to be filled.
    rest: &'a mut [f32],
}

impl ModuleVisitor for GradientCollector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = &self.parameters[self.at];
        self.at += 1;
        if !parameter.is_trainable() {
            return;
        }
        let (into, rest) = std::mem::take(&mut self.rest).split_at_mut(parameter.len());
        self.rest = rest;
        match param.base().grad_remove(&mut self.burn_gradients) {
            Some(gradient) => {
                let data = gradient.into_data();
                let values = data.as_slice::<f32>().expect(F32);
                if self.add {
                    into.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                } else {
                    into.copy_from_slice(values);
                }
            }
            // The loss does not depend on this parameter.
            None if self.add => {}
            None => into.fill(0.0),
        }
    }
}

struct ParameterVisitor<'a> {
    at: usize,
    body: &'a mut dyn FnMut(usize, &[f32]),
}

impl ModuleVisitor for ParameterVisitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.body)(self.at, param.base().into_data().as_slice().expect(F32));
        self.at += 1;
    }
}

/// Moves the memory of each parameter out of its tensor, updates it, and moves it into a new tensor. It copies the memory only if
/// the tensor is shared.
struct ParameterUpdater<'a> {
    at: usize,
    body: &'a mut dyn FnMut(usize, &mut [f32]),
}

impl ModuleMapper for ParameterUpdater<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (device, trainable) = (tensor.device(), tensor.is_require_grad());
        let mut data = tensor.without_autodiff().into_data();
        (self.body)(self.at, data.as_mut_slice().expect(F32));
        self.at += 1;
        let tensor = Tensor::from_data(data, &device);
        Param::from_mapped_value(id, if trainable { tensor.require_grad() } else { tensor }, mapper)
    }
}
