//! Operations on queues, semaphores and events.

use std::time::Duration;

use ray::util::{Event, GetError, PutError, Queue, QueueActor, Semaphore};
use ray::{Error, ObjectRef};

use super::{Driver, is_excused};
use crate::program::{
    Inside, Thing, after_event, after_event_async, consume, consume_async, guarded, guarded_async, most_inside, produce,
    produce_async,
};
use crate::state::{ending, eventually, few_threads, give_up, plan};

/// The first number of each producer.
const STEP: i64 = 1000;

/// Whether a queue, a semaphore or an event may fail with this error.
fn may_fail(error: &Error, killed: bool) -> bool {
    killed && error.is_actor_died() || is_excused(error) || ending() || few_threads()
}

/// Checks a series of items: those of each producer are in order, and follow each other.
fn in_order(items: impl IntoIterator<Item = i64>, taken: &mut [i64]) {
    for item in items {
        let producer = (item / STEP) as usize;
        if taken.get(producer).is_none_or(|taken| item % STEP != taken + 1) {
            give_up(&format!("the queue gives {item} after {taken:?}"));
        }
        taken[producer] += 1;
    }
}

impl Driver {
    /// Takes one item in one of several ways; none: the queue has failed.
    fn get_item(&mut self, queue: &Queue<Thing>, killed: bool) -> Option<i64> {
        let how = self.chance.below(6);
        let failed = |error: Error| {
            if !may_fail(&error, killed) {
                give_up(&format!("a get of a queue (way {how}): {error}"));
            }
            None
        };
        loop {
            let got = match how {
                0 => queue.get_nowait(),
                1 => queue.get_timeout(Duration::from_micros(300)),
                2 => match queue.get_nowait_batch(1) {
                    Ok(mut items) => Ok(items.remove(0)),
                    Err(error) => Err(error),
                },
                3 => self.runtime.block_on(queue.get_async()).map_err(GetError::from),
                _ => queue.get().map_err(GetError::from),
            };
            match got {
                Ok(item) => return Some(item.value()),
                Err(GetError::Empty) if ending() || few_threads() => return None,
                Err(GetError::Empty) => std::thread::yield_now(),
                Err(GetError::Failed(error)) => return failed(error),
            }
        }
    }

    fn producer(&mut self, queue: &Queue<Thing>, number: usize, count: i64) -> ObjectRef<Thing> {
        let from = STEP * number as i64;
        if self.chance.one_in(2) { produce.remote(queue, from, count) } else { produce_async.remote(queue, from, count) }
    }

    /// Producers and consumers of a queue: every item is taken once, and those of each producer in order.
    pub(super) fn queue(&mut self) {
        if few_threads() {
            // The driver would wait for the items of a producer that has failed for lack of a thread.
            return;
        }
        let (capacity, producers, count) = (self.chance.below(4), 1 + self.chance.below(3), self.chance.below(15) as i64);
        let consumers = self.chance.below(3);
        self.note("queue", [capacity as i64, producers as i64, count]);
        let queue = match capacity {
            0 => Queue::new(),
            _ => Queue::bounded(capacity).expect("the capacity is not 0"),
        };
        let done: Vec<_> = (0..producers).map(|number| self.producer(&queue, number, count)).collect();
        let all = producers as i64 * count;
        // The consumers' share. The driver takes the rest.
        let share = if consumers == 0 { 0 } else { self.chance.below((all / consumers as i64) as usize + 1) as i64 };
        let theirs: Vec<_> = (0..consumers)
            .map(|_| if self.chance.one_in(2) { consume.remote(&queue, share) } else { consume_async.remote(&queue, share) })
            .collect();
        let mut items = Vec::new();
        for _ in 0..all - share * consumers as i64 {
            let Some(item) = self.get_item(&queue, false) else { return };
            items.push(item);
        }
        if consumers == 0 {
            in_order(items.iter().copied(), &mut vec![0; producers]);
        }
        for theirs in theirs {
            match ray::get_timeout(theirs, plan().watchdog) {
                Ok(theirs) => items.extend(theirs.iter().map(Thing::value)),
                Err(error) if may_fail(&error, false) => return,
                Err(error) => give_up(&format!("a consumer of a queue: {error}")),
            }
        }
        items.sort_unstable();
        in_order(items, &mut vec![0; producers]);
        for done in done {
            self.expect("a producer", ray::get_timeout(done, plan().watchdog).map(|thing| thing.value()), count);
        }
        let size = queue.size();
        self.expect("the size of an empty queue", size, 0);
    }

    /// A queue that ends while bodies wait for it: it is shut down, its actor is killed, or its last handle is dropped.
    pub(super) fn queue_end(&mut self) {
        if few_threads() {
            return;
        }
        let (capacity, count, how) = (1 + self.chance.below(3), 3 + self.chance.below(10) as i64, self.chance.below(4));
        self.note("end of a queue", [capacity as i64, count, how as i64]);
        let actor = QueueActor::remote(capacity);
        let queue: Queue<Thing> = actor.clone().into();
        if how == 3 {
            return self.cancelled_getter(&queue);
        }
        let fills = self.chance.one_in(2);
        let (mut puts, mut gets) = (Vec::new(), Vec::new());
        for number in 0..2 {
            if fills {
                puts.push(self.producer(&queue, number, count));
            } else {
                gets.push(consume.remote(&queue, count));
            }
        }
        let mut taken = vec![0; 2];
        for _ in 0..self.chance.below(3) {
            if fills {
                let Some(item) = self.get_item(&queue, false) else { return };
                in_order([item], &mut taken);
            } else {
                match queue.put_nowait(Thing::new(1)) {
                    Ok(()) | Err(PutError::Full(_)) => {}
                    Err(PutError::Failed(error)) if may_fail(&error, false) => return,
                    Err(PutError::Failed(error)) => give_up(&format!("a put into a queue: {error}")),
                }
            }
        }
        match how {
            0 => drop(queue.shutdown()),
            1 => drop(ray::kill(&actor)),
            _ => {
                // The bodies have handles of their own, which keep the queue. So the killer comes from elsewhere, later.
                let (theirs, later) = (actor.clone(), self.chance.below(20));
                self.assistant.send(move || {
                    super::races::yields(later);
                    let _ = ray::kill(&theirs);
                });
            }
        }
        let puts = puts.into_iter().map(|put| ray::get_timeout(put, plan().watchdog).map(drop));
        let gets = gets.into_iter().map(|get| ray::get_timeout(get, plan().watchdog).map(drop));
        for outcome in puts.chain(gets) {
            match outcome {
                Err(error) if may_fail(&error, true) => {}
                // The producers of a queue with room may have ended before.
                Ok(()) if fills && count <= 2 + capacity as i64 => {}
                other => give_up(&format!("a body that waits for a queue that ends: {other:?}")),
            }
        }
        match self.chance.below(3) {
            0 => match queue.get() {
                Err(error) if may_fail(&error, true) => {}
                other if how == 2 && other.is_ok() => {}
                other => give_up(&format!("a get of a queue that has ended: {:?}", other.map(|thing| thing.value()))),
            },
            1 => match queue.put_nowait(Thing::new(1)) {
                Err(PutError::Failed(error)) if may_fail(&error, true) => {}
                _ if how == 2 => {}
                other => give_up(&format!("a put into a queue that has ended: {other:?}")),
            },
            _ => {}
        }
    }

    /// A getter that is cancelled while it waits takes no item with it, unless it has taken one before.
    fn cancelled_getter(&mut self, queue: &Queue<Thing>) {
        let getter = if self.chance.one_in(2) { consume.remote(queue, 1) } else { consume_async.remote(queue, 1) };
        super::races::yields(self.chance.below(20));
        let _ = ray::cancel(&getter);
        let cancelled = ray::get_timeout(getter, plan().watchdog);
        let mut lost = 0;
        for x in 1..=3 {
            if queue.put_timeout(Thing::new(x), plan().watchdog).is_err_and(|error| !may_fail(&error.into(), false)) {
                give_up("the third item of a queue finds no room");
            }
            let got = queue.get_timeout(Duration::from_millis(2));
            match got {
                Ok(item) if item.value() == x => {}
                // The body was cancelled before it waited. Then it takes an item if one is there.
                Err(GetError::Empty) if lost == 0 && cancelled.is_err() => lost += 1,
                _ if ending() || few_threads() => return,
                other => give_up(&format!("an item behind a cancelled getter: {:?}", other.map(|thing| thing.value()))),
            }
        }
    }

    /// Bodies in a section that a semaphore guards; some of them panic there.
    pub(super) fn semaphore(&mut self) {
        let (permits, many) = (1 + self.chance.below(3), 1 + self.chance.below(6));
        let ends = self.chance.one_in(6);
        let section = (self.number as u64 + 1) << 40 | self.turn;
        self.note("semaphore", [permits as i64, many as i64, i64::from(ends)]);
        let semaphore = Semaphore::new(permits);
        let bodies: Vec<_> = (0..many)
            .map(|_| {
                let (turns, panics) = (self.chance.below(10) as u32, self.chance.one_in(4));
                let body = match self.chance.one_in(3) {
                    true => guarded_async.remote(&semaphore, section, turns),
                    false => guarded.remote(&semaphore, section, turns, panics),
                };
                (body, panics)
            })
            .collect();
        if self.chance.one_in(2) {
            let permit = match self.chance.below(3) {
                0 => semaphore.acquire().map(Some),
                1 => semaphore.acquire_timeout(Duration::from_micros(self.chance.below(300) as u64)),
                _ => semaphore.try_acquire(),
            };
            match permit {
                Ok(Some(_permit)) => {
                    let _inside = Inside::of(section);
                    std::thread::yield_now();
                }
                Ok(None) => {}
                Err(error) if may_fail(&error, false) => return,
                Err(error) => give_up(&format!("a permit: {error}")),
            }
        }
        if ends {
            let _ = semaphore.shutdown();
        }
        for (body, panics) in bodies {
            match ray::get_timeout(body, plan().watchdog) {
                Ok(thing) if thing.value() == 1 => {}
                Err(error) if panics && error.is_panic() || may_fail(&error, ends) => {}
                other => give_up(&format!("a body with a permit: {other:?}")),
            }
        }
        let most = most_inside(section);
        if most > permits {
            give_up(&format!("{most} bodies were in a section for {permits}"));
        }
        if !ends {
            // In strict mode a permit returns by a message, which may come later.
            // A body that failed because the engine ends may still have its permit.
            let is_free = || {
                let free = semaphore.available_permits();
                free.map_or_else(|error| may_fail(&error, false), |free| free == permits) || ending() || few_threads()
            };
            match plan().strict {
                true => eventually("all permits return", is_free),
                false if !is_free() => give_up(&format!("the permits after all bodies: {:?}", semaphore.available_permits())),
                false => {}
            }
        }
    }

    /// Bodies that wait for an event, which is set, or which ends.
    pub(super) fn event(&mut self) {
        let (many, ends) = (self.chance.below(6), self.chance.one_in(4));
        self.note("event", [many as i64, i64::from(ends)]);
        let event = Event::new();
        let bodies: Vec<_> = (0..many as i64)
            .map(|value| match self.chance.one_in(2) {
                true => after_event.remote(&event, value),
                false => after_event_async.remote(&event, value),
            })
            .collect();
        let early = event.wait_timeout(Duration::from_micros(self.chance.below(100) as u64));
        self.expect("an event that is not set", early, false);
        if ends {
            let _ = event.shutdown();
        } else if let Err(error) = event.set()
            && !may_fail(&error, false)
        {
            give_up(&format!("an event cannot be set: {error}"));
        }
        for (value, body) in bodies.into_iter().enumerate() {
            match ray::get_timeout(body, plan().watchdog) {
                Ok(thing) if thing.value() == value as i64 && !ends => {}
                Err(error) if may_fail(&error, ends) => {}
                other => give_up(&format!("a body behind an event: {other:?}")),
            }
        }
        if !ends {
            let set = event.is_set();
            self.expect("an event that was set", set, true);
            let waited = if self.chance.one_in(2) { event.wait() } else { self.runtime.block_on(event.wait_async()) };
            self.expect("a wait for an event that was set", waited, ());
            let cleared = event.clear().and_then(|()| event.wait_timeout(Duration::ZERO));
            self.expect("an event that was cleared", cleared, false);
        }
    }
}
