//! The actors of the random programs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ray::remote;

use super::{Held, Pause, Thing};
use crate::gate;
use crate::state::MOST_DRIVERS;

/// The number of calls that began before an earlier call of the same caller.
pub static DISORDER: AtomicI64 = AtomicI64::new(0);
/// The number of actor instances so far.
static INSTANCES: AtomicU64 = AtomicU64::new(0);

/// The number of a new instance.
fn instance() -> u64 {
    INSTANCES.fetch_add(1, Ordering::SeqCst)
}

/// The number of the next new instance.
pub fn next_instance() -> u64 {
    INSTANCES.load(Ordering::SeqCst)
}

/// For one driver, the calls of an actor that is restarted while it runs them.
#[derive(Debug)]
pub struct Turns {
    begun: AtomicU64,
    /// The earliest instance on which calls that begin now may run.
    first: AtomicU64,
}

static TURNS: [Turns; MOST_DRIVERS] = [const { Turns { begun: AtomicU64::new(0), first: AtomicU64::new(0) } }; MOST_DRIVERS];

impl Turns {
    /// The number of calls that have begun.
    pub fn begun(slot: usize) -> u64 {
        TURNS[slot].begun.load(Ordering::SeqCst)
    }

    /// Records that calls that begin later must not run on an earlier instance than this.
    pub fn run_on(slot: usize, instance: u64) {
        TURNS[slot].first.store(instance, Ordering::SeqCst);
    }
}

/// Panics in the first attempt of a call.
fn crash_first() {
    assert!(ray::context().attempt() > 0, "crashes once");
}

/// A serial actor.
#[remote]
pub struct Ledger {
    held: Held,
    instance: u64,
    last: HashMap<u64, u64>,
    count: i64,
}

#[remote]
impl Ledger {
    pub fn new(held: Thing) -> Self {
        Ledger { held: Held::new(held.value()), instance: instance(), last: HashMap::new(), count: 0 }
    }
    pub fn note(&mut self, caller: u64, seq: u64, a: Thing) -> Thing {
        self.begin(caller, seq);
        Thing::new(a.value() + 1)
    }
    pub fn hear(&mut self, caller: u64, seq: u64, _a: Thing) {
        self.begin(caller, seq);
    }
    pub fn echo(&self, a: Thing) -> Thing {
        a
    }
    pub fn count(&self) -> Thing {
        Thing::new(self.count)
    }
    pub fn held(&self) -> i64 {
        self.held.value()
    }
    pub fn instance(&self) -> u64 {
        self.instance
    }
    /// Returns the number of the instance, and of the earliest instance that may run the call when it begins.
    pub fn in_turn(&mut self, slot: usize) -> (u64, u64) {
        let first = TURNS[slot].first.load(Ordering::SeqCst);
        TURNS[slot].begun.fetch_add(1, Ordering::SeqCst);
        // Spins for a microsecond or two, so that a restart may happen before the last call.
        for _ in 0..50 {
            std::hint::spin_loop();
        }
        (self.instance, first)
    }
    pub fn sum(&mut self, a: Thing) -> Thing {
        Thing::new(a.value() + self.held.value())
    }
    pub fn crash(&mut self, a: Thing) -> Thing {
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
    pub fn tear(&mut self, _a: Thing) -> Thing {
        panic!("torn")
    }
    pub fn leave(&mut self) -> ray::Result<Thing> {
        ray::exit_actor()?;
        Ok(Thing::new(5))
    }
    pub fn block(&mut self, gate: u64) -> Thing {
        gate::pass(gate);
        Thing::new(0)
    }
    /// Blocks only if `gate` is not 0. The calls with 0 are short, so the engine learns that the method is short.
    pub fn perhaps(&mut self, gate: u64) -> u64 {
        if gate != 0 {
            gate::pass(gate);
        }
        self.instance
    }
    fn begin(&mut self, caller: u64, seq: u64) {
        self.count += 1;
        if self.last.insert(caller, seq).is_some_and(|last| last >= seq) {
            DISORDER.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A threaded actor.
#[remote(max_concurrency = 3)]
pub struct Crowd {
    held: Held,
}

#[remote]
impl Crowd {
    pub fn new(held: Thing) -> Self {
        Crowd { held: Held::new(held.value()) }
    }
    pub fn note(&self, a: Thing) -> Thing {
        std::thread::yield_now();
        Thing::new(a.value() + self.held.value())
    }
    pub fn swap(&mut self, a: Thing) -> Thing {
        // A `&mut self` call runs alone, so no other call sees the temporary value.
        let former = std::mem::replace(&mut self.held, Held::new(i64::MAX));
        std::thread::yield_now();
        let sum = a.value() + former.value();
        self.held = former;
        Thing::new(sum)
    }
    pub fn crash(&self, a: Thing) -> Thing {
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
    pub fn tear(&self, _a: Thing) -> Thing {
        panic!("torn")
    }
    pub fn leave(&self) -> ray::Result<Thing> {
        ray::exit_actor()?;
        Ok(Thing::new(5))
    }
    pub fn block(&self, gate: u64) -> Thing {
        gate::pass(gate);
        Thing::new(0)
    }
}

/// An async actor.
#[remote]
pub struct Desk {
    held: Held,
}

#[remote]
impl Desk {
    pub fn new(held: Thing) -> Self {
        Desk { held: Held::new(held.value()) }
    }
    pub async fn note(&self, a: Thing) -> Thing {
        Pause(false).await;
        Thing::new(a.value() + self.held.value())
    }
    pub async fn swap(&mut self, a: Thing) -> Thing {
        let sum = Thing::new(a.value() + self.held.value());
        Pause(false).await;
        sum
    }
    pub async fn crash(&self, a: Thing) -> Thing {
        Pause(false).await;
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
    pub async fn tear(&self, _a: Thing) -> Thing {
        Pause(false).await;
        panic!("torn")
    }
    pub async fn leave(&self) -> ray::Result<Thing> {
        Pause(false).await;
        ray::exit_actor()?;
        Ok(Thing::new(5))
    }
    pub async fn block(&self, _gate: u64) -> Thing {
        std::future::pending::<()>().await;
        Thing::new(0)
    }
}

/// A serial actor whose calls are retried after a crash.
#[remote(max_restarts = -1, max_task_retries = -1)]
pub struct Phoenix {
    held: Held,
}

#[remote]
impl Phoenix {
    pub fn new(held: Thing) -> Self {
        Phoenix { held: Held::new(held.value()) }
    }
    pub fn note(&mut self, a: Thing) -> Thing {
        Thing::new(a.value() + self.held.value())
    }
    pub fn crash(&mut self, a: Thing) -> Thing {
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
}

/// A threaded actor whose calls are retried after a crash.
#[remote(max_concurrency = 3, max_restarts = -1, max_task_retries = -1)]
pub struct Phoenixes {
    held: Held,
}

#[remote]
impl Phoenixes {
    pub fn new(held: Thing) -> Self {
        Phoenixes { held: Held::new(held.value()) }
    }
    pub fn note(&self, a: Thing) -> Thing {
        std::thread::yield_now();
        Thing::new(a.value() + self.held.value())
    }
    pub fn crash(&self, a: Thing) -> Thing {
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
}

/// An async actor whose calls are retried after a crash.
#[remote(max_restarts = -1, max_task_retries = -1)]
pub struct AsyncPhoenix {
    held: Held,
}

#[remote]
impl AsyncPhoenix {
    pub fn new(held: Thing) -> Self {
        AsyncPhoenix { held: Held::new(held.value()) }
    }
    pub async fn note(&self, a: Thing) -> Thing {
        Pause(false).await;
        Thing::new(a.value() + self.held.value())
    }
    pub async fn crash(&self, a: Thing) -> Thing {
        Pause(false).await;
        crash_first();
        Thing::new(a.value() + self.held.value())
    }
}
