//! The parts of the random programs: a counted value, remote functions, and actors.

mod actors;
mod blocked;
mod groups;
mod streams;
mod utilities;

pub use actors::*;
pub use blocked::*;
pub use groups::*;
pub use streams::*;
pub use utilities::*;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ray::{ActorHandle, ObjectRef, remote};
use serde::{Deserialize, Deserializer, Serialize};

use crate::count::{Counter, STATES, THINGS};

/// The mark of a value that was not dropped.
const ALIVE: u32 = 0xA11F_E001;

/// A value whose creations and drops are counted. It is on the heap, so that sanitizers detect a use after its drop.
#[derive(Debug)]
pub struct Counted<const STATE: bool>(Box<(i64, u32)>);

/// An argument or a result.
pub type Thing = Counted<false>;
/// A part of an actor's state.
pub type Held = Counted<true>;

impl<const STATE: bool> Counted<STATE> {
    const COUNTER: &'static Counter = if STATE { &STATES } else { &THINGS };

    /// A value.
    pub fn new(value: i64) -> Self {
        Self::COUNTER.created();
        Counted(Box::new((value, ALIVE)))
    }

    /// The number in it.
    pub fn value(&self) -> i64 {
        if self.0.1 != ALIVE {
            crate::state::give_up("a value is read after its drop");
        }
        self.0.0
    }
}

impl<const STATE: bool> Clone for Counted<STATE> {
    fn clone(&self) -> Self {
        Self::new(self.value())
    }
}

impl<const STATE: bool> Serialize for Counted<STATE> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, const STATE: bool> Deserialize<'de> for Counted<STATE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self::new)
    }
}

impl<const STATE: bool> Drop for Counted<STATE> {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.0.1, 0) != ALIVE {
            crate::state::give_up("a value is dropped twice");
        }
        Self::COUNTER.dropped();
    }
}

/// An error type of the user.
#[derive(Debug)]
pub struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

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

/// Calls itself twice at each level. The result is `2^depth * value + depth * 2^(depth - 1)`.
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

/// A future that is pending once, and ready at the second poll.
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
