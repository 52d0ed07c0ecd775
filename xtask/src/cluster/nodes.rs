//! Two nodes of one cluster: the tests of `tests/it/cluster/nodes.rs`. The second node has another address and a temporary folder
//! of its own, and starts without files of the tests.

use super::heads::Ground;
use super::{Place, suite};

/// The module of the tests.
pub(super) const MODULE: &str = "cluster::nodes::";

/// The number of the first node. Its ports differ from those of the clusters before it, which the system may still hold.
const FIRST: u32 = 10;
const CPUS: u32 = 2;
/// Each test needs all CPUs of the cluster.
const ONE: usize = 1;

/// Runs the tests on two nodes.
pub(super) fn run(place: &Place) -> Result<bool, String> {
    let logs = place.logs.join("two-nodes");
    let ground = Ground::new(&place.python, &place.folder)?;
    let head = ground.start(FIRST, (CPUS, &[]), None)?;
    let second = ground.start(FIRST + 1, (CPUS, &[]), Some(&head));
    let outcomes = second.and_then(|second| {
        let mut environment = ground.environment();
        environment.push(("RAY_TEST_EXECUTOR".into(), "cluster".into()));
        environment.push(("RAY_TEST_NODES".into(), "2".into()));
        environment.push(("RAY_TEST_HEADS".into(), format!("{}={}", 2 * CPUS, head.address)));
        let names = suite::names_in(&place.program, MODULE)?;
        let outcomes = suite::run(&place.program, &environment, &names, ONE, &logs);
        second.stop()?;
        Ok(outcomes)
    });
    head.stop()?;
    Ok(suite::report(&outcomes?, &logs))
}
