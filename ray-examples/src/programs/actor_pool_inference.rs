//! Batch prediction with a pool of actors, as Ray's page on pools of actors does it: 12 shards, and each actor holds the model. Not in
//! the article. One actor dies of a damaged shard. The pool goes on with the others.
//!
//! ```python
//! @ray.remote
//! class BatchPredictor:
//!     def __init__(self, model):
//!         self.model = model
//!
//!     def predict(self, shard):
//!         return self.model(shard)
//!
//! pool = ActorPool([BatchPredictor.remote(model_ref) for _ in range(4)])
//! for result in pool.map_unordered(lambda actor, shard: actor.predict.remote(shard), shards):
//!     print("Predictions output size:", result)
//! ```

use std::time::Instant;

use ray::remote;
use ray::util::ActorPool;
use serde::{Deserialize, Serialize};

use crate::report::Report;

const SHARDS: usize = 12;
const ACTORS: usize = 4;
const ROWS: usize = 20_000;
const DAMAGED: usize = 7;

/// A linear model.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Model {
    weights: Vec<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shard {
    number: usize,
    rows: Vec<[f64; 4]>,
}

/// The number of rows with a positive prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Prediction {
    shard: usize,
    rows: usize,
    positive: usize,
}

#[remote]
struct BatchPredictor {
    model: Model,
}

#[remote]
impl BatchPredictor {
    /// All actors get the model from one stored object.
    pub fn new(model: Model) -> Self {
        BatchPredictor { model }
    }

    pub fn predict(&self, shard: &Shard) -> Prediction {
        assert!(shard.rows.iter().flatten().all(|x| x.is_finite()), "shard {} is damaged", shard.number);
        let score = |row: &&[f64; 4]| row.iter().zip(&self.model.weights).map(|(x, weight)| x * weight).sum::<f64>();
        let positive = shard.rows.iter().filter(|row| score(row) > 0.0).count();
        Prediction { shard: shard.number, rows: shard.rows.len(), positive }
    }
}

/// The rows alternate between a positive and a negative prediction.
fn shard(number: usize) -> Shard {
    let mut rows: Vec<_> =
        (0..ROWS).map(|row| if row % 2 == 0 { [1.0, 2.0, 3.0, 4.0] } else { [-1.0, -2.0, -3.0, -4.0] }).collect();
    if number == DAMAGED {
        rows[ROWS / 2][0] = f64::NAN;
    }
    Shard { number, rows }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let model = ray::put(Model { weights: vec![0.1, 0.2, 0.3, 0.4] });
    let mut pool = ActorPool::new((0..ACTORS).map(|_| BatchPredictor::remote(&model)));

    // A shard is made when an actor is idle, so only a few of them are in memory.
    let mut predictions = Vec::new();
    let mut failed = Vec::new();
    for result in pool.map_unordered(|actor, number| actor.predict.remote(shard(number)), 0..SHARDS) {
        match result {
            Ok(prediction) => predictions.push(prediction),
            Err(error) => failed.push(error),
        }
    }

    predictions.sort_by_key(|prediction| prediction.shard);
    let good = (0..SHARDS).filter(|number| *number != DAMAGED);
    assert!(predictions.iter().map(|prediction| prediction.shard).eq(good));
    assert!(predictions.iter().all(|prediction| prediction.rows == ROWS && prediction.positive == ROWS / 2));
    assert_eq!(failed.len(), 1);
    println!("{} shards predicted; one failed: {}", predictions.len(), failed[0]);
    assert!(failed[0].to_string().contains("shard 7 is damaged"), "{}", failed[0]);

    // The actor of the damaged shard is dead, and has left the pool.
    let left = std::iter::from_fn(|| pool.pop_idle()).count();
    println!("{left} of {ACTORS} actors are left");
    assert_eq!(left, ACTORS - 1);
    report.took("12 shards, 4 actors", start.elapsed());
    ray::shutdown()
}
