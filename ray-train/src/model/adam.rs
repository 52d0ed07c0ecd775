//! The optimiser Adam.

use super::model_trait::Model;
use super::optimizer::{Optimizer, buffers, decayed, load_buffers, save_buffers, trainable, update_parameters};
use super::state::StateDict;
use crate::error::failed;

const NAME: &str = "Adam";
const MOMENTS: &[&str] = &["exp_avg", "exp_avg_sq"];
const STEP: &str = "step";

/// Adam (Kingma and Ba, 2015). Its steps are those of torch's `Adam`.
///
/// ```
/// use ray_train::model::{Adam, Mlp, Optimizer};
/// let mut model = Mlp::new(&[2, 3], 0);
/// let mut optimizer = Adam::new(0.001).betas(0.9, 0.999);
/// model.train(&[1.0, 2.0], &[0])?;
/// optimizer.step(&mut model)?;
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Adam {
    rate: f64,
    betas: (f64, f64),
    epsilon: f64,
    decay: f32,
    /// The number of steps taken.
    steps: u64,
    /// The running means of the gradients and of their squares; empty before the first step.
    moments: Vec<Vec<f32>>,
}

impl Adam {
    /// An optimiser with this learning rate, betas of 0.9 and 0.999, and an epsilon of 1e-8.
    ///
    /// ```
    /// let optimizer = ray_train::model::Adam::new(0.001);
    /// # let _ = optimizer;
    /// ```
    pub fn new(learning_rate: f64) -> Adam {
        Adam { rate: learning_rate, betas: (0.9, 0.999), epsilon: 1e-8, decay: 0.0, steps: 0, moments: Vec::new() }
    }

    /// The decay of the running mean of the gradients, and of the running mean of their squares.
    ///
    /// ```
    /// let optimizer = ray_train::model::Adam::new(0.001).betas(0.8, 0.99);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn betas(mut self, first: f64, second: f64) -> Adam {
        self.betas = (first, second);
        self
    }

    /// The number that is added to the divisor.
    ///
    /// ```
    /// let optimizer = ray_train::model::Adam::new(0.001).epsilon(1e-5);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> Adam {
        self.epsilon = epsilon;
        self
    }

    /// The weight decay: each parameter times this factor is added to its gradient.
    ///
    /// ```
    /// let optimizer = ray_train::model::Adam::new(0.001).weight_decay(1e-4);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn weight_decay(mut self, factor: f32) -> Adam {
        self.decay = factor;
        self
    }
}

impl Optimizer for Adam {
    fn step(&mut self, model: &mut dyn Model) -> ray::Result<()> {
        model.gradients().check_ready()?;
        let [means, squares] = buffers(&mut self.moments, MOMENTS, model)?.as_mut_slice() else {
            unreachable!("Adam has two buffers")
        };
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (first, second) = self.betas;
        // The bias corrections are folded into these two numbers, outside of the loop.
        let rate = (self.rate / (1.0 - first.powi(steps))) as f32;
        let root = (1.0 / (1.0 - second.powi(steps)).sqrt()) as f32;
        let (keep, square_keep) = (first as f32, second as f32);
        let (take, square_take) = ((1.0 - first) as f32, (1.0 - second) as f32);
        let (epsilon, decay) = (self.epsilon as f32, self.decay);
        update_parameters(model, &mut |values, gradient, range| {
            let moments = means[range.clone()].iter_mut().zip(&mut squares[range]);
            for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
                let gradient = decayed(*gradient, decay, *value);
                *mean = keep * *mean + take * gradient;
                *square = square_keep * *square + square_take * gradient * gradient;
                *value -= rate * *mean / (square.sqrt() * root + epsilon);
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
        let mut state = save_buffers(&self.moments, MOMENTS, NAME, model);
        for (at, _) in trainable(model.parameters()) {
            state.insert_number(&format!("{}.{STEP}", model.parameters()[at].path()), self.steps as f64);
        }
        state
    }

    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()> {
        let moments = load_buffers(state, MOMENTS, &[STEP], NAME, model)?;
        let mut steps = None;
        for (at, _) in trainable(model.parameters()) {
            let path = model.parameters()[at].path();
            let found = state.number(&format!("{path}.{STEP}")).expect("`load_buffers` checks that it exists");
            if *steps.get_or_insert(found) != found || found < 0.0 || found.fract() != 0.0 {
                return Err(failed(format!(
                    "{path}.{STEP} is {found}, expected a whole number that is the same for every parameter: this is no state of Adam"
                )));
            }
        }
        self.steps = steps.unwrap_or(0.0) as u64;
        self.moments = moments;
        Ok(())
    }
}
