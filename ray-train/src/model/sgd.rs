//! The optimiser for stochastic gradient descent.

use super::model_trait::Model;
use super::optimizer::{Optimizer, buffers, decayed, load_buffers, save_buffers, update_parameters};
use super::state::StateDict;
use crate::error::failed;

const NAME: &str = "Sgd";
const MOMENTUM: &[&str] = &["momentum_buffer"];

/// Stochastic gradient descent, with optional momentum. Its steps are those of torch's `SGD`.
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
    /// The momentum buffer; empty before the first step, and without momentum.
    buffers: Vec<Vec<f32>>,
}

impl Sgd {
    /// An optimiser with this learning rate, without momentum.
    ///
    /// ```
    /// let optimizer = ray_train::model::Sgd::new(0.01);
    /// # let _ = optimizer;
    /// ```
    pub fn new(learning_rate: f64) -> Sgd {
        Sgd { rate: learning_rate, momentum: 0.0, nesterov: false, decay: 0.0, buffers: Vec::new() }
    }

    /// The momentum: in each step the buffer of a parameter is multiplied by this factor, and the gradient is added to it.
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

    /// Whether momentum is Nesterov's: a step uses the gradient plus the momentum times the buffer. Without momentum each step
    /// returns an error, as torch does.
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

    /// The weight decay: each parameter times this factor is added to its gradient.
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

    fn buffer_names(&self) -> &'static [&'static str] {
        if self.momentum == 0.0 { &[] } else { MOMENTUM }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, model: &mut dyn Model) -> ray::Result<()> {
        if self.nesterov && self.momentum == 0.0 {
            return Err(failed("Sgd::nesterov(true) needs momentum, which is 0: set it with `.momentum(0.9)`"));
        }
        let names = self.buffer_names();
        let (rate, momentum, nesterov, decay) = (self.rate as f32, self.momentum, self.nesterov, self.decay);
        let Some(buffer) = buffers(&mut self.buffers, names, model)?.first_mut() else {
            return update_parameters(model, &mut |values, gradient, _| {
                for (value, gradient) in values.iter_mut().zip(gradient) {
                    *value -= rate * decayed(*gradient, decay, *value);
                }
            });
        };
        update_parameters(model, &mut |values, gradient, range| {
            for ((value, gradient), velocity) in values.iter_mut().zip(gradient).zip(&mut buffer[range]) {
                let gradient = decayed(*gradient, decay, *value);
                *velocity = momentum * *velocity + gradient;
                *value -= rate * if nesterov { gradient + momentum * *velocity } else { *velocity };
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
        save_buffers(&self.buffers, self.buffer_names(), NAME, model)
    }

    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()> {
        self.buffers = load_buffers(state, self.buffer_names(), &[], NAME, model)?;
        Ok(())
    }
}
