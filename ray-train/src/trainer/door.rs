//! How a rank's report reaches the run: by way of the thread that called `fit`, or at once where that is the rank's own.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ray::collective::Group;

use super::keeper::Keeper;
use crate::{Checkpoint, Metrics};

/// What one rank reports.
#[derive(Debug)]
pub(crate) struct RankReport {
    pub(crate) metrics: Metrics,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Asked to be averaged.
    pub(crate) mean: bool,
    /// The state of the rank's generator.
    pub(crate) generator: u64,
}

/// The way out of a loop.
pub(crate) enum Door {
    /// One of a group.
    Group(Arc<Board>),
    /// The calling thread.
    InPlace(Rc<RefCell<Keeper>>),
}

impl Door {
    /// # Errors
    /// The group has ended: nothing is reported any more.
    pub(crate) fn check_open(&self) -> ray::Result<()> {
        match self {
            Door::Group(board) => lock(&board.closed).clone().map_or(Ok(()), Err),
            Door::InPlace(_) => Ok(()),
        }
    }

    /// In place nobody else can look whether Ctrl-C was pressed while the loop runs: its group, of one, ends here.
    pub(crate) fn end_if_interrupted(&self, group: &Group) {
        if let Door::InPlace(keeper) = self
            && let Err(interrupted) = keeper.borrow().check_interrupt()
        {
            group.poisoner().poison(interrupted);
        }
    }
}

/// What happens in a group.
#[derive(Debug)]
pub(crate) enum Event {
    /// A rank has come to a report.
    Reported { rank: usize, report: RankReport },
    /// A rank's loop has returned.
    Returned { rank: usize, result: ray::Result<()> },
    /// The call of a rank's loop is settled: it returned, panicked, or its actor was killed.
    Settled { rank: usize },
    /// A rank is out of its loop, however it came to be.
    Left { rank: usize },
}

impl Event {
    /// The rank that it happened to.
    pub(crate) fn rank(&self) -> usize {
        match self {
            Event::Reported { rank, .. } | Event::Returned { rank, .. } | Event::Settled { rank } | Event::Left { rank } => *rank,
        }
    }
}

pub(crate) type Answer = ray::Result<Option<Checkpoint>>;

/// What the ranks of a group and the thread that called `fit` say to each other.
pub(crate) struct Board {
    events: Mutex<VecDeque<Event>>,
    arrived: Condvar,
    ranks: Vec<Seat>,
    /// Why nobody reports any more.
    closed: Mutex<Option<ray::Error>>,
}

#[derive(Default)]
struct Seat {
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
    begun: AtomicBool,
    left: AtomicBool,
}

impl Board {
    pub(crate) fn new(size: usize) -> Arc<Board> {
        Arc::new(Board {
            events: Mutex::default(),
            arrived: Condvar::new(),
            ranks: (0..size).map(|_| Seat::default()).collect(),
            closed: Mutex::new(None),
        })
    }

    /// Tells the thread that called `fit`.
    pub(crate) fn post(&self, event: Event) {
        if let Event::Left { rank } = event {
            self.ranks[rank].left.store(true, Ordering::Release);
        }
        lock(&self.events).push_back(event);
        self.arrived.notify_one();
    }

    /// What was posted first.
    pub(crate) fn take(&self) -> Option<Event> {
        lock(&self.events).pop_front()
    }

    /// What was posted first, or is within that time.
    ///
    /// Not a wait of the engine's, which would take the CPU of a task that calls `fit` again after each event: see
    /// [`caller`](super::caller).
    pub(crate) fn await_event(&self, longest: Duration) -> Option<Event> {
        let events = lock(&self.events);
        let waited = self.arrived.wait_timeout_while(events, longest, |events| events.is_empty());
        let (mut events, _) = waited.unwrap_or_else(PoisonError::into_inner);
        events.pop_front()
    }

    /// A rank has come to a report.
    ///
    /// # Errors
    /// Nobody reports any more.
    pub(crate) fn report(&self, rank: usize, report: RankReport) -> ray::Result<()> {
        // One lock for both: whoever closes the board answers those who are there.
        let closed = lock(&self.closed);
        if let Some(why) = &*closed {
            return Err(why.clone());
        }
        lock(&self.ranks[rank].answer).take();
        self.post(Event::Reported { rank, report });
        Ok(())
    }

    /// Waits until the report is done; the run's last checkpoint then.
    pub(crate) fn await_answer(&self, rank: usize) -> Answer {
        let seat = &self.ranks[rank];
        let mut answer = lock(&seat.answer);
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            answer = seat.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets all ranks go on from their report, each with its own answer.
    pub(crate) fn answer_all(&self, answer: impl Fn(usize) -> Answer) {
        for (rank, seat) in self.ranks.iter().enumerate() {
            // An answer that the rank has not taken yet stays: it says more than that the group has ended.
            lock(&seat.answer).get_or_insert_with(|| answer(rank));
            seat.answered.notify_all();
        }
    }

    /// Ends every report, now and later.
    pub(crate) fn close(&self, why: &ray::Error) {
        let mut closed = lock(&self.closed);
        if closed.is_none() {
            *closed = Some(why.clone());
            self.answer_all(|_| Err(why.clone()));
        }
    }

    pub(crate) fn begin(&self, rank: usize) {
        self.ranks[rank].begun.store(true, Ordering::Release);
    }

    /// Whether a rank is in its loop.
    pub(crate) fn is_inside(&self, rank: usize) -> bool {
        let seat = &self.ranks[rank];
        seat.begun.load(Ordering::Acquire) && !seat.left.load(Ordering::Acquire)
    }
}

/// No code of a user's runs under these locks, and each change under them is one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
