//! A plain implementation of the network in f64, as a reference for the models.

use ray_train::data::{DataLoader, FashionMnist, Images};
use ray_train::model::{Mlp, Optimizer, Sgd, StateDict};

use crate::network::{Network, SIZES, fit, weights};

const RATE: f64 = 0.1;
const EPOCHS: u64 = 2;

/// Weights and biases of two layers, in torch's layout.
#[derive(Clone)]
struct Reference {
    weights: [Vec<f64>; 2],
    biases: [Vec<f64>; 2],
}

impl Reference {
    fn new(state: &StateDict) -> Reference {
        let wide = |name: &str| state.get(name).unwrap().iter().map(|number| f64::from(*number)).collect();
        Reference { weights: [wide("fc1.weight"), wide("fc2.weight")], biases: [wide("fc1.bias"), wide("fc2.bias")] }
    }

    /// The mean loss of a batch and its gradients.
    fn pass(&self, images: &Images, batch: &[usize]) -> (f64, Reference) {
        let [inputs, hidden, classes] = SIZES;
        let mut slopes = Reference {
            weights: [vec![0.0; inputs * hidden], vec![0.0; hidden * classes]],
            biases: [vec![0.0; hidden], vec![0.0; classes]],
        };
        let mut loss = 0.0;
        for &item in batch {
            let pixels: Vec<f64> =
                images.pixels()[item * inputs..][..inputs].iter().map(|byte| f64::from(*byte) / 255.0).collect();
            let label = usize::from(images.labels()[item]);
            let first = layer(&self.weights[0], &self.biases[0], &pixels);
            let active: Vec<f64> = first.iter().map(|number| number.max(0.0)).collect();
            let logits = layer(&self.weights[1], &self.biases[1], &active);
            let all: f64 = logits.iter().map(|number| number.exp()).sum();
            loss += (all.ln() - logits[label]) / batch.len() as f64;

            let share = 1.0 / batch.len() as f64;
            let mut back = vec![0.0; hidden];
            for (class, logit) in logits.iter().enumerate() {
                let slope = (logit.exp() / all - f64::from(u8::from(class == label))) * share;
                slopes.biases[1][class] += slope;
                for unit in 0..hidden {
                    slopes.weights[1][class * hidden + unit] += slope * active[unit];
                    back[unit] += slope * self.weights[1][class * hidden + unit];
                }
            }
            for unit in (0..hidden).filter(|unit| first[*unit] > 0.0) {
                slopes.biases[0][unit] += back[unit];
                for (slope, pixel) in slopes.weights[0][unit * inputs..].iter_mut().zip(&pixels) {
                    *slope += back[unit] * pixel;
                }
            }
        }
        (loss, slopes)
    }

    fn arrays(&mut self) -> impl Iterator<Item = &mut Vec<f64>> {
        self.weights.iter_mut().chain(&mut self.biases)
    }
}

fn layer(weight: &[f64], bias: &[f64], input: &[f64]) -> Vec<f64> {
    let dot = |(row, bias): (&[f64], &f64)| bias + row.iter().zip(input).map(|(a, b)| a * b).sum::<f64>();
    weight.chunks(input.len()).zip(bias).map(dot).collect()
}

/// The losses of rank 0 in all steps, and the final model, for this many workers whose gradients are averaged.
fn expected(images: &Images, workers: usize, batch: usize) -> (Vec<f64>, Reference) {
    let mut model = Reference::new(&weights());
    let (mut losses, count) = (Vec::new(), images.labels().len());
    let each = count.div_ceil(workers);
    for _ in 0..EPOCHS {
        for start in (0..each).step_by(batch) {
            let steps = start..(start + batch).min(each);
            let passes: Vec<(f64, Reference)> = (0..workers)
                .map(|rank| {
                    let items: Vec<usize> = steps.clone().map(|nth| (rank + nth * workers) % count).collect();
                    model.pass(images, &items)
                })
                .collect();
            losses.push(passes[0].0);
            for (_, mut slopes) in passes {
                for (numbers, slopes) in model.arrays().zip(slopes.arrays()) {
                    numbers.iter_mut().zip(slopes).for_each(|(number, slope)| *number -= RATE * *slope / workers as f64);
                }
            }
        }
    }
    (losses, model)
}

/// The losses of rank 0 and the final parameters of the trainer.
fn found<N: Network>(name: &str, images: &Images, workers: usize, batch: usize) -> (Vec<f32>, StateDict) {
    let images = images.clone();
    fit(name, workers, move |ctx| {
        let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(batch));
        let mut model = N::prepare(ctx, &SIZES)?;
        model.load_state_dict(&weights())?;
        let (mut optimizer, mut losses) = (Sgd::new(RATE), Vec::new());
        for batch in loader.epochs(0..EPOCHS).flatten() {
            losses.push(model.train(&mut *batch?)?);
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
        }
        Ok((losses, model.state_dict()))
    })
    .unwrap()
}

fn agrees<N: Network>(name: &str) {
    // 150 is not a multiple of 4 workers, 37 is not a multiple of 2, 3 or 4, and 3 is less than 4.
    for (items, batch) in [(150, 16), (37, 10), (3, 2)] {
        let images = FashionMnist::synthetic(items, 10, 3).train;
        for workers in 1..=4 {
            let (losses, mut model) = expected(&images, workers, batch);
            let (ours, state) = found::<N>(&format!("{name}-{items}-{workers}"), &images, workers, batch);
            assert_eq!(ours.len(), losses.len());
            for (step, (ours, reference)) in ours.iter().zip(&losses).enumerate() {
                let apart = (f64::from(*ours) - reference).abs();
                assert!(apart < 1e-5, "{items} items, {workers} workers, step {step}: {ours} and {reference}");
            }
            for (name, numbers) in ["fc1.weight", "fc2.weight", "fc1.bias", "fc2.bias"].iter().zip(model.arrays()) {
                let pairs = state.get(name).unwrap().iter().zip(&*numbers);
                let apart = pairs.map(|(ours, reference)| (f64::from(*ours) - reference).abs()).fold(0.0, f64::max);
                assert!(apart < 1e-5, "{items} items, {workers} workers: {name} differs by {apart}");
            }
        }
    }
}

#[test]
fn by_hand() {
    agrees::<Mlp>("reference-hand");
}

#[cfg(feature = "burn")]
#[test]
fn by_burn() {
    agrees::<crate::network::Burned>("reference-burn");
}
