//! Tickets: the requests that may wait, with their outcomes.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// The number of a request that may wait. Each is used once, in all processes.
pub(in crate::util) type Ticket = u64;

/// A new ticket. They begin at a random number, so those of several processes differ. Each thread takes a series of them at a time,
/// since a shared counter would cost as much as the rest of a request.
pub(in crate::util) fn new_ticket() -> Ticket {
    const SERIES: u64 = 1 << 10;
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(std::process::id())));
    thread_local! {
        /// The next ticket of this thread, and how many it has left.
        static MINE: Cell<(Ticket, u64)> = const { Cell::new((0, 0)) };
    }
    MINE.with(|mine| {
        let (ticket, left) = match mine.get() {
            (_, 0) => (NEXT.fetch_add(SERIES, Ordering::Relaxed), SERIES),
            some => some,
        };
        mine.set((ticket.wrapping_add(1), left - 1));
        ticket
    })
}

/// Tickets without the type of their outcomes.
pub(in crate::util) trait Line {
    /// Ready when the ticket is settled or removed.
    fn poll(&mut self, ticket: Ticket, context: &mut Context<'_>) -> Poll<()>;
    /// The wakers of the tickets that were settled or removed. The caller wakes them without a lock.
    fn woken(&mut self) -> Vec<Waker>;
    /// Removes all tickets; returns the wakers of those that were not settled.
    fn close(&mut self) -> Vec<Waker>;
}

/// The tickets that are open, with their outcomes.
#[derive(Debug)]
pub(in crate::util) struct Tickets<O> {
    open: HashMap<Ticket, Open<O>>,
    woken: Vec<Waker>,
}

#[derive(Debug)]
enum Open<O> {
    Waiting(Option<Waker>),
    Settled(O),
}

/// What a ticket was when it was removed.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::util) enum Removed<O> {
    Settled(O),
    Waiting,
    Unknown,
}

impl<O> Default for Tickets<O> {
    fn default() -> Self {
        Self { open: HashMap::new(), woken: Vec::new() }
    }
}

impl<O> Tickets<O> {
    pub(in crate::util) fn open(&mut self, ticket: Ticket) {
        self.open.insert(ticket, Open::Waiting(None));
    }

    /// Gives a waiting ticket its outcome.
    pub(in crate::util) fn settle(&mut self, ticket: Ticket, outcome: O) {
        if let Some(Open::Waiting(Some(waker))) = self.open.insert(ticket, Open::Settled(outcome)) {
            self.woken.push(waker);
        }
    }

    pub(in crate::util) fn remove(&mut self, ticket: Ticket) -> Removed<O> {
        match self.open.remove(&ticket) {
            Some(Open::Settled(outcome)) => Removed::Settled(outcome),
            Some(Open::Waiting(waker)) => {
                self.woken.extend(waker);
                Removed::Waiting
            }
            None => Removed::Unknown,
        }
    }

    #[cfg(test)]
    pub(in crate::util) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

impl<O> Line for Tickets<O> {
    fn poll(&mut self, ticket: Ticket, context: &mut Context<'_>) -> Poll<()> {
        match self.open.get_mut(&ticket) {
            Some(Open::Waiting(waker)) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(Open::Settled(_)) | None => Poll::Ready(()),
        }
    }

    fn woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    fn close(&mut self) -> Vec<Waker> {
        let open = std::mem::take(&mut self.open).into_values();
        let waiting = open.filter_map(|ticket| match ticket {
            Open::Waiting(waker) => waker,
            Open::Settled(_) => None,
        });
        std::mem::take(&mut self.woken).into_iter().chain(waiting).collect()
    }
}
