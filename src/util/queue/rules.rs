//! The state of a queue. Getters wait only while it has no items, putters only while it is full.

use std::collections::VecDeque;

use ray_core::__private::AnyValue;
use serde::{Deserialize, Serialize};

use crate::util::service::{self, Line, OfTicket, Removed, Ticket, Tickets};

/// The items of a queue, and the callers that wait for an item or for room.
#[derive(Debug)]
pub(crate) struct Rules {
    /// None: without a limit.
    capacity: Option<usize>,
    items: VecDeque<AnyValue>,
    getters: VecDeque<Ticket>,
    putters: VecDeque<(Ticket, AnyValue)>,
    /// The outcome is the item of a getter, or nothing for a putter.
    tickets: Tickets<Option<AnyValue>>,
}

/// A request. Without a ticket it does not wait.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    Put(AnyValue, Option<Ticket>),
    Get(Option<Ticket>),
    PutBatch(Vec<AnyValue>),
    GetBatch(usize),
    /// Puts items back before all others.
    PutBack(Vec<AnyValue>),
    Size,
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
    Item(AnyValue),
    Items(Vec<AnyValue>),
    /// The number of items, and the capacity.
    Size(usize, Option<usize>),
    /// The item of a put comes back.
    Full(AnyValue),
    /// The items of a batch come back; the queue has so many items.
    BatchFull(Vec<AnyValue>, usize),
    /// The queue has so many items, which are too few.
    Empty(usize),
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
    pub(super) fn new(capacity: Option<usize>) -> Self {
        Self { capacity, items: VecDeque::new(), getters: VecDeque::new(), putters: VecDeque::new(), tickets: Tickets::default() }
    }

    fn room(&self) -> usize {
        self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(self.items.len()))
    }

    /// Gives an item to the first getter, or adds it at the end.
    fn add(&mut self, item: AnyValue) {
        match self.getters.pop_front() {
            Some(getter) => self.tickets.settle(getter, Some(item)),
            None => self.items.push_back(item),
        }
    }

    /// Gives an item to the first getter, or adds it at the beginning. Then there may be more items than the capacity.
    fn put_back(&mut self, item: AnyValue) {
        match self.getters.pop_front() {
            Some(getter) => self.tickets.settle(getter, Some(item)),
            None => self.items.push_front(item),
        }
    }

    /// Takes the first item, and lets the first putter use the room.
    fn take(&mut self) -> Option<AnyValue> {
        let item = self.items.pop_front()?;
        if self.room() > 0
            && let Some((putter, next)) = self.putters.pop_front()
        {
            self.items.push_back(next);
            self.tickets.settle(putter, None);
        }
        Some(item)
    }

    fn put(&mut self, item: AnyValue, ticket: Option<Ticket>) -> Reply {
        if self.room() > 0 {
            self.add(item);
            return Reply::Done;
        }
        let Some(ticket) = ticket else { return Reply::Full(item) };
        self.putters.push_back((ticket, item));
        self.tickets.open(ticket);
        Reply::Waits
    }

    fn get(&mut self, ticket: Option<Ticket>) -> Reply {
        if let Some(item) = self.take() {
            return Reply::Item(item);
        }
        let Some(ticket) = ticket else { return Reply::Empty(0) };
        self.getters.push_back(ticket);
        self.tickets.open(ticket);
        Reply::Waits
    }

    /// Removes a ticket; the item of a putter that waits comes back.
    fn leave(&mut self, ticket: Ticket) -> (Removed<Option<AnyValue>>, Option<AnyValue>) {
        let removed = self.tickets.remove(ticket);
        let mut item = None;
        if matches!(removed, Removed::Waiting) {
            self.getters.retain(|getter| *getter != ticket);
            let place = self.putters.iter().position(|(putter, _)| *putter == ticket);
            item = place.and_then(|place| self.putters.remove(place)).map(|(_, item)| item);
        }
        (removed, item)
    }
}

impl service::Rules for Rules {
    type Request = Request;
    type Reply = Reply;

    fn would_wait(&self, request: &Request) -> bool {
        match request {
            Request::Put(..) => self.room() == 0,
            Request::Get(_) => self.items.is_empty(),
            _ => false,
        }
    }

    fn serve(&mut self, request: Request) -> Reply {
        match request {
            Request::Put(item, ticket) => self.put(item, ticket),
            Request::Get(ticket) => self.get(ticket),
            Request::PutBatch(items) if items.len() > self.room() => Reply::BatchFull(items, self.items.len()),
            Request::PutBatch(items) => {
                items.into_iter().for_each(|item| self.add(item));
                Reply::Done
            }
            Request::GetBatch(count) if count > self.items.len() => Reply::Empty(self.items.len()),
            Request::GetBatch(count) => Reply::Items((0..count).map_while(|_| self.take()).collect()),
            Request::PutBack(items) => {
                items.into_iter().rev().for_each(|item| self.put_back(item));
                Reply::Done
            }
            Request::Size => Reply::Size(self.items.len(), self.capacity),
            Request::OfTicket(OfTicket::Collect(ticket)) => match self.leave(ticket) {
                (Removed::Settled(Some(item)), _) => Reply::Item(item),
                (Removed::Settled(None), _) => Reply::Done,
                (Removed::Waiting, Some(item)) => Reply::Full(item),
                (Removed::Waiting, None) => Reply::Empty(0),
                (Removed::Unknown, _) => Reply::Unknown,
            },
            Request::OfTicket(OfTicket::Abandon(ticket)) => {
                if let (Removed::Settled(Some(item)), _) = self.leave(ticket) {
                    self.put_back(item);
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
            Reply::Item(item) => Some(Request::PutBack(vec![item])),
            Reply::Items(items) => Some(Request::PutBack(items)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::service::Rules as _;

    fn item(number: u32) -> AnyValue {
        AnyValue::new(number)
    }

    fn number(reply: Reply) -> Option<u32> {
        match reply {
            Reply::Item(item) | Reply::Full(item) => Some(item.typed().unwrap()),
            _ => None,
        }
    }

    #[test]
    fn items_leave_in_the_order_of_their_puts() {
        let mut queue = Rules::new(Some(2));
        for put in [1, 2] {
            assert!(matches!(queue.serve(Request::Put(item(put), None)), Reply::Done));
        }
        assert_eq!(number(queue.serve(Request::Put(item(3), None))), Some(3), "a third item comes back");
        for waiting in [3, 4] {
            assert!(matches!(queue.serve(Request::Put(item(waiting), Some(waiting.into()))), Reply::Waits));
        }
        for expected in 1..=4 {
            assert_eq!(number(queue.serve(Request::Get(None))), Some(expected));
        }
        for ticket in [3, 4] {
            assert!(matches!(queue.serve(OfTicket::Collect(ticket).into()), Reply::Done));
        }
        assert!(queue.tickets.is_empty());
    }

    #[test]
    fn getters_receive_in_the_order_of_their_gets() {
        let mut queue = Rules::new(None);
        for ticket in [1, 2, 3] {
            assert!(matches!(queue.serve(Request::Get(Some(ticket))), Reply::Waits));
        }
        for put in [1, 2, 3] {
            queue.serve(Request::Put(item(put), None));
        }
        assert!(matches!(queue.serve(Request::Size), Reply::Size(0, None)), "the getters have the items");
        for ticket in [3, 1, 2] {
            assert_eq!(number(queue.serve(OfTicket::Collect(ticket.into()).into())), Some(ticket));
        }
        assert!(queue.tickets.is_empty());
    }

    #[test]
    fn an_abandoned_item_goes_to_the_next_getter() {
        let mut queue = Rules::new(None);
        for ticket in [1, 2, 3] {
            queue.serve(Request::Get(Some(ticket)));
        }
        queue.serve(Request::Put(item(7), None));
        queue.serve(OfTicket::Abandon(2).into());
        queue.serve(OfTicket::Abandon(1).into());
        assert_eq!(number(queue.serve(OfTicket::Collect(3).into())), Some(7));
        assert!(queue.tickets.is_empty() && queue.getters.is_empty());
    }

    #[test]
    fn an_abandoned_item_returns_to_the_front() {
        let mut queue = Rules::new(Some(1));
        queue.serve(Request::Get(Some(1)));
        queue.serve(Request::Put(item(1), None));
        queue.serve(Request::Put(item(2), None));
        queue.serve(Request::Put(item(3), Some(3)));
        queue.serve(OfTicket::Abandon(1).into());
        for expected in 1..=3 {
            assert_eq!(number(queue.serve(Request::Get(None))), Some(expected));
            assert!(queue.items.len() <= 1);
        }
    }

    #[test]
    fn callers_that_give_up_leave_nothing() {
        let mut queue = Rules::new(Some(1));
        queue.serve(Request::Put(item(1), None));
        queue.serve(Request::Put(item(2), Some(2)));
        assert_eq!(number(queue.serve(OfTicket::Collect(2).into())), Some(2));
        queue.serve(Request::Put(item(3), Some(3)));
        queue.serve(OfTicket::Abandon(3).into());
        assert_eq!(number(queue.serve(Request::Get(None))), Some(1));
        queue.serve(Request::Get(Some(4)));
        assert!(matches!(queue.serve(OfTicket::Collect(4).into()), Reply::Empty(0)));
        assert!(matches!(queue.serve(OfTicket::Collect(4).into()), Reply::Unknown));
        assert!(queue.tickets.is_empty() && queue.items.is_empty() && queue.getters.is_empty() && queue.putters.is_empty());
    }

    #[test]
    fn a_batch_is_whole_or_refused() {
        let mut queue = Rules::new(Some(3));
        assert!(matches!(queue.serve(Request::PutBatch(vec![item(1), item(2)])), Reply::Done));
        assert!(matches!(queue.serve(Request::PutBatch(vec![item(3), item(4)])), Reply::BatchFull(items, 2) if items.len() == 2));
        assert!(matches!(queue.serve(Request::GetBatch(3)), Reply::Empty(2)));
        assert!(matches!(queue.serve(Request::GetBatch(2)), Reply::Items(items) if items.len() == 2));
        queue.serve(Request::Get(Some(9)));
        queue.serve(Request::PutBatch(vec![item(5), item(6), item(7)]));
        assert_eq!(number(queue.serve(OfTicket::Collect(9).into())), Some(5));
        assert!(matches!(queue.serve(Request::Size), Reply::Size(2, Some(3))));
    }

    #[test]
    fn a_request_without_a_reader_is_undone() {
        let mut queue = Rules::new(None);
        queue.serve(Request::PutBatch(vec![item(1), item(2), item(3)]));
        let reply = queue.serve(Request::GetBatch(2));
        queue.serve(Rules::undo(reply).unwrap());
        for expected in 1..=3 {
            assert_eq!(number(queue.serve(Request::Get(None))), Some(expected));
        }
        assert!(matches!(queue.serve(Request::Get(Some(5))), Reply::Waits), "so its ticket is abandoned");
        queue.serve(OfTicket::Abandon(5).into());
        assert!(queue.tickets.is_empty() && queue.getters.is_empty());
    }
}
