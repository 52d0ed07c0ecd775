//! The evaluation of a run: its losses, the accuracy of its model, and a check that it has learned.

use ray_train::TrainResult;
use ray_train::data::{DataLoader, Dataset, Images};
use ray_train::model::BurnModel;

use crate::NeuralNetwork;
use crate::recovery;

/// Losses, each with its position in epochs.
pub(crate) type Losses = Vec<(f64, f64)>;

/// The position in a run, in epochs, after this number of steps in an epoch.
pub(crate) fn position(epoch: u64, taken: usize, steps: usize) -> f64 {
    epoch as f64 + taken as f64 / steps as f64
}

/// The model of a run's last checkpoint, and the reported losses.
pub(crate) fn of_run(results: &TrainResult<()>, use_gpu: bool) -> ray::Result<(BurnModel<NeuralNetwork>, Losses)> {
    let device = ray_train::Device::for_rank(use_gpu, 0)?.burn().autodiff();
    let mut model = BurnModel::new(NeuralNetwork::new(&device))?;
    recovery::load_model(results.checkpoint().expect("an epoch ends with a checkpoint"), &mut model)?;
    let metrics = results.history().iter().map(|report| report.metrics());
    let losses = metrics.filter_map(|metrics| Some((metrics.number("epochs")?, metrics.number("loss")?))).collect();
    Ok((model, losses))
}

/// The share of the test images that the model classifies correctly.
pub(crate) fn accuracy(model: &BurnModel<NeuralNetwork>, test: &Images) -> ray::Result<f64> {
    let model = model.valid();
    let device = model.linear_relu_stack.0.weight.device();
    let mut right = 0;
    for batch in DataLoader::new(test.clone()).batch_size(500).epoch(0) {
        let (inputs, labels) = batch?.tensors(&device);
        let found = model.forward(inputs).argmax(1).squeeze_dim::<1>(1);
        right += found.equal(labels).int().sum().into_scalar::<i64>();
    }
    Ok(right as f64 / test.len() as f64)
}

/// The number of steps after which the model must have learned. A small part of the set, or many workers, need fewer steps.
const MIN_STEPS: u64 = 200;

/// Panics if the model has not learned although there were enough steps.
pub(crate) fn check(losses: &Losses, accuracy: f64, steps: u64) {
    assert!(losses.iter().all(|(_, loss)| loss.is_finite()), "a loss is not a number");
    if steps < MIN_STEPS {
        return;
    }
    let fifth = losses.len().div_ceil(5);
    let mean = |part: &[(f64, f64)]| part.iter().map(|(_, loss)| loss).sum::<f64>() / part.len() as f64;
    let (first, last) = (mean(&losses[..fifth]), mean(&losses[losses.len() - fifth..]));
    assert!(last < first, "the loss has not fallen: {first} in the beginning, {last} in the end");
    assert!(accuracy > 0.2, "the accuracy is {accuracy}, and chance gives 0.1");
}
