//! Several replicas train as one model.

use ray_train::data::{DataLoader, FashionMnist};
use ray_train::model::{Adam, Mlp, Model, Optimizer, Sgd, StateDict};

use crate::network::{Network, SIZES, fit};

/// Trains with this many workers, whose batches together are the same for each number of workers. Returns the final parameters.
fn trained<N: Network>(name: &str, workers: usize) -> StateDict {
    let images = FashionMnist::synthetic(256, 10, 1).train;
    fit(name, workers, move |ctx| {
        let loader = DataLoader::new(images.clone()).batch_size(64 / ctx.world_size()).shuffle(true).seed(4);
        let loader = ctx.prepare_data_loader(loader);
        let mut model = N::prepare(ctx, &SIZES)?;
        let mut optimizer = Sgd::new(0.1).momentum(0.9);
        for batch in loader.epochs(0..3).flatten() {
            model.train(&mut *batch?)?;
            ctx.allreduce_grads(&mut model)?;
            optimizer.step(&mut model)?;
        }
        let mine = model.state_dict();
        for name in mine.names() {
            // The replicas are equal: minimum and maximum over all ranks have the same bits.
            let bits: Vec<u32> = mine.get(name).unwrap().iter().map(|number| number.to_bits()).collect();
            let (mut least, mut most) = (bits.clone(), bits);
            ctx.collective().allreduce(&mut least, ray::collective::Min)?;
            ctx.collective().allreduce(&mut most, ray::collective::Max)?;
            assert_eq!(least, most, "{name}");
        }
        Ok(mine)
    })
    .unwrap()
}

fn equals_one_worker<N: Network>(name: &str) {
    let one = trained::<N>(&format!("{name}-1"), 1);
    for workers in [2, 4] {
        let many = trained::<N>(&format!("{name}-{workers}"), workers);
        for name in one.names() {
            let pairs = one.get(name).unwrap().iter().zip(many.get(name).unwrap());
            let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 1e-5, "{workers} workers: {name} differs by {apart}");
        }
        assert_eq!(trained::<N>(&format!("{name}-{workers}-again"), workers), many, "a run repeats");
    }
}

#[test]
fn workers_by_hand_equal_one_with_their_batch() {
    equals_one_worker::<Mlp>("replicas-hand");
}

#[cfg(feature = "burn")]
#[test]
fn workers_by_burn_equal_one_with_their_batch() {
    equals_one_worker::<crate::network::Burned>("replicas-burn");
}

#[test]
fn all_ranks_start_with_the_parameters_of_rank_0() {
    let state = fit("replicas-start", 4, |ctx| {
        let model = ctx.prepare_model(|| Ok(Mlp::new(&SIZES, 100 + ctx.world_rank() as u64)))?;
        let mut sum = [0.0];
        model.visit(&mut |_, numbers| sum[0] += numbers.iter().sum::<f32>());
        let mine = sum[0];
        ctx.collective().allreduce(&mut sum, ray::collective::Max)?;
        assert_eq!(sum[0], mine);
        Ok(model.state_dict())
    });
    assert_eq!(state.unwrap(), Mlp::new(&SIZES, 100).state_dict());
}

/// The models of all ranks draw from burn's only generator, and the initial parameters still repeat.
#[cfg(feature = "burn")]
#[test]
fn initial_parameters_repeat() {
    let first =
        |name: &str, workers| fit(name, workers, |ctx| Ok(crate::network::Burned::prepare(ctx, &SIZES)?.state_dict())).unwrap();
    let one = first("replicas-seed-1", 1);
    assert_eq!(first("replicas-seed-4", 4), one);
    assert_eq!(first("replicas-seed-3", 3), one);
}

#[test]
fn different_models_are_an_error() {
    let error = fit("replicas-other", 2, |ctx| {
        let sizes = [[4, 3], [4, 2]][ctx.world_rank()];
        ctx.prepare_model(|| Ok(Mlp::new(&sizes, 0))).map(|_| ())
    });
    let error = format!("{:?}", error.unwrap_err());
    assert!(error.contains("rank 1 has made a model that differs from that of rank 0"), "{error}");
}

#[test]
fn a_failed_construction_is_an_error() {
    let error = fit("replicas-none", 2, |ctx| {
        ctx.prepare_model(|| if ctx.world_rank() == 0 { Err(ray::Error::other("no weights")) } else { Ok(Mlp::new(&[1, 2], 0)) })
            .map(|_| ())
    });
    let error = format!("{:?}", error.unwrap_err());
    assert!(error.contains("rank 0 could not make its model: no weights"), "{error}");
}

#[test]
fn operations_that_would_make_replicas_differ_are_errors() {
    let error = fit("replicas-drift", 2, |ctx| {
        let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[2, 3], 0)))?;
        model.train(&[1.0, 2.0], &[0])?;
        assert!(ctx.clip_grad_norm(&mut model, 1.0).is_err());
        Sgd::new(0.1).step(&mut model)
    });
    assert!(format!("{:?}", error.unwrap_err()).contains("allreduce_grads"));
    let error = fit("replicas-nothing", 2, |ctx| {
        let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[2, 3], 0)))?;
        ctx.allreduce_grads(&mut model)
    });
    assert!(format!("{:?}", error.unwrap_err()).contains("run the backward pass first"));
    let error = fit("replicas-late", 1, |ctx| {
        let mut model = ctx.prepare_model(|| Ok(Mlp::new(&[2, 3], 0)))?;
        model.train(&[1.0, 2.0], &[0])?;
        ctx.allreduce_grads(&mut model)?;
        model.train(&[1.0, 2.0], &[0]).map(|_| ())
    });
    assert!(format!("{:?}", error.unwrap_err()).contains("average once"));
}

/// The accumulated gradients of four batches of 16 equal those of one batch of 64.
#[test]
fn accumulated_gradients_equal_those_of_one_batch() {
    let images = FashionMnist::synthetic(128, 10, 1).train;
    let trained = |name: &str, batch: usize, passes: usize| {
        let images = images.clone();
        fit(name, 2, move |ctx| {
            let loader = ctx.prepare_data_loader(DataLoader::new(images.clone()).batch_size(batch));
            let mut model = Mlp::prepare(ctx, &SIZES)?;
            let mut optimizer = Adam::new(0.001);
            for batch in loader.epoch(0) {
                Network::train(&mut model, &mut *batch?)?;
                if ctx.allreduce_grads_every(passes, &mut model)? {
                    ctx.clip_grad_norm(&mut model, 0.1)?;
                    optimizer.step(&mut model)?;
                }
            }
            Ok(model.gradients().as_slice().to_vec())
        })
        .unwrap()
    };
    let (one, four) = (trained("accumulate-1", 64, 1), trained("accumulate-4", 16, 4));
    assert!(one.iter().zip(&four).all(|(a, b)| (a - b).abs() < 1e-7));
    let norm = one.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    assert!((norm - 0.1).abs() < 1e-5, "{norm}");
}
