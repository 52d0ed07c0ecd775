//! Groups that exchange arrays: every operation against a sequential reference, and what happens when a member does not do
//! as the others.

use ray::collective::{Group, Mean, Sum};

/// Runs a body for each member, on a thread of its own, and gives what they return, by rank.
fn each<R: Send>(size: usize, body: impl Fn(Group) -> R + Sync) -> Vec<R> {
    let members = Group::members(size).unwrap();
    std::thread::scope(|threads| {
        let bodies: Vec<_> = members.into_iter().map(|group| threads.spawn(|| body(group))).collect();
        bodies.into_iter().map(|body| body.join().unwrap()).collect()
    })
}

#[test]
fn a_mean() {
    for size in 1..6 {
        let means = each(size, |mut group| {
            let mut values = vec![group.rank() as f32; 100_000];
            group.allreduce(&mut values, Mean).unwrap();
            let mut sum = [1u8];
            group.allreduce(&mut sum, Sum).unwrap();
            assert_eq!(sum[0] as usize, group.size());
            values
        });
        let mean = (0..size).map(|rank| rank as f32).sum::<f32>() * (1.0 / size as f32);
        assert!(means.iter().flatten().all(|value| *value == mean), "{size}");
    }
}

#[test]
fn a_member_that_leaves_releases_the_others() {
    let errors = each(3, |mut group| if group.rank() == 1 { None } else { Some(group.barrier().unwrap_err().to_string()) });
    assert!(errors.iter().flatten().all(|error| error.contains("rank 1 left")), "{errors:?}");
}
