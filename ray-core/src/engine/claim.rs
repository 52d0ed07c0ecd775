//! The claims of work that needs other resources than one CPU: how they are entered, served and withdrawn.
//!
//! # Why no unwanted claim stays, and no grant is lost
//!
//! 1. A start (of a task or of an actor's creation) is entered in the claims under their lock, and only if the start is still
//!    wanted. A thread that makes it unwanted first moves the task or the creation out of `Queued`, then takes the lock and
//!    withdraws the claim. So one of the two threads sees the other.
//! 2. A task is marked as granted under the same lock under which its claim is served. A canceller that finds no claim sees the
//!    mark and gives the resources back itself. Removing the mark is atomic, so the resources are given back once.
//! 3. The resources of an actor's creation belong to the actor once they are granted.

use std::time::Instant;

use crate::base::resources::Resources;
use crate::engine::engine::{Engine, Returning};
use crate::engine::free_job::FreeJob;
use crate::engine::threads::Job;
use crate::engine::worker::Granted;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::sched::claims::{Claims, Grant, Key, Term};
use crate::task::head::TaskHead;

/// The key of a claim: the address of a task or, for a creation, that of the actor, which a killing thread knows.
fn key_of(head: &TaskHead) -> (Key, Term) {
    match head.owner() {
        Some(actor) => (Key(actor), Term::Life),
        None => (Key(std::ptr::from_ref(head).addr()), Term::Body),
    }
}

/// Whether a task or a creation that is about to be entered has not been cancelled.
fn is_wanted(head: &TaskHead) -> bool {
    head.header.phase() == Phase::Queued
}

/// Enters a task or a creation in the claims.
#[cold]
pub(crate) fn claim(engine: &Engine, task: Hold) {
    let Some(head) = task.task() else { return };
    let Some(demand) = head.extra().map(|extra| extra.settings.resources.clone()) else { return };
    let (key, term) = key_of(head);
    {
        let mut claims = engine.claims.lock();
        if !is_wanted(head) {
            // The task was cancelled, or its actor was killed.
            drop(claims);
            drop(task);
            return;
        }
        claims.claim_start(key, demand, term, task, Instant::now());
        count_claims(engine, &claims);
    }
    serve_claims(engine);
    crate::engine::queue::notify(engine);
}

/// Withdraws the claim of a task or creation that will not begin, or gives the granted resources of the task back.
#[cold]
pub(crate) fn withdraw(head: &TaskHead) {
    let Some(extra) = head.extra() else { return };
    if extra.settings.resources.is_none() {
        return;
    }
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == head.header.epoch) else { return };
    if withdraw_claim(&engine, key_of(head).0).is_none() && head.owner().is_none() {
        crate::engine::execute::give_back(&engine, head);
    }
}

/// Takes the resources back from granted tasks that have not started, and enters their claims again.
#[cold]
pub(crate) fn take_grants_back(engine: &Engine) {
    let (mut granted, mut others) = (Vec::new(), Vec::new());
    while let Some(job) = engine.free.take_any() {
        match job.into_granted() {
            Ok(task) => granted.push(task),
            Err(other) => others.push(other),
        }
    }
    for job in others {
        crate::engine::queue::queue_free(engine, job);
    }
    // All tasks are out of the queue before the first one gives its resources back, because another one may be granted them at
    // once.
    for task in granted {
        if let Some(head) = task.task() {
            crate::engine::execute::give_back(engine, head);
        }
        claim(engine, task);
    }
}

/// Publishes the number of claims in the CPU pool.
pub(crate) fn count_claims(engine: &Engine, claims: &Claims<Returning, Hold>) {
    let (all, urgent) = claims.counts(Instant::now(), |units, term| engine.cpu.has_room(units, term));
    engine.cpu.set_claims(all, urgent);
}

fn withdraw_claim(engine: &Engine, key: Key) -> Option<Hold> {
    let withdrawn = {
        let mut claims = engine.claims.lock();
        let withdrawn = claims.withdraw_start(key)?;
        count_claims(engine, &claims);
        withdrawn
    };
    // If the claim was urgent, free CPUs were kept for it. Other work can use them now.
    crate::engine::queue::notify(engine);
    crate::engine::wake::kick(engine);
    Some(withdrawn)
}

/// Gives back the resources that an actor held for life.
pub(crate) fn give_back_of_life(engine: &Engine, demand: &Resources) {
    engine.cpu.end_of_life(demand.cpu());
    give_back(engine, demand);
}

/// Gives back the resources of a task.
pub(crate) fn give_back(engine: &Engine, demand: &Resources) {
    engine.claims.lock().others.give_back(&demand.without_cpu());
    let _ = engine.cpu.give(demand.cpu());
    serve_claims(engine);
}

/// Serves claims while there are enough resources.
#[cold]
pub(crate) fn serve_claims(engine: &Engine) {
    let mut granted = Vec::new();
    {
        let mut claims = engine.claims.lock();
        grant(engine, &mut claims, &mut granted);
        // Another thread may have given CPUs back before the first call published the number of claims.
        grant(engine, &mut claims, &mut granted);
    }
    for grant in granted {
        match grant {
            Grant::Return(getter) => getter.grant(),
            Grant::Start(task) => start_granted(engine, task),
        }
    }
}

fn grant(engine: &Engine, claims: &mut Claims<Returning, Hold>, granted: &mut Vec<Grant<Returning, Hold>>) {
    while let Some(grant) = claims.next(|units, term| engine.cpu.take_for(units, term)) {
        if let Grant::Start(task) = &grant
            && let Some(head) = task.task()
            && head.owner().is_none()
        {
            head.mark_granted(true);
        }
        granted.push(grant);
    }
    count_claims(engine, claims);
}

/// Starts a task, or the creation of an actor, whose resources have been granted.
fn start_granted(engine: &Engine, task: Hold) {
    match task.task().and_then(|head| head.vtable().kind.for_life.as_ref()) {
        Some(for_life) => (for_life.granted)(task),
        None => {
            crate::engine::queue::queue_free(engine, FreeJob::of(Granted(Job::new(task))));
            crate::engine::wake::kick(engine);
        }
    }
}

/// Gives CPU units back, and serves claims.
#[inline]
pub(crate) fn give_cpu(engine: &Engine, units: u64) {
    if units > 0 && engine.cpu.give(units) {
        serve_claims(engine);
    }
}
