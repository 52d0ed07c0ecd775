//! The network of the article, as a module of burn and as `Mlp`.

use ray_train::TrainContext;
use ray_train::data::ImageBatch;
use ray_train::model::{Mlp, Model};

/// The functions that the loop needs in addition to `Model`.
pub(crate) trait Network: Model + Sized {
    /// Makes this rank's replica.
    fn prepare(ctx: &TrainContext) -> ray::Result<Self>;
    /// Runs a forward and a backward pass, and returns the loss.
    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32>;
    /// The number of images in a batch that it classifies correctly.
    fn correct(&mut self, batch: &mut ImageBatch) -> ray::Result<usize>;
}

/// 784-512-512-10.
pub(crate) type Hand = Mlp;

impl Network for Hand {
    fn prepare(ctx: &TrainContext) -> ray::Result<Self> {
        ctx.prepare_model(|| Ok(Mlp::new(&[784, 512, 512, 10], ctx.seed())))
    }

    fn train(&mut self, batch: &mut ImageBatch) -> ray::Result<f32> {
        Mlp::train(self, batch.pixels(), batch.labels())
    }

    fn correct(&mut self, batch: &mut ImageBatch) -> ray::Result<usize> {
        Mlp::correct(self, batch.pixels(), batch.labels())
    }
}

#[cfg(feature = "burn")]
pub(crate) use burned::Burned;

#[cfg(feature = "burn")]
mod burned {
    use ray_train::burn::nn::loss::CrossEntropyLoss;
    use ray_train::burn::nn::{Linear, LinearConfig};
    use ray_train::burn::tensor::activation::relu;
    use ray_train::burn::tensor::{Device, Tensor};
    use ray_train::burn::{self, module::Module};
    use ray_train::model::BurnModel;

    use super::*;

    #[derive(Module, Debug)]
    pub(crate) struct Net {
        fc1: Linear,
        fc2: Linear,
        fc3: Linear,
    }

    impl Net {
        fn new(device: &Device) -> Net {
            let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
            Net { fc1: linear(784, 512), fc2: linear(512, 512), fc3: linear(512, 10) }
        }

        fn forward(&self, images: Tensor<2>) -> Tensor<2> {
            let hidden = relu(self.fc1.forward(images));
            let hidden = relu(self.fc2.forward(hidden));
            self.fc3.forward(hidden)
        }
    }

    pub(crate) type Burned = BurnModel<Net>;

    impl Network for Burned {
        fn prepare(ctx: &TrainContext) -> ray::Result<Self> {
            ctx.prepare_module(Net::new)
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
}
