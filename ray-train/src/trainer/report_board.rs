//! The board between the ranks of a group and the driver thread: reports and other events go one way, answers the
//! other way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock::lock;
use super::rank_report::{RankReport, ReportAnswer};

/// An event of one rank.
#[derive(Debug)]
pub(crate) enum Event {
    /// The rank has reached a report.
    Reported { rank: usize, report: RankReport },
    /// The rank's loop has returned.
    Returned { rank: usize, result: ray::Result<()> },
    /// The actor call of the rank is settled: the loop returned or panicked, or the actor was killed.
    Settled { rank: usize },
    /// The rank's thread has left the loop, by a return or by a panic.
    Exited { rank: usize },
}

impl Event {
    /// The rank of the event.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Event::Reported { rank, .. } | Event::Returned { rank, .. } | Event::Settled { rank } | Event::Exited { rank } => {
                *rank
            }
        }
    }
}

/// The events of a group, and a slot for each rank.
pub(crate) struct ReportBoard {
    events: Mutex<VecDeque<Event>>,
    posted: Condvar,
    slots: Vec<RankSlot>,
    /// The reason why no more reports are accepted.
    closed: Mutex<Option<ray::Error>>,
}

/// The answer for a rank that waits at a report, and whether the rank's loop runs.
#[derive(Default)]
struct RankSlot {
    answer: Mutex<Option<ReportAnswer>>,
    answered: Condvar,
    started: AtomicBool,
    exited: AtomicBool,
}

impl ReportBoard {
    pub(crate) fn new(size: usize) -> Arc<ReportBoard> {
        Arc::new(ReportBoard {
            events: Mutex::default(),
            posted: Condvar::new(),
            slots: (0..size).map(|_| RankSlot::default()).collect(),
            closed: Mutex::new(None),
        })
    }

    /// Posts an event for the driver thread.
    pub(crate) fn post(&self, event: Event) {
        if let Event::Exited { rank } = event {
            self.slots[rank].exited.store(true, Ordering::Release);
        }
        lock(&self.events).push_back(event);
        self.posted.notify_one();
    }

    /// Takes the oldest event, without waiting.
    pub(crate) fn try_next_event(&self) -> Option<Event> {
        lock(&self.events).pop_front()
    }

    /// Takes the oldest event, and waits up to `timeout` for one.
    ///
    /// The wait uses a condition variable and not the engine: the engine would take back the CPU of a task that called `fit` after
    /// each event, see [`caller`](super::caller).
    pub(crate) fn next_event(&self, timeout: Duration) -> Option<Event> {
        let events = lock(&self.events);
        let waited = self.posted.wait_timeout_while(events, timeout, |events| events.is_empty());
        let (mut events, _) = waited.unwrap_or_else(PoisonError::into_inner);
        events.pop_front()
    }

    /// Checks that the board is not closed.
    ///
    /// # Errors
    /// The reason why it is closed.
    pub(crate) fn check_open(&self) -> ray::Result<()> {
        lock(&self.closed).clone().map_or(Ok(()), Err)
    }

    /// Posts the report of a rank.
    ///
    /// # Errors
    /// The board is closed.
    pub(crate) fn report(&self, rank: usize, report: RankReport) -> ray::Result<()> {
        // The lock is held until the report is posted: `close` answers every rank that has posted a report before it.
        let closed = lock(&self.closed);
        if let Some(reason) = &*closed {
            return Err(reason.clone());
        }
        lock(&self.slots[rank].answer).take();
        self.post(Event::Reported { rank, report });
        Ok(())
    }

    /// Waits for the answer to the report of a rank.
    pub(crate) fn wait_for_answer(&self, rank: usize) -> ReportAnswer {
        let slot = &self.slots[rank];
        let mut answer = lock(&slot.answer);
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            answer = slot.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Answers the reports of all ranks, each with its own answer.
    pub(crate) fn answer_all(&self, answer: impl Fn(usize) -> ReportAnswer) {
        for (rank, slot) in self.slots.iter().enumerate() {
            // An answer that the rank has not taken yet stays: it is more specific than the reason why the group has ended.
            lock(&slot.answer).get_or_insert_with(|| answer(rank));
            slot.answered.notify_all();
        }
    }

    /// Answers all reports with an error, the current ones and later ones.
    pub(crate) fn close(&self, reason: &ray::Error) {
        let mut closed = lock(&self.closed);
        if closed.is_none() {
            *closed = Some(reason.clone());
            self.answer_all(|_| Err(reason.clone()));
        }
    }

    /// Records that the thread of a rank has started the loop.
    pub(crate) fn start(&self, rank: usize) {
        self.slots[rank].started.store(true, Ordering::Release);
    }

    /// Whether the thread of a rank is in the loop.
    pub(crate) fn is_running(&self, rank: usize) -> bool {
        let slot = &self.slots[rank];
        slot.started.load(Ordering::Acquire) && !slot.exited.load(Ordering::Acquire)
    }
}
