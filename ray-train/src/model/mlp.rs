//! A network of full layers, written by hand: what burn is measured against, and a small model that needs no library.

mod product;

use std::ops::Range;
use std::time::Duration;

use super::{Gradients, Model, Parameter};
use crate::data::random::Random;
use crate::faults::failed;
use product::{Matrix, Products};

/// Full layers with ReLU between them, trained to classify: its loss is the mean cross-entropy.
///
/// The parameters are `fc1.weight`, `fc1.bias`, `fc2.weight` and so on, in torch's layout. It computes on one thread: the
/// matrix products by the crate `gemm`, with AVX-512 where the processor has it.
///
/// ```
/// use ray_train::model::{Mlp, Model, Optimizer, Sgd};
/// let mut model = Mlp::new(&[784, 512, 512, 10], 42);
/// let (pixels, labels) = (vec![0.5; 3 * 784], [1, 7, 7]);
/// let before = model.train(&pixels, &labels)?;
/// Sgd::new(0.01).step(&mut model)?;
/// assert!(model.train(&pixels, &labels)? < before);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mlp {
    sizes: Vec<usize>,
    parameters: Vec<Parameter>,
    /// All of them, layer by layer, each weight before its bias.
    numbers: Vec<f32>,
    layers: Vec<Layer>,
    gradients: Gradients,
    /// What each layer gave in the last forward pass, ReLU applied to all but the last.
    outputs: Vec<Vec<f32>>,
    /// The gradients of two neighbouring layers' outputs.
    slopes: [Vec<f32>; 2],
    products: Products,
}

/// Where a layer's parameters lie among all.
#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Mlp {
    /// A network of these sizes: the inputs, the hidden layers, the classes. Its parameters are drawn as torch's `Linear` draws
    /// them, evenly from -1 / sqrt(inputs) to 1 / sqrt(inputs), and the same for the same seed.
    ///
    /// # Panics
    /// If there are fewer than two sizes, or one is 0.
    ///
    /// ```
    /// use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[4, 3], 1).state_dict(), Mlp::new(&[4, 3], 1).state_dict());
    /// ```
    pub fn new(sizes: &[usize], seed: u64) -> Mlp {
        assert!(sizes.len() >= 2, "a network has inputs and outputs, and these are its sizes: {sizes:?}");
        assert!(!sizes.contains(&0), "no layer of a network is empty, and these are its sizes: {sizes:?}");
        let (mut parameters, mut layers, mut end) = (Vec::new(), Vec::new(), 0);
        for (pair, number) in sizes.windows(2).zip(1..) {
            let &[inputs, outputs] = pair else { unreachable!("windows of two") };
            let weight = end..end + outputs * inputs;
            let bias = weight.end..weight.end + outputs;
            end = bias.end;
            layers.push(Layer { inputs, outputs, weight, bias });
            parameters.push(Parameter::new(format!("fc{number}.weight"), [outputs, inputs]));
            parameters.push(Parameter::new(format!("fc{number}.bias"), [outputs]));
        }
        let (mut random, mut numbers) = (Random::new(seed), Vec::with_capacity(end));
        for layer in &layers {
            let bound = 1.0 / (layer.inputs as f32).sqrt();
            numbers.extend((layer.weight.start..layer.bias.end).map(|_| random.uniform(-bound, bound)));
        }
        Mlp {
            sizes: sizes.to_vec(),
            gradients: Gradients::of(&parameters),
            outputs: vec![Vec::new(); layers.len()],
            slopes: [Vec::new(), Vec::new()],
            products: Products::default(),
            parameters,
            numbers,
            layers,
        }
    }

    /// One forward and one backward pass over a batch: inputs one after the other, and the class of each. Adds to the gradients
    /// those of the mean cross-entropy, which it returns.
    ///
    /// # Errors
    /// The inputs are not of the network's size, not as many as the labels, or none; a label is no class of the network; as
    /// [`Gradients::record`].
    ///
    /// ```
    /// let mut model = ray_train::model::Mlp::new(&[2, 3], 0);
    /// let loss = model.train(&[1.0, 2.0, 3.0, 4.0], &[0, 2])?;
    /// assert!(loss > 0.0);
    /// let error = model.train(&[1.0, 2.0], &[3]).unwrap_err();
    /// assert!(error.to_string().contains("label 3"), "{error}");
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn train(&mut self, inputs: &[f32], labels: &[u8]) -> ray::Result<f32> {
        let classes = self.sizes[self.sizes.len() - 1];
        if let Some(label) = labels.iter().find(|label| usize::from(**label) >= classes) {
            return Err(failed(format!("label {label}, where the network has {classes} classes, counted from 0")));
        }
        if labels.len() * self.sizes[0] != inputs.len() {
            return Err(failed(format!(
                "{} inputs and {} labels, where the network takes {} inputs for each label",
                inputs.len(),
                labels.len(),
                self.sizes[0]
            )));
        }
        self.forward(inputs)?;
        let loss = self.loss(labels);
        let mut gradients = std::mem::take(&mut self.gradients);
        let recorded = gradients.record(|buffer, add| self.backward(inputs, buffer, add));
        self.gradients = gradients;
        recorded.map(|()| loss)
    }

    /// The network's outputs for a batch of inputs: a number for each class, the largest for the most likely one.
    ///
    /// # Errors
    /// The inputs are none, or not of the network's size.
    ///
    /// ```
    /// let mut model = ray_train::model::Mlp::new(&[2, 3], 0);
    /// assert_eq!(model.forward(&[1.0, 2.0, 3.0, 4.0])?.len(), 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn forward(&mut self, inputs: &[f32]) -> ray::Result<&[f32]> {
        let batch = inputs.len() / self.sizes[0];
        if batch == 0 || batch * self.sizes[0] != inputs.len() {
            return Err(failed(format!("{} inputs do not make a batch for a network of {}", inputs.len(), self.sizes[0])));
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let (before, after) = self.outputs.split_at_mut(at);
            let input = before.last().map_or(inputs, |output| &output[..]);
            let (weight, bias) = (&self.numbers[layer.weight.clone()], &self.numbers[layer.bias.clone()]);
            let output = &mut after[0];
            output.clear();
            (0..batch).for_each(|_| output.extend_from_slice(bias));
            let weight = Matrix::of(weight, layer.outputs, layer.inputs).transposed();
            self.products.add(output, Matrix::of(input, batch, layer.inputs), weight, true);
            if at + 1 < self.layers.len() {
                // Not `max`, which would make a zero of NaN.
                output.iter_mut().for_each(|number| *number = if *number <= 0.0 { 0.0 } else { *number });
            }
        }
        Ok(&self.outputs[self.layers.len() - 1])
    }

    /// How many of a batch the network gives the right class.
    ///
    /// # Errors
    /// As [`forward`](Mlp::forward).
    ///
    /// ```
    /// let mut model = ray_train::model::Mlp::new(&[2, 3], 0);
    /// assert!(model.correct(&[1.0, 2.0, 3.0, 4.0], &[0, 2])? <= 2);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn correct(&mut self, inputs: &[f32], labels: &[u8]) -> ray::Result<usize> {
        let classes = self.sizes[self.sizes.len() - 1];
        let rows = self.forward(inputs)?.chunks_exact(classes);
        Ok(rows.zip(labels).filter(|(row, label)| largest(row) == usize::from(**label)).count())
    }

    /// The time that matrix products have taken so far: what no other way to write the rest could save.
    ///
    /// ```
    /// let mut model = ray_train::model::Mlp::new(&[2, 3], 0);
    /// model.train(&[1.0, 2.0], &[0])?;
    /// assert!(model.time_in_products() > std::time::Duration::ZERO);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn time_in_products(&self) -> Duration {
        self.products.time
    }

    /// The mean cross-entropy of the last outputs; leaves its gradient in the first of the slopes.
    fn loss(&mut self, labels: &[u8]) -> f32 {
        let classes = self.sizes[self.sizes.len() - 1];
        let logits = &self.outputs[self.layers.len() - 1];
        let slopes = &mut self.slopes[0];
        slopes.resize(logits.len(), 0.0);
        let share = 1.0 / labels.len() as f32;
        let mut sum = 0.0;
        for ((row, slope), label) in logits.chunks_exact(classes).zip(slopes.chunks_exact_mut(classes)).zip(labels) {
            let label = usize::from(*label);
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (slope, number) in slope.iter_mut().zip(row) {
                *slope = (number - most).exp();
            }
            let all: f32 = slope.iter().sum();
            sum += all.ln() - (row[label] - most);
            slope.iter_mut().for_each(|slope| *slope *= share / all);
            slope[label] -= share;
        }
        sum * share
    }

    /// From the slopes of the outputs to the gradients of all parameters, the last layer first.
    fn backward(&mut self, inputs: &[f32], gradients: &mut [f32], add: bool) {
        let batch = inputs.len() / self.sizes[0];
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let input = if at == 0 { inputs } else { &self.outputs[at - 1][..] };
            let [slopes, before] = &mut self.slopes;
            let bias = &mut gradients[layer.bias.clone()];
            if !add {
                bias.fill(0.0);
            }
            for row in slopes.chunks_exact(layer.outputs) {
                bias.iter_mut().zip(row).for_each(|(sum, slope)| *sum += slope);
            }
            let slope = Matrix::of(slopes, batch, layer.outputs);
            let input_matrix = Matrix::of(input, batch, layer.inputs);
            self.products.add(&mut gradients[layer.weight.clone()], slope.transposed(), input_matrix, add);
            if at > 0 {
                before.resize(batch * layer.inputs, 0.0);
                let weight = Matrix::of(&self.numbers[layer.weight.clone()], layer.outputs, layer.inputs);
                self.products.add(before, slope, weight, false);
                // ReLU lets through the slopes of what was positive, or NaN.
                before.iter_mut().zip(input).for_each(|(slope, output)| *slope = if *output <= 0.0 { 0.0 } else { *slope });
                std::mem::swap(slopes, before);
            }
        }
    }
}

impl Model for Mlp {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn visit(&self, body: &mut dyn FnMut(usize, &[f32])) {
        let mut rest = &self.numbers[..];
        for (at, parameter) in self.parameters.iter().enumerate() {
            let (numbers, others) = rest.split_at(parameter.len());
            body(at, numbers);
            rest = others;
        }
    }

    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32])) {
        let mut rest = &mut self.numbers[..];
        for (at, parameter) in self.parameters.iter().enumerate() {
            let (numbers, others) = rest.split_at_mut(parameter.len());
            body(at, numbers);
            rest = others;
        }
    }

    fn gradients(&self) -> &Gradients {
        &self.gradients
    }

    fn gradients_mut(&mut self) -> &mut Gradients {
        &mut self.gradients
    }
}

/// The place of the largest number, the first of equals; NaN is no candidate.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (at, number) in row.iter().enumerate() {
        if *number > row[best] || row[best].is_nan() {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slope of the loss along each parameter, by a small difference, is the gradient.
    #[test]
    fn gradients_are_slopes() {
        let mut model = Mlp::new(&[3, 5, 4, 2], 9);
        let (inputs, labels) = ([0.3, -0.7, 1.1, 0.9, 0.2, -1.3], [1, 0]);
        model.train(&inputs, &labels).unwrap();
        let gradients = model.gradients.as_slice().to_vec();
        for (at, gradient) in gradients.iter().enumerate() {
            let mut loss = [0.0; 2];
            for (loss, by) in loss.iter_mut().zip([-1e-3, 1e-3]) {
                let mut other = model.clone();
                other.zero_grad();
                other.numbers[at] += by;
                *loss = other.train(&inputs, &labels).unwrap();
            }
            let slope = (loss[1] - loss[0]) / 2e-3;
            assert!((slope - gradient).abs() < 1e-3, "parameter {at}: {slope} and {gradient}");
        }
    }

    #[test]
    fn two_passes_add_up() {
        let mut model = Mlp::new(&[2, 4, 3], 1);
        model.train(&[1.0, -1.0], &[2]).unwrap();
        let one = model.gradients.as_slice().to_vec();
        model.train(&[1.0, -1.0], &[2]).unwrap();
        assert!(model.gradients.as_slice().iter().zip(&one).all(|(two, one)| (two - 2.0 * one).abs() < 1e-6));
    }

    #[test]
    fn a_nan_stays_one() {
        let mut model = Mlp::new(&[2, 4, 3], 1);
        assert!(model.train(&[f32::NAN, 0.0], &[0]).unwrap().is_nan());
        assert!(model.gradients.norm().is_nan());
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let mut model = Mlp::new(&[2, 3], 1);
        assert!(model.train(&[], &[]).is_err());
        assert!(model.train(&[1.0, 2.0, 3.0], &[0]).is_err());
        assert!(model.forward(&[1.0]).is_err());
    }
}
