//! Compares the losses of the article's network with those of torch for the same weights and images.
//!
//! ```text
//! FASHION_MNIST_DIR=<set> cargo run --release -p ray-train --example train_parity -- --init mlp-init.f32 --workers 4
//! ```
//!
//! `--init FILE`: the initial weights, little-endian f32, each layer's weight `[out, in]` and bias; by default from a seed.
//! `--workers N` (1), `--epochs N` (3), `--limit N`: only the first images of the set. `--network burn|mlp`: a module of burn, or
//! `Mlp`. `--gpu AMOUNT`: each worker's share of a GPU, for instance 0.5; by default the CPUs. It prints rank 0's mean (over batches)
//! and last loss of each epoch, then the test accuracy. It fails if the losses of torch are known for this set and these options, and
//! differ.

mod oracle;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

use oracle::Losses;
use ray_networks::{ARTICLE, Network};
use ray_train::data::{DataLoader, FashionMnist, Images};
use ray_train::model::{Mlp, Model, Optimizer, Sgd, StateDict};
use ray_train::{Device, RunConfig, ScalingConfig, TrainContext, Trainer};
use serde::Serialize;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 64;
const LEARNING_RATE: f64 = 0.01;

/// The options of the command line.
#[derive(Clone, Debug, Serialize)]
struct Options {
    init: Option<PathBuf>,
    workers: usize,
    epochs: u64,
    limit: Option<usize>,
    network: String,
    gpu: Option<f64>,
}

fn main() -> ExitCode {
    match options().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> ray::Result<Options> {
    let mut options = Options { init: None, workers: 1, epochs: 3, limit: None, network: "burn".into(), gpu: None };
    let mut arguments = env::args().skip(1);
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| ray::Error::other(format!("{option} needs a value")))?;
        let number = || value.parse().map_err(|_| ray::Error::other(format!("{option} needs a number, not {value}")));
        match option.as_str() {
            "--init" => options.init = Some(value.into()),
            "--workers" => options.workers = number()?,
            "--epochs" => options.epochs = number()? as u64,
            "--limit" => options.limit = Some(number()?),
            "--network" => options.network = value,
            "--gpu" => {
                options.gpu =
                    Some(value.parse().map_err(|_| ray::Error::other(format!("{option} needs a number, not {value}")))?);
            }
            _ => {
                let known = "--init, --workers, --epochs, --limit, --network, --gpu";
                return Err(ray::Error::other(format!("{option} is not known: {known}")));
            }
        }
    }
    Ok(options)
}

fn run(options: Options) -> ray::Result<bool> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let gpus = options.gpu.map_or(0, |_| Device::gpus());
    ray::init_with(ray::Config::new().num_cpus(cpus.max(options.workers)).num_gpus(gpus))?;

    let data = FashionMnist::find(None)?;
    println!("{}", data.source());
    let known = oracle::is_its_set(&data).then(|| oracle::losses(options.workers, options.limit)).flatten();
    let train = match options.limit {
        Some(limit) => data.train.prefix(limit),
        None => data.train,
    };
    let epochs = options.epochs;
    let mut scaling = ScalingConfig::workers(options.workers);
    if let Some(amount) = options.gpu {
        scaling = scaling.use_gpu(true).gpus_per_worker(amount);
    }
    let run = RunConfig::temporary("train_parity")?;
    let trainer = Trainer::new(move |ctx: &TrainContext, options: Options| match options.network.as_str() {
        "mlp" => train_loop::<Mlp>(ctx, &options, &train, &data.test),
        #[cfg(feature = "burn")]
        "burn" => train_loop::<ray_networks::Burned>(ctx, &options, &train, &data.test),
        other => Err(ray::Error::other(format!("there is no network `{other}`: use mlp, or burn (needs the feature `burn`)"))),
    });
    let result = trainer.config(options).scaling(scaling).run_config(run).fit()?;
    let (losses, accuracy) = result.into_value();
    println!("peak memory {} MB", peak_memory_mb());
    match known {
        None => println!("no comparison: the losses of torch are not known for this set and these options"),
        Some(known) => return Ok(known.agree(&losses, (epochs == 3).then_some(accuracy))),
    }
    Ok(true)
}

/// The loop of the article: each rank's share in the order of the file, averaged gradients, plain gradient descent.
fn train_loop<N: Network>(
    ctx: &TrainContext,
    options: &Options,
    train: &Images,
    test: &Images,
) -> ray::Result<(Vec<Losses>, f64)> {
    let loader = ctx.prepare_data_loader(DataLoader::new(train.clone()).batch_size(BATCH));
    let mut model = N::prepare(ctx, &ARTICLE)?;
    if let Some(path) = &options.init {
        let weights = read_weights(path, &model)?;
        model.load_state_dict(&weights)?;
    }
    let mut optimizer = Sgd::new(LEARNING_RATE);
    let mut epochs = Vec::new();
    for epoch in loader.epochs(0..options.epochs) {
        let (number, steps, begin) = (epoch.number(), epoch.steps(), Instant::now());
        let (mut sum, mut last) = (0.0, 0.0);
        for batch in epoch {
            let loss = model.train(&mut *batch?)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
            sum += f64::from(loss);
            last = f64::from(loss);
        }
        let losses = Losses { mean: sum / steps as f64, last };
        if ctx.world_rank() == 0 {
            println!("epoch {number}: mean {:.6} last {:.6} ({:.3} s)", losses.mean, losses.last, begin.elapsed().as_secs_f64());
        }
        epochs.push(losses);
    }
    let mut accuracy = 0.0;
    if ctx.world_rank() == 0 {
        let mut correct = 0;
        for batch in DataLoader::new(test.clone()).batch_size(500).epoch(0) {
            correct += model.correct(&mut *batch?)?;
        }
        accuracy = correct as f64 / test.labels().len() as f64;
        println!("test accuracy {accuracy:.6}");
    }
    Ok((epochs, accuracy))
}

/// The weights of a file, in the order of the model's parameters.
fn read_weights(path: &PathBuf, model: &impl Model) -> ray::Result<StateDict> {
    let bytes = fs::read(path).map_err(|error| ray::Error::other(format!("{}: {error}", path.display())))?;
    if bytes.len() != 4 * model.num_parameters() {
        let numbers = model.num_parameters();
        return Err(ray::Error::other(format!(
            "{} has {} bytes, but the network has {numbers} numbers of 4 bytes each",
            path.display(),
            bytes.len()
        )));
    }
    let mut numbers = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four));
    let mut state = StateDict::new();
    for parameter in model.parameters() {
        state.insert(parameter.path(), parameter.shape(), numbers.by_ref().take(parameter.len()).collect());
    }
    Ok(state)
}

/// The peak memory of this process on Linux; 0 on other systems.
fn peak_memory_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) / 1024
}
