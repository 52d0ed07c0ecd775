//! A run that is interrupted in the middle of an epoch ends with the same bits as an uninterrupted one: the hashes of parameters and
//! optimiser state are equal. With shuffled data, a checkpoint in the middle of an epoch, two workers, and both kinds of model.

use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use ray_train::data::{DataLoader, FashionMnist, Images};
use ray_train::model::{Adam, Mlp, Optimizer, Sgd, StateDict};
use ray_train::{
    Checkpoint, InProgress, Metrics, RunConfig, ScalingConfig, TrainContext, TrainResult, Trainer, TrainingFailed, Worker,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::network::{Network, SIZES, engine};
use crate::process::{Process, child, is_child};

const WORKERS: usize = 2;
const EPOCHS: usize = 3;
const STEPS: usize = 8;
/// The number of steps between checkpoints. No checkpoint is at the end of an epoch.
const EVERY: usize = 5;
/// The step at which the run is interrupted, in the middle of the second epoch. Three steps are lost.
const CUT: usize = 13;

/// The number of steps that are done, counted through all epochs.
#[derive(Serialize, Deserialize)]
struct Progress {
    done: usize,
}

type Make = fn() -> Box<dyn Optimizer>;

const MOMENTUM: Make = || Box::new(Sgd::new(0.05).momentum(0.9));
const ADAM: Make = || Box::new(Adam::new(0.002));

fn images() -> Images {
    FashionMnist::synthetic(WORKERS * 16 * STEPS - 5, 10, 2).train
}

/// Trains to the end, from the run's checkpoint or from the start, and returns the hash of the final state. In a group that began at
/// the start, each rank calls `cut` at the step.
fn train<N: Network>(ctx: &TrainContext, images: &Images, make: Make, cut: impl Fn(&TrainContext)) -> ray::Result<String> {
    let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(16).shuffle(true));
    assert_eq!(loader.steps(), STEPS);
    let mut model = N::prepare(ctx, &SIZES)?;
    let mut optimizer = make();
    let mut done = 0;
    if let Some(checkpoint) = ctx.checkpoint() {
        let state = |name| StateDict::load(checkpoint.path().join(name));
        model.load_state_dict(&state("model.safetensors")?)?;
        optimizer.load_state_dict(&state("optimizer.safetensors")?, &model)?;
        done = checkpoint.metadata::<Progress>()?.done;
    }
    let from_the_start = done == 0;
    for epoch in done / STEPS..EPOCHS {
        for batch in loader.epoch(epoch as u64).skip(done % STEPS) {
            if done == CUT && from_the_start {
                cut(ctx);
            }
            let loss = model.train(&mut *batch?)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
            done += 1;
            if done % EVERY == 0 {
                let checkpoint = save(ctx, &model, &*optimizer, done)?;
                ctx.report(Metrics::new().with("loss", loss), checkpoint)?;
            }
        }
    }
    let hash = hash(&[model.state_dict(), optimizer.state_dict(&model)]);
    assert_eq!(ctx.broadcast_from_rank_zero(hash.clone())?, hash, "the replicas are equal");
    Ok(hash)
}

/// Saves the state of rank 0, which equals that of the other ranks.
fn save(ctx: &TrainContext, model: &impl Network, optimizer: &dyn Optimizer, done: usize) -> ray::Result<Option<Checkpoint>> {
    if ctx.world_rank() > 0 {
        return Ok(None);
    }
    let checkpoint = ctx.new_checkpoint()?;
    model.state_dict().save(checkpoint.path().join("model.safetensors"))?;
    optimizer.state_dict(model).save(checkpoint.path().join("optimizer.safetensors"))?;
    checkpoint.set_metadata(&Progress { done })?;
    Ok(Some(checkpoint))
}

fn hash(states: &[StateDict]) -> String {
    let mut hasher = Sha256::new();
    states.iter().for_each(|state| hasher.update(state.to_bytes()));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn run(name: &str) -> RunConfig {
    engine();
    let long = Duration::from_secs(60);
    RunConfig::temporary(name).unwrap().timeout(long).grace(long)
}

fn fit<N: Network>(
    run: RunConfig,
    make: Make,
    cut: impl Fn(&TrainContext) + Send + Sync + 'static,
) -> ray::Result<TrainResult<String>> {
    let images = images();
    let train = move |ctx: &TrainContext| train::<N>(ctx, &images, make, &cut);
    Trainer::new(train).scaling(ScalingConfig::workers(WORKERS)).run_config(run).fit()
}

/// The final hash. Checks that the history has each report once.
fn ended(fit: ray::Result<TrainResult<String>>) -> String {
    let result = fit.unwrap();
    let reports: Vec<u64> = result.history().iter().map(|report| report.number()).collect();
    assert_eq!(reports, [1, 2, 3, 4]);
    result.into_value()
}

fn survives<N: Network>(test: &str, make: Make) {
    if is_child(test) {
        train_until_killed::<N>(make);
    }
    let whole = ended(fit::<N>(run("whole"), make, |_| {}));
    assert_eq!(after_a_panic::<N>(make), whole, "after a panic");
    assert_eq!(after_a_kill::<N>(make), whole, "after ray::kill");
    if cfg!(unix) {
        assert_eq!(after_the_process_was_killed::<N>(test, make), whole, "after kill -9");
    }
}

fn after_a_panic<N: Network>(make: Make) -> String {
    let cut = |ctx: &TrainContext| assert!(ctx.world_rank() != 1, "cut off");
    ended(fit::<N>(run("panic").max_failures(1), make, cut))
}

/// Another thread kills rank 1, while rank 0 is at the step, and rank 1 at the step or in the next all-reduce.
fn after_a_kill<N: Network>(make: Make) -> String {
    let run = run("kill").max_failures(1);
    let path = run.path().unwrap();
    let ((at_the_step, reached), (killed, go_on)) = (mpsc::channel(), mpsc::channel());
    let go_on = Mutex::new(go_on);
    let killer = std::thread::spawn(move || {
        reached.recv().unwrap();
        ray::kill(&Worker::find(path, 1).unwrap()).unwrap();
        killed.send(()).unwrap();
    });
    let cut = move |ctx: &TrainContext| {
        if ctx.world_rank() == 0 {
            at_the_step.send(()).unwrap();
            go_on.lock().unwrap().recv().unwrap();
        }
    };
    let end = ended(fit::<N>(run, make, cut));
    killer.join().unwrap();
    end
}

const STORAGE: &str = "RAY_TRAIN_TEST_STORAGE";

/// In a child process: trains up to the step, and waits there.
fn train_until_killed<N: Network>(make: Make) {
    engine();
    let cut = |ctx: &TrainContext| {
        if ctx.world_rank() == 1 {
            println!("at the step");
            loop {
                // body: the process is killed here
                std::thread::park();
            }
        }
    };
    let run = RunConfig::new("killed").storage(std::env::var_os(STORAGE).unwrap());
    let _ = fit::<N>(run, make, cut);
    unreachable!("the process should have been killed");
}

/// The child process is killed, and this process resumes its run.
fn after_the_process_was_killed<N: Network>(test: &str, make: Make) -> String {
    let storage = tempfile::tempdir().unwrap();
    let mut process = Process::of(child(test).env(STORAGE, storage.path()));
    process.await_line("at the step");
    let run = || RunConfig::new("killed").storage(storage.path());

    // While the child process lives, it holds the lock of the run.
    let error = fit::<N>(run(), make, |_| {}).unwrap_err();
    let holder = &error.downcast_ref::<InProgress>().unwrap_or_else(|| panic!("{error:?}")).holder;
    assert!(holder.contains(&process.id().to_string()), "{holder}");

    process.kill();
    ended(fit::<N>(run(), make, |_| {}))
}

#[test]
fn momentum_by_hand() {
    survives::<Mlp>("faults::momentum_by_hand", MOMENTUM);
}

#[test]
fn adam_by_hand() {
    survives::<Mlp>("faults::adam_by_hand", ADAM);
}

#[cfg(feature = "burn")]
#[test]
fn momentum_by_burn() {
    survives::<crate::network::Burned>("faults::momentum_by_burn", MOMENTUM);
}

#[cfg(feature = "burn")]
#[test]
fn adam_by_burn() {
    survives::<crate::network::Burned>("faults::adam_by_burn", ADAM);
}

/// The ranks that failed, and the text of the error.
fn failure<R: std::fmt::Debug>(fit: ray::Result<R>) -> (Vec<usize>, String) {
    let error = fit.unwrap_err();
    let failed = error.downcast_ref::<TrainingFailed>().unwrap_or_else(|| panic!("another error: {error:?}"));
    (failed.worker_failures.iter().map(|failure| failure.rank).collect(), failed.to_string())
}

/// The error for a checkpoint that does not match names the rank and the difference, and the run is unchanged.
#[test]
fn a_checkpoint_that_does_not_match() {
    let run = run("misfit");
    let whole = ended(fit::<Mlp>(run.clone(), ADAM, |_| {}));
    let (ranks, text) = failure(fit::<Mlp>(run.clone(), MOMENTUM, |_| {}));
    assert!(!ranks.is_empty() && text.contains("the state of Adam, and the optimiser is Sgd"), "{text}");
    let other = |ctx: &TrainContext| {
        let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[784, 16, 10], 0)))?;
        let path = ctx.checkpoint().unwrap().path().join("model.safetensors");
        ray_train::model::Model::load_state_dict(&mut model, &StateDict::load(path)?)
    };
    let (ranks, text) = failure(Trainer::new(other).scaling(ScalingConfig::workers(3)).run_config(run.clone()).fit());
    assert!(!ranks.is_empty() && text.contains("`fc1.weight` has the shape [32, 784], expected [16, 784]"), "{text}");
    assert_eq!(ended(fit::<Mlp>(run, ADAM, |_| {})), whole, "the run is unchanged");
}

/// A file that the loop itself has written damaged, so its checksum is right.
#[test]
fn a_damaged_file_of_a_checkpoint() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 3] = [
        (|file| std::fs::write(file, &std::fs::read(file).unwrap()[..1000]).unwrap(), "not a complete safetensors file"),
        (|file| std::fs::write(file, "PK\x03\x04 of another program").unwrap(), "not a complete safetensors file"),
        (|file| std::fs::remove_file(file).unwrap(), "No such file"),
    ];
    for (damage, expected) in cases {
        let run = run("no_file");
        let train = move |ctx: &TrainContext| {
            let checkpoint = ctx.new_checkpoint()?;
            if ctx.world_rank() == 0 {
                let file = checkpoint.path().join("model.safetensors");
                ray_train::model::Model::state_dict(&Mlp::new(&[784, 32, 10], 0)).save(&file)?;
                damage(&file);
            }
            checkpoint.set_metadata(&Progress { done: EVERY })?;
            ctx.report((), Some(checkpoint))
        };
        Trainer::new(train).scaling(ScalingConfig::workers(WORKERS)).run_config(run.clone()).fit().unwrap();
        let (ranks, text) = failure(fit::<Mlp>(run, ADAM, |_| {}));
        assert!(!ranks.is_empty() && text.contains("model.safetensors") && text.contains(expected), "{text}");
    }
}

fn labels_out_of_range<N: Network>() {
    let train = |ctx: &TrainContext| {
        // Rank 1 has a label of 10, but there are only ten classes.
        let images = Images::new(28, 28, vec![0; 4 * 784], vec![0, 9, 3, 10])?;
        let mut model = N::prepare(ctx, &SIZES)?;
        for batch in ctx.prepare_data_loader(DataLoader::new(images).batch_size(2)).epoch(0) {
            model.train(&mut *batch?)?;
            ctx.allreduce_grads(&mut model)?;
        }
        Ok(())
    };
    let (ranks, text) = failure(Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run("labels")).fit());
    assert_eq!(ranks, [1], "{text}");
    assert!(text.contains("10"), "{text}");
}

#[test]
fn an_invalid_label_by_hand() {
    labels_out_of_range::<Mlp>();
}

#[cfg(feature = "burn")]
#[test]
fn an_invalid_label_by_burn() {
    labels_out_of_range::<crate::network::Burned>();
}
