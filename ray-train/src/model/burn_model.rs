//! Any module of burn as a model.

use std::fmt;
use std::ops::Deref;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, DType, Gradients as Slopes, Int, Tensor};

use super::{Gradients, Model, Parameter};
use crate::faults::failed;

/// A module of burn, with its gradients: what ray-train's replicas, optimisers and checkpoints work on.
///
/// It derefs to the module, for the forward pass. Names in files are the module's own, and torch's where the two differ in a
/// layer: weights of `Linear` are `[out, in]`, `gamma` and `beta` of a normalisation are `weight` and `bias`. Optimisers are
/// [`Sgd`](super::Sgd) and [`Adam`](super::Adam), which keep their state by name; burn's own key it by ids that are new in every
/// process.
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
    /// Absent only while its parameters are being changed.
    module: Option<M>,
    parameters: Vec<Parameter>,
    gradients: Gradients,
}

impl<M: Module> BurnModel<M> {
    /// A model of a module, whose parameters are initialised now if they were not yet. Make it on a device with autodiff, or it
    /// will have no gradients.
    ///
    /// # Errors
    /// Parameters that are not of `f32`; no parameter that is trained.
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
        let mut survey = Survey::default();
        module.visit(&mut survey);
        if let Some(trouble) = survey.trouble {
            return Err(trouble);
        }
        if !survey.found.iter().any(Parameter::is_trainable) {
            return Err(failed(
                "a module without a parameter that has a gradient: make it on a device with autodiff, `ctx.device().burn().autodiff()`",
            ));
        }
        Ok(BurnModel { module: Some(module), gradients: Gradients::of(&survey.found), parameters: survey.found })
    }

    /// The same, with other names for its parameters: those of a file from elsewhere.
    ///
    /// # Panics
    /// If two parameters get one name.
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
            panic!("two parameters are to be called `{}`", pair[0]);
        }
        self
    }

    /// The backward pass from a loss: adds its gradients to the model's, and returns its value. It takes the loss, and should
    /// get the last of it: what burn still holds of a step, it copies in the next.
    ///
    /// # Errors
    /// The loss does not depend on the model through autodiff; as [`Gradients::record`].
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
                "this loss does not come from the model: its tensors are not on a device with autodiff, or were detached",
            ));
        }
        let slopes = loss.backward();
        let value = loss.without_autodiff().into_scalar::<f32>();
        let (module, parameters) = (self.module.as_ref().expect(PRESENT), &self.parameters[..]);
        self.gradients.record(|rest, add| module.visit(&mut Collect { slopes, parameters, at: 0, add, rest }))?;
        Ok(value)
    }

    /// The module without autodiff, as it is now: for forward passes that are not trained from. It shares the parameters, so
    /// let go of it before the next step, or that step copies them.
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

    /// The module.
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
    /// A running mean keeps its last update beside its value until it is asked for the next, and would put it over what is
    /// loaded. A validation module, made and dropped, has all of them settle; nothing else of burn's does.
    fn settle(&self) {
        if self.parameters.iter().any(|parameter| !parameter.is_trainable()) {
            drop(self.valid());
        }
    }
}

/// [`BurnModel::new`] refuses others.
const FLOATS: &str = "parameters are of f32, and so are their gradients";
const PRESENT: &str = "the module is absent only while its parameters are being changed";

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
        self.settle();
        Deref::deref(self).visit(&mut Show { at: 0, body });
    }

    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32])) {
        self.settle();
        let module = self.module.take().expect(PRESENT);
        self.module = Some(module.map(&mut Change { at: 0, body }));
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

/// What the walkers below see of a module is in one order, that of its declarations.
#[derive(Default)]
struct Survey {
    /// The parts that the walk is in: names, and of which type their owner is.
    within: Vec<(String, String)>,
    found: Vec<Parameter>,
    trouble: Option<ray::Error>,
}

impl Survey {
    fn refuse(&mut self, kind: &str) {
        let path: Vec<&str> = self.within.iter().map(|(name, _)| &name[..]).collect();
        let trouble = failed(format!("the parameter `{}` is of {kind}: only parameters of f32 can be trained", path.join(".")));
        self.trouble.get_or_insert(trouble);
    }
}

impl ModuleVisitor for Survey {
    fn enter_module(&mut self, name: &str, owner: &str) {
        self.within.push((name.to_owned(), owner.to_owned()));
    }

    fn exit_module(&mut self, _name: &str, _owner: &str) {
        self.within.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.base();
        if tensor.dtype() != DType::F32 {
            return self.refuse(&format!("{:?}", tensor.dtype()));
        }
        // The type that declares it: a `Vec` or an array in between says nothing.
        let owner = self.within.iter().rev().map(|(_, owner)| &owner[..]).find(|owner| owner.starts_with("Struct:"));
        let owner = owner.unwrap_or_default().trim_start_matches("Struct:");
        let mut path: Vec<&str> = self.within.iter().map(|(name, _)| &name[..]).collect();
        if owner.ends_with("Norm") {
            match path.last_mut() {
                Some(name) if *name == "gamma" => *name = "weight",
                Some(name) if *name == "beta" => *name = "bias",
                _ => {}
            }
        }
        let mut shape = tensor.dims().to_vec();
        let turned = owner == "Linear" && D == 2;
        if turned {
            shape.reverse();
        }
        let mut parameter = Parameter::new(path.join("."), shape);
        if turned {
            parameter = parameter.transposed();
        }
        self.found.push(if tensor.is_require_grad() { parameter } else { parameter.fixed() });
    }

    fn visit_int<const D: usize>(&mut self, _: &Param<Tensor<D, Int>>) {
        self.refuse("integers");
    }

    fn visit_bool<const D: usize>(&mut self, _: &Param<Tensor<D, Bool>>) {
        self.refuse("truth values");
    }
}

/// Takes the gradients out of burn's graph into a buffer.
struct Collect<'a> {
    slopes: Slopes,
    parameters: &'a [Parameter],
    at: usize,
    add: bool,
    /// What is still to be filled.
    rest: &'a mut [f32],
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = &self.parameters[self.at];
        self.at += 1;
        if !parameter.is_trainable() {
            return;
        }
        let (into, rest) = std::mem::take(&mut self.rest).split_at_mut(parameter.len());
        self.rest = rest;
        match param.base().grad_remove(&mut self.slopes) {
            Some(slope) => {
                let data = slope.into_data();
                let numbers = data.as_slice::<f32>().expect(FLOATS);
                if self.add {
                    into.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
                } else {
                    into.copy_from_slice(numbers);
                }
            }
            // The loss does not depend on it.
            None if self.add => {}
            None => into.fill(0.0),
        }
    }
}

struct Show<'a> {
    at: usize,
    body: &'a mut dyn FnMut(usize, &[f32]),
}

impl ModuleVisitor for Show<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.body)(self.at, param.base().into_data().as_slice().expect(FLOATS));
        self.at += 1;
    }
}

/// Takes each parameter's memory out of its tensor, has it changed, and puts it into a new one: no copy, where nothing else
/// holds the tensor.
struct Change<'a> {
    at: usize,
    body: &'a mut dyn FnMut(usize, &mut [f32]),
}

impl ModuleMapper for Change<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let (device, trained) = (tensor.device(), tensor.is_require_grad());
        let mut data = tensor.without_autodiff().into_data();
        (self.body)(self.at, data.as_mut_slice().expect(FLOATS));
        self.at += 1;
        let tensor = Tensor::from_data(data, &device);
        Param::from_mapped_value(id, if trained { tensor.require_grad() } else { tensor }, mapper)
    }
}
