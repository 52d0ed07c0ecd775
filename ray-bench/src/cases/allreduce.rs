//! `allreduce`: the mean of all members' floats, as many as the gradients of the article's network, in every member's buffer.
//!
//! The members, a thread each, meet at a barrier before each; the clock starts when the first of them calls and stops when
//! the last of them has its result. Beside it stands what one thread takes to copy one buffer into another.

use std::{hint::black_box, thread, time::Instant};

use ray::collective::{Group, Mean};

use crate::measure::{Case, Contender, USUAL};

/// The parameters of 784-512-512-10.
const NUMBERS: usize = 669_706;
/// Reductions, or copies, a round.
const TIMES: usize = 200;
/// So many come before those that count: threads that were just started may share a processor until the system has moved one.
const FIRST: usize = 50;

const MEMCPY: &str = "memcpy";

pub(crate) const CASE: Case = Case {
    name: "allreduce",
    what: "mean all-reduce of 669,706 f32, first in to last out; microseconds",
    unit: "us",
    contenders,
    yardsticks: &[MEMCPY],
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    vec![ours(2), ours(4), memcpy()]
}

fn ours(members: usize) -> Contender {
    let mut all = vec![vec![0.0; NUMBERS]; members];
    Contender::new(format!("ray ({members} members)"), move || {
        let groups = Group::members(members).expect("there are members");
        let spans: Vec<_> = thread::scope(|threads| {
            let pairs = all.iter_mut().zip(groups);
            let running: Vec<_> = pairs.map(|(numbers, group)| threads.spawn(|| reduce(numbers, group))).collect();
            running.into_iter().map(|member| member.join().expect("the member ends well")).collect()
        });
        microseconds(&spans)
    })
}

/// A member's round: when each reduction began and ended for it, after the first ones, which do not count. Each is checked by a
/// number of its own, and the whole in the end.
fn reduce(numbers: &mut [f32], mut group: Group) -> Vec<[Instant; 2]> {
    let (rank, members) = (group.rank(), group.size());
    numbers.iter_mut().enumerate().for_each(|(i, number)| *number = before(i, rank));
    for _ in 0..FIRST {
        group.allreduce(numbers, Mean).expect("all come");
    }
    let spans = (0..TIMES)
        .map(|i| {
            numbers[i] = before(i, rank);
            group.barrier().expect("all come");
            let begin = Instant::now();
            group.allreduce(numbers, Mean).expect("all come");
            let end = Instant::now();
            assert_eq!(numbers[i], after(i, members));
            [begin, end]
        })
        .collect();
    assert!(numbers.iter().enumerate().all(|(i, number)| *number == after(i, members)));
    spans
}

/// From the first member's beginning to the last one's end, the mean of all reductions.
fn microseconds(members: &[Vec<[Instant; 2]>]) -> f64 {
    let spans = (0..TIMES).map(|i| {
        let first = members.iter().map(|spans| spans[i][0]).min().expect("there are members");
        let last = members.iter().map(|spans| spans[i][1]).max().expect("there are members");
        (last - first).as_secs_f64()
    });
    spans.sum::<f64>() * 1e6 / TIMES as f64
}

fn memcpy() -> Contender {
    let from: Vec<f32> = (0..NUMBERS).map(|i| before(i, 0)).collect();
    let mut into = vec![0.0; NUMBERS];
    Contender::new(MEMCPY, move || {
        into.fill(0.0);
        let start = Instant::now();
        for _ in 0..TIMES {
            black_box(&mut into).copy_from_slice(black_box(&from));
        }
        let elapsed = start.elapsed();
        assert_eq!(into, from);
        elapsed.as_secs_f64() * 1e6 / TIMES as f64
    })
}

/// Number `i` of a member before a reduction: small, so that sums are exact.
fn before(i: usize, rank: usize) -> f32 {
    (i % 1000 + rank) as f32
}

/// The same of all members after it.
fn after(i: usize, members: usize) -> f32 {
    (i % 1000) as f32 + (members - 1) as f32 / 2.0
}
