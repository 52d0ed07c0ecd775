//! A driver: a thread that runs a random program, maintains its model, and checks the results.

mod actors;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ray::{ActorHandle, Error, ErrorKind, ObjectRef, TakeError};

use super::model::{Kinds, Model};
use super::program::{Ledger, Thing, add, burst, dawdle, halves, later, look, make, nest, refuse, stumble, total_of};
use super::{CALLED, Chance, ENDING, REGISTERED, give_up, log};
use crate::support::PATIENCE;
use actors::Actor;

/// The actor and the objects that all drivers of one engine use.
pub struct Shared {
    pub cpus: usize,
    ledger: ActorHandle<Ledger>,
    /// The number of calls sent to the ledger; none of them may fail.
    sent: AtomicI64,
    objects: Vec<(ObjectRef<Thing>, i64)>,
}

impl Shared {
    pub fn new(cpus: usize) -> Self {
        let objects = (0..8).map(|x| (dawdle.remote(Thing::new(x), 30 * x as u32), x)).collect();
        Shared { cpus, ledger: Ledger::remote(Thing::new(0)), sent: AtomicI64::new(0), objects }
    }

    /// Checks that the ledger has counted every call.
    pub fn check(&self) {
        match ray::get_timeout(self.ledger.count.remote(), PATIENCE) {
            Ok(count) if count.value() == self.sent.load(Ordering::SeqCst) => {}
            Err(error) if ENDING.load(Ordering::SeqCst) && error.is_runtime_gone() => {}
            other => give_up(&format!("the shared actor counts {other:?}, not {}", self.sent.load(Ordering::SeqCst))),
        }
    }
}

struct Driver<'a> {
    number: usize,
    chance: Chance,
    shared: &'a Shared,
    model: Model,
    objects: Vec<(usize, ObjectRef<Thing>)>,
    actors: Vec<Actor>,
    /// The number of the last call that this driver sent to the shared ledger.
    seq: u64,
    callers: u64,
}

/// Runs a random program of `operations` operations.
pub fn run(number: usize, seed: u64, operations: u64, shared: &Shared) {
    let mut driver = Driver {
        number,
        chance: Chance::new(seed),
        shared,
        model: Model::default(),
        objects: Vec::new(),
        actors: Vec::new(),
        seq: 0,
        callers: 0,
    };
    for (object, value) in &shared.objects {
        let value = *value;
        let node = driver.model.add(&[], Kinds::NONE, None, |_| Some(value));
        driver.objects.push((node, object.clone()));
    }
    for turn in 0..operations {
        if ENDING.load(Ordering::SeqCst) {
            return;
        }
        driver.step(turn);
        while driver.objects.len() > 60 {
            driver.let_go();
        }
    }
    driver.settle();
}

impl Driver<'_> {
    fn note(&self, text: String) {
        log(format!("{}: {text}", self.number));
    }

    fn step(&mut self, turn: u64) {
        if self.objects.len() < 4 {
            self.make();
        }
        match self.chance.below(100) {
            0..6 => self.make(),
            6..26 => self.combine(),
            26..32 => self.fail(),
            32..36 => self.nest(),
            36..40 => self.split(),
            40..44 => self.asynchronous(),
            44..48 => self.new_actor(turn),
            48..64 => self.call(),
            64..67 => self.visit(),
            67..69 => self.end_actor(),
            69..72 => self.cancel(),
            72..82 => self.get_one(),
            82..86 => self.get_many(),
            86..90 => self.wait(),
            90..92 => self.as_completed(),
            92..94 => self.callback(),
            _ => self.let_go(),
        }
    }

    fn pick(&mut self) -> (usize, ObjectRef<Thing>) {
        let at = self.chance.below(self.objects.len());
        let (node, object) = &self.objects[at];
        (*node, object.clone())
    }

    fn enter(&mut self, what: &str, node: usize, object: ObjectRef<Thing>) {
        self.note(format!("{what} -> {node}"));
        self.objects.push((node, object));
    }

    fn make(&mut self) {
        let value = self.chance.below(1000) as i64;
        let node = self.model.add(&[], Kinds::NONE, None, |_| Some(value));
        let object = match self.chance.below(4) {
            0 => ray::put(Thing::new(value)),
            1 => ObjectRef::from(std::sync::Arc::new(Thing::new(value))),
            2 => ray::task(move || Thing::new(value)).remote(),
            _ => make.remote(value),
        };
        self.enter("make", node, object);
    }

    fn combine(&mut self) {
        let ((a, first), (b, second)) = (self.pick(), self.pick());
        let node;
        let object = match self.chance.below(7) {
            0 => {
                node = self.model.add(&[a, b], Kinds::NONE, None, |values| Some(values[0] + values[1]));
                look.remote(&first, &second)
            }
            1 => {
                let turns = self.chance.below(100) as u32;
                node = self.model.add(&[a], Kinds::NONE, None, |values| Some(values[0]));
                dawdle.remote(first, turns)
            }
            2 => {
                let times = self.chance.below(4) as u32;
                node = self.model.add(&[a], Kinds::NONE, None, |values| Some(values[0]));
                stumble.remote(first, times)
            }
            3 => {
                let many: Vec<_> = (0..self.chance.below(20)).map(|_| self.pick()).collect();
                let deps: Vec<usize> = many.iter().map(|(node, _)| *node).collect();
                node = self.model.add(&deps, Kinds::NONE, None, |values| Some(values.iter().sum()));
                total_of.remote(many.into_iter().map(|(_, object)| object).collect::<Vec<_>>())
            }
            4 => {
                node = self.model.add(&[a, b], Kinds::NONE, None, |values| Some(values[0] + values[1]));
                let cpus = [0.0, 0.5, self.shared.cpus as f64][self.chance.below(3)];
                add.options().num_cpus(cpus).resource("slot", 1.0).remote(first, second)
            }
            _ => {
                node = self.model.add(&[a, b], Kinds::NONE, None, |values| Some(values[0].wrapping_add(values[1])));
                add.remote(first, second)
            }
        };
        // Sums of sums must not overflow.
        if self.model.value(node).is_some_and(|value| value.abs() > 1 << 40) {
            drop(object);
            return;
        }
        self.enter(&format!("combine {a} {b}"), node, object);
    }

    fn fail(&mut self) {
        let (a, object) = self.pick();
        let (kind, object) = match self.chance.below(3) {
            0 => (ErrorKind::Task, refuse.remote(&object)),
            1 => (ErrorKind::Panic, burst.remote(&object)),
            _ => (ErrorKind::Task, stumble.remote(&object, 9)),
        };
        let node = self.model.add(&[a], Kinds::of(kind), None, |_| None);
        self.enter(&format!("fail {a}"), node, object);
    }

    fn nest(&mut self) {
        let (depth, value) = (self.chance.below(4) as u32, self.chance.below(10) as i64);
        let sum = value * (1 << depth) + i64::from(depth) * ((1 << depth) / 2);
        let node = self.model.add(&[], Kinds::NONE, None, |_| Some(sum));
        self.enter("nest", node, nest.remote(depth, value));
    }

    fn split(&mut self) {
        let (a, object) = self.pick();
        let whole = self.model.add(&[a], Kinds::NONE, None, |values| Some(values[0]));
        let (one, other) = halves.remote(object);
        let node = self.model.add(&[whole], Kinds::NONE, None, |values| Some(values[0] / 2));
        self.model.set_whole(node, whole);
        self.enter(&format!("split {a}"), node, one);
        let node = self.model.add(&[whole], Kinds::NONE, None, |values| Some(values[0] - values[0] / 2));
        self.model.set_whole(node, whole);
        self.enter(&format!("split {a}"), node, other);
    }

    fn asynchronous(&mut self) {
        let ((a, object), pauses) = (self.pick(), self.chance.below(4) as u32);
        let node = self.model.add(&[a], Kinds::NONE, None, |values| Some(values[0]));
        self.enter(&format!("async {a}"), node, later.remote(&object, pauses));
    }

    fn cancel(&mut self) {
        let at = self.chance.below(self.objects.len());
        let (node, object) = &self.objects[at];
        if self.shared.objects.iter().any(|(shared, _)| shared == object) {
            return;
        }
        let node = *node;
        log(format!("{}: cancel {node}", self.number));
        if self.chance.one_in(3) {
            drop(object.clone().cancel_on_drop());
        } else if let Err(error) = ray::cancel(object)
            && !ENDING.load(Ordering::SeqCst)
        {
            give_up(&format!("cancel {node}: {error}"));
        }
        self.model.widen_cancel(node);
    }

    fn observe(&mut self, node: usize, outcome: Result<i64, Error>) {
        if ENDING.load(Ordering::SeqCst) && outcome.as_ref().is_err_and(Error::is_runtime_gone) {
            return;
        }
        if let Err(what) = self.model.observe(node, &outcome) {
            // Bodies that run during the shutdown may fail with other errors.
            if !ENDING.load(Ordering::SeqCst) {
                give_up(&format!("driver {}: {what}", self.number));
            }
        }
    }

    fn get_one(&mut self) {
        let (node, object) = self.pick();
        let how = self.chance.below(6);
        self.note(format!("get {node} ({how})"));
        let outcome = match how {
            0 => {
                let timeout = Duration::from_micros(self.chance.below(300) as u64);
                match ray::get_timeout(object, timeout) {
                    Err(error) if error.is_timeout() => return,
                    outcome => outcome.map(|thing| thing.value()),
                }
            }
            1 => object.view().map(|thing| thing.value()),
            2 => futures::executor::block_on(object).map(|thing| thing.value()),
            3 => match object.try_get() {
                Ok(None) => return,
                Ok(Some(thing)) => Ok(thing.value()),
                Err(error) => Err(error),
            },
            4 => match object.take() {
                Ok(thing) => Ok(thing.value()),
                Err(TakeError::Shared(object)) => object.view().map(|thing| thing.value()),
                Err(TakeError::Failed(error)) => Err(error),
            },
            _ => ray::get(&object).map(|thing| thing.value()),
        };
        self.observe(node, outcome);
    }

    fn get_many(&mut self) {
        let many: Vec<_> = (0..1 + self.chance.below(12)).map(|_| self.pick()).collect();
        let (nodes, objects): (Vec<usize>, Vec<_>) = many.into_iter().unzip();
        self.note(format!("get {nodes:?}"));
        match ray::get(objects) {
            Ok(things) => {
                for (node, thing) in nodes.iter().zip(things) {
                    self.observe(*node, Ok(thing.value()));
                }
            }
            Err(error) => {
                let together = self.model.add(&nodes, Kinds::NONE, None, |values| Some(values[0]));
                self.observe(together, Err(error));
            }
        }
    }

    /// Picks up to `most + 1` distinct objects.
    fn some(&mut self, most: usize) -> (Vec<usize>, Vec<ObjectRef<Thing>>) {
        let mut found: Vec<(usize, ObjectRef<Thing>)> = Vec::new();
        for _ in 0..=self.chance.below(most) {
            let (node, object) = self.pick();
            if !found.iter().any(|(_, other)| *other == object) {
                found.push((node, object));
            }
        }
        found.into_iter().unzip()
    }

    fn wait(&mut self) {
        let (nodes, objects) = self.some(15);
        let count = 1 + self.chance.below(objects.len());
        let timeout = self.chance.one_in(2).then(|| Duration::from_micros(self.chance.below(300) as u64));
        self.note(format!("wait {count} of {nodes:?} {timeout:?}"));
        let mut options = ray::first(count);
        if let Some(timeout) = timeout {
            options = options.timeout(timeout);
        }
        match ray::wait(&objects, options) {
            Ok((ready, rest)) => {
                assert!(ready.len() == count || timeout.is_some() && ready.len() < count, "{} of {count}", ready.len());
                assert!(ready.iter().all(ObjectRef::is_ready), "all returned objects are ready");
                let mut rest: Vec<_> = rest.iter().collect();
                let mut ready = ready.iter().peekable();
                for object in &objects {
                    if ready.peek().is_some_and(|next| *next == object) {
                        ready.next();
                    } else {
                        assert!(rest.remove(0) == object, "both lists have the order of the input");
                    }
                }
            }
            Err(error) => assert!(ENDING.load(Ordering::SeqCst), "{error}"),
        }
    }

    fn as_completed(&mut self) {
        let (nodes, objects) = self.some(10);
        self.note(format!("as completed {nodes:?}"));
        let (count, streamed) = (objects.len(), self.chance.one_in(2));
        let done: Vec<ObjectRef<Thing>> = if streamed {
            use futures::StreamExt;
            futures::executor::block_on(ray::as_completed(objects).stream().collect())
        } else {
            ray::as_completed(objects).collect()
        };
        assert_eq!(done.len(), count);
        assert!(ENDING.load(Ordering::SeqCst) || done.iter().all(ObjectRef::is_ready));
    }

    fn callback(&mut self) {
        let (node, object) = self.pick();
        self.note(format!("callback {node}"));
        REGISTERED.fetch_add(1, Ordering::SeqCst);
        object.on_ready(|| {
            CALLED.fetch_add(1, Ordering::SeqCst);
        });
    }

    fn let_go(&mut self) {
        let at = self.chance.below(self.objects.len());
        let (node, object) = self.objects.swap_remove(at);
        if self.chance.one_in(2) {
            self.note(format!("take {node}"));
            let outcome = ray::get(object).map(|thing| thing.value());
            self.observe(node, outcome);
        } else {
            self.note(format!("drop {node}"));
        }
    }

    /// Checks that every remaining object is settled.
    fn settle(&mut self) {
        for at in 0..self.actors.len() {
            self.count(at);
        }
        for (node, object) in std::mem::take(&mut self.objects) {
            self.note(format!("settle {node}"));
            let outcome = ray::get_timeout(object, PATIENCE).map(|thing| thing.value());
            self.observe(node, outcome);
        }
    }
}
