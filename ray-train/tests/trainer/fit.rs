//! Runs without failures.

use std::sync::{Arc, Mutex};

use ray_train::{Metrics, Order, ScalingConfig, TrainContext, TrainResult, Trainer};
use serde::{Deserialize, Serialize};

use crate::support::{run, write};

#[derive(Clone, Serialize)]
struct Config {
    epochs: usize,
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Epoch {
    epoch: usize,
    loss: f64,
}

#[test]
fn four_workers() {
    let train = |ctx: &TrainContext, config: Config| {
        assert_eq!((ctx.world_size(), ctx.local_world_size(), ctx.node_rank(), ctx.node_count()), (4, 4, 0, 1));
        assert_eq!(ctx.local_rank(), ctx.world_rank());
        assert_eq!(ray::context().assigned_resources().num_cpus(), 1.0);
        let mut weights = [ctx.world_rank() as f64];
        for epoch in 0..config.epochs {
            ctx.collective().allreduce(&mut weights, ray::collective::Mean)?;
            weights[0] += ctx.world_rank() as f64;
            ctx.report(Epoch { epoch, loss: weights[0] }, None)?;
        }
        Ok((ctx.world_rank(), weights[0]))
    };
    let trainer = Trainer::new(train)
        .config(Config { epochs: 3 })
        .scaling(ScalingConfig::workers(4).use_gpu(false))
        .run_config(run("four_workers"));
    let result = trainer.fit().unwrap();
    assert_eq!(*result.value(), (0, 4.5 - 0.0));
    assert_eq!(result.history().len(), 3);
    let losses: Vec<Epoch> = result.history().iter().map(|report| report.metrics().to().unwrap()).collect();
    assert_eq!(losses[2], Epoch { epoch: 2, loss: 4.5 }, "the metrics of rank 0, also without a checkpoint");
    assert!(result.checkpoint().is_none());
    assert_eq!(result.workers(), 4);
}

#[test]
fn a_loop_without_a_configuration_returns_rank_zeros_value() {
    let trainer = Trainer::new(|ctx: &TrainContext| Ok(vec![ctx.world_rank(); 3]))
        .scaling(ScalingConfig::workers(2))
        .run_config(run("no_config"));
    assert_eq!(trainer.fit().unwrap().into_value(), [0, 0, 0]);
    assert_eq!(trainer.fit().unwrap().into_value(), [0, 0, 0], "a trainer trains again");
}

/// The loop runs without workers and has the same result.
#[test]
fn in_place() {
    let (here, threads) = (std::thread::current().id(), rayon::current_num_threads());
    let train = move |ctx: &TrainContext, config: Config| {
        assert_eq!((ctx.threads(), rayon::current_num_threads()), (threads, threads));
        assert_eq!(std::thread::current().id(), here);
        assert_eq!(ctx.world_size(), 1);
        ctx.barrier()?;
        for epoch in 0..config.epochs {
            let checkpoint = ctx.new_checkpoint()?;
            write(&checkpoint.path().join("a"), b"x")?;
            ctx.report(Metrics::new().with("epoch", epoch), Some(checkpoint))?;
        }
        ctx.broadcast_from_rank_zero(7)
    };
    let result = Trainer::new(train)
        .config(Config { epochs: 2 })
        .scaling(ScalingConfig::in_place())
        .run_config(run("in_place"))
        .fit()
        .unwrap();
    assert_eq!((*result.value(), result.history().len(), result.checkpoints().count()), (7, 2, 2));
    assert!(rayon::current_thread_index().is_none(), "the thread has joined no pool");
}

#[test]
fn ray_works_inside_the_loop() {
    let train = |ctx: &TrainContext| {
        let rank = ctx.world_rank();
        let inside = ray::context();
        assert!(inside.actor_id().is_some());
        assert!(inside.current_actor::<ray_train::Worker>().is_ok());
        let squares: Vec<_> = (0..4).map(|x| ray::task(move || x * x + rank).remote()).collect();
        let sum: usize = ray::get(squares)?.into_iter().sum();
        let shared = ray::put(sum);
        ray::get(&shared)
    };
    let result = Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run("ray_inside")).fit().unwrap();
    assert_eq!(*result.value(), 14);
}

#[test]
fn means_over_all_ranks() {
    let train = |ctx: &TrainContext| {
        let rank = ctx.world_rank();
        ctx.report_mean(Metrics::new().with("loss", rank as f64 + 0.5).with("name", format!("r{rank}").as_str()), None)?;
        let value = if rank == 2 { f64::NAN } else { 1.0 };
        ctx.report_mean(Metrics::new().with("loss", value), None)
    };
    let result = Trainer::new(train).scaling(ScalingConfig::workers(4)).run_config(run("means")).fit().unwrap();
    assert_eq!(*result.history()[0].metrics(), Metrics::new().with("loss", 2.0).with("name", "r0"));
    assert!(result.metrics().number("loss").unwrap().is_nan());
}

#[test]
fn a_broadcast_gives_all_ranks_the_value_of_rank_zero() {
    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Message {
        text: String,
        numbers: Vec<f64>,
    }
    let train = |ctx: &TrainContext| {
        let rank = ctx.world_rank();
        let message = Message { text: format!("rank {rank}"), numbers: vec![rank as f64, f64::INFINITY] };
        assert_eq!(ctx.broadcast_from_rank_zero(message)?, Message { text: "rank 0".into(), numbers: vec![0.0, f64::INFINITY] });
        let nan = if rank == 0 { f64::NAN } else { 0.0 };
        assert!(ctx.broadcast_from_rank_zero(nan)?.is_nan());
        assert_eq!(ctx.broadcast_from_rank_zero(vec![rank; rank * 1000])?, Vec::<usize>::new());
        Ok(())
    };
    Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run("broadcast")).fit().unwrap();
}

/// Seed and rank determine the numbers.
#[test]
fn each_rank_has_its_own_generator() {
    let draws = |seed: u64| {
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&drawn);
        let train = move |ctx: &TrainContext| {
            into.lock().unwrap().push((ctx.world_rank(), ctx.rng().u64(..)));
            assert_eq!(ctx.seed(), seed);
            Ok(())
        };
        let run = run("generators").seed(seed);
        Trainer::new(train).scaling(ScalingConfig::workers(3)).run_config(run).fit().unwrap();
        let mut drawn = std::mem::take(&mut *drawn.lock().unwrap());
        drawn.sort_unstable();
        drawn.into_iter().map(|(_, number)| number).collect::<Vec<_>>()
    };
    let (first, again, other) = (draws(1), draws(1), draws(2));
    assert_eq!(first, again);
    let mut all = [first, other].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6, "other ranks and seeds give other numbers");
}

#[test]
fn the_callback_sees_every_report_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let here = std::thread::current().id();
    let run = run("callback").on_report(move |report| {
        assert_eq!(std::thread::current().id(), here, "on the thread that called fit");
        assert_eq!(report.checkpoint().is_some(), report.number() == 2);
        into.lock().unwrap().push((report.number(), report.metrics().number("step").unwrap()));
    });
    let train = |ctx: &TrainContext| {
        for step in 1..4 {
            let checkpoint = if step == 2 { Some(ctx.new_checkpoint()?) } else { None };
            ctx.report(Metrics::new().with("step", step), checkpoint)?;
        }
        Ok(())
    };
    Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap();
    assert_eq!(*seen.lock().unwrap(), [(1, 1.0), (2, 2.0), (3, 3.0)]);
}

#[test]
fn a_result_is_read_from_its_path() {
    let run = run("from_path").checkpoints(ray_train::CheckpointConfig::new().score("loss", Order::Min));
    let train = |ctx: &TrainContext| {
        for (epoch, loss) in [0.5, f64::NAN, 0.25, f64::INFINITY].into_iter().enumerate() {
            ctx.report(Metrics::new().with("epoch", epoch).with("loss", loss), Some(ctx.new_checkpoint()?))?;
        }
        ctx.report(Metrics::new().with("loss", f64::NEG_INFINITY), None)
    };
    let result = Trainer::new(train).run_config(run.clone()).fit().unwrap();
    let read = TrainResult::from_path(run.path().unwrap()).unwrap();
    assert_eq!(read.workers(), 1);
    for result in [&result, &read] {
        let losses: Vec<f64> = result.history().iter().map(|report| report.metrics().number("loss").unwrap()).collect();
        assert!(losses[1].is_nan(), "{losses:?}");
        assert_eq!([losses[0], losses[2], losses[3], losses[4]], [0.5, 0.25, f64::INFINITY, f64::NEG_INFINITY]);
        let best: Vec<f64> = result.best_checkpoints().iter().map(|(_, metrics)| metrics.number("epoch").unwrap()).collect();
        assert_eq!(best, [2.0, 0.0, 3.0, 1.0], "NaN is last");
        assert_eq!(result.best_checkpoint("loss", Order::Min).unwrap().path().file_name().unwrap(), "checkpoint_000003");
        assert_eq!(result.best_checkpoint("loss", Order::Max).unwrap().path().file_name().unwrap(), "checkpoint_000004");
        assert_eq!(result.checkpoint().unwrap().path().file_name().unwrap(), "checkpoint_000004");
    }
    let json = std::fs::read_to_string(run.path().unwrap().join("run.json")).unwrap();
    assert!(json.contains("checkpoint_000001") && json.contains("\n"), "for people to read: {json}");
}
