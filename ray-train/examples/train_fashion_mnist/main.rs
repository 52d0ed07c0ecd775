//! The article's last program, line by line: a neural network learns FashionMNIST, in one process or in several workers.
//!
//! ```text
//! cargo run --release -p ray-train --example train_fashion_mnist                      # train_func
//! cargo run --release -p ray-train --example train_fashion_mnist -- --workers 4       # train_func_distributed
//! cargo run --release -p ray-train --example train_fashion_mnist -- --workers 4 --kill-rank 1 --at-step 300
//! ```
//!
//! This file has the code of the article. The other files have the command line (`--help` lists the options), the progress bars, the
//! recovery after a failure, and the evaluation of the result.

mod curve;
mod options;
mod outcome;
mod progress;
mod recovery;
#[cfg(test)]
mod tests;

use std::time::Instant;

use lexopt::Parser;
use options::Options;
use outcome::{Losses, position};
use progress::Progress;
use ray_train::burn::nn::{Linear, LinearConfig, Relu, loss::CrossEntropyLoss};
use ray_train::burn::tensor::{Device, Tensor};
use ray_train::burn::{self, module::Module};
use ray_train::data::{DataLoader, Dataset, FashionMnist, Images};
use ray_train::model::{BurnModel, Model, Optimizer, Sgd};
use ray_train::{Metrics, ScalingConfig, TrainContext, Trainer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_SIZE: usize = 64;

fn get_dataset(options: &Options) -> ray::Result<FashionMnist> {
    if options.synthetic {
        let train = options.limit.unwrap_or(60_000);
        return Ok(FashionMnist::synthetic(train, train.div_ceil(6), 0));
    }
    let mut dataset = FashionMnist::find(options.data.as_deref())?;
    if let Some(limit) = options.limit {
        dataset.train = dataset.train.prefix(limit);
    }
    Ok(dataset)
}

#[derive(Module, Debug)]
struct NeuralNetwork {
    linear_relu_stack: (Linear, Relu, Linear, Relu, Linear),
}

impl NeuralNetwork {
    fn new(device: &Device) -> Self {
        NeuralNetwork {
            linear_relu_stack: (
                LinearConfig::new(28 * 28, 512).init(device),
                Relu::new(),
                LinearConfig::new(512, 512).init(device),
                Relu::new(),
                LinearConfig::new(512, 10).init(device),
            ),
        }
    }

    /// Each row of the inputs is an image.
    fn forward(&self, inputs: Tensor<2>) -> Tensor<2> {
        let (linear1, relu1, linear2, relu2, linear3) = &self.linear_relu_stack;
        let hidden = relu1.forward(linear1.forward(inputs));
        let hidden = relu2.forward(linear2.forward(hidden));
        linear3.forward(hidden)
    }
}

/// Training without workers, on all cores, as in torch.
fn train_func(options: &Options, dataset: Images, progress: &Progress) -> ray::Result<(BurnModel<NeuralNetwork>, Losses)> {
    let num_epochs = options.epochs;
    let batch_size = BATCH_SIZE;

    let dataloader = DataLoader::new(dataset).batch_size(batch_size);

    let device = ray_train::Device::for_rank(options.use_gpu, 0)?.burn().autodiff();
    device.seed(0);
    let mut model = BurnModel::new(NeuralNetwork::new(&device))?;

    let criterion = CrossEntropyLoss::new(None, &device);
    let mut optimizer = Sgd::new(0.01);

    let (steps, mut losses) = (dataloader.steps(), Losses::new());
    for epoch in 0..num_epochs {
        let mut loss_item = f32::NAN;
        for (step, batch) in dataloader.epoch(epoch).enumerate() {
            let (inputs, labels) = batch?.tensors(&device);
            model.zero_grad();
            let pred = model.forward(inputs);
            let loss = criterion.forward(pred, labels);
            loss_item = model.backward(loss)?;
            optimizer.step(&mut model)?;

            progress.step(0, epoch, step, loss_item);
            losses.push((position(epoch, step + 1, steps), loss_item.into()));
        }
        progress.say(format!("epoch: {epoch}, loss: {loss_item}"));
    }
    Ok((model, losses))
}

/// Distributed training: the loop of each worker.
fn train_func_distributed(ctx: &TrainContext, options: &Options, dataset: Images, progress: &Progress) -> ray::Result<()> {
    let num_epochs = options.epochs;
    let batch_size = BATCH_SIZE;

    let dataloader = DataLoader::new(dataset).batch_size(batch_size);
    let dataloader = ctx.prepare_data_loader(dataloader);

    let mut model = ctx.prepare_module(NeuralNetwork::new)?;

    let device = ctx.device().burn().autodiff();
    let criterion = CrossEntropyLoss::new(None, &device);
    let mut optimizer = Sgd::new(0.01);

    // After a failure the restarted group continues here, from the last checkpoint.
    let start = recovery::resume(ctx, &mut model, &mut optimizer, progress)?;
    let steps = dataloader.steps();
    for epoch in start.epoch..num_epochs {
        let mut loss_item = f32::NAN;
        let first = start.first_step(ctx, epoch);
        for (step, batch) in (first..).zip(dataloader.epoch(epoch).skip(first)) {
            recovery::fail_if_requested(ctx, options.kill, epoch as usize * steps + step + 1, progress);
            let (inputs, labels) = batch?.tensors(&device);
            model.zero_grad();
            let pred = model.forward(inputs);
            let loss = criterion.forward(pred, labels);
            loss_item = model.backward(loss)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;

            progress.step(ctx.world_rank(), epoch, step, loss_item);
            if recovery::is_due(step + 1, steps) {
                let checkpoint = recovery::save(ctx, &model, &optimizer, epoch, (step + 1, steps))?;
                let metrics = Metrics::new().with("epochs", position(epoch, step + 1, steps)).with("loss", loss_item);
                ctx.report_mean(metrics, checkpoint)?;
            }
        }
        if ctx.world_rank() == 0 {
            progress.say(format!("epoch: {epoch}, loss: {loss_item}"));
        }
    }
    Ok(())
}

/// Trains with these options, and prints, draws and checks the result. Returns the model.
fn train(options: &Options) -> ray::Result<BurnModel<NeuralNetwork>> {
    // Read once: the workers share the images.
    let dataset = get_dataset(options)?;
    let (train, test) = (dataset.train.clone(), &dataset.test);
    println!("{}: {} images to train with, {} to test with", dataset.source(), train.len(), test.len());

    let steps = DataLoader::new(train.clone()).batch_size(BATCH_SIZE).rank(0, options.workers.unwrap_or(1)).steps();
    options.check_steps(steps)?;
    let progress = Progress::new(options.workers.unwrap_or(1), options.epochs, steps);
    let begin = Instant::now();

    let (model, losses) = match options.workers {
        None => train_func(options, train, &progress)?,
        Some(num_workers) => {
            // For GPU training, `--use-gpu` sets `use_gpu`.
            let use_gpu = options.use_gpu;

            let progress = progress.clone();
            let trainer = Trainer::new(move |ctx: &TrainContext, options: Options| {
                train_func_distributed(ctx, &options, train.clone(), &progress)
            })
            .config(options.clone())
            .scaling(ScalingConfig::workers(num_workers).use_gpu(use_gpu))
            .run_config(recovery::run_config(options)?);

            let results = trainer.fit()?;
            outcome::of_run(&results, use_gpu)?
        }
    };
    progress.end();
    let seconds = begin.elapsed().as_secs_f64();

    let accuracy = outcome::accuracy(&model, test)?;
    println!("test accuracy: {accuracy:.4}, after {seconds:.2} s");
    let setup = options.workers.map_or("one process".to_owned(), |workers| format!("{workers} workers"));
    curve::draw(&options.svg, &format!("{setup}: test accuracy {accuracy:.4}"), &losses)?;
    println!("loss curve: {}", options.svg.display());
    outcome::check(&losses, accuracy, options.epochs.saturating_mul(steps as u64));
    Ok(model)
}

fn main() -> ray::Result<()> {
    let Some(options) = Options::parse(Parser::from_env())? else { return Ok(()) };
    curve::check(&options.svg)?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let gpus = if options.use_gpu { ray_train::Device::gpus() } else { 0 };
    ray::init_with(ray::Config::new().num_cpus(cpus.max(options.workers.unwrap_or(1))).num_gpus(gpus))?;
    train(&options).map(drop)
}
