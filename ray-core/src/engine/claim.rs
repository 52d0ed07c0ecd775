//! Work that asks for something other than one CPU: from the claims to a queue, or withdrawn.
//!
//! # Why no unwanted claim stays, and no grant is lost
//!
//! 1. A start enters the claims under their lock, and only if it is still wanted then. A thread that makes it unwanted does so
//!    first (the task, or the actor's creation, leaves `Queued`) and takes the lock after it, to withdraw the claim. So one
//!    of the two sees the other.
//! 2. A task is marked as granted under the same lock under which its claim is served. A canceller that finds no claim
//!    sees that mark, and gives the grant back itself; the mark is taken off once, so nobody gives it back twice.
//! 3. The grant of an actor's creation belongs to the actor from then on.

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

/// The key of a task's claim is its own address, that of a creation the actor's, which a killer knows.
fn key_of(head: &TaskHead) -> (Key, Term) {
    match head.owner() {
        Some(actor) => (Key(actor), Term::Life),
        None => (Key(std::ptr::from_ref(head).addr()), Term::Body),
    }
}

/// Whether a task or a creation that is about to claim is still to begin.
fn is_wanted(head: &TaskHead) -> bool {
    head.header.phase() == Phase::Queued
}

/// Puts a task or a creation in the claims.
#[cold]
pub(crate) fn claim(engine: &Engine, task: Hold) {
    let Some(head) = task.task() else { return };
    let Some(demand) = head.extra().map(|extra| extra.settings.resources.clone()) else { return };
    let (key, term) = key_of(head);
    {
        let mut claims = engine.claims.lock();
        if !is_wanted(head) {
            // Cancelled, or its actor was killed.
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

/// A task will not begin, or a creation: takes its claim back, or what it was granted.
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

/// Takes back what was granted to tasks that have not started: they stand in the claims again.
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
    // After all have been taken out: what is given back may be granted to the next one at once.
    for task in granted {
        if let Some(head) = task.task() {
            crate::engine::execute::give_back(engine, head);
        }
        claim(engine, task);
    }
}

/// Lets everybody see how many claims there are.
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
    // The claim may have been urgent, and the CPUs that are free kept for it.
    crate::engine::queue::notify(engine);
    crate::engine::wake::kick(engine);
    Some(withdrawn)
}

/// Gives back what an actor held for life.
pub(crate) fn give_back_of_life(engine: &Engine, demand: &Resources) {
    engine.cpu.end_of_life(demand.cpu());
    give_back(engine, demand);
}

/// Gives back what a task was granted.
pub(crate) fn give_back(engine: &Engine, demand: &Resources) {
    engine.claims.lock().others.give_back(&demand.without_cpu());
    let _ = engine.cpu.give(demand.cpu());
    serve_claims(engine);
}

/// Serves claims for as long as resources reach.
#[cold]
pub(crate) fn serve_claims(engine: &Engine) {
    let mut granted = Vec::new();
    {
        let mut claims = engine.claims.lock();
        grant(engine, &mut claims, &mut granted);
        // Somebody may have given CPU back between the last look and the raised count.
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

/// A task, or the creation of an actor, has been granted what it asked for.
fn start_granted(engine: &Engine, task: Hold) {
    match task.task().and_then(|head| head.vtable().kind.for_life.as_ref()) {
        Some(for_life) => (for_life.granted)(task),
        None => {
            crate::engine::queue::queue_free(engine, FreeJob::of(Granted(Job::new(task))));
            crate::engine::wake::kick(engine);
        }
    }
}

/// Gives CPU back, and serves those who wait for it.
#[inline]
pub(crate) fn give_cpu(engine: &Engine, units: u64) {
    if units > 0 && engine.cpu.give(units) {
        serve_claims(engine);
    }
}
