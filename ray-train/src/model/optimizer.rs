//! What every optimiser is, and has in common with the others.

use std::fmt;
use std::ops::Range;

use super::{Model, Parameter, StateDict};
use crate::faults::failed;

/// Changes a model's parameters by its gradients.
///
/// Its state, if it has any, is kept for each parameter by name, so that it finds its place again in a model that was made
/// anew: a resumed run takes the very steps that the interrupted one would have taken.
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
    /// Takes one step, and starts the gradients afresh.
    ///
    /// # Errors
    /// There was no backward pass since the last step; the model is one of several replicas, and its gradients were not
    /// averaged; the optimiser has worked on a model of other parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Optimizer, Sgd};
    /// let error = Sgd::new(0.1).step(&mut Mlp::new(&[2, 3], 0)).unwrap_err();
    /// assert!(error.to_string().contains("backward pass"), "{error}");
    /// ```
    fn step(&mut self, model: &mut dyn Model) -> ray::Result<()>;

    /// The factor of a step.
    ///
    /// ```
    /// # use ray_train::model::{Optimizer, Sgd};
    /// assert_eq!(Sgd::new(0.1).learning_rate(), 0.1);
    /// ```
    fn learning_rate(&self) -> f64;

    /// Another factor, from the next step on: a schedule sets it before each.
    ///
    /// ```
    /// # use ray_train::model::{Optimizer, Sgd};
    /// let mut optimizer = Sgd::new(0.1);
    /// optimizer.set_learning_rate(0.01);
    /// assert_eq!(optimizer.learning_rate(), 0.01);
    /// ```
    fn set_learning_rate(&mut self, rate: f64);

    /// What it keeps for each parameter, under torch's names after the parameter's: `fc1.weight.exp_avg`. In the shapes of
    /// the parameters.
    ///
    /// ```
    /// # use ray_train::model::{Mlp, Optimizer, Sgd};
    /// let state = Sgd::new(0.1).momentum(0.9).state_dict(&Mlp::new(&[2, 3], 0));
    /// assert_eq!(state.shape("fc1.weight.momentum_buffer"), Some(&[3, 2][..]));
    /// ```
    fn state_dict(&self, model: &dyn Model) -> StateDict;

    /// Takes back what [`state_dict`](Optimizer::state_dict) gave, for a model of the same parameters. What was set when the
    /// optimiser was made (rates, factors) is not part of it.
    ///
    /// # Errors
    /// Another optimiser's state; something of a parameter is missing, or there is something of one that the model does not
    /// have, or of another shape: all of them are named, and the optimiser stays as it was.
    ///
    /// ```
    /// # use ray_train::model::{Adam, Mlp, Optimizer, Sgd};
    /// let model = Mlp::new(&[2, 3], 0);
    /// let error = Adam::new(0.1).load_state_dict(&Sgd::new(0.1).state_dict(&model), &model).unwrap_err();
    /// assert!(error.to_string().contains("the state of Sgd"), "{error}");
    /// ```
    fn load_state_dict(&mut self, state: &StateDict, model: &dyn Model) -> ray::Result<()>;
}

/// Where each trainable parameter stands in a buffer of all of them, one after the other.
pub(super) fn trainable(parameters: &[Parameter]) -> Vec<(usize, Range<usize>)> {
    let mut end = 0;
    let place = |(at, parameter): (usize, &Parameter)| {
        let start = end;
        end += parameter.len();
        (at, start..end)
    };
    parameters.iter().enumerate().filter(|(_, parameter)| parameter.is_trainable()).map(place).collect()
}

/// What a step does to a parameter: its numbers, its gradient, and where they stand among all.
type Change<'a> = dyn FnMut(&mut [f32], &[f32], Range<usize>) + 'a;

/// Has `change` see each trainable parameter with its gradient and where it stands among all of them, then starts the
/// gradients afresh. What every optimiser's step is.
pub(super) fn apply(model: &mut dyn Model, change: &mut Change<'_>) -> ray::Result<()> {
    model.gradients().ready()?;
    let gradients = std::mem::take(model.gradients_mut());
    let mut places = trainable(model.parameters()).into_iter().peekable();
    model.update(&mut |at, numbers| {
        if let Some((_, range)) = places.next_if(|(trainable, _)| *trainable == at) {
            change(numbers, &gradients.as_slice()[range.clone()], range);
        }
    });
    *model.gradients_mut() = gradients;
    model.gradients_mut().zero();
    Ok(())
}

/// A gradient with so much of its parameter added; without decay an infinite parameter must not make it NaN.
#[inline(always)]
pub(super) fn decayed(gradient: f32, decay: f32, number: f32) -> f32 {
    if decay == 0.0 { gradient } else { gradient + decay * number }
}

/// Buffers that an optimiser keeps, each for all trainable parameters; made of zeros when it first sees a model.
pub(super) fn buffers<'a>(kept: &'a mut Vec<Vec<f32>>, names: &[&str], model: &dyn Model) -> ray::Result<&'a mut Vec<Vec<f32>>> {
    let len = model.gradients().as_slice().len();
    if kept.is_empty() {
        // Not `vec![vec![..]; n]`: it makes one even where none is to be kept, in every step.
        *kept = names.iter().map(|_| vec![0.0; len]).collect();
    }
    match kept.iter().find(|buffer| buffer.len() != len) {
        Some(buffer) => Err(failed(format!(
            "this optimiser has worked on a model of {} numbers, and this one has {len}: make one optimiser for each model",
            buffer.len()
        ))),
        None => Ok(kept),
    }
}

/// The kept buffers as a state, by parameter and name.
pub(super) fn keep(kept: &[Vec<f32>], names: &[&str], optimizer: &str, model: &dyn Model) -> StateDict {
    let mut state = StateDict::new();
    state.set_metadata("optimizer", optimizer);
    for (name, at) in names.iter().zip(0..) {
        for (parameter, range) in trainable(model.parameters()) {
            let parameter = &model.parameters()[parameter];
            let numbers = match kept.get(at) {
                Some(buffer) => parameter.to_shape(&buffer[range]),
                None => vec![0.0; range.len()],
            };
            state.insert(&format!("{}.{name}", parameter.path()), parameter.shape(), numbers);
        }
    }
    state
}

/// The other way round; `scalars` are names of single numbers that belong to each parameter too.
pub(super) fn restore(
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
                "this is the state of {found}, and the optimiser is {optimizer}: go on with the former, or start without a state"
            )));
        }
        None => return Err(failed(format!("this is no optimiser's state, and {optimizer} needs one: a model's, perhaps"))),
    }
    let places = trainable(model.parameters());
    let of = |at: &usize| &model.parameters()[*at];
    let mut wanted = Vec::new();
    for (at, _) in &places {
        wanted.extend(names.iter().map(|name| (format!("{}.{name}", of(at).path()), of(at).shape().to_vec())));
        wanted.extend(scalars.iter().map(|name| (format!("{}.{name}", of(at).path()), Vec::new())));
    }
    state.require(optimizer, wanted)?;
    let len = places.last().map_or(0, |(_, range)| range.end);
    let mut kept = vec![vec![0.0; len]; names.len()];
    for (name, buffer) in names.iter().zip(&mut kept) {
        for (at, range) in &places {
            let shaped = state.get(&format!("{}.{name}", of(at).path())).expect("required above");
            of(at).to_memory(shaped, &mut buffer[range.clone()]);
        }
    }
    Ok(kept)
}
