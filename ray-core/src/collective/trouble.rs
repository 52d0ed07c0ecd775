//! What errors say: which member is where, and what to do about it.

use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::collective::ask::Call;
use crate::collective::board::{Objection, Seat, Table};

/// More members than so many are not listed one by one.
const LISTED: usize = 16;

fn collective(message: String) -> Error {
    Error::new(ErrorKind::Collective, message)
}

/// The ranks that have not joined.
pub(crate) fn away<P>(table: &Table<P>) -> Vec<usize> {
    (0..table.places.len()).filter(|rank| table.places[*rank].seat == Seat::Away).collect()
}

/// Where each of those members is, in words.
fn whereabouts<P>(table: &Table<P>, ranks: &[usize]) -> String {
    let mut said: Vec<String> = ranks.iter().take(LISTED).map(|rank| whereabout(table, *rank)).collect();
    if ranks.len() > LISTED {
        said.push(format!("and {} more", ranks.len() - LISTED));
    }
    said.join(", ")
}

fn whereabout<P>(table: &Table<P>, rank: usize) -> String {
    let place = &table.places[rank];
    match (place.seat, &place.call) {
        (Seat::Away, _) => format!("rank {rank} has not joined"),
        (Seat::Gone, _) => format!("rank {rank} has left"),
        (Seat::In, Some(call)) => format!("rank {rank} is in {call}"),
        (_, Some(call)) => format!("rank {rank} is in its own code, after {call}"),
        (_, None) => format!("rank {rank} is in its own code, before its first operation"),
    }
}

/// Members are in operations that do not go together. The last to come is not `In` yet, but has its call in its place.
pub(crate) fn differs<P>(title: &str, table: &Table<P>, rank: usize, objection: Objection) -> Error {
    let inside: Vec<usize> =
        (0..table.places.len()).filter(|other| *other != rank && table.places[*other].seat == Seat::In).collect();
    let call = table.places[rank].call.as_ref().map_or_else(String::new, ToString::to_string);
    let others = whereabouts(table, &inside);
    let (what, advice) = match objection {
        Objection::Differs => {
            ("members are in different operations", "all must call the same one, with the same type, length, root and reduction")
        }
        Objection::Circle => (
            "members wait for each other, so that none can go on",
            "give their operations one order: where each sends and receives, let one of two receive first",
        ),
    };
    collective(format!("{title} cannot go on: {what}: rank {rank} is in {call}, {others}; {advice}"))
}

/// A member has dropped its handle.
pub(crate) fn left<P>(title: &str, table: &Table<P>, rank: usize, panics: bool) -> Error {
    let how = if panics { "panicked" } else { "left (its handle was dropped)" };
    let last = match &table.places[rank].call {
        Some(call) => format!("after {call}"),
        None => "before its first operation".to_owned(),
    };
    collective(format!("{title} cannot go on: rank {rank} {how} {last}; look for what ended it, and make a new group to go on"))
}

/// A member waited too long.
pub(crate) fn timed_out<P>(title: &str, table: &Table<P>, rank: usize, call: &Call, timeout: Duration) -> Error {
    let missing: Vec<usize> = match call.what.peer() {
        Some(peer) => vec![peer],
        None => (0..table.places.len()).filter(|other| *other != rank && table.places[*other].seat != Seat::In).collect(),
    };
    Error::new(
        ErrorKind::GetTimeout,
        format!(
            "{title}: rank {rank} waited {timeout:?} in {call}, in vain: {}; raise `Group::set_timeout` if that is to be expected",
            whereabouts(table, &missing)
        ),
    )
}

/// A member's operation could not begin.
pub(crate) fn refused(title: &str, rank: usize, call: &Call, refusal: &Error) -> Error {
    collective(format!("{title} cannot go on: rank {rank} was refused its {call}: {refusal}")).with_cause(refusal.clone())
}

/// A member's thread has no engine left to wait in.
pub(crate) fn interrupted(title: &str, rank: usize, call: &Call, why: Error) -> Error {
    collective(format!("{title} cannot go on: rank {rank} had to give up its {call}: {why}")).with_cause(why)
}

/// A member's task was cancelled, or its actor killed.
pub(crate) fn cancelled(title: &str, rank: usize, call: &Call) -> Error {
    collective(format!(
        "{title} cannot go on: the task of rank {rank} was cancelled, or its actor killed, in {call}; make a new group to go on"
    ))
}

/// An actor ended before it took its place.
pub(crate) fn never_joined(title: &str, rank: usize) -> Error {
    collective(format!(
        "{title} cannot go on: the actor of rank {rank} died before it joined; look at the error of its calls, and make a new group to go on"
    ))
}

/// Somebody outside has ended the group.
pub(crate) fn poisoned(title: &str, why: Error) -> Error {
    collective(format!("{title} was ended from outside: {why}")).with_cause(why)
}

/// The group was destroyed by name.
pub(crate) fn destroyed(title: &str) -> Error {
    collective(format!("{title} was destroyed; create it again to go on"))
}
