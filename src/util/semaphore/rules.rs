//! The state of a semaphore. Callers wait only while no permit is free.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::util::service::{self, Line, OfTicket, Removed, Ticket, Tickets, new_ticket};

/// The free permits, and the callers that wait for one.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The number of this instance of the actor. A permit of an earlier one is not added.
    instance: u64,
    permits: usize,
    waiting: VecDeque<Ticket>,
    tickets: Tickets<()>,
}

/// A request. Without a ticket it does not wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Acquire(Option<Ticket>),
    Add(usize),
    /// A permit of this instance comes back.
    Return(u64),
    Available,
    OfTicket(OfTicket),
}

impl Request {
    pub(super) fn acquire(ticket: Ticket) -> Self {
        Self::Acquire(Some(ticket))
    }
}

impl From<OfTicket> for Request {
    fn from(request: OfTicket) -> Self {
        Self::OfTicket(request)
    }
}

/// The reply to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// A permit of this instance.
    Acquired(u64),
    None,
    Done,
    Available(usize),
    Waits,
    /// The ticket is not known, because the actor was restarted.
    Unknown,
}

impl service::Reply for Reply {
    fn waits(&self) -> bool {
        matches!(self, Self::Waits)
    }
}

impl Rules {
    pub(super) fn new(permits: usize) -> Self {
        Self { instance: new_ticket(), permits, waiting: VecDeque::new(), tickets: Tickets::default() }
    }

    /// Gives permits to the first callers that wait; the rest is free.
    fn add(&mut self, mut permits: usize) {
        while permits > 0
            && let Some(ticket) = self.waiting.pop_front()
        {
            self.tickets.settle(ticket, ());
            permits -= 1;
        }
        self.permits = self.permits.saturating_add(permits);
    }

    fn leave(&mut self, ticket: Ticket) -> Removed<()> {
        let removed = self.tickets.remove(ticket);
        if removed == Removed::Waiting {
            self.waiting.retain(|waiting| *waiting != ticket);
        }
        removed
    }
}

impl service::Rules for Rules {
    type Request = Request;
    type Reply = Reply;

    fn would_wait(&self, request: &Request) -> bool {
        matches!(request, Request::Acquire(_)) && self.permits == 0
    }

    fn serve(&mut self, request: Request) -> Reply {
        match request {
            Request::Acquire(_) if self.permits > 0 => {
                self.permits -= 1;
                Reply::Acquired(self.instance)
            }
            Request::Acquire(None) => Reply::None,
            Request::Acquire(Some(ticket)) => {
                self.waiting.push_back(ticket);
                self.tickets.open(ticket);
                Reply::Waits
            }
            Request::Add(permits) => {
                self.add(permits);
                Reply::Done
            }
            Request::Return(instance) => {
                if instance == self.instance {
                    self.add(1);
                }
                Reply::Done
            }
            Request::Available => Reply::Available(self.permits),
            Request::OfTicket(OfTicket::Collect(ticket)) => match self.leave(ticket) {
                Removed::Settled(()) => Reply::Acquired(self.instance),
                Removed::Waiting => Reply::None,
                Removed::Unknown => Reply::Unknown,
            },
            Request::OfTicket(OfTicket::Abandon(ticket)) => {
                if let Removed::Settled(()) = self.leave(ticket) {
                    self.add(1);
                }
                Reply::Done
            }
        }
    }

    fn line(&mut self) -> &mut dyn Line {
        &mut self.tickets
    }

    fn undo(reply: Reply) -> Option<Request> {
        match reply {
            Reply::Acquired(instance) => Some(Request::Return(instance)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::service::Rules as _;

    #[test]
    fn permits_go_to_the_callers_in_order() {
        let mut semaphore = Rules::new(1);
        assert!(matches!(semaphore.serve(Request::Acquire(Some(1))), Reply::Acquired(_)));
        for ticket in [2, 3, 4] {
            assert!(matches!(semaphore.serve(Request::Acquire(Some(ticket))), Reply::Waits));
        }
        semaphore.serve(OfTicket::Abandon(3).into());
        semaphore.serve(Request::Add(1));
        assert!(matches!(semaphore.serve(OfTicket::Collect(4).into()), Reply::None), "the permit belongs to an earlier caller");
        assert!(matches!(semaphore.serve(OfTicket::Collect(2).into()), Reply::Acquired(_)));
        semaphore.serve(Request::Add(2));
        assert!(matches!(semaphore.serve(Request::Available), Reply::Available(2)));
        assert!(semaphore.tickets.is_empty() && semaphore.waiting.is_empty());
    }

    #[test]
    fn an_abandoned_permit_goes_on() {
        let mut semaphore = Rules::new(0);
        for ticket in [1, 2] {
            semaphore.serve(Request::Acquire(Some(ticket)));
        }
        semaphore.serve(Request::Add(1));
        semaphore.serve(OfTicket::Abandon(1).into());
        assert!(matches!(semaphore.serve(OfTicket::Collect(2).into()), Reply::Acquired(_)));
        assert!(matches!(semaphore.serve(Request::Acquire(Some(3))), Reply::Waits), "so its ticket is abandoned");
        semaphore.serve(OfTicket::Abandon(3).into());
        semaphore.serve(Rules::undo(Reply::Acquired(semaphore.instance)).unwrap());
        assert!(matches!(semaphore.serve(Request::Available), Reply::Available(1)));
        assert!(semaphore.tickets.is_empty());
    }
}
