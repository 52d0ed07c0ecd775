//! Operations on pools of actors, pools of workers, and maps.

use futures::StreamExt;
use ray::util::{ActorPool, Pool};
use ray::{Chunk, Error, ErrorKind};

use super::races::yields;
use super::{Driver, is_excused};
use crate::program::{Ledger, Thing, one_more, one_more_async, picky};
use crate::state::{ending, few_threads, give_up, plan};

/// What `picky` gives for a number.
fn picked(value: i64) -> Result<i64, ErrorKind> {
    match value {
        value if value % 11 == 0 => Err(ErrorKind::Panic),
        value if value % 7 == 0 => Err(ErrorKind::Task),
        value => Ok(value + 1),
    }
}

fn anything_goes() -> bool {
    ending() || few_threads()
}

type Outcome = Result<i64, ErrorKind>;

/// The outcome of a call, or none if it has failed because the engine ends or has few threads.
fn outcome(result: ray::Result<Thing>) -> Option<Outcome> {
    match result {
        Ok(thing) => Some(Ok(thing.value())),
        Err(error) if is_excused(&error) || anything_goes() => None,
        Err(error) => Some(Err(error.kind())),
    }
}

/// Checks the results of a map against the expected ones. An unordered map has them in any order; one that was dropped has fewer.
fn check(what: &str, mut got: Vec<Outcome>, mut expected: Vec<Outcome>, ordered: bool, complete: bool) {
    if anything_goes() {
        return;
    }
    let in_order = |outcome: &Outcome| outcome.map_err(|kind| kind as u32);
    let wrong = if complete || ordered {
        if !ordered {
            got.sort_unstable_by_key(in_order);
            expected.sort_unstable_by_key(in_order);
        }
        got.len() > expected.len() || got != expected[..got.len()] || complete && got.len() < expected.len()
    } else {
        got.iter().any(|one| match expected.iter().position(|other| other == one) {
            Some(at) => {
                let _ = expected.swap_remove(at);
                false
            }
            None => true,
        })
    };
    if wrong {
        give_up(&format!("{what}: {got:?}, expected {expected:?}"));
    }
}

impl Driver {
    /// A map of a function or a method: in order or not, with a limit, in chunks, as an iterator or a stream, to its end or not.
    pub(super) fn map(&mut self) {
        let (from, count) = (self.chance.below(100) as i64, self.chance.below(40) as i64);
        let (ordered, streamed) = (self.chance.one_in(2), self.chance.one_in(3));
        let (limit, chunk) = (1 + self.chance.below(10), self.chance.below(4));
        let most = if self.chance.one_in(3) { self.chance.below(count as usize + 1) } else { usize::MAX };
        let function = self.chance.below(4);
        self.note("map", [from, count, function as i64]);
        let values = || (from..from + count).map(Thing::new);
        let expected: Vec<Outcome> = match function {
            0 | 3 => (from..from + count).map(picked).collect(),
            _ => (from..from + count).map(|value| Ok(value + 1)).collect(),
        };
        let mut all = Vec::new();
        let runtime = &self.runtime;
        macro_rules! collect {
            ($map:expr) => {{
                let map = $map;
                if streamed {
                    runtime.block_on(async { map.stream().take(most).for_each(|one| std::future::ready(all.push(one))).await });
                } else {
                    all.extend(map.take(most));
                }
            }};
        }
        macro_rules! run {
            ($function:expr) => {{
                let map = if ordered { $function.map(values()) } else { $function.map_unordered(values()) };
                match chunk {
                    0 => collect!(map),
                    1 => collect!(map.max_in_flight(limit)),
                    2 => collect!(map.chunk(Chunk::Auto)),
                    _ => collect!(map.chunk(1 + limit % 5).max_in_flight(1 + limit / 3)),
                }
            }};
        }
        match function {
            0 => run!(picky),
            1 => run!(one_more),
            2 => {
                // An `async fn` has no chunks.
                let map = if ordered { one_more_async.map(values()) } else { one_more_async.map_unordered(values()) };
                collect!(map.max_in_flight(limit));
            }
            _ => {
                let values = || values().map(ray::put);
                let map = if ordered { picky.map(values()) } else { picky.map_unordered(values()) };
                collect!(map.max_in_flight(limit));
            }
        }
        let got: Vec<Outcome> = all.into_iter().filter_map(outcome).collect();
        check("a map", got, expected, ordered, most > count as usize);
    }

    /// A pool of actors, one of which may be killed meanwhile.
    pub(super) fn actor_pool(&mut self) {
        let (many, count) = (1 + self.chance.below(4), self.chance.below(20) as i64);
        let (how, kills) = (self.chance.below(4), self.chance.one_in(3));
        self.note("pool of actors", [many as i64, count, i64::from(kills)]);
        let actors: Vec<_> = (0..many).map(|_| Ledger::remote(Thing::new(0))).collect();
        if kills {
            let (theirs, later) = (actors[0].clone(), self.chance.below(30));
            self.assistant.send(move || {
                yields(later);
                let _ = ray::kill(&theirs);
            });
        }
        let mut pool = ActorPool::new(actors);
        let most = if self.chance.one_in(4) { self.chance.below(count as usize + 1) } else { usize::MAX };
        let values = (0..count).map(Thing::new);
        let mut results: Vec<ray::Result<Thing>> = Vec::new();
        let ordered = how % 2 == 0;
        match how {
            0 => results.extend(pool.map(|actor, thing| actor.echo.remote(thing), values).take(most)),
            1 => results.extend(pool.map_unordered(|actor, thing| actor.echo.remote(thing), values).take(most)),
            _ => {
                for thing in values {
                    pool.submit(|actor, thing| actor.echo.remote(thing), thing);
                }
                while results.len() < most {
                    let next = match (how, self.chance.one_in(2)) {
                        (2, true) => pool.get_next(),
                        (2, false) => self.runtime.block_on(pool.get_next_async()),
                        (_, true) => pool.get_next_unordered(),
                        (_, false) => self.runtime.block_on(pool.get_next_unordered_async()),
                    };
                    match next {
                        Some(result) => results.push(result),
                        None => break,
                    }
                }
                if most == usize::MAX && pool.has_next() && !anything_goes() {
                    give_up("a pool has a further result, and does not return it");
                }
            }
        }
        if anything_goes() {
            return;
        }
        let is_death = |result: &ray::Result<Thing>| result.as_ref().is_err_and(Error::is_actor_died);
        let deaths = results.iter().filter(|result| is_death(result)).count();
        // An actor has one call at a time. A pool without actors fails each call that it has.
        let last = many == 1;
        if deaths > usize::from(kills) && !(kills && last) {
            give_up(&format!("{deaths} calls of a pool of {many} actors have failed with `ActorDied`"));
        }
        let values: Vec<i64> = results.iter().filter_map(|result| result.as_ref().ok()).map(Thing::value).collect();
        if values.len() + deaths != results.len() {
            give_up(&format!("the results of a pool: {results:?}"));
        }
        let complete = most == usize::MAX && !(kills && last);
        if complete && results.len() != count as usize {
            give_up(&format!("a pool of {many} actors gives {} results for {count} values", results.len()));
        }
        let mut sorted = values.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != values.len() || ordered && sorted != values || sorted.last().is_some_and(|last| *last >= count) {
            give_up(&format!("the values of a pool: {values:?}"));
        }
    }

    /// A pool of workers, which is dropped, closed or terminated.
    pub(super) fn pool(&mut self) {
        let (many, from, count) = (1 + self.chance.below(3), self.chance.below(100) as i64, self.chance.below(20) as i64);
        let (how, end) = (self.chance.below(6), self.chance.below(4));
        self.note("pool", [many as i64, count, how as i64]);
        let pool = match Pool::new(many) {
            Ok(pool) => pool,
            Err(error) if is_excused(&error) || anything_goes() => return,
            Err(error) => give_up(&format!("a pool cannot be made: {error}")),
        };
        let numbers = || from..from + count;
        let values = || numbers().map(Thing::new);
        let expected: Vec<Outcome> = numbers().map(picked).collect();
        let size = 1 + self.chance.below(4);
        let most = if self.chance.one_in(3) { self.chance.below(count as usize + 1) } else { usize::MAX };
        let is_late = |error: &Error| is_excused(error) || anything_goes();
        match how {
            0 => match pool.map(one_more, values()) {
                Ok(all) => check(
                    "a map of a pool",
                    all.iter().map(|one| Ok(one.value())).collect(),
                    numbers().map(|x| Ok(x + 1)).collect(),
                    true,
                    true,
                ),
                Err(error) if is_late(&error) => return,
                Err(error) => give_up(&format!("a map of a pool: {error}")),
            },
            1 => match (pool.map(picky, values()), expected.iter().find_map(|one| one.err())) {
                (Ok(_), None) => {}
                (Err(error), _) if is_late(&error) => return,
                (Err(error), Some(kind)) if error.kind() == kind => {}
                (other, _) => give_up(&format!("a map of a pool: {other:?}, expected {expected:?}")),
            },
            2 | 3 => {
                let ordered = how == 2;
                let all: Vec<_> = if ordered {
                    pool.imap(picky, values(), size).expect("the pool is open").take(most).collect()
                } else {
                    pool.imap_unordered(picky, values(), size).expect("the pool is open").take(most).collect()
                };
                check(
                    "a lazy map of a pool",
                    all.into_iter().filter_map(outcome).collect(),
                    expected,
                    ordered,
                    most == usize::MAX,
                );
            }
            4 => {
                let calls: Vec<_> = values().map(|thing| pool.apply_async(picky, (thing,)).expect("the pool is open")).collect();
                let all = calls.iter().map(|call| match self.number % 2 {
                    0 => call.get_timeout(plan().watchdog),
                    _ => self.runtime.block_on(call.get_async()),
                });
                check("calls of a pool", all.filter_map(outcome).collect(), expected, true, true);
            }
            _ => {
                let result = pool.map_async(one_more, values()).expect("the pool is open");
                if self.chance.one_in(2) {
                    let _ = pool.terminate();
                }
                match result.get_timeout(plan().watchdog) {
                    Ok(all) if all.len() == count as usize => {}
                    Err(error) if error.is_actor_died() || is_late(&error) => {}
                    other => give_up(&format!("a map of a pool that is terminated: {other:?}")),
                }
            }
        }
        match end {
            0 => {
                pool.close();
                if let Err(error) = pool.join()
                    && !is_late(&error)
                {
                    give_up(&format!("a closed pool does not end: {error}"));
                }
                if pool.apply(one_more, (Thing::new(1),)).is_ok() {
                    give_up("a closed pool takes a call");
                }
            }
            1 => drop(pool.terminate()),
            _ => {}
        }
    }
}
