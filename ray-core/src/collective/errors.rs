//! The errors of a group. Each error names the members and their operations, and says what to do.

use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::collective::rendezvous::{MemberState, Mismatch, Table};
use crate::collective::request::Call;

/// An error lists at most so many members.
const LISTED: usize = 16;

fn collective(message: String) -> Error {
    Error::new(ErrorKind::Collective, message)
}

/// The ranks that have not joined.
pub(crate) fn not_joined<P>(table: &Table<P>) -> Vec<usize> {
    (0..table.members.len()).filter(|rank| table.members[*rank].state == MemberState::NotJoined).collect()
}

/// A text that says what each of those members does.
fn describe_all<P>(table: &Table<P>, ranks: &[usize]) -> String {
    let mut texts: Vec<String> = ranks.iter().take(LISTED).map(|rank| describe(table, *rank)).collect();
    if ranks.len() > LISTED {
        texts.push(format!("and {} more", ranks.len() - LISTED));
    }
    texts.join(", ")
}

fn describe<P>(table: &Table<P>, rank: usize) -> String {
    let member = &table.members[rank];
    match (member.state, &member.call) {
        (MemberState::NotJoined, _) => format!("rank {rank} has not joined"),
        (MemberState::Left, _) => format!("rank {rank} has left"),
        (MemberState::Inside, Some(call)) => format!("rank {rank} is in {call}"),
        (_, Some(call)) => format!("rank {rank} is in its own code, after {call}"),
        (_, None) => format!("rank {rank} is in its own code, before its first operation"),
    }
}

/// Members are in operations that do not match. The last one to enter is not `Inside` yet, but its record has its call.
pub(crate) fn differs<P>(title: &str, table: &Table<P>, rank: usize, mismatch: Mismatch) -> Error {
    let inside: Vec<usize> =
        (0..table.members.len()).filter(|other| *other != rank && table.members[*other].state == MemberState::Inside).collect();
    let call = table.members[rank].call.as_ref().map_or_else(String::new, ToString::to_string);
    let others = describe_all(table, &inside);
    let (what, advice) = match mismatch {
        Mismatch::Differs => {
            ("members are in different operations", "all must call the same one, with the same type, length, root and reduction")
        }
        Mismatch::Cycle => (
            "members wait for each other, so that none can go on",
            "give their operations one order: where each sends and receives, let one of two receive first",
        ),
    };
    collective(format!("{title} cannot go on: {what}: rank {rank} is in {call}, {others}; {advice}"))
}

/// A member has dropped its handle.
pub(crate) fn left<P>(title: &str, table: &Table<P>, rank: usize, panics: bool) -> Error {
    let how = if panics { "panicked" } else { "left (its handle was dropped)" };
    let last = match &table.members[rank].call {
        Some(call) => format!("after {call}"),
        None => "before its first operation".to_owned(),
    };
    collective(format!("{title} cannot go on: rank {rank} {how} {last}; find out why it ended, and make a new group to go on"))
}

/// A member waited for longer than its time-out.
pub(crate) fn timed_out<P>(title: &str, table: &Table<P>, rank: usize, call: &Call, timeout: Duration) -> Error {
    let missing: Vec<usize> = match call.operation.peer() {
        Some(peer) => vec![peer],
        None => (0..table.members.len())
            .filter(|other| *other != rank && table.members[*other].state != MemberState::Inside)
            .collect(),
    };
    Error::new(
        ErrorKind::GetTimeout,
        format!(
            "{title}: rank {rank} waited {timeout:?} in {call} and timed out: {}; raise `Group::set_timeout` if so long a wait is expected",
            describe_all(table, &missing)
        ),
    )
}

/// A member's operation was refused before it began.
pub(crate) fn refused(title: &str, rank: usize, call: &Call, refusal: &Error) -> Error {
    collective(format!("{title} cannot go on: rank {rank} was refused its {call}: {refusal}")).with_cause(refusal.clone())
}

/// The wait of a member's thread ended early: its body was cancelled, its engine shut down, or no thread was left to run the
/// other members.
pub(crate) fn interrupted(title: &str, rank: usize, call: &Call, why: Error) -> Error {
    collective(format!("{title} cannot go on: rank {rank} had to give up its {call}: {why}")).with_cause(why)
}

/// A member's task was cancelled, or its actor killed.
pub(crate) fn cancelled(title: &str, rank: usize, call: &Call) -> Error {
    collective(format!(
        "{title} cannot go on: the task of rank {rank} was cancelled, or its actor killed, in {call}; make a new group to go on"
    ))
}

/// An actor died before it joined.
pub(crate) fn never_joined(title: &str, rank: usize) -> Error {
    collective(format!(
        "{title} cannot go on: the actor of rank {rank} died before it joined; look at the error of its calls, and make a new group to go on"
    ))
}

/// A [`Poisoner`](crate::collective::Poisoner) has ended the group.
pub(crate) fn poisoned(title: &str, why: Error) -> Error {
    collective(format!("{title} was ended from outside: {why}")).with_cause(why)
}

/// The group was destroyed by name.
pub(crate) fn destroyed(title: &str) -> Error {
    collective(format!("{title} was destroyed; create it again to go on"))
}
