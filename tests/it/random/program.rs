//! The parts of random programs: a counted value, remote functions and actors.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use ray::{ActorHandle, ObjectRef, remote};
use serde::{Deserialize, Deserializer, Serialize};

use crate::stage::eventually;

pub static MADE: AtomicI64 = AtomicI64::new(0);
pub static DROPPED: AtomicI64 = AtomicI64::new(0);
/// Calls that began before an earlier one of the same caller.
pub static DISORDER: AtomicI64 = AtomicI64::new(0);

/// A value that counts its creations and its drops. It is on the heap, so that sanitizers see a use after free.
#[derive(Debug, PartialEq, Serialize)]
pub struct Thing(Box<i64>);

impl Thing {
    pub fn new(value: i64) -> Self {
        MADE.fetch_add(1, Ordering::SeqCst);
        Thing(Box::new(value))
    }

    pub fn value(&self) -> i64 {
        *self.0
    }
}

impl Clone for Thing {
    fn clone(&self) -> Self {
        Thing::new(*self.0)
    }
}

impl<'de> Deserialize<'de> for Thing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Thing::new)
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[track_caller]
pub fn all_dropped(when: &str) {
    eventually(&format!("all values are dropped {when}"), || MADE.load(Ordering::SeqCst) == DROPPED.load(Ordering::SeqCst));
}

/// An error type of the user.
#[derive(Debug)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

#[remote]
pub fn make(value: i64) -> Thing {
    Thing::new(value)
}

#[remote]
pub fn add(a: Thing, b: Thing) -> Thing {
    Thing::new(a.value() + b.value())
}

#[remote]
pub fn look(a: &Thing, b: &Thing) -> Thing {
    Thing::new(a.value() + b.value())
}

#[remote]
pub fn total_of(all: Vec<Thing>) -> Thing {
    Thing::new(all.iter().map(Thing::value).sum())
}

#[remote]
pub fn refuse(_a: Thing) -> Result<Thing, Refused> {
    Err(Refused)
}

#[remote]
pub fn burst(a: Thing) -> Thing {
    panic!("burst at {}", a.value())
}

#[remote(max_retries = 3, retry_exceptions = true)]
pub fn stumble(a: Thing, times: u32) -> Result<Thing, Refused> {
    if ray::context().attempt() < times { Err(Refused) } else { Ok(a) }
}

#[remote(num_returns = 2)]
pub fn halves(a: Thing) -> (Thing, Thing) {
    (Thing::new(a.value() / 2), Thing::new(a.value() - a.value() / 2))
}

/// Returns `2^depth * value + depth * 2^(depth - 1)`, by nested gets.
#[remote]
pub fn nest(depth: u32, value: i64) -> ray::Result<Thing> {
    if depth == 0 {
        return Ok(Thing::new(value));
    }
    let below: Vec<_> = (0..2).map(|more| nest.remote(depth - 1, value + more)).collect();
    let mut sum = 0;
    if value % 2 == 0 {
        sum += ray::get(below)?.iter().map(Thing::value).sum::<i64>();
    } else {
        for one in below {
            sum += ray::get(one)?.value();
        }
    }
    Ok(Thing::new(sum))
}

#[remote]
pub fn dawdle(a: Thing, turns: u32) -> Thing {
    for _ in 0..turns {
        if ray::context().is_cancelled() {
            break;
        }
        std::thread::yield_now();
    }
    a
}

/// A future that returns `Pending` once.
struct Pause(bool);

impl Future for Pause {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[remote]
pub async fn later(a: ObjectRef<Thing>, pauses: u32) -> ray::Result<Thing> {
    for _ in 0..pauses {
        Pause(false).await;
    }
    a.await
}

#[remote]
pub fn visit(ledger: ActorHandle<Ledger>, caller: u64, calls: u64) -> ray::Result<Thing> {
    let notes: Vec<_> = (1..=calls).map(|seq| ledger.note.remote(caller, seq, Thing::new(0))).collect();
    Ok(Thing::new(ray::get(notes)?.iter().map(Thing::value).sum()))
}

/// A serial actor.
#[remote]
pub struct Ledger {
    _held: Thing,
    last: HashMap<u64, u64>,
    count: i64,
}

#[remote]
impl Ledger {
    pub fn new(held: Thing) -> Self {
        Ledger { _held: held, last: HashMap::new(), count: 0 }
    }
    pub fn note(&mut self, caller: u64, seq: u64, a: Thing) -> Thing {
        self.begin(caller, seq);
        Thing::new(a.value() + 1)
    }
    pub fn hear(&mut self, caller: u64, seq: u64, _a: Thing) {
        self.begin(caller, seq);
    }
    pub fn count(&self) -> Thing {
        Thing::new(self.count)
    }
    pub fn tear(&mut self, _a: Thing) -> Thing {
        panic!("torn")
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
    held: Thing,
}

#[remote]
impl Crowd {
    pub fn new(held: Thing) -> Self {
        Crowd { held }
    }
    pub fn note(&self, a: Thing) -> Thing {
        std::thread::yield_now();
        Thing::new(a.value() + self.held.value())
    }
    pub fn swap(&mut self, a: Thing) -> Thing {
        // Exclusive access: no other call sees the temporary value.
        let former = std::mem::replace(&mut self.held, Thing::new(i64::MAX));
        std::thread::yield_now();
        let sum = a.value() + former.value();
        self.held = former;
        Thing::new(sum)
    }
    pub fn tear(&self, _a: Thing) -> Thing {
        panic!("torn")
    }
}

/// An async actor.
#[remote]
pub struct Desk {
    held: Thing,
}

#[remote]
impl Desk {
    pub fn new(held: Thing) -> Self {
        Desk { held }
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
    pub async fn tear(&self, _a: Thing) -> Thing {
        Pause(false).await;
        panic!("torn")
    }
}
