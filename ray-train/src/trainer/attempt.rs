//! One group's life: it starts, its ranks report, and it ends well or because of one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ray::ObjectRef;
use ray::collective::{Group, Poisoner};

use super::admission::{Admitted, SLICE};
use super::caller::Inside;
use super::door::{Board, Event};
use super::keeper::Keeper;
use super::rendezvous::{Rendezvous, Step};
use super::worker::{Body, Job};
use crate::WorkerFailure;
use crate::context::Place;
use crate::faults::{Released, failed, listed};
use crate::run_directory::NotKept;

/// How a group ended.
pub(crate) enum Outcome {
    /// All loops have returned.
    Done,
    /// Ranks failed.
    Failed(Vec<WorkerFailure>),
    /// Ctrl-C was pressed.
    Interrupted,
}

/// A group at work. When it goes, nobody in it waits for anything any more.
pub(crate) struct Attempt<'a> {
    keeper: &'a mut Keeper,
    workers: Admitted,
    board: Arc<Board>,
    poisoner: Poisoner,
    calls: Vec<ObjectRef<()>>,
    ranks: Rendezvous,
    /// Loops that have not returned.
    running: usize,
    /// When whoever waits at a report has waited long enough.
    deadline: Option<Instant>,
    failures: BTreeMap<usize, ray::Error>,
    /// Nobody waits for others any more, and no report is taken.
    released: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.release("the group has ended");
        self.workers.end();
        for call in &self.calls {
            // Settled by now, if not before; what it failed with is known here, and needs no line in the log.
            let _ = ray::get_timeout(call, Duration::ZERO);
        }
    }
}

impl<'a> Attempt<'a> {
    /// Starts the loops.
    pub(crate) fn start(
        keeper: &'a mut Keeper,
        workers: Admitted,
        place: impl Fn(usize) -> Place,
        body: impl Fn() -> Body,
    ) -> ray::Result<Attempt<'a>> {
        let size = workers.workers.len();
        let board = Board::new(size);
        let timeout = keeper.config.longest_wait();
        let members = Group::members(size)?;
        let poisoner = members[0].poisoner();
        let mut calls = Vec::new();
        for (rank, (group, worker)) in members.into_iter().zip(&workers.workers).enumerate() {
            let job = Job {
                place: place(rank),
                number: workers.number,
                group: group.with_timeout(timeout),
                board: Arc::clone(&board),
                body: body(),
            };
            let call = worker.run.remote(Arc::new(Mutex::new(Some(job))));
            let told = Arc::clone(&board);
            call.on_ready(move || told.post(Event::Settled { rank }));
            calls.push(call);
        }
        Ok(Attempt {
            keeper,
            workers,
            board,
            poisoner,
            calls,
            ranks: Rendezvous::new(size),
            running: size,
            deadline: None,
            failures: BTreeMap::new(),
            released: false,
        })
    }

    /// Sees the group to its end, and says which ranks are still in code of their own.
    ///
    /// # Errors
    /// The engine was shut down.
    pub(crate) fn see_through(mut self) -> ray::Result<(Outcome, LeftBehind)> {
        while self.running > 0 && self.failures.is_empty() {
            if self.keeper.watch.is_raised() {
                self.release("the run was interrupted");
                self.gather();
                return Ok((Outcome::Interrupted, self.left_behind()));
            }
            match self.next(self.deadline) {
                Some(event) => self.on(event),
                None if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) => self.time_out(),
                None => {}
            }
        }
        if self.failures.is_empty() {
            // The loops have returned; their contexts and calls are about to end.
            self.gather();
            return Ok((Outcome::Done, self.left_behind()));
        }
        let first: Vec<usize> = self.failures.keys().copied().collect();
        self.release(&format!("{} failed", listed(&first)));
        self.gather();
        if let Some(gone) = self.failures.values().find_map(engine_gone) {
            return Err(gone);
        }
        let left_behind = self.left_behind();
        Ok((Outcome::Failed(self.take_failures()), left_behind))
    }

    /// The next event; none at the deadline, or when it is time to look at Ctrl-C.
    fn next(&self, deadline: Option<Instant>) -> Option<Event> {
        let left = deadline.map_or(SLICE, |deadline| deadline.saturating_duration_since(Instant::now()));
        self.board.await_event(left.min(SLICE))
    }

    fn on(&mut self, event: Event) {
        // A killed rank has failed, and its body may still report or return. The callback that posts `Settled` runs on a
        // thread of the engine, and may come later than these events: so each event of a rank looks at its call first.
        let lost = self.look_at_call(event.rank());
        match event {
            // It has its answer: the group is at its end.
            Event::Reported { .. } if self.released || lost => {}
            Event::Reported { rank, report } => {
                let step = self.ranks.arrive(rank, report);
                self.go_on(step);
            }
            Event::Returned { result: Ok(()), rank } => {
                self.running -= 1;
                if !self.released && !lost {
                    let step = self.ranks.end(rank);
                    self.go_on(step);
                }
            }
            Event::Returned { result: Err(error), rank } => self.fail(rank, error),
            Event::Settled { .. } | Event::Left { .. } => {}
        }
    }

    fn go_on(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Together(reports) => {
                let inside = Inside::of(self.workers.number);
                let kept = self.keeper.keep(reports);
                drop(inside);
                match kept {
                    Ok(latest) => self.board.answer_all(|_| Ok(latest.clone())),
                    // The other ranks have not failed: where all of them pass the error on, the ranks at fault are the ones to name.
                    Err(NotKept { ranks, error }) => self.board.answer_all(|rank| {
                        let at_fault = ranks.is_empty() || ranks.contains(&rank);
                        Err(if at_fault { error.clone() } else { Released::error(error.to_string()) })
                    }),
                }
            }
            Step::Unequal(faults) => {
                for (rank, why) in faults {
                    self.fail(rank, failed(why));
                }
            }
        }
        self.deadline = match (self.ranks.is_waited_for(), self.deadline) {
            (true, None) => Instant::now().checked_add(self.keeper.config.longest_wait()),
            (true, former) => former,
            (false, _) => None,
        };
    }

    fn time_out(&mut self) {
        let (waiting, next) = self.ranks.waiting();
        let longest = self.keeper.config.longest_wait();
        for rank in self.ranks.missing() {
            self.fail(
                rank,
                failed(format!(
                    "it did not come to report {next}, where {} waited {longest:?} for it: all ranks must report equally often; RunConfig::timeout gives it longer",
                    listed(&waiting)
                )),
            );
        }
    }

    /// The first error of a rank is what counts.
    fn fail(&mut self, rank: usize, error: ray::Error) {
        self.failures.entry(rank).or_insert(error);
    }

    /// Lets go of everybody who waits for others.
    fn release(&mut self, why: &str) {
        self.released = true;
        let why = Released::error(why);
        self.board.close(&why);
        self.poisoner.poison(why);
    }

    /// Waits until the ranks are out of their loops, as long as they are given.
    fn gather(&mut self) {
        let deadline = Instant::now().checked_add(self.keeper.config.leaving());
        while (0..self.calls.len()).any(|rank| self.is_to_come(rank)) {
            match self.next(deadline) {
                Some(event) => self.on(event),
                None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => break,
                None => {}
            }
        }
        while let Some(event) = self.board.take() {
            self.on(event);
        }
        // Whoever settles a call may not have told us yet.
        for rank in 0..self.calls.len() {
            self.look_at_call(rank);
        }
    }

    /// Whether a rank's call has failed: the loop panicked, or the actor is dead. The error is noted.
    fn look_at_call(&mut self, rank: usize) -> bool {
        if !self.calls[rank].is_ready() {
            return false;
        }
        let failed = ray::get(&self.calls[rank]).err();
        failed.map(|error| self.fail(rank, cause_of(error))).is_some()
    }

    /// Whether there is still something to be heard from a rank.
    fn is_to_come(&self, rank: usize) -> bool {
        self.board.is_inside(rank) || !self.calls[rank].is_ready()
    }

    fn left_behind(&self) -> LeftBehind {
        let ranks = (0..self.calls.len()).filter(|rank| self.board.is_inside(*rank)).collect();
        LeftBehind { board: Arc::clone(&self.board), ranks }
    }

    /// The failures that explain the others. A rank that was released has not failed; one whose collective broke has
    /// failed only if no other rank has a reason of its own.
    fn take_failures(&mut self) -> Vec<WorkerFailure> {
        let grace = self.keeper.config.leaving();
        for rank in 0..self.calls.len() {
            if self.board.is_inside(rank) {
                let why = format!(
                    "it is in code of its own, {grace:?} after the group was to end (RunConfig::grace), and was left behind"
                );
                self.failures.entry(rank).or_insert_with(|| failed(why));
            }
        }
        let all = std::mem::take(&mut self.failures);
        let own = |error: &ray::Error| !Released::is_in(error) && !error.is_collective();
        let not_released = |error: &ray::Error| !Released::is_in(error);
        let (waiting, next) = self.ranks.waiting();
        let (some_own, some_broken) = (all.values().any(own), all.values().any(not_released));
        all.into_iter()
            .filter(|(_, error)| if some_own { own(error) } else { !some_broken || not_released(error) })
            .map(|(rank, error)| match error.is_collective() && waiting.contains(&rank) {
                true => (rank, failed(format!("it is at report {next}, and others do not come: {error}"))),
                false => (rank, error),
            })
            .map(|(rank, error)| WorkerFailure { rank, error })
            .collect()
    }
}

/// Ranks that went on in code of their own when their group ended. They come to an end on their own, if at all.
pub(crate) struct LeftBehind {
    board: Arc<Board>,
    ranks: Vec<usize>,
}

impl LeftBehind {
    pub(crate) fn count(&self) -> usize {
        self.ranks.iter().filter(|rank| self.board.is_inside(**rank)).count()
    }
}

/// What ended an actor: the panic in its loop, not that calls of a dead actor fail.
fn cause_of(error: ray::Error) -> ray::Error {
    match source(&error) {
        Some(panic) if panic.is_panic() => panic.clone(),
        _ => error,
    }
}

/// That the engine was shut down, which a rank may have found out in a collective.
fn engine_gone(error: &ray::Error) -> Option<ray::Error> {
    [Some(error), source(error)].into_iter().flatten().find(|error| error.is_runtime_gone()).cloned()
}

fn source(error: &ray::Error) -> Option<&ray::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
