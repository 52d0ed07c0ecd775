//! The tip for a loop that gets each result right after its submission.

use ray::{Config, remote};

use crate::support::{ChildOutput, in_child_with};

/// A body that is long enough for a tip.
#[remote]
fn slow(x: u64) -> u64 {
    let end = std::time::Instant::now() + std::time::Duration::from_micros(200);
    while std::time::Instant::now() < end {
        std::hint::spin_loop();
    }
    x
}

#[remote]
fn quick(x: u64) -> u64 {
    x
}

fn tips(said: &ChildOutput) -> Vec<&str> {
    said.stderr.lines().filter(|line| line.contains("right after")).collect()
}

fn one_by_one() {
    for x in 0..40 {
        assert_eq!(ray::get(slow.remote(x)).unwrap(), x);
    }
}

/// The tip is logged once for each call site, with file and line. It names the function and how to silence tips.
#[test]
fn one_tip_per_call_site() {
    let said = in_child_with("tips::one_tip_per_call_site", &[], || {
        let here = line!();
        for _ in 0..3 {
            for x in 0..20 {
                ray::get(slow.remote(x)).unwrap();
            }
        }
        one_by_one();
        one_by_one();
        println!("\nline {here}");
    });
    let told = tips(&said);
    assert_eq!(told.len(), 2, "{}", said.stderr);
    let line: u32 = said.stdout.lines().find_map(|line| line.strip_prefix("line ")).unwrap().parse().unwrap();
    assert!(told[0].contains(&format!("tests/it/tips.rs:{}:", line + 3)), "{told:?}");
    assert!(told.iter().all(|line| line.contains("slow.remote") && line.contains("RAY_TIPS=0")), "{told:?}");
}

/// No tip is logged for tasks that run in parallel, for very short bodies, or for only two or three gets.
#[test]
fn no_tip_for_parallel_or_short_work() {
    let said = in_child_with("tips::no_tip_for_parallel_or_short_work", &[("RAY_STRICT", "")], || {
        for _ in 0..20 {
            let refs: Vec<_> = (0..4).map(|x| slow.remote(x)).collect();
            ray::get(&refs).unwrap();
            for object in refs {
                ray::get(object).unwrap();
            }
            let (a, b) = (slow.remote(1), slow.remote(2));
            assert_eq!((ray::get(a).unwrap(), ray::get(b).unwrap()), (1, 2));
        }
        for x in 0..3 {
            ray::get(slow.remote(x)).unwrap();
        }
        for x in 0..crate::support::calls(100, 10_000) {
            ray::get(quick.remote(x)).unwrap();
        }
        for x in 0..20 {
            ray::get(ray::put(x)).unwrap();
        }
    });
    assert_eq!(tips(&said), [""; 0], "{}", said.stderr);
}

#[test]
fn silenced_by_the_environment() {
    let said = in_child_with("tips::silenced_by_the_environment", &[("RAY_TIPS", "0")], one_by_one);
    assert_eq!(tips(&said), [""; 0]);
}

#[test]
fn silenced_by_the_program() {
    let said = in_child_with("tips::silenced_by_the_program", &[], || {
        crate::support::init_with(Config::new().tips(false)).unwrap();
        one_by_one();
    });
    assert_eq!(tips(&said), [""; 0]);
}

/// The tip is logged for a loop inside a task as well.
#[test]
fn a_tip_for_a_loop_in_a_task() {
    let said = in_child_with("tips::a_tip_for_a_loop_in_a_task", &[], || {
        crate::support::init_with(Config::new().num_cpus(2)).unwrap();
        ray::get(ray::task(one_by_one).remote()).unwrap();
    });
    assert_eq!(tips(&said).len(), 1, "{}", said.stderr);
}
