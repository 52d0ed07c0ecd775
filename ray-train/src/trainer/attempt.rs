//! One attempt: a group starts, its ranks report, and it ends when all loops have returned or because a rank failed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ray::ObjectRef;
use ray::collective::{Group, Poisoner};

use super::admission::POLL_INTERVAL;
use super::caller::GroupScope;
use super::groups::WorkerGroup;
use super::rendezvous::{Rendezvous, Step};
use super::report_board::{Event, ReportBoard};
use super::run_recorder::RunRecorder;
use super::worker::{Job, LoopBody};
use crate::WorkerFailure;
use crate::context::RankInfo;
use crate::error::{Released, failed, rank_list};
use crate::run_directory::CommitError;

/// The outcome of a group.
pub(crate) enum Outcome {
    /// All loops have returned.
    Done,
    /// Ranks failed.
    Failed(Vec<WorkerFailure>),
    /// The run should stop: Ctrl-C was pressed, or the caller was cancelled.
    Stopped,
}

/// A group that trains. When it is dropped, it releases all ranks that wait, and kills the workers.
pub(crate) struct Attempt<'a> {
    recorder: &'a mut RunRecorder,
    workers: WorkerGroup,
    board: Arc<ReportBoard>,
    poisoner: Poisoner,
    calls: Vec<ObjectRef<()>>,
    reports: Rendezvous,
    /// The number of loops that have not returned.
    running: usize,
    /// When the ranks that wait at a report have waited for the timeout.
    deadline: Option<Instant>,
    failures: BTreeMap<usize, ray::Error>,
    /// Whether all ranks were released. No report is recorded after that.
    released: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.release("the group has ended");
        self.workers.kill();
        for call in &self.calls {
            // Reads the error of the killed actor, so that the engine does not log it as unread.
            let _ = ray::get_timeout(call, Duration::ZERO);
        }
    }
}

impl<'a> Attempt<'a> {
    /// Starts the loops.
    pub(crate) fn start(
        recorder: &'a mut RunRecorder,
        workers: WorkerGroup,
        rank_info: impl Fn(usize) -> RankInfo,
        body: impl Fn() -> LoopBody,
    ) -> ray::Result<Attempt<'a>> {
        let size = workers.workers.len();
        let board = ReportBoard::new(size);
        let timeout = recorder.config.rank_timeout();
        let members = Group::members(size)?;
        let poisoner = members[0].poisoner();
        let mut calls = Vec::new();
        for (rank, (collective, worker)) in members.into_iter().zip(&workers.workers).enumerate() {
            let job = Job {
                rank: rank_info(rank),
                group_number: workers.number,
                collective: collective.with_timeout(timeout),
                board: Arc::clone(&board),
                body: body(),
            };
            let call = worker.run.remote(Arc::new(Mutex::new(Some(job))));
            let events = Arc::clone(&board);
            call.on_ready(move || events.post(Event::Settled { rank }));
            calls.push(call);
        }
        Ok(Attempt {
            recorder,
            workers,
            board,
            poisoner,
            calls,
            reports: Rendezvous::new(size),
            running: size,
            deadline: None,
            failures: BTreeMap::new(),
            released: false,
        })
    }

    /// Handles the events of the group until it has ended. Returns the outcome, and the ranks whose loops did not return in time.
    ///
    /// # Errors
    /// The engine was shut down.
    pub(crate) fn run_to_end(mut self) -> ray::Result<(Outcome, AbandonedRanks)> {
        while self.running > 0 && self.failures.is_empty() {
            if self.recorder.interrupt.should_stop() {
                self.release("the run was interrupted");
                self.wait_for_exits();
                return Ok((Outcome::Stopped, self.abandoned()));
            }
            match self.next_event(self.deadline) {
                Some(event) => self.handle(event),
                None if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) => self.fail_missing_ranks(),
                None => {}
            }
        }
        if self.failures.is_empty() {
            // All loops have returned; this waits for the ends of their contexts and calls.
            self.wait_for_exits();
            return Ok((Outcome::Done, self.abandoned()));
        }
        let failed: Vec<usize> = self.failures.keys().copied().collect();
        self.release(&format!("{} failed", rank_list(&failed)));
        self.wait_for_exits();
        if let Some(gone) = self.failures.values().find_map(engine_gone) {
            return Err(gone);
        }
        let abandoned = self.abandoned();
        Ok((Outcome::Failed(self.take_root_failures()), abandoned))
    }

    /// The next event; none at the deadline, or after the interval at which the thread checks whether the run should stop.
    fn next_event(&self, deadline: Option<Instant>) -> Option<Event> {
        let left = deadline.map_or(POLL_INTERVAL, |deadline| deadline.saturating_duration_since(Instant::now()));
        self.board.next_event(left.min(POLL_INTERVAL))
    }

    fn handle(&mut self, event: Event) {
        // A killed rank has failed, although its body may still report or return. The callback that posts `Settled` runs on a thread
        // of the engine, and may run after these events are posted. So each event of a rank checks the rank's call first.
        let call_failed = self.check_call(event.rank());
        match event {
            // The board was closed, or will be closed for the failure; `close` answers the report.
            Event::Reported { .. } if self.released || call_failed => {}
            Event::Reported { rank, report } => {
                let step = self.reports.arrive(rank, report);
                self.apply(step);
            }
            Event::Returned { result: Ok(()), rank } => {
                self.running -= 1;
                if !self.released && !call_failed {
                    let step = self.reports.rank_returned(rank);
                    self.apply(step);
                }
            }
            Event::Returned { result: Err(error), rank } => self.fail(rank, error),
            Event::Settled { .. } | Event::Exited { .. } => {}
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Wait => {}
            Step::Complete(reports) => {
                let scope = GroupScope::enter(self.workers.number);
                let recorded = self.recorder.record(reports);
                drop(scope);
                match recorded {
                    Ok(latest) => self.board.answer_all(|_| Ok(latest.clone())),
                    // All ranks get the error, but only the ranks at fault as their own failure: if every rank passes the error on,
                    // `fit` names only the ranks at fault.
                    Err(CommitError { ranks, error }) => self.board.answer_all(|rank| {
                        let at_fault = ranks.is_empty() || ranks.contains(&rank);
                        Err(if at_fault { error.clone() } else { Released::error(error.to_string()) })
                    }),
                }
            }
            Step::Mismatch(faults) => {
                for (rank, reason) in faults {
                    self.fail(rank, failed(reason));
                }
            }
        }
        self.deadline = match (self.reports.has_waiting_ranks(), self.deadline) {
            (true, None) => Instant::now().checked_add(self.recorder.config.rank_timeout()),
            (true, former) => former,
            (false, _) => None,
        };
    }

    /// Fails the ranks that have not reached the report in time.
    fn fail_missing_ranks(&mut self) {
        let (waiting, next) = self.reports.waiting();
        let timeout = self.recorder.config.rank_timeout();
        for rank in self.reports.missing() {
            self.fail(
                rank,
                failed(format!(
                    "it did not reach report {next}, at which {} waited for {timeout:?}: all ranks must report equally often; RunConfig::timeout sets a longer wait",
                    rank_list(&waiting)
                )),
            );
        }
    }

    /// Records the failure of a rank. Only the first error of a rank is kept.
    fn fail(&mut self, rank: usize, error: ray::Error) {
        self.failures.entry(rank).or_insert(error);
    }

    /// Releases all ranks that wait, in a report or in a collective operation.
    fn release(&mut self, reason: &str) {
        self.released = true;
        let reason = Released::error(reason);
        self.board.close(&reason);
        self.poisoner.poison(reason);
    }

    /// Waits until all ranks have left their loops, for the grace period at most.
    fn wait_for_exits(&mut self) {
        let deadline = Instant::now().checked_add(self.recorder.config.grace_period());
        while (0..self.calls.len()).any(|rank| self.is_pending(rank)) {
            match self.next_event(deadline) {
                Some(event) => self.handle(event),
                None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => break,
                None => {}
            }
        }
        while let Some(event) = self.board.try_next_event() {
            self.handle(event);
        }
        // A call may be settled before its callback has posted the event.
        for rank in 0..self.calls.len() {
            self.check_call(rank);
        }
    }

    /// Whether the call of a rank has failed: the loop panicked, or the actor is dead. Records the failure.
    fn check_call(&mut self, rank: usize) -> bool {
        if !self.calls[rank].is_ready() {
            return false;
        }
        let error = ray::get(&self.calls[rank]).err();
        error.map(|error| self.fail(rank, panic_or_error(error))).is_some()
    }

    /// Whether a rank may still post events.
    fn is_pending(&self, rank: usize) -> bool {
        self.board.is_running(rank) || !self.calls[rank].is_ready()
    }

    fn abandoned(&self) -> AbandonedRanks {
        let ranks = (0..self.calls.len()).filter(|rank| self.board.is_running(*rank)).collect();
        AbandonedRanks { board: Arc::clone(&self.board), ranks }
    }

    /// The failures that caused the others. A released rank has not failed. A rank with a broken collective operation has failed only
    /// if no rank has another error.
    fn take_root_failures(&mut self) -> Vec<WorkerFailure> {
        let grace = self.recorder.config.grace_period();
        for rank in 0..self.calls.len() {
            if self.board.is_running(rank) {
                let reason =
                    format!("it did not stop within the grace period of {grace:?} (RunConfig::grace), and was abandoned");
                self.failures.entry(rank).or_insert_with(|| failed(reason));
            }
        }
        let all = std::mem::take(&mut self.failures);
        let not_released = |error: &ray::Error| !Released::is_in(error);
        let own = |error: &ray::Error| not_released(error) && !error.is_collective();
        let (waiting, next) = self.reports.waiting();
        let (some_own, some_not_released) = (all.values().any(own), all.values().any(not_released));
        all.into_iter()
            .filter(|(_, error)| if some_own { own(error) } else { !some_not_released || not_released(error) })
            .map(|(rank, error)| match error.is_collective() && waiting.contains(&rank) {
                true => (rank, failed(format!("it waits at report {next}, which other ranks do not reach: {error}"))),
                false => (rank, error),
            })
            .map(|(rank, error)| WorkerFailure { rank, error })
            .collect()
    }
}

/// Ranks whose loops had not returned when the grace period of their group ended. Their loops may still return later.
pub(crate) struct AbandonedRanks {
    board: Arc<ReportBoard>,
    ranks: Vec<usize>,
}

impl AbandonedRanks {
    /// The number of these loops that have still not returned.
    pub(crate) fn count(&self) -> usize {
        self.ranks.iter().filter(|rank| self.board.is_running(**rank)).count()
    }
}

/// The panic that ended an actor, if the error of its call was caused by one; otherwise the error.
fn panic_or_error(error: ray::Error) -> ray::Error {
    match source(&error) {
        Some(panic) if panic.is_panic() => panic.clone(),
        _ => error,
    }
}

/// The error of a shut-down engine, if it is this error or its cause. A rank may have got it in a collective operation.
fn engine_gone(error: &ray::Error) -> Option<ray::Error> {
    [Some(error), source(error)].into_iter().flatten().find(|error| error.is_runtime_gone()).cloned()
}

fn source(error: &ray::Error) -> Option<&ray::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
