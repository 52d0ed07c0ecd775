//! A multilayer perceptron without a library: a small model for tests, and the baseline for the benchmarks of burn.

mod product;

use std::ops::Range;
use std::time::Duration;

use super::gradients::Gradients;
use super::model_trait::Model;
use super::parameter::Parameter;
use crate::data::random::SplitMix64;
use crate::error::failed;
use product::{Matrix, Products};

/// A classifier: fully connected layers with ReLU between them. Its loss is the mean cross-entropy.
///
/// The parameters are `fc1.weight`, `fc1.bias`, `fc2.weight` and so on, in torch's layout. It computes on one thread. The crate
/// `gemm` computes the matrix products, with AVX-512 if the processor has it.
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
    /// The values of all parameters, layer by layer, each weight before its bias.
    values: Vec<f32>,
    layers: Vec<Layer>,
    gradients: Gradients,
    /// The outputs of each layer in the last forward pass, after ReLU except for the last layer.
    outputs: Vec<Vec<f32>>,
    /// The gradients of the outputs of two adjacent layers.
    output_gradients: [Vec<f32>; 2],
    products: Products,
}

/// The sizes of a layer, and the ranges of its parameters.
#[derive(Clone, Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Mlp {
    /// A network of these sizes: the inputs, the hidden layers, the classes. Its parameters are initialised as in torch's `Linear`,
    /// uniformly from -1 / sqrt(inputs) to 1 / sqrt(inputs). The seed determines them.
    ///
    /// # Panics
    /// If there are fewer than two sizes, or a size is 0.
    ///
    /// ```
    /// use ray_train::model::{Mlp, Model};
    /// assert_eq!(Mlp::new(&[4, 3], 1).state_dict(), Mlp::new(&[4, 3], 1).state_dict());
    /// ```
    pub fn new(sizes: &[usize], seed: u64) -> Mlp {
        assert!(sizes.len() >= 2, "a network needs the number of inputs and of classes, but its sizes are {sizes:?}");
        assert!(!sizes.contains(&0), "a layer of a network cannot be empty, but the sizes are {sizes:?}");
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
        let (mut random, mut values) = (SplitMix64::new(seed), Vec::with_capacity(end));
        for layer in &layers {
            let bound = 1.0 / (layer.inputs as f32).sqrt();
            values.extend((layer.weight.start..layer.bias.end).map(|_| random.uniform(-bound, bound)));
        }
        Mlp {
            sizes: sizes.to_vec(),
            gradients: Gradients::of(&parameters),
            outputs: vec![Vec::new(); layers.len()],
            output_gradients: [Vec::new(), Vec::new()],
            products: Products::default(),
            parameters,
            values,
            layers,
        }
    }

    /// Runs a forward and a backward pass over a batch: concatenated inputs, and the class of each. It adds the gradients of the mean
    /// cross-entropy to those of the model, and returns the mean cross-entropy.
    ///
    /// # Errors
    /// The number of inputs does not match the network and the labels; the batch is empty; a label is not a class of the network;
    /// those of [`Gradients::record`].
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
            return Err(failed(format!("label {label}, but the network has {classes} classes, counted from 0")));
        }
        if labels.len() * self.sizes[0] != inputs.len() {
            return Err(failed(format!(
                "{} inputs and {} labels, but the network takes {} inputs for each label",
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

    /// The outputs of the network for a batch of inputs: one logit for each class. The most likely class has the largest logit.
    ///
    /// # Errors
    /// There are no inputs, or their number is not a multiple of the network's inputs.
    ///
    /// ```
    /// let mut model = ray_train::model::Mlp::new(&[2, 3], 0);
    /// assert_eq!(model.forward(&[1.0, 2.0, 3.0, 4.0])?.len(), 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn forward(&mut self, inputs: &[f32]) -> ray::Result<&[f32]> {
        let batch = inputs.len() / self.sizes[0];
        if batch == 0 || batch * self.sizes[0] != inputs.len() {
            return Err(failed(format!(
                "{} inputs do not make a batch for a network with {} inputs",
                inputs.len(),
                self.sizes[0]
            )));
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let (before, after) = self.outputs.split_at_mut(at);
            let input = before.last().map_or(inputs, |output| &output[..]);
            let (weight, bias) = (&self.values[layer.weight.clone()], &self.values[layer.bias.clone()]);
            let output = &mut after[0];
            output.clear();
            (0..batch).for_each(|_| output.extend_from_slice(bias));
            let weight = Matrix::of(weight, layer.outputs, layer.inputs).transposed();
            self.products.add(output, Matrix::of(input, batch, layer.inputs), weight, true);
            if at + 1 < self.layers.len() {
                // Not `max`, which would replace NaN by zero.
                output.iter_mut().for_each(|value| *value = if *value <= 0.0 { 0.0 } else { *value });
            }
        }
        Ok(&self.outputs[self.layers.len() - 1])
    }

    /// The number of inputs in a batch that the network classifies correctly.
    ///
    /// # Errors
    /// Those of [`forward`](Mlp::forward).
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

    /// The total time that this network has spent in matrix products.
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

    /// The mean cross-entropy of the last outputs. Writes its gradient to the first buffer of output gradients.
    fn loss(&mut self, labels: &[u8]) -> f32 {
        let classes = self.sizes[self.sizes.len() - 1];
        let logits = &self.outputs[self.layers.len() - 1];
        let gradients = &mut self.output_gradients[0];
        gradients.resize(logits.len(), 0.0);
        let weight = 1.0 / labels.len() as f32;
        let mut sum = 0.0;
        for ((row, gradient), label) in logits.chunks_exact(classes).zip(gradients.chunks_exact_mut(classes)).zip(labels) {
            let label = usize::from(*label);
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for (gradient, logit) in gradient.iter_mut().zip(row) {
                *gradient = (logit - largest).exp();
            }
            let normaliser: f32 = gradient.iter().sum();
            sum += normaliser.ln() - (row[label] - largest);
            gradient.iter_mut().for_each(|gradient| *gradient *= weight / normaliser);
            gradient[label] -= weight;
        }
        sum * weight
    }

    /// Computes the gradients of all parameters from the gradient of the outputs, from the last layer to the first.
    fn backward(&mut self, inputs: &[f32], gradients: &mut [f32], add: bool) {
        let batch = inputs.len() / self.sizes[0];
        for (at, layer) in self.layers.iter().enumerate().rev() {
            let input = if at == 0 { inputs } else { &self.outputs[at - 1][..] };
            let [output_gradient, input_gradient] = &mut self.output_gradients;
            let bias = &mut gradients[layer.bias.clone()];
            if !add {
                bias.fill(0.0);
            }
            for row in output_gradient.chunks_exact(layer.outputs) {
                bias.iter_mut().zip(row).for_each(|(sum, gradient)| *sum += gradient);
            }
            let output_matrix = Matrix::of(output_gradient, batch, layer.outputs);
            let input_matrix = Matrix::of(input, batch, layer.inputs);
            self.products.add(&mut gradients[layer.weight.clone()], output_matrix.transposed(), input_matrix, add);
            if at > 0 {
                input_gradient.resize(batch * layer.inputs, 0.0);
                let weight = Matrix::of(&self.values[layer.weight.clone()], layer.outputs, layer.inputs);
                self.products.add(input_gradient, output_matrix, weight, false);
                // The gradient of ReLU is 1 for a positive output, and for NaN.
                input_gradient.iter_mut().zip(input).for_each(|(gradient, output)| {
                    if *output <= 0.0 {
                        *gradient = 0.0;
                    }
                });
                std::mem::swap(output_gradient, input_gradient);
            }
        }
    }
}

impl Model for Mlp {
    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn visit(&self, body: &mut dyn FnMut(usize, &[f32])) {
        let mut rest = &self.values[..];
        for (at, parameter) in self.parameters.iter().enumerate() {
            let (values, others) = rest.split_at(parameter.len());
            body(at, values);
            rest = others;
        }
    }

    fn update(&mut self, body: &mut dyn FnMut(usize, &mut [f32])) {
        let mut rest = &mut self.values[..];
        for (at, parameter) in self.parameters.iter().enumerate() {
            let (values, others) = rest.split_at_mut(parameter.len());
            body(at, values);
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

/// The index of the largest value, the first one if several are equal. NaN is never the largest.
fn largest(row: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in row.iter().enumerate() {
        if *value > row[best] || row[best].is_nan() {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each gradient equals the finite difference of the loss along its parameter.
    #[test]
    fn gradients_equal_finite_differences() {
        let mut model = Mlp::new(&[3, 5, 4, 2], 9);
        let (inputs, labels) = ([0.3, -0.7, 1.1, 0.9, 0.2, -1.3], [1, 0]);
        model.train(&inputs, &labels).unwrap();
        let gradients = model.gradients.as_slice().to_vec();
        for (at, gradient) in gradients.iter().enumerate() {
            let mut loss = [0.0; 2];
            for (loss, by) in loss.iter_mut().zip([-1e-3, 1e-3]) {
                let mut other = model.clone();
                other.zero_grad();
                other.values[at] += by;
                *loss = other.train(&inputs, &labels).unwrap();
            }
            let difference = (loss[1] - loss[0]) / 2e-3;
            assert!((difference - gradient).abs() < 1e-3, "parameter {at}: {difference} and {gradient}");
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
    fn nan_propagates() {
        let mut model = Mlp::new(&[2, 4, 3], 1);
        assert!(model.train(&[f32::NAN, 0.0], &[0]).unwrap().is_nan());
        assert!(model.gradients.norm().is_nan());
    }

    #[test]
    fn incomplete_batches_are_refused() {
        let mut model = Mlp::new(&[2, 3], 1);
        assert!(model.train(&[], &[]).is_err());
        assert!(model.train(&[1.0, 2.0, 3.0], &[0]).is_err());
        assert!(model.forward(&[1.0]).is_err());
    }
}
