//! The trait of optimisers, and the code that they share.

use std::fmt;
use std::ops::Range;

use super::model_trait::Model;
use super::parameter::Parameter;
use super::state::StateDict;
use crate::error::failed;

/// Updates the parameters of a model with its gradients.
///
/// An optimiser stores its state by the names of the parameters, so a new model of the same parameters can use it: a resumed run
/// takes exactly the steps that the interrupted run would have taken.
///
/// ```
/// use ray_train::model::{Adam, Mlp, Model, Optimizer};
///
/// let mut model = Mlp::new(&[2, 3], 0);
/// let mut optimizer = Adam::new(0.001);
/// model.train(&[1.0, 2.0], &[0])?;
/// optimizer.step(&mut model)?;
/// let (parameters, state) = (model.state_dict(), optimizer.state_dict(&model)); // into a checkpoint
///
/// let mut resumed = Mlp::new(&[2, 3], 5);
/// resumed.load_state_dict(&parameters)?;
/// let mut optimizer = Adam::new(0.001);
/// optimizer.load_state_dict(&state, &resumed)?;
/// # Ok::<(), ray::Error>(())
/// ```
pub trait Optimizer: fmt::Debug {
    /// Takes one step, and clears the gradients.
    ///
    /// # Errors
    /// There was no backward pass since the last step; the model is one of several replicas and its gradients were not averaged; or
    /// an earlier step was on a model with another number of parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Optimizer, Sgd};
    /// let error = Sgd::new(0.1).step(&mut Mlp::new(&[2, 3], 0)).unwrap_err();
    /// assert!(error.to_string().contains("backward pass"), "{error}");
    /// ```
    fn step(&mut self, model: &mut dyn Model) -> ray::Result<()>;

    /// The learning rate.
    ///
    /// ```
    /// # use ray_train::model::{Optimizer, Sgd};
    /// assert_eq!(Sgd::new(0.1).learning_rate(), 0.1);
    /// ```
    fn learning_rate(&self) -> f64;

    /// Sets the learning rate of the next steps. A schedule sets it before each step.
    ///
    /// ```
    /// # use ray_train::model::{Optimizer, Sgd};
    /// let mut optimizer = Sgd::new(0.1);
    /// optimizer.set_learning_rate(0.01);
    /// assert_eq!(optimizer.learning_rate(), 0.01);
    /// ```
    fn set_learning_rate(&mut self, rate: f64);

    /// The state of each parameter, named after the parameter and torch's buffer: `fc1.weight.exp_avg`. Each buffer has the shape of
    /// its parameter.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Optimizer, Sgd};
    /// let state = Sgd::new(0.1).momentum(0.9).state_dict(&Mlp::new(&[2, 3], 0));
    /// assert_eq!(state.shape("fc1.weight.momentum_buffer"), Some(&[3, 2][..]));
    /// ```
    fn state_dict(&self, model: &dyn Model) -> StateDict;

    /// Loads a state that [`state_dict`](Optimizer::state_dict) returned, for a model of the same parameters. The settings of the
    /// optimiser (learning rate, factors) are not part of the state.
    ///
    /// # Errors
    /// The state is that of another optimiser, lacks a buffer, has a buffer of a parameter that the model lacks, or has a buffer of
    /// another shape. The error names all of them, and the optimiser is unchanged.
    ///
    /// ```
    /// # use ray_train::model::{Adam, Mlp, Optimizer, Sgd};
    /// let model = Mlp::new(&[2, 3], 0);
    /// let error = Adam::new(0.1).load_state_dict(&Sgd::new(0.1).state_dict(&model), &model).unwrap_err();
    /// assert!(error.to_string().contains("the state of Sgd"), "{error}");
    /// ```
    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()>;
}

/// The index of each trainable parameter, and its range in a buffer of all trainable parameters.
pub(super) fn trainable(parameters: &[Parameter]) -> Vec<(usize, Range<usize>)> {
    let mut end = 0;
    let range_of = |(at, parameter): (usize, &Parameter)| {
        let start = end;
        end += parameter.len();
        (at, start..end)
    };
    parameters.iter().enumerate().filter(|(_, parameter)| parameter.is_trainable()).map(range_of).collect()
}

/// The update of one parameter, called with its values, its gradient, and its range in a buffer of all trainable parameters.
type Update<'a> = dyn FnMut(&mut [f32], &[f32], Range<usize>) + 'a;

/// Takes one step: calls `update` for each trainable parameter, then clears the gradients.
pub(super) fn update_parameters(model: &mut dyn Model, update: &mut Update<'_>) -> ray::Result<()> {
    model.gradients().check_ready()?;
    let gradients = std::mem::take(model.gradients_mut());
    let mut ranges = trainable(model.parameters()).into_iter().peekable();
    model.update(&mut |at, values| {
        if let Some((_, range)) = ranges.next_if(|(trainable, _)| *trainable == at) {
            update(values, &gradients.as_slice()[range.clone()], range);
        }
    });
    *model.gradients_mut() = gradients;
    model.gradients_mut().zero();
    Ok(())
}

/// A gradient with weight decay. Without decay the product is skipped, so that an infinite parameter does not make it NaN.
#[inline(always)]
pub(super) fn decayed(gradient: f32, decay: f32, value: f32) -> f32 {
    if decay == 0.0 { gradient } else { gradient + decay * value }
}

/// The buffers of an optimiser, each for all trainable parameters. The first call allocates them, with zeros.
///
/// # Errors
/// The buffers were allocated for a model with another number of parameters.
pub(super) fn buffers<'a>(
    buffers: &'a mut Vec<Vec<f32>>,
    names: &[&str],
    model: &dyn Model,
) -> ray::Result<&'a mut Vec<Vec<f32>>> {
    let len = model.gradients().as_slice().len();
    if buffers.is_empty() {
        // Not `vec![vec![..]; n]`: with `n` of 0, it would allocate a vector in every step.
        *buffers = names.iter().map(|_| vec![0.0; len]).collect();
    }
    match buffers.iter().find(|buffer| buffer.len() != len) {
        Some(buffer) => Err(failed(format!(
            "this optimiser was used with a model of {} parameter values, and this model has {len}: make one optimiser for each model",
            buffer.len()
        ))),
        None => Ok(buffers),
    }
}

/// The buffers as a state, by the names of parameter and buffer. Buffers that are not allocated yet are zeros.
pub(super) fn save_buffers(buffers: &[Vec<f32>], names: &[&str], optimizer: &str, model: &dyn Model) -> StateDict {
    let mut state = StateDict::new();
    state.set_metadata("optimizer", optimizer);
    for (name, at) in names.iter().zip(0..) {
        for (parameter, range) in trainable(model.parameters()) {
            let parameter = &model.parameters()[parameter];
            let values = match buffers.get(at) {
                Some(buffer) => parameter.to_shape(&buffer[range]),
                None => vec![0.0; range.len()],
            };
            state.insert(&format!("{}.{name}", parameter.path()), parameter.shape(), values);
        }
    }
    state
}

/// The buffers from a state of [`save_buffers`]. `scalars` are the names of single numbers that each parameter has in addition.
pub(super) fn load_buffers(
    state: &StateDict,
    names: &[&str],
    scalars: &[&str],
    optimizer: &str,
    model: &dyn Model,
) -> ray::Result<Vec<Vec<f32>>> {
    match state.metadata("optimizer") {
        Some(found) if found == optimizer => {}
        Some(found) => {
            return Err(failed(format!(
                "this is the state of {found}, and the optimiser is {optimizer}: continue with {found}, or start without a state"
            )));
        }
        None => {
            return Err(failed(format!(
                "this is not the state of an optimiser, which {optimizer} needs: is it the state of a model?"
            )));
        }
    }
    let ranges = trainable(model.parameters());
    let parameter_at = |at: &usize| &model.parameters()[*at];
    let mut expected = Vec::new();
    for (at, _) in &ranges {
        expected
            .extend(names.iter().map(|name| (format!("{}.{name}", parameter_at(at).path()), parameter_at(at).shape().to_vec())));
        expected.extend(scalars.iter().map(|name| (format!("{}.{name}", parameter_at(at).path()), Vec::new())));
    }
    state.require(optimizer, expected)?;
    let len = ranges.last().map_or(0, |(_, range)| range.end);
    let mut buffers = vec![vec![0.0; len]; names.len()];
    for (name, buffer) in names.iter().zip(&mut buffers) {
        for (at, range) in &ranges {
            let values = state.get(&format!("{}.{name}", parameter_at(at).path())).expect("`require` checks that it exists");
            parameter_at(at).to_memory(values, &mut buffer[range.clone()]);
        }
    }
    Ok(buffers)
}
