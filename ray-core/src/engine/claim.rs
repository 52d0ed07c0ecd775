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

use crate::base::id::PlacementGroupId;
use crate::base::resources::Resources;
use crate::engine::engine::{Engine, Returning, Start};
use crate::engine::free_job::FreeJob;
use crate::engine::group_claim;
use crate::engine::threads::Job;
use crate::engine::worker::Granted;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::sched::claims::{Grant, Key, Shape, Term};
use crate::sched::node::Node;
use crate::task::head::TaskHead;

/// The key of a claim: the address of a task or, for a creation, that of the actor, which a killing thread knows.
pub(crate) fn key_of(head: &TaskHead) -> (Key, Term) {
    match head.owner() {
        Some(actor) => (Key(actor), Term::Life),
        None => (Key(std::ptr::from_ref(head).addr()), Term::Body),
    }
}

/// Whether a task or a creation that is about to be entered has not been cancelled.
pub(crate) fn is_wanted(head: &TaskHead) -> bool {
    head.header.phase() == Phase::Queued
}

/// Enters a task or a creation in the claims.
#[cold]
pub(crate) fn claim(engine: &Engine, task: Hold) {
    let Some(head) = task.task() else { return };
    let Some(settings) = head.extra().map(|extra| &extra.settings) else { return };
    if settings.in_group().is_some() {
        return group_claim::claim(engine, task);
    }
    let demand = settings.resources.clone();
    let (key, term) = key_of(head);
    {
        let mut node = engine.claims.lock();
        if !is_wanted(head) {
            // The task was cancelled, or its actor was killed.
            drop(node);
            drop(task);
            return;
        }
        node.claims.claim_start(key, Shape::of(demand, term), None, Start::Work(task), Instant::now());
        count_claims(engine, &mut node);
    }
    serve_claims(engine);
    crate::engine::queue::notify(engine);
}

/// Withdraws the claim of a task or creation that will not begin, or gives the granted resources of the task back.
#[cold]
pub(crate) fn withdraw(head: &TaskHead) {
    let Some(extra) = head.extra() else { return };
    let group = group_claim::id_of(head);
    if extra.settings.resources.is_none() && group.is_none() {
        return;
    }
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == head.header.epoch) else { return };
    let key = key_of(head).0;
    let withdrawn = match group {
        Some(group) => group_claim::withdraw(&engine, group, key),
        None => withdraw_claim(&engine, key),
    };
    if !withdrawn && head.owner().is_none() {
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
pub(crate) fn count_claims(engine: &Engine, node: &mut Node<Returning, Start>) {
    let (all, urgent) = node.counts(Instant::now(), &engine.cpu);
    engine.cpu.set_claims(all, urgent);
}

/// Withdraws a claim on the node; `false`: there is none.
pub(crate) fn withdraw_claim(engine: &Engine, key: Key) -> bool {
    let withdrawn = {
        let mut node = engine.claims.lock();
        let withdrawn = node.claims.withdraw_start(key);
        count_claims(engine, &mut node);
        withdrawn
    };
    if withdrawn.is_none() {
        return false;
    }
    drop(withdrawn);
    // If the claim was urgent, free CPUs were kept for it. Other work can use them now.
    crate::engine::queue::notify(engine);
    crate::engine::wake::kick(engine);
    true
}

/// Gives back what a task or an actor was granted, on the node or in a placement group.
pub(crate) fn give_back(engine: &Engine, (key, term): (Key, Term), demand: &Resources, group: Option<PlacementGroupId>) {
    if let Some(group) = group {
        return group_claim::give_back(engine, group, key);
    }
    if term == Term::Life {
        engine.cpu.end_of_life(demand.cpu());
    }
    engine.claims.lock().give_back(key, demand, term);
    let _ = engine.cpu.give(demand.cpu());
    serve_claims(engine);
}

/// Serves claims while there are enough resources.
#[cold]
pub(crate) fn serve_claims(engine: &Engine) {
    let mut granted = Vec::new();
    {
        let mut node = engine.claims.lock();
        grant(engine, &mut node, &mut granted);
        // Another thread may have given CPUs back before the first call published the number of claims.
        grant(engine, &mut node, &mut granted);
    }
    for grant in granted {
        match grant {
            Grant::Return(getter) => getter.grant(),
            Grant::Start(granted) => match granted.start {
                Start::Work(task) => start_granted(engine, task),
                Start::Group(group) => group.reserved(engine, granted.shares.into_vec()),
            },
        }
    }
}

fn grant(engine: &Engine, node: &mut Node<Returning, Start>, granted: &mut Vec<Grant<Returning, Start>>) {
    let now = Instant::now();
    while let Some(grant) = node.next(now, &engine.cpu) {
        if let Grant::Start(granted) = &grant
            && let Start::Work(task) = &granted.start
            && let Some(head) = task.task()
            && head.owner().is_none()
        {
            head.mark_granted(true);
        }
        granted.push(grant);
    }
    count_claims(engine, node);
}

/// Starts a task, or the creation of an actor, whose resources have been granted.
pub(crate) fn start_granted(engine: &Engine, task: Hold) {
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
