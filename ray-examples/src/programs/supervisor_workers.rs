//! Not in the article: a supervisor and its workers, as in [Ray's page about trees of
//! actors](https://docs.ray.io/en/latest/ray-core/patterns/tree-of-actors.html).
//!
//! The supervisor has the only handles of its workers. An actor ends when its last handle is dropped, so the workers end with
//! their supervisor, in whichever way that ends. A worker that crashes is replaced by the supervisor.

use std::time::{Duration, Instant};

use ray::{ActorHandle, ActorState, WeakActorHandle, remote};

use crate::report::Report;

#[remote]
struct Worker {
    number: usize,
    done: u64,
}

#[remote]
impl Worker {
    pub fn new(number: usize) -> Self {
        Worker { number, done: 0 }
    }

    /// The sum of a part of the numbers.
    pub fn sum(&mut self, numbers: &[u64]) -> u64 {
        assert!(!numbers.is_empty(), "worker {} got nothing to do", self.number);
        self.done += 1;
        numbers.iter().sum()
    }
}

#[remote]
struct Supervisor {
    team: String,
    workers: Vec<ActorHandle<Worker>>,
    replaced: u64,
}

/// The name of a worker, by which the program finds it without keeping it alive.
fn name(team: &str, number: usize) -> String {
    format!("{team}-{number}")
}

fn hire(team: &str, number: usize) -> ActorHandle<Worker> {
    Worker::options().name(name(team, number)).remote(number)
}

#[remote]
impl Supervisor {
    pub fn new(team: String, count: usize) -> Self {
        let workers = (0..count).map(|number| hire(&team, number)).collect();
        Supervisor { team, workers, replaced: 0 }
    }

    /// Divides the numbers among the workers. A worker that has died is replaced.
    pub fn sum(&mut self, parts: Vec<Vec<u64>>) -> ray::Result<u64> {
        let count = self.workers.len();
        let sums: Vec<_> = parts.into_iter().enumerate().map(|(n, part)| self.workers[n % count].sum.remote(part)).collect();
        let mut total = 0;
        for (n, sum) in sums.into_iter().enumerate() {
            match ray::get(sum) {
                Ok(sum) => total += sum,
                Err(error) if error.is_actor_died() => {
                    println!("the supervisor replaces worker {}: {error}", n % count);
                    self.workers[n % count] = hire(&self.team, n % count);
                    self.replaced += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    pub fn replaced(&self) -> u64 {
        self.replaced
    }
}

/// Weak handles of the workers, which do not keep them alive.
fn workers(team: &str) -> ray::Result<Vec<WeakActorHandle<Worker>>> {
    (0..3).map(|number| ray::get_actor::<Worker>(&name(team, number))).collect()
}

/// Waits until all workers have ended.
fn await_end(workers: &[WeakActorHandle<Worker>]) {
    let end = Instant::now() + Duration::from_secs(10);
    while workers.iter().any(|worker| worker.state() != ActorState::Dead) {
        assert!(Instant::now() < end, "a worker outlives its supervisor");
        std::thread::yield_now();
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let supervisor = Supervisor::remote("first", 3);
    let parts: Vec<Vec<u64>> = (0..6).map(|n| (n * 10..n * 10 + 10).collect()).collect();
    assert_eq!(ray::get(supervisor.sum.remote(parts.clone()))?, (0..60).sum());

    // A worker that crashes is replaced, and the next work succeeds.
    assert_eq!(ray::get(supervisor.sum.remote(vec![vec![1], vec![], vec![2]]))?, 3);
    assert_eq!(ray::get(supervisor.replaced.remote())?, 1);
    assert_eq!(ray::get(supervisor.sum.remote(parts.clone()))?, (0..60).sum());

    // The last handle of the supervisor is dropped: it ends, and with it the workers.
    let team = workers("first")?;
    assert!(team.iter().all(|worker| worker.state() == ActorState::Alive));
    drop(supervisor);
    await_end(&team);
    println!("the workers have ended with their supervisor");

    // The same after a kill.
    let supervisor = Supervisor::remote("second", 3);
    assert_eq!(ray::get(supervisor.sum.remote(parts))?, (0..60).sum());
    let team = workers("second")?;
    ray::kill(&supervisor)?;
    await_end(&team);
    println!("and they end when it is killed");
    report.took("two teams of three", start.elapsed());
    ray::shutdown()
}
