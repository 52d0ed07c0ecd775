//! Unread failures: the first five of each name are logged in full, the others are counted.

use ray::remote;

use crate::stage::alone;
use crate::support::{ChildOutput, calls, flat, in_child, rounds};

#[remote]
struct Till;

#[remote]
impl Till {
    pub fn new() -> Self {
        Till
    }
    pub fn pay(&mut self, amount: u64) -> Result<u64, String> {
        Err(format!("no change for {amount}"))
    }
    pub fn end(&mut self) {}
}

#[remote]
fn count(amount: u64) -> Result<u64, String> {
    Err(format!("no coin of {amount}"))
}

const MANY: u64 = 20_000;

/// The number of failures of `name` that were logged in full, the number that were counted, and the lines with counts.
fn logged(said: &ChildOutput, name: &str) -> (usize, u64, usize) {
    let full = said
        .stderr
        .lines()
        .filter(|line| line.contains("this failure was not read") && line.contains(&format!("task `{name}` failed")));
    let lines: Vec<_> =
        said.stderr.lines().filter(|line| line.contains("more failures of these tasks were not read: ")).collect();
    let counted = lines.iter().flat_map(|line| line.split([':', ',']).filter(|part| part.ends_with(&format!(" of `{name}`"))));
    let counted = counted.map(|part| part.trim().split(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    (full.count(), counted, lines.len())
}

fn fail_often() {
    let till = Till::remote();
    for amount in 0..MANY {
        till.pay.tell(amount);
        count.tell(amount);
    }
    ray::get(till.end.remote()).unwrap();
    let last: Vec<_> = (0..64).map(|amount| count.remote(amount)).collect();
    assert!(ray::get_all_settled(last).iter().all(Result::is_err), "failures that are read are not logged");
}

/// A shutdown logs the counts.
#[test]
fn many_unread_failures_are_logged_in_few_lines() {
    let said = in_child("unread::many_unread_failures_are_logged_in_few_lines", || {
        fail_often();
        ray::shutdown().unwrap();
    });
    let (full, counted, lines) = logged(&said, "Till.pay");
    assert_eq!((full, counted), (5, MANY - 5), "{}", said.stderr);
    assert!(lines < 100, "at most one line a second");
    let (full, counted, _) = logged(&said, "count");
    assert!(full == 5 && counted <= MANY - 5, "{full} and {counted}");
    assert!(said.stderr.contains("no change for 4") && !said.stderr.contains("no change for 9\n"), "{}", said.stderr);
}

/// Without a shutdown the monitor thread logs the counts when no further failure follows.
#[test]
fn the_last_failures_are_logged_without_a_shutdown() {
    let said = in_child("unread::the_last_failures_are_logged_without_a_shutdown", || {
        fail_often();
        std::thread::sleep(std::time::Duration::from_secs(4)); // body: counts are logged after a second
    });
    let (full, counted, _) = logged(&said, "Till.pay");
    assert_eq!((full, counted), (5, MANY - 5), "{}", said.stderr);
}

/// Unread failures leak no memory.
#[test]
fn unread_failures_leak_no_memory() {
    alone(|| {
        let till = Till::remote();
        let share = rounds(50_000, 1_000_000) / calls(4_000, 2_000);
        flat("failures of a function and of a method", share, 6 << 20, || {
            for amount in 0..calls(20, 1_000) {
                count.tell(amount);
                till.pay.tell(amount);
            }
            ray::get(till.end.remote()).unwrap();
        });
    });
}
