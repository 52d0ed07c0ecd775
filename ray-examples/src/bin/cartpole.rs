//! Learns to balance a pole on a cart by an evolution strategy: tasks try random changes of the policy, and an actor has its
//! parameters and moves them towards the changes that were better.
//!
//! ```sh
//! cargo run --release -p ray-examples --bin cartpole                   # in this process
//! RAY_ADDRESS=local cargo run --release -p ray-examples --bin cartpole # on a private Ray cluster on this machine
//! RAY_ADDRESS=auto cargo run --release -p ray-examples --bin cartpole  # on the Ray cluster of this machine
//! ```
//!
//! The program draws the learning curve into `cartpole.svg`, beside its executable.

#![allow(unreachable_pub, reason = "`pub` exports the methods of an actor")]

use std::env;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

use plotters::prelude::*;
use ray::remote;
use serde::{Deserialize, Serialize};

const GENERATIONS: u64 = 25;
/// The changes that a generation tries; each is added and subtracted.
const CHANGES: u64 = 32;
/// The episodes of each try.
const EPISODES: u64 = 4;
/// The size of a change, and how far the parameters move.
const SIGMA: f64 = 0.1;
const RATE: f64 = 0.02;
/// An episode ends after this number of steps; each step gives a reward of 1.
const STEPS: u32 = 500;
/// The reward from which on the task counts as solved.
const SOLVED: f64 = 475.0;

/// A weight for each number of the state of the cart, and a bias.
type Policy = [f64; 5];

/// The cart and the pole, with the constants of Gymnasium's `CartPole-v1`.
#[derive(Debug)]
struct CartPole {
    position: f64,
    speed: f64,
    angle: f64,
    rotation: f64,
}

impl CartPole {
    /// A cart that is almost at rest.
    fn new(random: &mut fastrand::Rng) -> Self {
        let mut small = || random.f64() * 0.1 - 0.05;
        CartPole { position: small(), speed: small(), angle: small(), rotation: small() }
    }

    /// Whether the policy pushes the cart to the right.
    fn pushes_right(&self, policy: &Policy) -> bool {
        let [a, b, c, d, bias] = policy;
        a * self.position + b * self.speed + c * self.angle + d * self.rotation + bias > 0.0
    }

    /// One step of 20 ms.
    fn step(&mut self, right: bool) {
        const GRAVITY: f64 = 9.8;
        const POLE: f64 = 0.1;
        const CART_AND_POLE: f64 = 1.1;
        const HALF_LENGTH: f64 = 0.5;
        const FORCE: f64 = 10.0;
        const SECONDS: f64 = 0.02;

        let force = if right { FORCE } else { -FORCE };
        let (sin, cos) = self.angle.sin_cos();
        let push = (force + POLE * HALF_LENGTH * self.rotation * self.rotation * sin) / CART_AND_POLE;
        let turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4.0 / 3.0 - POLE * cos * cos / CART_AND_POLE));
        let acceleration = push - POLE * HALF_LENGTH * turn * cos / CART_AND_POLE;
        self.position += SECONDS * self.speed;
        self.speed += SECONDS * acceleration;
        self.angle += SECONDS * self.rotation;
        self.rotation += SECONDS * turn;
    }

    /// The cart has left the track, or the pole has fallen by more than 12 degrees.
    fn has_failed(&self) -> bool {
        self.position.abs() > 2.4 || self.angle.abs() > 12_f64.to_radians()
    }
}

/// The mean number of steps for which the policy balances the pole.
fn reward(policy: &Policy, random: &mut fastrand::Rng) -> f64 {
    let mut steps = 0;
    for _ in 0..EPISODES {
        let mut cart = CartPole::new(random);
        for _ in 0..STEPS {
            cart.step(cart.pushes_right(policy));
            if cart.has_failed() {
                break;
            }
            steps += 1;
        }
    }
    f64::from(steps) / EPISODES as f64
}

/// The change of a seed: numbers of a normal distribution. Only the seed travels between the tasks and the actor.
fn change(seed: u64) -> Policy {
    let mut random = fastrand::Rng::with_seed(seed);
    // The sum of 12 uniform numbers is close to normal.
    std::array::from_fn(|_| (0..12).map(|_| random.f64()).sum::<f64>() - 6.0)
}

fn moved(policy: &Policy, by: &Policy, factor: f64) -> Policy {
    std::array::from_fn(|i| policy[i] + factor * by[i])
}

/// The rewards of a policy with a change added and subtracted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Tried {
    seed: u64,
    added: f64,
    subtracted: f64,
}

/// Tries the change of a seed in both directions.
#[remote]
fn try_change(policy: &Policy, seed: u64) -> Tried {
    let by = change(seed);
    // Both directions begin with the same carts.
    let of = |factor| reward(&moved(policy, &by, factor), &mut fastrand::Rng::with_seed(!seed));
    Tried { seed, added: of(SIGMA), subtracted: of(-SIGMA) }
}

/// The reward of the policy without a change.
#[remote]
fn evaluate(policy: &Policy, seed: u64) -> f64 {
    reward(policy, &mut fastrand::Rng::with_seed(seed))
}

/// The owner of the parameters.
#[remote]
struct Learner {
    policy: Policy,
}

#[remote]
impl Learner {
    pub fn new() -> Self {
        Learner { policy: [0.0; 5] }
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Moves the policy towards the changes that were better in one direction than in the other, and returns it.
    pub fn learn(&mut self, tried: Vec<Tried>) -> Policy {
        let spread = tried.iter().map(|tried| (tried.added - tried.subtracted).abs()).sum::<f64>() / tried.len() as f64;
        if spread > 0.0 {
            for one in &tried {
                let better = (one.added - one.subtracted) / spread;
                self.policy = moved(&self.policy, &change(one.seed), RATE * better / tried.len() as f64);
            }
        }
        self.policy
    }
}

pub(crate) fn main() -> ray::Result<()> {
    // On a cluster, Ray's workers start this program too. In them `init` does not return: they run the tasks there.
    ray::init()?;
    let begin = Instant::now();

    let learner = Learner::remote();
    let mut policy = learner.policy.remote();
    let mut curve = Vec::new();
    for generation in 0..GENERATIONS {
        // The policy is a reference: it goes from the actor to the tasks, and the results go back, without this process.
        let result = evaluate.remote(&policy, generation);
        let tried: Vec<_> = (0..CHANGES).map(|i| try_change.remote(&policy, 1 + generation * CHANGES + i)).collect();
        policy = learner.learn.remote(tried);
        curve.push(ray::get(result)?);
        println!("generation {generation:2}: {:3.0} steps", curve[curve.len() - 1]);
    }
    let last: Vec<_> = (0..20).map(|i| evaluate.remote(&policy, u64::MAX - i)).collect();
    let last = ray::get(last)?;
    let mean = last.iter().sum::<f64>() / last.len() as f64;
    println!("the policy balances the pole for {mean:.0} of {STEPS} steps; learned in {:.2?}", begin.elapsed());
    assert!(mean >= SOLVED, "the pole falls after {mean} steps");

    let path = env::current_exe().expect("the path of this program").with_file_name("cartpole.svg");
    draw(&path, &curve).expect("the learning curve can be drawn");
    println!("the learning curve: {}", path.display());
    ray::shutdown()
}

/// Draws the rewards of the generations.
fn draw(path: &Path, curve: &[f64]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (800, 450)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("CartPole by an evolution strategy", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(56)
        .build_cartesian_2d(0..curve.len() - 1, 0.0..f64::from(STEPS) * 1.05)?;
    chart.configure_mesh().light_line_style(WHITE).x_desc("generation").y_desc("steps until the pole falls").draw()?;
    chart.draw_series(LineSeries::new(curve.iter().copied().enumerate(), RGBColor(206, 66, 43).stroke_width(2)))?;
    root.present()?;
    Ok(())
}
