//! Adam.

use super::optimizer::{apply, buffers, decayed, keep, restore, trainable};
use super::{Model, Optimizer, StateDict};
use crate::faults::failed;

const NAME: &str = "Adam";
const MOMENTS: &[&str] = &["exp_avg", "exp_avg_sq"];
const STEP: &str = "step";

/// Adam (Kingma and Ba, 2015): torch's `Adam`, step for step.
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
    /// Steps taken.
    steps: u64,
    /// Running means of the gradients and of their squares, once there is a model.
    kept: Vec<Vec<f32>>,
}

impl Adam {
    /// With a learning rate, betas of 0.9 and 0.999, an epsilon of 1e-8.
    ///
    /// ```
    /// let optimizer = ray_train::model::Adam::new(0.001);
    /// # let _ = optimizer;
    /// ```
    pub fn new(learning_rate: f64) -> Adam {
        Adam { rate: learning_rate, betas: (0.9, 0.999), epsilon: 1e-8, decay: 0.0, steps: 0, kept: Vec::new() }
    }

    /// How much of the running means is kept in a step: that of the gradients, and that of their squares.
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

    /// What is added to the divisor.
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

    /// So much of each parameter is added to its gradient.
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
        model.gradients().ready()?;
        let [means, squares] = buffers(&mut self.kept, MOMENTS, model)?.as_mut_slice() else { unreachable!("two buffers") };
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (first, second) = self.betas;
        // Of the corrections only these two numbers remain, so the loop is four multiplications, a root and a division.
        let rate = (self.rate / (1.0 - first.powi(steps))) as f32;
        let root = (1.0 / (1.0 - second.powi(steps)).sqrt()) as f32;
        let (keep, square_keep) = (first as f32, second as f32);
        let (take, square_take) = ((1.0 - first) as f32, (1.0 - second) as f32);
        let (epsilon, decay) = (self.epsilon as f32, self.decay);
        apply(model, &mut |numbers, gradient, range| {
            let kept = means[range.clone()].iter_mut().zip(&mut squares[range]);
            for ((number, gradient), (mean, square)) in numbers.iter_mut().zip(gradient).zip(kept) {
                let gradient = decayed(*gradient, decay, *number);
                *mean = keep * *mean + take * gradient;
                *square = square_keep * *square + square_take * gradient * gradient;
                *number -= rate * *mean / (square.sqrt() * root + epsilon);
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
        let mut state = keep(&self.kept, MOMENTS, NAME, model);
        for (at, _) in trainable(model.parameters()) {
            state.insert_number(&format!("{}.{STEP}", model.parameters()[at].path()), self.steps as f64);
        }
        state
    }

    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()> {
        let kept = restore(state, MOMENTS, &[STEP], NAME, model)?;
        let mut steps = None;
        for (at, _) in trainable(model.parameters()) {
            let path = model.parameters()[at].path();
            let found = state.number(&format!("{path}.{STEP}")).expect("required above");
            if *steps.get_or_insert(found) != found || found < 0.0 || found.fract() != 0.0 {
                return Err(failed(format!("{path}.{STEP} is {found}: every parameter has taken the same number of steps")));
            }
        }
        self.steps = steps.unwrap_or(0.0) as u64;
        self.kept = kept;
        Ok(())
    }
}
