//! The state of an event. Callers wait only while it is not set.

use serde::{Deserialize, Serialize};

use crate::util::service::{self, Line, OfTicket, Removed, Ticket, Tickets};

/// The flag, and the callers that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    is_set: bool,
    waiting: Vec<Ticket>,
    tickets: Tickets<()>,
}

/// A request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Set(bool),
    IsSet,
    Wait(Ticket),
    OfTicket(OfTicket),
}

impl From<OfTicket> for Request {
    fn from(request: OfTicket) -> Self {
        Self::OfTicket(request)
    }
}

/// The reply to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    IsSet(bool),
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
        matches!(request, Request::Wait(_)) && !self.is_set
    }

    fn serve(&mut self, request: Request) -> Reply {
        match request {
            Request::Set(is_set) => {
                self.is_set = is_set;
                if is_set {
                    let waiting = std::mem::take(&mut self.waiting);
                    waiting.into_iter().for_each(|ticket| self.tickets.settle(ticket, ()));
                }
                Reply::Done
            }
            Request::IsSet => Reply::IsSet(self.is_set),
            Request::Wait(_) if self.is_set => Reply::IsSet(true),
            Request::Wait(ticket) => {
                self.waiting.push(ticket);
                self.tickets.open(ticket);
                Reply::Waits
            }
            Request::OfTicket(OfTicket::Collect(ticket)) => match self.leave(ticket) {
                Removed::Settled(()) => Reply::IsSet(true),
                Removed::Waiting => Reply::IsSet(false),
                Removed::Unknown => Reply::Unknown,
            },
            Request::OfTicket(OfTicket::Abandon(ticket)) => {
                self.leave(ticket);
                Reply::Done
            }
        }
    }

    fn line(&mut self) -> &mut dyn Line {
        &mut self.tickets
    }

    fn undo(_: Reply) -> Option<Request> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::service::Rules as _;

    #[test]
    fn a_caller_that_saw_the_event_set_goes_on_after_a_clear() {
        let mut event = Rules::default();
        for ticket in [1, 2, 3] {
            assert!(matches!(event.serve(Request::Wait(ticket)), Reply::Waits));
        }
        assert!(matches!(event.serve(OfTicket::Collect(3).into()), Reply::IsSet(false)));
        event.serve(Request::Set(true));
        event.serve(Request::Set(false));
        assert!(matches!(event.serve(Request::Wait(4)), Reply::Waits));
        for (ticket, was_set) in [(1, true), (2, true), (4, false)] {
            assert!(matches!(event.serve(OfTicket::Collect(ticket).into()), Reply::IsSet(set) if set == was_set));
        }
        assert!(event.tickets.is_empty() && event.waiting.is_empty());
    }
}
