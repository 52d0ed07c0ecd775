//! Estimates pi with random points, as in Ray's own example: tasks draw the points, and an actor counts the finished ones.
//!
//! ```sh
//! cargo run --release -p ray-examples --bin pi                         # in this process
//! RAY_ADDRESS=local cargo run --release -p ray-examples --bin pi       # on a private Ray cluster on this machine
//! RAY_ADDRESS=auto cargo run --release -p ray-examples --bin pi        # on the Ray cluster of this machine
//! ```

#![allow(unreachable_pub, reason = "`pub` exports the methods of an actor")]

use std::f64::consts::PI;
use std::thread;
use std::time::{Duration, Instant};

use ray::{ActorHandle, remote};

const TASKS: u64 = 10;
const POINTS_OF_A_TASK: u64 = 10_000_000;
/// A task reports after this number of points.
const REPORT: u64 = 1_000_000;

/// How many points the tasks have drawn.
#[remote]
struct Progress {
    points: u64,
}

#[remote]
impl Progress {
    pub fn new() -> Self {
        Progress { points: 0 }
    }

    pub fn add(&mut self, points: u64) {
        self.points += points;
    }

    pub fn share(&self) -> f64 {
        self.points as f64 / (TASKS * POINTS_OF_A_TASK) as f64
    }
}

/// Draws points in a square, and returns how many of them are inside the circle.
#[remote]
fn count_inside(seed: u64, progress: ActorHandle<Progress>) -> u64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut inside = 0;
    for _ in 0..POINTS_OF_A_TASK / REPORT {
        for _ in 0..REPORT {
            let (x, y) = (random.f64(), random.f64());
            inside += u64::from(x * x + y * y <= 1.0);
        }
        progress.add.tell(REPORT);
    }
    inside
}

pub(crate) fn main() -> ray::Result<()> {
    // On a cluster, Ray's workers start this program too. In them `init` does not return: they run the tasks there.
    ray::init()?;
    let begin = Instant::now();

    let progress = Progress::remote();
    let counts: Vec<_> = (0..TASKS).map(|seed| count_inside.remote(seed, &progress)).collect();
    loop {
        let share = ray::get(progress.share.remote())?;
        println!("{:3.0} %", share * 100.0);
        if share >= 1.0 {
            break;
        }
        thread::sleep(Duration::from_millis(200));
    }
    let inside: u64 = ray::get(counts)?.iter().sum();

    let points = TASKS * POINTS_OF_A_TASK;
    let estimate = 4.0 * inside as f64 / points as f64;
    println!("pi is about {estimate:.6}: {points} points in {:.2?}", begin.elapsed());
    // The standard deviation of the estimate is 0.00016.
    assert!((estimate - PI).abs() < 0.001, "{estimate} is not pi");
    ray::shutdown()
}
