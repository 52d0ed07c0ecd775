//! The network as a module of burn.

use ray_train::TrainContext;
use ray_train::burn::nn::loss::CrossEntropyLoss;
use ray_train::burn::nn::{Linear, LinearConfig};
use ray_train::burn::tensor::activation::relu;
use ray_train::burn::tensor::{Device, Tensor};
use ray_train::burn::{self, module::Module};
use ray_train::data::ImageBatch;
use ray_train::model::BurnModel;

use crate::network::Network;

/// A network of two or three layers.
#[derive(Module, Debug)]
pub struct Net {
    fc1: Linear,
    fc2: Linear,
    fc3: Option<Linear>,
}

impl Net {
    /// A network with new weights on a device.
    ///
    /// # Panics
    /// If there are fewer than three or more than four sizes.
    pub fn new(sizes: &[usize], device: &Device) -> Net {
        let linear = |layer: usize| LinearConfig::new(sizes[layer], sizes[layer + 1]).init(device);
        match sizes.len() {
            3 => Net { fc1: linear(0), fc2: linear(1), fc3: None },
            4 => Net { fc1: linear(0), fc2: linear(1), fc3: Some(linear(2)) },
            sizes => panic!("a network has two or three layers, so it needs three or four sizes, but there are {sizes}"),
        }
    }

    /// The scores of the classes for each image. Each image is a row of pixels.
    pub fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        let hidden = self.fc2.forward(relu(self.fc1.forward(images)));
        match &self.fc3 {
            Some(fc3) => fc3.forward(relu(hidden)),
            None => hidden,
        }
    }
}

/// The network as a model of ray-train.
pub type Burned = BurnModel<Net>;

impl Network for Burned {
    fn prepare(ctx: &TrainContext, sizes: &[usize]) -> ray::Result<Self> {
        ctx.prepare_module(|device| Net::new(sizes, device))
    }

    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32> {
        let device = self.devices().remove(0);
        let (images, labels) = batch.tensors(&device);
        let loss = CrossEntropyLoss::new(None, &device).forward(self.forward(images), labels);
        self.backward(loss)
    }

    fn correct(&mut self, batch: &mut ImageBatch) -> ray::Result<usize> {
        let model = self.valid();
        let (images, labels) = batch.tensors(&model.devices()[0]);
        let found = model.forward(images).argmax(1).squeeze_dim::<1>(1);
        Ok(found.equal(labels).int().sum().into_scalar::<i64>() as usize)
    }
}
