//! Models, their gradients and optimisers, and how both are saved.
//!
//! Everything here works on what a [`Model`] shows of itself: its parameters by name, each as a slice of `f32`, and its
//! gradients as one buffer. [`Mlp`] is a model written by hand.
#![cfg_attr(feature = "burn", doc = "[`BurnModel`] makes one of any module of burn.")]
//!
//! Replicas of one model stay equal to the last bit: [`prepare_model`](crate::TrainContext::prepare_model) copies rank 0's
//! parameters to all ranks, [`allreduce_grads`](crate::TrainContext::allreduce_grads) averages gradients in a fixed order, and
//! an [`Optimizer`] does the same arithmetic everywhere.
//!
//! ```
//! use ray_train::model::{Mlp, Model, Optimizer, Sgd};
//!
//! let mut model = Mlp::new(&[2, 8, 2], 1);
//! let mut optimizer = Sgd::new(0.5).momentum(0.9);
//! for _ in 0..200 {
//!     model.train(&[0.0, 1.0, 1.0, 0.0], &[0, 1])?; // two inputs, their classes
//!     optimizer.step(&mut model)?;
//! }
//! assert!(model.train(&[0.0, 1.0, 1.0, 0.0], &[0, 1])? < 0.01);
//! # Ok::<(), ray::Error>(())
//! ```

mod adam;
#[cfg(feature = "burn")]
mod burn_model;
#[cfg(feature = "burn")]
mod dropout;
mod gradients;
mod mlp;
mod optimizer;
mod parameter;
mod prepare;
mod sgd;
mod state;

pub use adam::Adam;
#[cfg(feature = "burn")]
pub use burn_model::BurnModel;
#[cfg(feature = "burn")]
pub use dropout::DropoutExt;
pub use gradients::Gradients;
pub use mlp::Mlp;
pub use optimizer::Optimizer;
pub use parameter::Parameter;
pub use sgd::Sgd;
pub use state::StateDict;

/// What ray-train knows of a model: parameters by name, and gradients.
///
/// Implement it for models of a library other than burn. The order of the parameters never changes, and is the same on all
/// ranks.
///
/// ```
/// use ray_train::model::{Gradients, Model, Parameter, Optimizer, Sgd};
///
/// /// y = a x
/// struct Line {
///     a: [f32; 1],
///     parameters: [Parameter; 1],
///     gradients: Gradients,
/// }
///
/// impl Model for Line {
///     fn parameters(&self) -> &[Parameter] {
///         &self.parameters
///     }
///     fn visit(&self, body: &mut dyn FnMut(usize, &[f32])) {
///         body(0, &self.a);
///     }
///     fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32])) {
///         body(0, &mut self.a);
///     }
///     fn gradients(&self) -> &Gradients {
///         &self.gradients
///     }
///     fn gradients_mut(&mut self) -> &mut Gradients {
///         &mut self.gradients
///     }
/// }
///
/// let parameters = [Parameter::new("a", [1])];
/// let mut line = Line { a: [0.0], gradients: Gradients::of(&parameters), parameters };
/// for _ in 0..100 {
///     let (x, y) = (2.0, 6.0);
///     let slope = 2.0 * (line.a[0] * x - y) * x; // of the squared error
///     line.gradients.record(|gradient, add| gradient[0] = slope + if add { gradient[0] } else { 0.0 })?;
///     Sgd::new(0.1).step(&mut line)?;
/// }
/// assert!((line.a[0] - 3.0).abs() < 1e-6);
/// # Ok::<(), ray::Error>(())
/// ```
pub trait Model {
    /// The parameters, in the order in which the other functions give them.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let paths: Vec<String> = Mlp::new(&[2, 3], 0).parameters().iter().map(|parameter| parameter.path().to_owned()).collect();
    /// assert_eq!(paths, ["fc1.weight", "fc1.bias"]);
    /// ```
    fn parameters(&self) -> &[Parameter];

    /// Shows the numbers of each parameter, with its index, as they lie in memory.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut sum = 0.0;
    /// Mlp::new(&[2, 3], 0).visit(&mut |_, numbers| sum += numbers.iter().sum::<f32>());
    /// assert!(sum != 0.0);
    /// ```
    fn visit(&self, body: &mut dyn FnMut(usize, &[f32]));

    /// The same, to be changed in place.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// model.update(&mut |_, numbers| numbers.fill(0.5));
    /// model.visit(&mut |_, numbers| assert!(numbers.iter().all(|number| *number == 0.5)));
    /// ```
    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32]));

    /// The gradients of the trainable parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[2, 3], 0).gradients().as_slice().len(), 9);
    /// ```
    fn gradients(&self) -> &Gradients;

    /// The same, to be changed.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// model.train(&[1.0, 2.0], &[0])?;
    /// model.gradients_mut().scale(0.5);
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn gradients_mut(&mut self) -> &mut Gradients;

    /// How many numbers all parameters have.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[784, 512, 512, 10], 0).num_parameters(), 669_706);
    /// ```
    fn num_parameters(&self) -> usize {
        self.parameters().iter().map(Parameter::len).sum()
    }

    /// Forgets the gradients: the next backward pass starts from nothing. It does so after every step of an optimiser too, so
    /// there is rarely a need to say it.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// model.train(&[1.0, 2.0], &[0])?;
    /// model.zero_grad();
    /// assert_eq!(model.gradients().passes(), 0);
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn zero_grad(&mut self) {
        self.gradients_mut().zero();
    }

    /// All parameters by name, in torch's shapes: what `torch.nn.Module.load_state_dict` takes once it is
    /// [saved](StateDict::save).
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let state = Mlp::new(&[2, 3], 0).state_dict();
    /// assert_eq!(state.shape("fc1.weight"), Some(&[3, 2][..]));
    /// ```
    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.visit(&mut |at, numbers| {
            let parameter = &self.parameters()[at];
            state.insert(parameter.path(), parameter.shape(), parameter.to_shape(numbers));
        });
        state
    }

    /// Takes all parameters from a state, by name.
    ///
    /// # Errors
    /// A parameter that the state does not have, one that the model does not have, another shape: all of them are named, and
    /// the model stays as it was.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// let error = model.load_state_dict(&Mlp::new(&[2, 4, 3], 0).state_dict()).unwrap_err().to_string();
    /// assert!(error.contains("fc2.weight") && error.contains("[4, 2]"), "{error}");
    /// model.load_state_dict(&Mlp::new(&[2, 3], 7).state_dict())?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn load_state_dict(&mut self, state: &StateDict) -> ray::Result<()> {
        let parameters = self.parameters().to_vec();
        let wanted = parameters.iter().map(|parameter| (parameter.path().to_owned(), parameter.shape().to_vec()));
        state.require("the model", wanted.collect())?;
        self.update(&mut |at, numbers| {
            let parameter = &parameters[at];
            parameter.to_memory(state.get(parameter.path()).expect("required above"), numbers);
        });
        Ok(())
    }
}
