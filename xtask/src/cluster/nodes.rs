//! Two nodes of one cluster: the tests of `tests/it/cluster/nodes.rs`. The second node has another address and a temporary folder
//! of its own, and starts without files of the tests.

use super::heads::Ground;
use super::{Place, suite};

/// The module of the tests.
pub(super) const MODULE: &str = "cluster::nodes::";

/// The number of the first node. Its ports differ from those of the clusters before it, which the system may still hold.
const FIRST: u32 = 10;
const CPUS: u32 = 2;
/// The second node has another label than the first one, and an accelerator, as far as Ray knows.
const SECOND: [&str; 2] = ["--labels=place=second", "--resources={\"accelerator_type:A100\":1}"];
/// Each test needs all CPUs of the cluster.
const ONE: usize = 1;

/// Runs the tests on two nodes, of the filters that name some: those of them.
pub(super) fn run(place: &Place, filters: &[&str]) -> Result<bool, String> {
    let logs = place.logs.join("two-nodes");
    let ground = Ground::new(&place.python, &place.folder)?;
    let head = ground.start(FIRST, (CPUS, &["--labels=place=first"]), None)?;
    let second = ground.start(FIRST + 1, (CPUS, &SECOND), Some(&head));
    let outcomes = second.and_then(|second| {
        let mut environment = ground.environment();
        environment.push(("RAY_TEST_EXECUTOR".into(), "cluster".into()));
        environment.push(("RAY_TEST_NODES".into(), "2".into()));
        environment.push(("RAY_TEST_HEADS".into(), format!("{}={}", 2 * CPUS, head.address)));
        let mut names = suite::names_in(&place.program, MODULE)?;
        let mut filters = filters.iter().filter(|filter| filter.starts_with(MODULE)).peekable();
        if filters.peek().is_some() {
            let filters: Vec<_> = filters.collect();
            names.retain(|name| filters.iter().any(|filter| name.starts_with(**filter)));
        }
        let outcomes = suite::run(&place.program, &environment, &names, ONE, &logs);
        second.stop()?;
        Ok(outcomes)
    });
    head.stop()?;
    Ok(suite::report(&outcomes?, &logs))
}
