//! A run that is interrupted in the middle of an epoch, and resumed from files, ends with the same bits.

use std::path::Path;

use ray_train::TrainContext;
use ray_train::data::{DataLoader, FashionMnist, Images};
use ray_train::model::{Adam, Mlp, Optimizer, Sgd, StateDict};

use crate::network::{Network, SIZES, fit};

/// The steps of an epoch, and the step at which the run is interrupted: in the second of three epochs.
const STEPS: usize = 8;
const CUT: usize = STEPS + 3;

type Make = fn() -> Box<dyn Optimizer>;

fn loader(ctx: &TrainContext, images: &Images) -> DataLoader<Images> {
    ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(16).shuffle(true))
}

/// Trains the steps `from..to`, counted through all epochs. It loads the files of a folder unless it starts at step 0, and saves the
/// final state there. Returns the final state of rank 0.
fn part<N: Network>(name: &str, make: Make, from: usize, to: usize, folder: &Path) -> (StateDict, StateDict) {
    let (images, folder) = (FashionMnist::synthetic(2 * 16 * STEPS - 5, 10, 2).train, folder.to_path_buf());
    fit(name, 2, move |ctx| {
        let loader = loader(ctx, &images);
        assert_eq!(loader.steps(), STEPS);
        let mut model = N::prepare(ctx, &SIZES)?;
        let mut optimizer = make();
        if from > 0 {
            model.load_state_dict(&StateDict::load(folder.join("model.safetensors"))?)?;
            optimizer.load_state_dict(&StateDict::load(folder.join("optimizer.safetensors"))?, &model)?;
        }
        let mut step = from;
        let first = loader.epoch((from / STEPS) as u64).skip(from % STEPS);
        let others = loader.epochs((from / STEPS) as u64 + 1..3);
        for batch in std::iter::once(first).chain(others).flatten() {
            if step == to {
                break;
            }
            model.train(&mut *batch?)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
            step += 1;
        }
        assert_eq!(step, to);
        let states = (model.state_dict(), optimizer.state_dict(&model));
        if ctx.world_rank() == 0 {
            states.0.save(folder.join("model.safetensors"))?;
            states.1.save(folder.join("optimizer.safetensors"))?;
        }
        Ok(states)
    })
    .unwrap()
}

fn resumes<N: Network>(name: &str, make: Make) {
    let folder = tempfile::tempdir().unwrap();
    let whole = part::<N>(&format!("{name}-whole"), make, 0, 3 * STEPS, folder.path());
    part::<N>(&format!("{name}-first"), make, 0, CUT, folder.path());
    let resumed = part::<N>(&format!("{name}-second"), make, CUT, 3 * STEPS, folder.path());
    assert!(whole == resumed, "the resumed run ends with other bits");
    assert!(whole.1.names().count() > 0, "the optimiser has a state");
}

const MOMENTUM: Make = || Box::new(Sgd::new(0.05).momentum(0.9).nesterov(true).weight_decay(1e-3));
const ADAM: Make = || Box::new(Adam::new(0.002));

#[test]
fn momentum_by_hand() {
    resumes::<Mlp>("resume-hand-momentum", MOMENTUM);
}

#[test]
fn adam_by_hand() {
    resumes::<Mlp>("resume-hand-adam", ADAM);
}

#[cfg(feature = "burn")]
#[test]
fn momentum_by_burn() {
    resumes::<crate::network::Burned>("resume-burn-momentum", MOMENTUM);
}

#[cfg(feature = "burn")]
#[test]
fn adam_by_burn() {
    resumes::<crate::network::Burned>("resume-burn-adam", ADAM);
}

/// The tests above detect a lost state: without it the result differs.
#[test]
fn a_lost_optimiser_state_changes_the_result() {
    let folder = tempfile::tempdir().unwrap();
    for (name, make) in [("momentum", MOMENTUM), ("adam", ADAM)] {
        let whole = part::<Mlp>(&format!("lost-{name}-whole"), make, 0, CUT + 2, folder.path());
        part::<Mlp>(&format!("lost-{name}-first"), make, 0, CUT, folder.path());
        let mut state = StateDict::load(folder.path().join("optimizer.safetensors")).unwrap();
        for name in state.names().map(str::to_owned).collect::<Vec<_>>() {
            if let Some(numbers) = state.get(&name).map(|numbers| vec![0.0; numbers.len()]) {
                let shape = state.shape(&name).unwrap().to_vec();
                state.insert(&name, &shape, numbers);
            }
        }
        state.save(folder.path().join("optimizer.safetensors")).unwrap();
        let lost = part::<Mlp>(&format!("lost-{name}-second"), make, CUT, CUT + 2, folder.path());
        assert!(whole.0 != lost.0, "{name}");
    }
}
