//! The gradients of a model, in one buffer.

use super::parameter::Parameter;
use crate::error::failed;

/// The gradients of a model's trainable parameters, in one buffer, in memory order.
///
/// They record which operations were applied to them. So a step without a backward pass is an error, and so is a step that would
/// make the replicas differ.
///
/// ```
/// use ray_train::model::{Mlp, Model};
/// let mut model = Mlp::new(&[2, 3], 0);
/// model.train(&[1.0, 2.0], &[0])?;
/// model.train(&[3.0, 4.0], &[1])?; // adds to them
/// assert_eq!(model.gradients().passes(), 2);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    values: Vec<f32>,
    /// The number of backward passes since the last step.
    passes: usize,
    /// Whether they were averaged over all ranks since the last step.
    averaged: bool,
    /// Whether the model is one of several replicas.
    replicated: bool,
}

impl Gradients {
    /// A buffer for the gradients of these parameters.
    ///
    /// ```
    /// use ray_train::model::{Gradients, Parameter};
    /// let parameters = [Parameter::new("a", [2, 3]), Parameter::new("mean", [5]).fixed()];
    /// assert_eq!(Gradients::of(&parameters).as_slice().len(), 6);
    /// ```
    pub fn of(parameters: &[Parameter]) -> Gradients {
        let len = parameters.iter().filter(|parameter| parameter.is_trainable()).map(Parameter::len).sum();
        Gradients { values: vec![0.0; len], ..Gradients::default() }
    }

    /// For implementors of [`Model`](super::Model): records a backward pass. `fill` gets the buffer, and whether to add to its values;
    /// otherwise it must overwrite every value.
    ///
    /// # Errors
    /// The gradients were averaged over all ranks and no step was taken since: the replicas would differ by the gradients that this
    /// rank adds.
    ///
    /// ```
    /// use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.record(|buffer, add| {
    ///     assert!(!add);
    ///     buffer.copy_from_slice(&[1.0, 2.0]);
    /// })?;
    /// assert_eq!(gradients.as_slice(), [1.0, 2.0]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn record(&mut self, fill: impl FnOnce(&mut [f32], bool)) -> ray::Result<()> {
        if self.averaged {
            return Err(failed(
                "a backward pass between averaging the gradients and the optimiser's step: average once, after the last backward \
                 pass, or drop the gradients with `zero_grad`",
            ));
        }
        fill(&mut self.values, self.passes > 0);
        self.passes += 1;
        Ok(())
    }

    /// The number of backward passes since the last step.
    ///
    /// ```
    /// assert_eq!(ray_train::model::Gradients::default().passes(), 0);
    /// ```
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// The values of all gradients.
    ///
    /// ```
    /// assert!(ray_train::model::Gradients::default().as_slice().is_empty());
    /// ```
    pub fn as_slice(&self) -> &[f32] {
        &self.values
    }

    /// The values of all gradients, to change them.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().fill(1.0);
    /// ```
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Multiplies all values by a factor.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().copy_from_slice(&[1.0, 3.0]);
    /// gradients.scale(0.5);
    /// assert_eq!(gradients.as_slice(), [0.5, 1.5]);
    /// ```
    pub fn scale(&mut self, factor: f32) {
        self.values.iter_mut().for_each(|value| *value *= factor);
    }

    /// The Euclidean norm of all values. It is NaN if a value is NaN.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().copy_from_slice(&[3.0, 4.0]);
    /// assert_eq!(gradients.norm(), 5.0);
    /// ```
    pub fn norm(&self) -> f64 {
        // Eight partial sums in f64: the order of summation is fixed, and the loop can be vectorised.
        let mut parts = [0.0f64; 8];
        for eight in self.values.chunks(8) {
            for (part, value) in parts.iter_mut().zip(eight) {
                *part += f64::from(*value) * f64::from(*value);
            }
        }
        parts.iter().sum::<f64>().sqrt()
    }

    /// Scales the gradients to a norm of `largest` if their norm is larger, and returns the norm before, as torch's `clip_grad_norm_`
    /// does. Averaged gradients are equal on all ranks, so clipping needs no communication.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().copy_from_slice(&[3.0, 4.0]);
    /// assert_eq!(gradients.clip_norm(1.0), 5.0);
    /// assert!((gradients.norm() - 1.0).abs() < 1e-6);
    /// ```
    pub fn clip_norm(&mut self, largest: f64) -> f64 {
        let norm = self.norm();
        let factor = largest / (norm + 1e-6);
        if factor < 1.0 || norm.is_nan() {
            self.scale(factor as f32);
        }
        norm
    }

    /// Clears the gradients: the next backward pass overwrites the values.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.record(|buffer, _| buffer.fill(1.0))?;
    /// gradients.zero();
    /// gradients.record(|_, add| assert!(!add))?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn zero(&mut self) {
        (self.passes, self.averaged) = (0, false);
    }

    /// Records that the model is one of several replicas.
    pub(super) fn mark_replicated(&mut self) {
        self.replicated = true;
    }

    /// Records that the gradients were averaged over all ranks.
    pub(super) fn mark_averaged(&mut self) {
        self.averaged = true;
    }

    /// Checks that an optimiser may take a step.
    ///
    /// # Errors
    /// There was no backward pass, or the gradients of a replica were not averaged.
    pub(super) fn check_ready(&self) -> ray::Result<()> {
        if self.passes == 0 {
            return Err(failed(
                "a step without a backward pass since the last step: there are no gradients, run the backward pass first",
            ));
        }
        if self.replicated && !self.averaged {
            return Err(failed(
                "a step with gradients that were not averaged over all ranks: the replicas would differ. Call \
                 `ctx.allreduce_grads(&mut model)` after the backward pass",
            ));
        }
        Ok(())
    }
}
