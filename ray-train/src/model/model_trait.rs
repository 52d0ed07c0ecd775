//! The trait of models.

use super::gradients::Gradients;
use super::parameter::Parameter;
use super::state::StateDict;

/// The interface of a model: parameters by name, and gradients.
///
/// Implement it for models of a library other than burn. The order of the parameters must never change, and must be the same on all
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
    /// The parameters. The other functions use the same order.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let paths: Vec<String> = Mlp::new(&[2, 3], 0).parameters().iter().map(|parameter| parameter.path().to_owned()).collect();
    /// assert_eq!(paths, ["fc1.weight", "fc1.bias"]);
    /// ```
    fn parameters(&self) -> &[Parameter];

    /// Calls `body` with the index and the values of each parameter, in memory order.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut sum = 0.0;
    /// Mlp::new(&[2, 3], 0).visit(&mut |_, values| sum += values.iter().sum::<f32>());
    /// assert!(sum != 0.0);
    /// ```
    fn visit(&self, body: &mut dyn FnMut(usize, &[f32]));

    /// Calls `body` with the index and the values of each parameter, which it may change in place.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// model.update(&mut |_, values| values.fill(0.5));
    /// model.visit(&mut |_, values| assert!(values.iter().all(|value| *value == 0.5)));
    /// ```
    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32]));

    /// The gradients of the trainable parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[2, 3], 0).gradients().as_slice().len(), 9);
    /// ```
    fn gradients(&self) -> &Gradients;

    /// The gradients of the trainable parameters, to change them.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let mut model = Mlp::new(&[2, 3], 0);
    /// model.train(&[1.0, 2.0], &[0])?;
    /// model.gradients_mut().scale(0.5);
    /// # Ok::<(), ray::Error>(())
    /// ```
    fn gradients_mut(&mut self) -> &mut Gradients;

    /// The number of values of all parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[784, 512, 512, 10], 0).num_parameters(), 669_706);
    /// ```
    fn num_parameters(&self) -> usize {
        self.parameters().iter().map(Parameter::len).sum()
    }

    /// Clears the gradients: the next backward pass overwrites them. Each step of an optimiser clears them too, so a loop rarely needs
    /// this.
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

    /// All parameters by name, in torch's shapes. `torch.nn.Module.load_state_dict` accepts the [saved](StateDict::save) file.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Model};
    /// let state = Mlp::new(&[2, 3], 0).state_dict();
    /// assert_eq!(state.shape("fc1.weight"), Some(&[3, 2][..]));
    /// ```
    fn state_dict(&self) -> StateDict {
        let mut state = StateDict::new();
        self.visit(&mut |at, values| {
            let parameter = &self.parameters()[at];
            state.insert(parameter.path(), parameter.shape(), parameter.to_shape(values));
        });
        state
    }

    /// Loads all parameters from a state, by name.
    ///
    /// # Errors
    /// The state lacks a parameter of the model, has one that the model lacks, or has one of another shape. The error names all of
    /// them, and the model is unchanged.
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
        self.update(&mut |at, values| {
            let parameter = &parameters[at];
            parameter.to_memory(state.get(parameter.path()).expect("`require` checks that it exists"), values);
        });
        Ok(())
    }
}
