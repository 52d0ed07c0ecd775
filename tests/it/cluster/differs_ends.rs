//! How the end of bodies, and waits in them, differ on a cluster. As in [`differs`](super::differs), these tests do nothing without one.

use std::time::Duration;

use ray::{Config, remote};

use crate::stage::{alone_on, apart, eventually, give};
use crate::support::{Gate, PATIENCE, Tally, init_with};

#[remote(num_cpus = 0)]
fn add_at(running: Tally, gate: Gate, ended: Tally) {
    running.add();
    gate.wait();
    ended.add();
}

#[remote]
struct Asker;

#[remote]
impl Asker {
    pub fn new() -> Self {
        Self
    }

    pub fn ask(&self) -> bool {
        ray::get_timeout(give.remote(1), Duration::from_secs(3)).is_err_and(|error| error.is_timeout())
    }
}

#[remote]
fn fails(number: u32) -> Result<(), String> {
    Err(format!("failure number {number}"))
}

/// A shutdown succeeds beside a body: Ray ends the process of the body, which does not go on.
#[test]
fn a_shutdown_ends_the_bodies() {
    if super::wanted() {
        apart(|| {
            let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
            init_with(Config::new().num_cpus(2).shutdown_grace(Duration::from_secs(50))).unwrap();
            let object = add_at.remote(running, gate, ended);
            running.wait_for(1);
            ray::shutdown().expect("it does not wait for the body");
            assert!(ray::get(object).unwrap_err().is_runtime_gone());
            // The next driver runs a body to its end: the body of the former one would have ended before.
            init_with(Config::new().num_cpus(2)).unwrap();
            eventually("the resources of the former driver are free", || {
                ray::available_resources().unwrap()["CPU"] == ray::cluster_resources().unwrap()["CPU"]
            });
            gate.open();
            let later = Tally::new();
            ray::get(add_at.remote(running, gate, later)).unwrap();
            assert_eq!((later.count(), ended.count()), (1, 0));
        });
    }
}

/// An actor keeps its CPUs while it waits, unlike a task: on one CPU it waits in vain for a task.
#[test]
fn an_actor_keeps_its_cpu() {
    if super::wanted() {
        alone_on(1, || {
            let asker = Asker::options().num_cpus(1.0).remote();
            assert!(ray::get(asker.ask.remote()).unwrap());
            ray::kill(&asker).unwrap();
            assert_eq!(ray::get_timeout(give.remote(2), PATIENCE).unwrap(), 2, "then the CPU is free");
        });
    }
}

/// A failure that nothing reads stays on the cluster; the log of its worker, which the driver prints, has it.
#[test]
fn an_unread_failure_is_in_the_log_of_its_worker() {
    if super::wanted() {
        let said = crate::stage::alone(|| {
            fails.tell(77);
            let read = fails.remote(78);
            ray::get(&read).unwrap_err();
            // The lines of a worker come to the driver later, and nothing tells when.
            let _ = ray::get_timeout(crate::stage::wait.options().num_cpus(0.0).remote(Gate::new()), Duration::from_secs(5));
        });
        assert!(!said.stderr.contains("this failure was not read"), "{}", said.stderr);
        assert!(said.stderr.contains("failure number 77") || said.stdout.contains("failure number 77"), "{}", said.stderr);
    }
}
