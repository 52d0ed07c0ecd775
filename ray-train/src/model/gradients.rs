//! The gradients of a model, in one buffer.

use super::Parameter;
use crate::faults::failed;

/// The gradients of a model's trainable parameters, one after the other in one buffer, as they lie in memory.
///
/// They know what was done to them, so that a step without a backward pass, or replicas that would drift apart, are errors.
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
    numbers: Vec<f32>,
    /// Backward passes that are in them.
    passes: usize,
    averaged: bool,
    /// Of one of several replicas.
    replicated: bool,
}

impl Gradients {
    /// Room for the gradients of these parameters.
    ///
    /// ```
    /// use ray_train::model::{Gradients, Parameter};
    /// let parameters = [Parameter::new("a", [2, 3]), Parameter::new("mean", [5]).fixed()];
    /// assert_eq!(Gradients::of(&parameters).as_slice().len(), 6);
    /// ```
    pub fn of(parameters: &[Parameter]) -> Gradients {
        let len = parameters.iter().filter(|parameter| parameter.is_trainable()).map(Parameter::len).sum();
        Gradients { numbers: vec![0.0; len], ..Gradients::default() }
    }

    /// For implementors of [`Model`](super::Model): has a backward pass write them. `fill` gets the buffer, and whether to add
    /// to what is there; if not, it must write every number.
    ///
    /// # Errors
    /// They were averaged over all ranks, and no step was taken since: what this rank adds now would be its own alone.
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
                "a backward pass after the gradients were averaged, and before a step: average once, after the last of the \
                 passes; `zero_grad` drops them",
            ));
        }
        fill(&mut self.numbers, self.passes > 0);
        self.passes += 1;
        Ok(())
    }

    /// Backward passes since the last step.
    ///
    /// ```
    /// assert_eq!(ray_train::model::Gradients::default().passes(), 0);
    /// ```
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// All of them.
    ///
    /// ```
    /// assert!(ray_train::model::Gradients::default().as_slice().is_empty());
    /// ```
    pub fn as_slice(&self) -> &[f32] {
        &self.numbers
    }

    /// The same, to be changed.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().fill(1.0);
    /// ```
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// Multiplies all of them.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().copy_from_slice(&[1.0, 3.0]);
    /// gradients.scale(0.5);
    /// assert_eq!(gradients.as_slice(), [0.5, 1.5]);
    /// ```
    pub fn scale(&mut self, factor: f32) {
        self.numbers.iter_mut().for_each(|number| *number *= factor);
    }

    /// Their Euclidean length; NaN if one of them is.
    ///
    /// ```
    /// # use ray_train::model::{Gradients, Parameter};
    /// let mut gradients = Gradients::of(&[Parameter::new("a", [2])]);
    /// gradients.as_mut_slice().copy_from_slice(&[3.0, 4.0]);
    /// assert_eq!(gradients.norm(), 5.0);
    /// ```
    pub fn norm(&self) -> f64 {
        // In f64, and in parts, so that the order of summation is one and the loop still wide.
        let mut parts = [0.0f64; 8];
        for eight in self.numbers.chunks(8) {
            for (part, number) in parts.iter_mut().zip(eight) {
                *part += f64::from(*number) * f64::from(*number);
            }
        }
        parts.iter().sum::<f64>().sqrt()
    }

    /// Shortens them to a length of `largest`, where they are longer, and returns what it was, as torch's `clip_grad_norm_`
    /// does. Averaged gradients are the same on all ranks, so clipping needs no talk between them.
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

    /// Forgets them: the next pass overwrites what is there.
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

    /// That this model is one of several replicas.
    pub(super) fn replicate(&mut self) {
        self.replicated = true;
    }

    /// That they are now the same on all ranks.
    pub(super) fn average(&mut self) {
        self.averaged = true;
    }

    /// Whether a step may be taken with them.
    pub(super) fn ready(&self) -> ray::Result<()> {
        if self.passes == 0 {
            return Err(failed("a step without a backward pass since the last one: there are no gradients to step along"));
        }
        if self.replicated && !self.averaged {
            return Err(failed(
                "a step along gradients that are this rank's own: the replicas would drift apart. Call \
                 `ctx.allreduce_grads(&mut model)` after the backward pass",
            ));
        }
        Ok(())
    }
}
