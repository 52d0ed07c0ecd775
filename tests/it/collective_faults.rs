//! Groups whose members disagree, leave or fail: no member hangs, and the error names the operations of the ranks.

use std::error::Error as _;
use std::time::Duration;

use ray::collective::{Group, Max, Mean, Min, Poisoner, Sum};
use ray::{Error, remote};

use crate::collective::each;
use crate::stage::{alone_on, apart};
use crate::support::{Gate, PATIENCE, Tally, engine};

/// Runs `body` for each member, and returns the error of each, by rank.
fn ends(size: usize, body: impl Fn(&mut Group) -> ray::Result<()> + Sync) -> Vec<Option<Error>> {
    // Every member stays until all have ended, so that no error is caused by a member that leaves.
    let ended = Tally::new();
    each(size, |group| {
        let mut group = group.with_timeout(PATIENCE);
        let end = body(&mut group).err();
        ended.add();
        ended.wait_for(size as u64);
        end
    })
}

/// Checks that every member has an error that contains all of `parts`.
#[track_caller]
fn all_contain(ends: &[Option<Error>], parts: &[&str]) {
    for (rank, end) in ends.iter().enumerate() {
        let error = end.as_ref().unwrap_or_else(|| panic!("rank {rank} has no error"));
        let text = error.to_string();
        assert!(parts.iter().all(|part| text.contains(part)), "rank {rank}: {text}");
        assert!(text.contains("rank"), "{text}");
    }
}

#[test]
fn a_leaving_member_releases_the_others() {
    for leaver in 0..3 {
        let errors = each(3, |mut group| {
            group.allreduce(&mut [1.0], Mean).unwrap();
            (group.rank() != leaver).then(|| [group.barrier().unwrap_err(), group.allreduce(&mut [1], Sum).unwrap_err()])
        });
        for error in errors.into_iter().flatten().flatten() {
            assert!(error.is_collective(), "{error}");
            let text = error.to_string();
            assert!(
                text.contains(&format!("rank {leaver} left")) && text.contains("after allreduce(mean) of 1 f64 at"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_panicking_member_releases_the_others() {
    let mut members = Group::members(2).unwrap();
    let (mut last, mut first) = (members.pop().unwrap(), members.pop().unwrap());
    let panicked = std::thread::spawn(move || {
        first.barrier().unwrap();
        panic!("torn");
    });
    last.barrier().unwrap();
    let error = last.barrier().unwrap_err();
    assert!(error.to_string().contains("rank 0 panicked after barrier at "), "{error}");
    assert!(panicked.join().is_err());
}

/// A member may leave after its last operation while others still run operations that do not need it.
#[test]
fn a_member_may_leave_after_its_last_operation() {
    for _ in 0..100 {
        each(4, |mut group| {
            group.barrier().unwrap();
            match group.rank() {
                1 => group.send(&[7], 3).unwrap(),
                3 => {
                    let mut got = [0];
                    group.recv(&mut got, 1).unwrap();
                    assert_eq!(got, [7]);
                }
                _ => {}
            }
        });
    }
    let [mut a, mut b, c]: [Group; 3] = Group::members(3).unwrap().try_into().unwrap();
    drop(c);
    std::thread::scope(|threads| {
        threads.spawn(|| a.send(&[1], 1).unwrap());
        b.recv(&mut [0], 0).unwrap();
    });
    let error = b.recv(&mut [0], 2).unwrap_err();
    assert!(error.to_string().contains("rank 2 left"), "{error}");
    assert!(a.send(&[1], 1).is_err(), "the group is broken now");
}

/// The last operation succeeds for every member, even if one wakes late and another leaves early.
#[test]
fn the_last_operation_succeeds_for_all_members() {
    for turn in 0..300 {
        each(3, |mut group| {
            let mut values = vec![group.rank() as u32; turn * 10];
            group.allreduce(&mut values, Max).unwrap();
            assert!(values.iter().all(|value| *value == 2));
        });
    }
}

#[test]
fn different_operations_are_named_in_the_error() {
    let here = file!();
    let different = ends(2, |group| match group.rank() {
        0 => group.allreduce(&mut [1.0_f32; 10], Sum),
        _ => group.broadcast(&mut [1.0_f32; 10], 1),
    });
    all_contain(&different, &["rank 0", "allreduce(sum) of 10 f32 at", "rank 1", "broadcast(root 1) of 10 f32 at", here]);
    let lengths = ends(3, |group| group.allreduce(&mut vec![1_u8; 7 + group.rank() / 2], Sum));
    all_contain(&lengths, &["allreduce(sum) of 7 u8", "rank 2", "of 8 u8", here]);
    let types = ends(2, |group| match group.rank() {
        0 => group.allreduce(&mut [1_i32], Sum),
        _ => group.allreduce(&mut [1_u32], Sum),
    });
    all_contain(&types, &["of 1 i32", "of 1 u32"]);
    let roots = ends(2, |group| group.reduce(&mut [1_i32], group.rank(), Sum));
    all_contain(&roots, &["root 0", "root 1"]);
    let ways = ends(2, |group| match group.rank() {
        0 => group.allreduce(&mut [1_i32], Min),
        _ => group.allreduce(&mut [1_i32], Max),
    });
    all_contain(&ways, &["allreduce(min)", "allreduce(max)"]);
}

/// The error comes before all members have arrived.
#[test]
fn different_operations_fail_before_all_members_arrive() {
    let (seen, gate) = (Tally::new(), Gate::new());
    each(3, |mut group| {
        if group.rank() == 2 {
            seen.wait_for(2);
            gate.open();
            return;
        }
        let error = match group.rank() {
            0 => group.barrier().unwrap_err(),
            _ => group.allgather(&[1_u8], &mut [0; 3]).unwrap_err(),
        };
        assert!(error.is_collective() && error.to_string().contains("allgather of 1 u8"), "{error}");
        seen.add();
        gate.wait();
    });
}

#[test]
fn transfers_that_do_not_match() {
    let lengths = ends(2, |group| match group.rank() {
        0 => group.send(&[1_u8; 3], 1),
        _ => group.recv(&mut [0_u8; 4], 0),
    });
    all_contain(&lengths, &["send(to 1) of 3 u8", "recv(from 0) of 4 u8"]);
    let types = ends(2, |group| match group.rank() {
        0 => group.send(&[1_u8; 4], 1),
        _ => group.recv(&mut [0_i8; 4], 0),
    });
    all_contain(&types, &["of 4 u8", "of 4 i8"]);
}

#[test]
fn transfers_that_wait_for_each_other() {
    let both = ends(2, |group| group.send(&[1], 1 - group.rank()));
    all_contain(&both, &["wait for each other", "send(to 1)", "send(to 0)"]);
    let ring = ends(3, |group| group.send(&[1], (group.rank() + 1) % 3));
    all_contain(&ring, &["wait for each other"]);
    let mixed = ends(3, |group| match group.rank() {
        0 => group.recv(&mut [0_u8], 1),
        _ => group.barrier(),
    });
    all_contain(&mixed, &["wait for each other", "recv(from 1)", "barrier"]);
}

#[test]
fn a_refused_argument_releases_the_others() {
    let refused = |body: &(dyn Fn(&mut Group) -> ray::Result<()> + Sync), parts: &[&str]| {
        let ends = ends(2, |group| if group.rank() == 0 { body(group) } else { group.barrier() });
        let [Some(own), Some(others)] = &ends[..] else { panic!("{ends:?}") };
        assert!(own.is_invalid_argument(), "{own}");
        assert!(parts.iter().all(|part| own.to_string().contains(part)), "{own}");
        assert!(others.is_collective() && others.to_string().contains("rank 0 was refused"), "{others}");
    };
    refused(&|group| group.broadcast(&mut [1], 2), &["2 is no rank", "0 to 1"]);
    refused(&|group| group.reduce(&mut [1], 9, Sum), &["9 is no rank"]);
    refused(&|group| group.send(&[1], 0), &["with itself"]);
    refused(&|group| group.recv(&mut [1], 5), &["5 is no rank"]);
    refused(&|group| group.allgather(&[1, 2], &mut [0; 3]), &["3 elements", "2 parts of 2"]);
    refused(&|group| group.reducescatter(&[1, 2, 3], &mut [0; 1], Sum), &["3 elements", "2 parts of 1"]);
    assert!(Group::members(0).unwrap_err().is_invalid_argument());
}

#[test]
fn a_time_out_names_the_missing_ranks() {
    let gate = Gate::new();
    let errors = each(4, |mut group| match group.rank() {
        1 | 3 => {
            group.barrier().unwrap();
            gate.wait();
            group.barrier().err()
        }
        _ => {
            group.barrier().unwrap();
            group.set_timeout(if group.rank() == 0 { Duration::from_millis(20) } else { PATIENCE });
            let end = group.allreduce(&mut [1_u16], Sum).err();
            gate.open();
            end
        }
    });
    for error in &errors {
        let error = error.as_ref().expect("the operation of no rank can complete");
        let text = error.to_string();
        assert!(error.is_timeout() && text.contains("rank 0 waited 20ms in allreduce(sum) of 1 u16"), "{text}");
        assert!(
            text.contains("rank 1 is in its own code, after barrier") && text.contains("rank 3 is in its own code"),
            "{text}"
        );
    }
}

#[test]
fn poison_releases_all_members() {
    let (poisoner, poisoners) = std::sync::mpsc::channel::<Poisoner>();
    let watcher = std::thread::spawn(move || poisoners.recv().unwrap().poison(Error::other("rank 7 of another group fell")));
    let errors = each(3, |mut group| {
        if group.rank() == 0 {
            poisoner.send(group.poisoner()).unwrap();
        }
        let error = loop {
            // Rank 2 never enters an operation.
            match if group.rank() == 2 { Ok(()) } else { group.barrier() } {
                Ok(()) if group.rank() == 2 => break None,
                Ok(()) => {}
                Err(error) => break Some(error),
            }
        };
        (error, group)
    });
    watcher.join().unwrap();
    for (error, mut group) in errors {
        for error in error.into_iter().chain(group.barrier().err()) {
            assert!(error.is_collective() && error.to_string().contains("ended from outside"), "{error}");
            assert_eq!(error.source().unwrap().to_string(), "rank 7 of another group fell");
        }
    }
}

/// Three members are tasks that ask for one CPU each, on an engine with one CPU.
#[test]
fn three_members_share_one_cpu() {
    alone_on(1, || {
        let tasks: Vec<_> = Group::members(3)
            .unwrap()
            .into_iter()
            .map(|mut group| {
                ray::task(move || {
                    let mut sum = [1_u32; 5000];
                    for _ in 0..20 {
                        group.allreduce(&mut sum, Max).unwrap();
                        group.allreduce(&mut sum[..1], Sum).unwrap();
                    }
                    sum[0]
                })
                .remote()
            })
            .collect();
        assert_eq!(ray::get(tasks).unwrap(), [3_u32.pow(20); 3]);
    });
}

#[test]
fn five_members_share_two_cpus() {
    alone_on(2, || {
        let tasks: Vec<_> = Group::members(5)
            .unwrap()
            .into_iter()
            .map(|mut group| ray::task(move || (0..50).try_for_each(|_| group.barrier())).remote())
            .collect();
        ray::get(tasks).unwrap();
    });
}

/// With too few threads for all members the result is an error, not a hang.
#[test]
fn too_few_threads_for_all_members_is_an_error() {
    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2).max_threads(2)).unwrap();
        let tasks: Vec<_> =
            Group::members(4).unwrap().into_iter().map(|mut group| ray::task(move || group.barrier()).remote()).collect();
        let ends: Vec<_> = tasks.into_iter().map(|task| ray::get_timeout(&task, PATIENCE)).collect();
        assert!(ends.iter().all(Result::is_err), "{ends:?}");
        assert!(
            ends.iter().flat_map(|end| end.as_ref().err()).any(|error| error.to_string().contains("max_threads")),
            "{ends:?}"
        );
    });
}

#[test]
fn a_cancelled_member_releases_the_others() {
    engine();
    let mut members = Group::members(2).unwrap();
    let (mut last, mut first) = (members.pop().unwrap(), members.pop().unwrap());
    let inside = Tally::new();
    let task = ray::task(move || {
        inside.add();
        first.barrier()
    })
    .remote();
    inside.wait_for(1);
    ray::cancel(&task).unwrap();
    assert!(ray::get(task).unwrap_err().is_cancelled());
    // The error is of this transfer, or of the member that left, depending on which comes first.
    last.set_timeout(PATIENCE);
    let error = last.send(&[1_u8], 0).unwrap_err();
    assert!(error.is_collective(), "{error}");
}

#[test]
fn a_shutdown_releases_members() {
    alone_on(2, || {
        let mut members = Group::members(3).unwrap();
        let mut outside = members.pop().unwrap();
        let (inside, ended) = (Tally::new(), Tally::new());
        for mut group in members {
            ray::task(move || {
                inside.add();
                let error = group.barrier().unwrap_err();
                assert!(error.is_collective(), "{error}");
                ended.add();
            })
            .tell();
        }
        inside.wait_for(2);
        ray::shutdown().unwrap();
        ended.wait_for(2);
        assert!(outside.barrier().unwrap_err().is_collective());
    });
}

#[remote]
async fn blocks() -> ray::Result<String> {
    let mut alone = Group::members(1)?.remove(0);
    let error = alone.barrier().expect_err("a blocking call in an async body is an error");
    assert!(error.is_blocking_in_async());
    Ok(error.to_string())
}

#[test]
fn collectives_in_async_bodies_are_refused() {
    engine();
    let error = ray::get(blocks.remote()).unwrap();
    assert!(error.contains(file!()) && error.contains("blocks"), "{error}");
}
