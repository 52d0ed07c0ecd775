//! The contender of this project in the case `allreduce`.

use std::{thread, time::Instant};

use ray::collective::{Group, Mean};

use crate::{
    measure::Contender,
    workload::allreduce::{FIRST, NUMBERS, TIMES, after, before},
};

/// A group of `members` members; each is a thread.
pub(crate) fn contender(members: usize) -> Contender {
    let mut all = vec![vec![0.0; NUMBERS]; members];
    Contender::new(format!("ray ({members} members)"), move || {
        let groups = Group::members(members).expect("there are members");
        let spans: Vec<_> = thread::scope(|threads| {
            let pairs = all.iter_mut().zip(groups);
            let running: Vec<_> = pairs.map(|(numbers, group)| threads.spawn(|| reduce(numbers, group))).collect();
            running.into_iter().map(|member| member.join().expect("the member ends without a panic")).collect()
        });
        microseconds(&spans)
    })
}

/// Runs a member's round; returns the start and the end of each reduction that counts. The first reductions do not count.
/// The member checks one number after each reduction, and the whole buffer after the last.
fn reduce(numbers: &mut [f32], mut group: Group) -> Vec<[Instant; 2]> {
    let (rank, members) = (group.rank(), group.size());
    numbers.iter_mut().enumerate().for_each(|(i, number)| *number = before(i, rank));
    for _ in 0..FIRST {
        group.allreduce(numbers, Mean).expect("all members take part");
    }
    let spans = (0..TIMES)
        .map(|i| {
            numbers[i] = before(i, rank);
            group.barrier().expect("all members take part");
            let begin = Instant::now();
            group.allreduce(numbers, Mean).expect("all members take part");
            let end = Instant::now();
            assert_eq!(numbers[i], after(i, members));
            [begin, end]
        })
        .collect();
    assert!(numbers.iter().enumerate().all(|(i, number)| *number == after(i, members)));
    spans
}

/// The mean time of a reduction, from the start of the first member to the end of the last one.
fn microseconds(members: &[Vec<[Instant; 2]>]) -> f64 {
    let spans = (0..TIMES).map(|i| {
        let first = members.iter().map(|spans| spans[i][0]).min().expect("there are members");
        let last = members.iter().map(|spans| spans[i][1]).max().expect("there are members");
        (last - first).as_secs_f64()
    });
    spans.sum::<f64>() * 1e6 / TIMES as f64
}
