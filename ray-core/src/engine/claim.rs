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
use crate::engine::thread::Job;
use crate::engine::worker::Granted;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::sched::claims::{Claims, Grant, Key, Term};
use crate::task::head::TaskHead;

/// The key of a task's claim is its own address, that of a creation the actor's, which a killer knows.
fn key_of(head: &TaskHead) -> (Key, Term) {
    match owner(head) {
        Some(actor) => (Key(actor), Term::Life),
        None => (Key(std::ptr::from_ref(head).addr()), Term::Body),
    }
}

/// The address of the actor that owns what the task is granted.
pub(super) fn owner(head: &TaskHead) -> Option<usize> {
    head.vtable().kind.for_life.as_ref().map(|for_life| (for_life.owner)(head))
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
        engine.count_claims(&claims);
    }
    engine.serve_claims();
    engine.notify();
}

/// A task will not begin, or a creation: takes its claim back, or what it was granted.
#[cold]
pub(crate) fn withdraw(head: &TaskHead) {
    let Some(extra) = head.extra() else { return };
    if extra.settings.resources.is_none() {
        return;
    }
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == head.header.epoch) else { return };
    if engine.withdraw(key_of(head).0).is_none() && owner(head).is_none() {
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
        engine.queue_free(job);
    }
    // After all have been taken out: what is given back may be granted to the next one at once.
    for task in granted {
        if let Some(head) = task.task() {
            crate::engine::execute::give_back(engine, head);
        }
        claim(engine, task);
    }
}

impl Engine {
    /// Lets everybody see how many claims there are.
    pub(crate) fn count_claims(&self, claims: &Claims<Returning, Hold>) {
        let (all, urgent) = claims.counts(Instant::now(), |units, term| self.cpu.has_room(units, term));
        self.cpu.set_claims(all, urgent);
    }

    fn withdraw(&self, key: Key) -> Option<Hold> {
        let withdrawn = {
            let mut claims = self.claims.lock();
            let withdrawn = claims.withdraw_start(key)?;
            self.count_claims(&claims);
            withdrawn
        };
        // The claim may have been urgent, and the CPUs that are free kept for it.
        self.notify();
        self.kick();
        Some(withdrawn)
    }

    /// Gives back what an actor held for life.
    pub(crate) fn give_back_of_life(&self, demand: &Resources) {
        self.cpu.end_of_life(demand.cpu());
        self.give_back(demand);
    }

    /// Gives back what a task was granted.
    pub(crate) fn give_back(&self, demand: &Resources) {
        self.claims.lock().others.give_back(&demand.without_cpu());
        let _ = self.cpu.give(demand.cpu());
        self.serve_claims();
    }

    /// Serves claims for as long as resources reach.
    #[cold]
    pub(crate) fn serve_claims(&self) {
        let mut granted = Vec::new();
        {
            let mut claims = self.claims.lock();
            self.grant(&mut claims, &mut granted);
            // Somebody may have given CPU back between the last look and the raised count.
            self.grant(&mut claims, &mut granted);
        }
        for grant in granted {
            match grant {
                Grant::Return(getter) => getter.grant(),
                Grant::Start(task) => self.start_granted(task),
            }
        }
    }

    fn grant(&self, claims: &mut Claims<Returning, Hold>, granted: &mut Vec<Grant<Returning, Hold>>) {
        while let Some(grant) = claims.next(|units, term| self.cpu.take_for(units, term)) {
            if let Grant::Start(task) = &grant
                && let Some(head) = task.task()
                && owner(head).is_none()
            {
                head.mark_granted(true);
            }
            granted.push(grant);
        }
        self.count_claims(claims);
    }

    /// A task, or the creation of an actor, has been granted what it asked for.
    fn start_granted(&self, task: Hold) {
        match task.task().and_then(|head| head.vtable().kind.for_life.as_ref()) {
            Some(for_life) => (for_life.granted)(task),
            None => {
                self.queue_free(FreeJob::of(Granted(Job::new(task))));
                self.kick();
            }
        }
    }
}
