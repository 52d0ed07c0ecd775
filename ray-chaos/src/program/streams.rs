//! Functions and actors that make streams.

use std::collections::HashMap;

use futures::Stream;
use parking_lot::Mutex;
use ray::{Yielder, remote};
use serde::{Deserialize, Serialize};

use super::{Held, Pause, Refused, Thing};

/// How the body of a stream ends after its last item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    Returns,
    Fails,
    Panics,
}

/// The error of a body that pushes items.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How many items a producer has made, by the number of its run.
static MADE: Mutex<Option<HashMap<u64, i64>>> = Mutex::new(None);

/// Begins to count the items of a run.
pub fn count_made(run: u64) {
    MADE.lock().get_or_insert_with(HashMap::new).insert(run, 0);
}

/// How many items the producer of a run has made.
pub fn made(run: u64) -> i64 {
    MADE.lock().as_ref().and_then(|made| made.get(&run).copied()).unwrap_or(0)
}

/// Ends the count of a run.
pub fn forget_made(run: u64) {
    MADE.lock().as_mut().and_then(|made| made.remove(&run));
}

fn make_one(run: u64) {
    if let Some(count) = MADE.lock().as_mut().and_then(|made| made.get_mut(&run)) {
        *count += 1;
    }
}

/// The values after `from`, so many. After them it panics if told so.
fn after(from: &Thing, count: i64, end: End) -> impl Iterator<Item = Thing> + Send + use<> {
    let from = from.value();
    (1..=count + 1).map_while(move |x| {
        assert!(x <= count || end != End::Panics, "the stream bursts");
        (x <= count).then(|| Thing::new(from + x))
    })
}

/// With [`End::Fails`] it fails before the first item.
#[remote]
pub fn numbers(from: Thing, count: i64, end: End) -> Result<impl Iterator<Item = Thing>, Refused> {
    if end == End::Fails { Err(Refused) } else { Ok(after(&from, count, end)) }
}

#[remote]
pub fn borrowed(from: &Thing, count: i64, end: End) -> impl Iterator<Item = Thing> {
    after(from, count, end)
}

#[remote]
pub fn pushes(out: Yielder<Thing>, from: Thing, count: i64, end: End, run: u64) -> Result<(), Failure> {
    for item in after(&from, count, end) {
        make_one(run);
        out.push(item)?;
    }
    if end == End::Fails { Err(Refused.into()) } else { Ok(()) }
}

#[remote]
pub async fn pushes_async(out: Yielder<Thing>, from: Thing, count: i64, end: End, run: u64) -> Result<(), Failure> {
    for item in after(&from, count, end) {
        make_one(run);
        if item.value() % 3 == 0 {
            Pause(false).await;
        }
        out.push_async(item).await?;
    }
    if end == End::Fails { Err(Refused.into()) } else { Ok(()) }
}

#[remote]
pub fn numbers_async(from: Thing, count: i64, end: End) -> impl Stream<Item = Thing> {
    futures::stream::iter(after(&from, count, end))
}

/// Fails in its first attempts, after one more item each time. A later attempt gives the same items again.
#[remote(max_retries = 3, retry_exceptions = true)]
pub fn stumbling(out: Yielder<Thing>, from: Thing, count: i64, times: u32) -> Result<(), Failure> {
    let attempt = ray::context().attempt();
    for (at, item) in after(&from, count, End::Returns).enumerate() {
        if attempt < times && at as u32 > attempt {
            return Err(Refused.into());
        }
        out.push(item)?;
    }
    Ok(())
}

/// Yields the items of another stream.
#[remote(backpressure = 2)]
pub fn relay(from: i64, count: i64) -> impl Iterator<Item = Thing> {
    let items = pushes.options().backpressure(1).remote(Thing::new(from), count, End::Returns, 0);
    items.map(|item| ray::get(item).unwrap_or_else(|error| panic!("the inner stream: {error}")))
}

/// Takes all items of a stream, which has its own bound, and returns their sum.
#[remote]
pub fn gather(from: i64, count: i64, bound: i64) -> ray::Result<Thing> {
    let mut sum = 0;
    for item in numbers.options().backpressure(bound).remote(Thing::new(from), count, End::Returns) {
        sum += ray::get(item)?.value();
    }
    Ok(Thing::new(sum))
}

/// As [`gather`], in an async body.
#[remote]
pub async fn gather_async(from: i64, count: i64, bound: i64) -> ray::Result<Thing> {
    use futures::StreamExt;
    let mut sum = 0;
    let mut items = numbers.options().backpressure(bound).remote(Thing::new(from), count, End::Returns).stream();
    while let Some(item) = items.next().await {
        sum += item.await?.value();
    }
    Ok(Thing::new(sum))
}

/// An actor whose streams count on.
#[remote]
pub struct Source {
    held: Held,
}

#[remote]
impl Source {
    pub fn new(held: Thing) -> Self {
        Source { held: Held::new(held.value()) }
    }
    pub fn count(&mut self, count: i64, end: End) -> impl Iterator<Item = Thing> {
        let mut left = count;
        std::iter::from_fn(move || {
            assert!(left > 0 || end != End::Panics, "the stream bursts");
            if left == 0 {
                return None;
            }
            left -= 1;
            self.held = Held::new(self.held.value() + 1);
            Some(Thing::new(self.held.value()))
        })
    }
    pub fn push(&mut self, out: Yielder<Thing>, count: i64, end: End) -> Result<(), Failure> {
        for _ in 0..count {
            self.held = Held::new(self.held.value() + 1);
            out.push(Thing::new(self.held.value()))?;
        }
        match end {
            End::Returns => Ok(()),
            End::Fails => Err(Refused.into()),
            End::Panics => panic!("the stream bursts"),
        }
    }
    pub fn look(&self, count: i64) -> impl Iterator<Item = Thing> {
        let held = self.held.value();
        (1..=count).map(move |x| Thing::new(held + x))
    }
    pub fn value(&self) -> Thing {
        Thing::new(self.held.value())
    }
}

/// An async actor with streams.
#[remote]
pub struct AsyncSource {
    held: Held,
}

#[remote]
impl AsyncSource {
    pub fn new(held: Thing) -> Self {
        AsyncSource { held: Held::new(held.value()) }
    }
    pub fn look(&self, count: i64) -> impl Stream<Item = Thing> {
        let held = self.held.value();
        futures::stream::iter((1..=count).map(move |x| Thing::new(held + x)))
    }
    pub async fn push(&mut self, out: Yielder<Thing>, count: i64) -> ray::Result<()> {
        for _ in 0..count {
            self.held = Held::new(self.held.value() + 1);
            out.push_async(Thing::new(self.held.value())).await?;
        }
        Ok(())
    }
    pub async fn value(&self) -> Thing {
        Thing::new(self.held.value())
    }
}
