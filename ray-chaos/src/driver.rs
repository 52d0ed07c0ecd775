//! A driver: a thread that runs a random program and its model, and compares the results.

mod actors;
mod awaits;
mod blocked;
mod gets;
mod groups;
mod objects;
mod pools;
mod queues;
mod races;
mod restarts;
mod stages;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ray::{ActorHandle, Error, ErrorKind, ObjectRef};

use crate::chance::Chance;
use crate::kinds::Kind;
use crate::model::{Kinds as Errors, Model};
use crate::program::{Desk, Ledger, Thing, dawdle};
use crate::run::Era;
use crate::state::{self, Note, ending, give_up, plan};
use actors::Actor;
pub use groups::all_free;
use races::Assistant;

/// The state that all drivers of an era share.
pub struct Shared {
    pub era: Era,
    ledger: ActorHandle<Ledger>,
    desk: ActorHandle<Desk>,
    /// The number of calls of the ledger. None of them may fail.
    sent: AtomicI64,
    objects: Vec<(ObjectRef<Thing>, i64)>,
}

impl Shared {
    pub fn new(era: Era) -> Self {
        let objects = (0..8).map(|x| (dawdle.remote(Thing::new(x), 30 * x as u32), x)).collect();
        let (ledger, desk) = (Ledger::remote(Thing::new(0)), Desk::remote(Thing::new(0)));
        Shared { era, ledger, desk, sent: AtomicI64::new(0), objects }
    }

    /// Checks that every call has reached the shared actor.
    pub fn check(&self) {
        match ray::get_timeout(self.ledger.count.remote(), plan().watchdog) {
            Ok(count) if count.value() == self.sent.load(Ordering::SeqCst) => {}
            // A call is not executed if its argument failed because the engine has too few threads.
            Ok(_) if state::few_threads() => {}
            Err(error) if is_excused(&error) => {}
            other => give_up(&format!("the shared actor counts {other:?}, expected {}", self.sent.load(Ordering::SeqCst))),
        }
    }
}

/// Whether any operation may fail with this error, because the engine is being shut down or has few threads.
fn is_excused(error: &Error) -> bool {
    ending() && error.is_runtime_gone() || state::few_threads() && error.is_threads()
}

struct Driver {
    number: usize,
    turn: u64,
    chance: Chance,
    shared: Arc<Shared>,
    model: Model,
    objects: Vec<(usize, ObjectRef<Thing>)>,
    actors: Vec<Actor>,
    /// The sequence number of this driver's calls of the shared ledger.
    seq: u64,
    callers: u64,
    assistant: Assistant,
    runtime: tokio::runtime::Runtime,
}

/// Runs a program. The returned value contains the references and handles that the program still holds.
pub fn run(number: usize, shared: Arc<Shared>) -> impl Send {
    let mut driver = Driver {
        number,
        turn: 0,
        chance: Chance::new(&[]),
        model: Model::default(),
        objects: Vec::new(),
        actors: Vec::new(),
        seq: 0,
        callers: 0,
        assistant: Assistant::new(number),
        runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
        shared,
    };
    for at in 0..driver.shared.objects.len() {
        let (object, value) = driver.shared.objects[at].clone();
        let node = driver.model.add(&[], Errors::NONE, None, |_| Some(value));
        driver.objects.push((node, object));
    }
    let era = driver.shared.era.clone();
    for turn in 0..era.turns {
        if ending() {
            break;
        }
        driver.turn = turn;
        driver.chance = Chance::new(&[era.seed, era.number, number as u64, turn]);
        // The kind is drawn from all kinds of the era, so that other turns do not change if the plan leaves a kind out.
        let kind = era.kinds.at(driver.chance.below(era.kinds.weight() as usize) as u32);
        if !plan().kinds.has(kind) || plan().skips(turn) {
            continue;
        }
        state::begin(number, turn, kind);
        if driver.objects.len() < 4 {
            driver.make();
        }
        driver.step(kind);
        while driver.objects.len() > 60 {
            driver.let_go();
        }
    }
    if !ending() {
        driver.settle();
    }
    // The caller decides whether these objects and handles live longer than the engine.
    (driver.objects, driver.actors)
}

impl Driver {
    fn note<const N: usize>(&self, what: &'static str, with: [i64; N]) {
        let mut all = [-1; 3];
        all[..N].copy_from_slice(&with);
        state::note(self.number, Note { turn: self.turn, what, with: all });
    }

    fn step(&mut self, kind: Kind) {
        match kind {
            Kind::Make => self.make(),
            Kind::Combine => self.combine(),
            Kind::Retry => self.retry(),
            Kind::Dawdle => self.dawdle(),
            Kind::FanIn => self.fan_in(),
            Kind::Fail => self.fail(),
            Kind::Nest => self.nest(),
            Kind::Split => self.split(),
            Kind::Async => self.asynchronous(),
            Kind::Drop => self.let_go(),
            Kind::Claim => self.claim(),
            Kind::Cancel => self.cancel(),
            Kind::Actor => self.new_actor(),
            Kind::Call => self.call(),
            Kind::CallShared => self.call_shared(),
            Kind::Tear => self.tear(),
            Kind::Visit => self.visit(),
            Kind::Kill => self.kill_one(),
            Kind::Count => self.count_one(),
            Kind::Name => self.name(),
            Kind::ClaimActor => self.claim_actor(),
            Kind::Exit => self.exit(),
            Kind::Phoenix => self.phoenix(),
            Kind::Get => self.get_one(),
            Kind::GetMany => self.get_many(),
            Kind::Timeout => self.timeout(),
            Kind::Wait => self.wait(),
            Kind::Completed => self.as_completed(),
            Kind::Refill => self.refill(),
            Kind::Order => self.order(),
            Kind::Callback => self.callback(),
            Kind::CallbackGet => self.callback_get(),
            Kind::CallbackLock => self.callback_lock(),
            Kind::RaceCancel => self.race_cancel(),
            Kind::RaceKill => self.race_kill(),
            Kind::Restart => self.restart(),
            Kind::Await => self.await_one(),
            Kind::GiveUp => self.give_up_awaits(),
            Kind::Stream => self.stream(),
            Kind::StreamActor => self.stream_actor(),
            Kind::StreamWait => self.stream_wait(),
            Kind::StreamBody => self.stream_body(),
            Kind::Queue => self.queue(),
            Kind::QueueEnd => self.queue_end(),
            Kind::Semaphore => self.semaphore(),
            Kind::Event => self.event(),
            Kind::ActorPool => self.actor_pool(),
            Kind::Pool => self.pool(),
            Kind::Map => self.map(),
            // With few threads granted work of a bundle may find none, while bodies of the bundle wait in every thread.
            Kind::Group | Kind::GroupRemove | Kind::GroupRivals | Kind::GroupBlock if state::few_threads() => {}
            Kind::Group => self.group(),
            Kind::GroupRemove => self.group_remove(),
            Kind::GroupRivals => self.group_rivals(),
            Kind::GroupBlock => self.group_block(),
            Kind::StageGroup => self.stage_group(),
            Kind::Lock => self.lock(),
            Kind::Once => self.once(),
            Kind::Threads => self.threads(),
            Kind::BlockOn => self.block_on(),
            Kind::StageClaim => self.stage_claim(),
            Kind::StageAdmit => self.stage_admit(),
            Kind::StageKill => self.stage_kill(),
            Kind::StageRestart => self.stage_restart(),
            Kind::StageExit => self.stage_exit(),
            Kind::StageGet => self.stage_get(),
            Kind::StageCallback => self.stage_callback(),
            Kind::Cut | Kind::Keep | Kind::FewThreads | Kind::ThreadsEnd | Kind::Lives | Kind::Memory => {}
        }
    }

    fn pick(&mut self) -> (usize, ObjectRef<Thing>) {
        let at = self.chance.below(self.objects.len());
        let (node, object) = &self.objects[at];
        (*node, object.clone())
    }

    /// Distinct objects.
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

    /// Adds a new object to the program. `node` is its number in the model.
    fn enter(&mut self, what: &'static str, node: usize, object: ObjectRef<Thing>) {
        self.note(what, [node as i64]);
        self.objects.push((node, object));
    }

    /// Adds a new object that depends on no other object.
    fn enter_value(&mut self, what: &'static str, value: i64, object: ObjectRef<Thing>) {
        let node = self.model.add(&[], Errors::NONE, None, |_| Some(value));
        self.enter(what, node, object);
    }

    fn is_shared(&self, object: &ObjectRef<Thing>) -> bool {
        self.shared.objects.iter().any(|(shared, _)| shared == object)
    }

    fn observe(&mut self, node: usize, outcome: Result<i64, Error>) {
        if outcome.as_ref().is_err_and(is_excused) {
            return;
        }
        if let Err(what) = self.model.observe(node, &outcome) {
            // Bodies that run during the shutdown may fail with the errors of their own operations.
            if !ending() && !state::few_threads() {
                give_up(&format!("driver {}, turn {}: {what}", self.number, self.turn));
            }
        }
    }

    /// Checks the outcome of a get of an object that no other thread cancels or kills.
    fn expect<T: PartialEq + std::fmt::Debug>(&self, what: &str, outcome: Result<T, Error>, value: T) {
        match outcome {
            Ok(it) if it == value => {}
            Err(error) if is_excused(&error) || ending() || state::few_threads() => {}
            other => give_up(&format!("driver {}, turn {}: {what}: {other:?}, expected {value:?}", self.number, self.turn)),
        }
    }

    /// Waits until every object is settled, at the end of the program.
    fn settle(&mut self) {
        for at in 0..self.actors.len() {
            self.count_calls(at);
        }
        let kept = std::mem::take(&mut self.objects);
        for (node, object) in &kept {
            self.note("settle", [*node as i64]);
            let outcome = ray::get_timeout(object, plan().watchdog).map(|thing| thing.value());
            self.observe(*node, outcome);
        }
        if self.shared.era.keeps {
            self.objects = kept;
        } else {
            self.actors.clear();
        }
        self.assistant.finish();
    }
}

/// The set of these kinds of errors.
fn errors<const N: usize>(kinds: [ErrorKind; N]) -> Errors {
    kinds.into_iter().fold(Errors::NONE, |all, kind| all.and(Errors::of(kind)))
}
