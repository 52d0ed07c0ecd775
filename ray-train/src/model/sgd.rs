//! Stochastic gradient descent.

use super::optimizer::{apply, buffers, decayed, keep, restore};
use super::{Model, Optimizer, StateDict};
use crate::faults::failed;

const NAME: &str = "Sgd";
const MOMENTUM: &[&str] = &["momentum_buffer"];

/// Stochastic gradient descent, with momentum where it is set: torch's `SGD`, step for step.
///
/// ```
/// use ray_train::model::{Mlp, Optimizer, Sgd};
/// let mut model = Mlp::new(&[2, 3], 0);
/// let mut optimizer = Sgd::new(0.01).momentum(0.9).weight_decay(1e-4);
/// model.train(&[1.0, 2.0], &[0])?;
/// optimizer.step(&mut model)?;
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sgd {
    rate: f64,
    momentum: f32,
    nesterov: bool,
    decay: f32,
    /// The momentum buffer, once there is a model; none without momentum.
    kept: Vec<Vec<f32>>,
}

impl Sgd {
    /// With a learning rate, and without momentum.
    ///
    /// ```
    /// let optimizer = ray_train::model::Sgd::new(0.01);
    /// # let _ = optimizer;
    /// ```
    pub fn new(learning_rate: f64) -> Sgd {
        Sgd { rate: learning_rate, momentum: 0.0, nesterov: false, decay: 0.0, kept: Vec::new() }
    }

    /// How much of the last step goes into the next: a buffer for each parameter, times this, plus the gradient.
    ///
    /// ```
    /// let optimizer = ray_train::model::Sgd::new(0.01).momentum(0.9);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn momentum(mut self, momentum: f32) -> Sgd {
        self.momentum = momentum;
        self
    }

    /// Nesterov's momentum: a step goes along the gradient and the buffer times the momentum. Without momentum each step is an
    /// error, as in torch.
    ///
    /// ```
    /// let optimizer = ray_train::model::Sgd::new(0.01).momentum(0.9).nesterov(true);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Sgd {
        self.nesterov = nesterov;
        self
    }

    /// So much of each parameter is added to its gradient.
    ///
    /// ```
    /// let optimizer = ray_train::model::Sgd::new(0.01).weight_decay(1e-4);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn weight_decay(mut self, factor: f32) -> Sgd {
        self.decay = factor;
        self
    }

    fn names(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { MOMENTUM }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, model: &mut dyn Model) -> ray::Result<()> {
        if self.nesterov && self.momentum == 0.0 {
            return Err(failed("Sgd::nesterov(true) says how momentum is used, and there is none: set it, `.momentum(0.9)`"));
        }
        let names = self.names();
        let (rate, momentum, nesterov, decay) = (self.rate as f32, self.momentum, self.nesterov, self.decay);
        let Some(buffer) = buffers(&mut self.kept, names, model)?.first_mut() else {
            return apply(model, &mut |numbers, gradient, _| {
                for (number, gradient) in numbers.iter_mut().zip(gradient) {
                    *number -= rate * decayed(*gradient, decay, *number);
                }
            });
        };
        apply(model, &mut |numbers, gradient, range| {
            for ((number, gradient), kept) in numbers.iter_mut().zip(gradient).zip(&mut buffer[range]) {
                let gradient = decayed(*gradient, decay, *number);
                *kept = momentum * *kept + gradient;
                *number -= rate * if nesterov { gradient + momentum * *kept } else { *kept };
            }
        })
    }

    fn learning_rate(&self) -> f64 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    fn state_dict(&self, model: &dyn Model) -> StateDict {
        keep(&self.kept, self.names(), NAME, model)
    }

    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()> {
        self.kept = restore(state, self.names(), &[], NAME, model)?;
        Ok(())
    }
}
