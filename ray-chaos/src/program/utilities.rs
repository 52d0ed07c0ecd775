//! Functions that use the queues, semaphores and events of `ray::util`, and functions for pools and maps.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use ray::remote;
use ray::util::{Event, PutError, Queue, Semaphore};

use super::{Pause, Refused, Thing};

/// Puts the numbers after `from`, so many, and waits while the queue is full: by turns for ever and for a short time.
#[remote]
pub fn produce(queue: Queue<Thing>, from: i64, count: i64) -> ray::Result<Thing> {
    for x in 1..=count {
        if x % 2 == 0 {
            queue.put(Thing::new(from + x))?;
            continue;
        }
        let mut item = Thing::new(from + x);
        loop {
            match queue.put_timeout(item, Duration::from_millis(1)) {
                Ok(()) => break,
                Err(PutError::Full(back)) => item = back,
                Err(PutError::Failed(error)) => return Err(error),
            }
        }
    }
    Ok(Thing::new(count))
}

#[remote]
pub async fn produce_async(queue: Queue<Thing>, from: i64, count: i64) -> ray::Result<Thing> {
    for x in 1..=count {
        queue.put_async(Thing::new(from + x)).await?;
    }
    Ok(Thing::new(count))
}

/// Gets so many items.
#[remote]
pub fn consume(queue: Queue<Thing>, count: i64) -> ray::Result<Vec<Thing>> {
    (0..count).map(|_| queue.get()).collect()
}

#[remote]
pub async fn consume_async(queue: Queue<Thing>, count: i64) -> ray::Result<Vec<Thing>> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(queue.get_async().await?);
    }
    Ok(items)
}

/// How many bodies are inside of a section, and the most there were, by the number of the section.
static SECTIONS: Mutex<Option<HashMap<u64, (usize, usize)>>> = Mutex::new(None);

/// A body inside of a section.
pub struct Inside(u64);

impl Inside {
    pub fn of(section: u64) -> Self {
        let mut sections = SECTIONS.lock();
        let (now, most) = sections.get_or_insert_with(HashMap::new).entry(section).or_default();
        *now += 1;
        *most = (*most).max(*now);
        Inside(section)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some((now, _)) = SECTIONS.lock().as_mut().and_then(|sections| sections.get_mut(&self.0)) {
            *now -= 1;
        }
    }
}

/// The most bodies that were inside of a section at once. Forgets the section.
pub fn most_inside(section: u64) -> usize {
    SECTIONS.lock().as_mut().and_then(|sections| sections.remove(&section)).map_or(0, |(_, most)| most)
}

/// Enters a section with a permit. It panics there if told so.
#[remote]
pub fn guarded(semaphore: Semaphore, section: u64, turns: u32, panics: bool) -> ray::Result<Thing> {
    let permit = semaphore.acquire()?;
    let inside = Inside::of(section);
    for _ in 0..turns {
        std::thread::yield_now();
    }
    drop(inside);
    assert!(!panics, "a body with a permit bursts");
    drop(permit);
    Ok(Thing::new(1))
}

#[remote]
pub async fn guarded_async(semaphore: Semaphore, section: u64, turns: u32) -> ray::Result<Thing> {
    let _permit = semaphore.acquire_async().await?;
    let _inside = Inside::of(section);
    for _ in 0..turns {
        Pause(false).await;
    }
    Ok(Thing::new(1))
}

#[remote]
pub fn after_event(event: Event, value: i64) -> ray::Result<Thing> {
    event.wait()?;
    Ok(Thing::new(value))
}

#[remote]
pub async fn after_event_async(event: Event, value: i64) -> ray::Result<Thing> {
    event.wait_async().await?;
    Ok(Thing::new(value))
}

/// Refuses multiples of seven, and bursts at multiples of eleven.
#[remote]
pub fn picky(a: Thing) -> Result<Thing, Refused> {
    assert!(a.value() % 11 != 0, "a multiple of eleven");
    if a.value() % 7 == 0 { Err(Refused) } else { Ok(Thing::new(a.value() + 1)) }
}

#[remote]
pub fn one_more(a: &Thing) -> Thing {
    Thing::new(a.value() + 1)
}

#[remote]
pub async fn one_more_async(a: Thing) -> Thing {
    if a.value() % 3 == 0 {
        Pause(false).await;
    }
    Thing::new(a.value() + 1)
}
