//! How a cluster differs from the embedded engine: each test asserts the behaviour that `list.txt` names for tests of the other
//! modules. Without a cluster these tests do nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ray::{Config, Error, ErrorKind, ObjectRef, remote};

use crate::stage::{apart, eventually, give, wait};
use crate::support::{Gate, PATIENCE, Tally, engine};

#[remote(local)]
fn local(x: i32) -> i32 {
    x
}

/// An actor whose state has a tally of its drops.
#[remote]
struct Counter {
    value: i32,
    drops: Tally,
}

#[remote]
impl Counter {
    pub fn new(drops: Tally) -> Self {
        Self { value: 1, drops }
    }

    pub fn value(&self) -> i32 {
        self.value
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.drops.add();
    }
}

/// Joins the cluster that tests share; `false`: the tests do not run on a cluster.
pub(super) fn joined() -> bool {
    let wanted = super::wanted();
    if wanted {
        engine();
    }
    wanted
}

#[track_caller]
fn refused(error: &Error, what: &str) {
    assert!(error.is_invalid_argument() && error.to_string().contains(what), "{error}");
}

/// A closure cannot be sent to another process.
#[test]
fn closures_are_refused() {
    if joined() {
        refused(&ray::get(ray::task(|| 1).remote()).unwrap_err(), "closure");
    }
}

/// Nor can the values of an item that is `local`, and of `with`.
#[test]
fn local_items_are_refused() {
    if joined() {
        refused(&ray::get(local.remote(1)).unwrap_err(), "remove `local`");
        let here = ray::put_local(1);
        assert_eq!(ray::get(&here).unwrap(), 1, "in this process it can be read");
        assert_eq!(ray::get(give.remote(here)).unwrap(), 1, "a value that can be encoded is stored when it is sent");
        let counter = Counter::remote(Tally::new());
        refused(&ray::get(counter.with(|counter| counter.value)).unwrap_err(), "with");
    }
}

/// Each value is encoded, so that a reader gets another value than the writer had.
#[test]
fn values_are_copied() {
    if joined() {
        let value = vec![7_u8; 1 << 10];
        let place = value.as_ptr();
        let object = ray::put(value);
        assert!(object.view().is_ok_and(|view| view.as_ptr() != place && view.iter().all(|byte| *byte == 7)));
    }
}

/// A value is in another process until it is asked for. The cluster tells after `is_ready` or `try_get` has asked.
#[test]
fn a_value_comes_when_it_is_asked_for() {
    if joined() {
        let object: ObjectRef<i32> = give.remote(7);
        ray::get(give.remote(&object)).unwrap();
        eventually("the cluster has told that the value is ready", || object.is_ready());
        assert_eq!(object.try_get().unwrap(), Some(7));
        let polled: ObjectRef<i32> = give.remote(8);
        eventually("the value is here", || polled.try_get().unwrap() == Some(8));
    }
}

/// A value that counts in which process it is decoded.
#[derive(Clone, Debug, serde::Serialize)]
struct Decoded(u32);

static DECODED: AtomicU32 = AtomicU32::new(0);

impl<'de> serde::Deserialize<'de> for Decoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DECODED.fetch_add(1, Ordering::SeqCst);
        serde::Deserialize::deserialize(deserializer).map(Self)
    }
}

#[remote]
fn make(x: u32) -> Decoded {
    Decoded(x)
}

/// `wait`, `as_completed` and `is_ready` learn that values are ready without having them sent to this process.
#[test]
fn a_wait_fetches_no_value() {
    if joined() {
        let few: Vec<ObjectRef<Decoded>> = (0..3).map(|x| make.remote(x)).collect();
        let (ready, rest) = ray::wait(few, 3).unwrap();
        assert_eq!((ready.len(), rest.len()), (3, 0));
        // So many requests are answered in batches.
        let many: Vec<ObjectRef<Decoded>> = (0..50).map(|x| make.remote(x)).collect();
        let many: Vec<_> = ray::as_completed(many).collect();
        let asked = make.remote(7);
        eventually("the cluster has told that the value is ready", || asked.is_ready());
        assert_eq!(DECODED.load(Ordering::SeqCst), 0);
        let mut numbers: Vec<u32> = ray::get(many).unwrap().into_iter().map(|value| value.0).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..50));
        assert_eq!(ray::get(ready).unwrap().len(), 3);
        assert_eq!(DECODED.load(Ordering::SeqCst), 53);
    }
}

#[remote(num_cpus = 0)]
fn wait_for_one(gates: Vec<Gate>) -> usize {
    let waits: Vec<ObjectRef<()>> = gates.iter().map(|gate| wait.options().num_cpus(0.0).remote(*gate)).collect();
    gates[1].open();
    let (ready, _) = ray::wait(waits.clone(), 1).unwrap();
    gates.iter().for_each(|gate| gate.open());
    ray::get(waits).unwrap();
    ready.len()
}

/// A `wait` ends when the task is cancelled in this process, and works in a body.
#[test]
fn a_wait_ends_with_a_cancel() {
    if joined() {
        let never = Gate::new();
        let waits = wait.options().num_cpus(0.0).remote(never);
        let soon = ray::first(1).timeout(Duration::from_millis(300));
        assert!(ray::wait(vec![waits.clone()], soon).unwrap().0.is_empty());
        ray::cancel(&waits).unwrap();
        let (ready, _) = ray::wait(vec![waits], 1).unwrap();
        assert!(ray::get(ready).unwrap_err().is_cancelled());
        never.open();
        assert_eq!(ray::get(wait_for_one.remote(vec![Gate::new(), Gate::new()])).unwrap(), 1);
    }
}

/// Ray waits for nodes that have the resources of a request; the embedded engine has only one node, and refuses the request.
#[test]
fn an_infeasible_request_waits() {
    if joined() {
        let waits = give.options().num_gpus(1000.0).remote(1);
        let error = ray::get_timeout(&waits, Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        ray::cancel(&waits).unwrap();
        assert!(ray::get(waits).unwrap_err().is_cancelled());
    }
}

/// Two bodies that wait for each other wait until a time-out, as in Ray.
#[test]
fn a_deadlock_is_not_reported() {
    if joined() {
        let never = Gate::new();
        let waits = wait.options().num_cpus(0.0).remote(never);
        let error = ray::get_timeout(&waits, Duration::from_millis(500)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        never.open();
        ray::get_timeout(waits, PATIENCE).unwrap();
    }
}

/// A call of a dead actor is an object that fails: the caller asks no other process before it returns.
#[test]
fn a_call_of_a_dead_actor_fails_later() {
    if joined() {
        let counter = Counter::remote(Tally::new());
        assert_eq!(ray::get(counter.value.remote()).unwrap(), 1);
        ray::kill(&counter).unwrap();
        eventually("the actor is dead", || ray::get(counter.value.remote()).is_err());
        let call = counter.value.try_remote().unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
    }
}

/// `kill` ends the process of the actor, so the state is not dropped.
#[test]
fn a_kill_drops_no_state() {
    if joined() {
        let killed = Tally::new();
        let counter = Counter::remote(killed);
        assert_eq!(ray::get(counter.value.remote()).unwrap(), 1);
        ray::kill(&counter).unwrap();
        eventually("the actor is dead", || ray::get(counter.value.remote()).is_err());
        assert_eq!(killed.count(), 0);
    }
}

/// The nodes of a cluster have their resources before a driver joins.
#[test]
fn the_resources_of_nodes_are_not_the_drivers_choice() {
    if super::wanted() {
        apart(|| {
            for config in [Config::new().num_cpus(2), Config::new().num_gpus(1), Config::new().resource("seat", 1.0)] {
                refused(&ray::init_with(config.address("127.0.0.1:1")).unwrap_err(), "have their resources already");
            }
            let error = ray::init_with(Config::new().address("127.0.0.1:1")).unwrap_err();
            assert!(error.is_cluster_unavailable(), "{error}");
        });
    }
}
