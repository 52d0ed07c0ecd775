//! How calls, cancellations and the ends of actors differ on a cluster; see `differs`.

use ray::{ActorHandle, ErrorKind, ObjectRef, remote};

use super::differs::joined;
use crate::stage::{apart, eventually, give, give_i64, late, nothing, wait};
use crate::support::{Gate, PATIENCE, Tally, Words};

/// An actor that counts its instances.
#[remote(max_restarts = 1)]
struct Host {
    number: u64,
}

#[remote]
impl Host {
    pub fn new(made: Tally) -> Self {
        Self { number: made.add() }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn pass(&self, number: u64) -> u64 {
        number
    }

    pub fn wait_at(&self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        self.number
    }
}

#[remote(num_cpus = 0, max_retries = 0)]
fn cancelled_later(running: Tally, gate: Gate) {
    running.add();
    gate.wait();
}

/// In the process that cancels a task its object fails at once. Other processes, and the tasks that depend on it, wait until
/// the body has ended.
#[test]
fn others_wait_for_the_end_of_a_cancelled_body() {
    if joined() {
        let (running, gate) = (Tally::new(), Gate::new());
        let object = cancelled_later.remote(running, gate);
        running.wait_for(1);
        let dependant = depends.remote(&object);
        ray::cancel(&object).unwrap();
        assert!(ray::get(object).unwrap_err().is_cancelled());
        let error = ray::get_timeout(&dependant, std::time::Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        gate.open();
        assert!(ray::get(dependant).unwrap_err().is_cancelled());
    }
}

#[remote]
fn depends(_object: ()) {}

#[remote]
fn adds(first: i64, second: i64) -> i64 {
    first + second
}

#[remote]
fn fails() -> Result<i64, String> {
    Err("no good".to_owned())
}

/// Ray looks at the arguments of a task when all of them are there, so a failed one does not end the task before.
#[test]
fn a_failed_argument_waits_for_the_others() {
    if joined() {
        let gate = Gate::new();
        let failed = fails.remote();
        ray::get(&failed).unwrap_err();
        let sum = adds.remote(&failed, late(gate, 1_i64));
        let error = ray::get_timeout(&sum, std::time::Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        gate.open();
        assert!(ray::get(sum).unwrap_err().to_string().contains("no good"));
    }
}

/// For Ray a process is one caller of an actor: a pending argument delays the calls of all its threads, not only those of one.
#[test]
fn a_pending_argument_delays_all_calls_of_a_process() {
    if joined() {
        let host = Host::remote(Tally::new());
        ray::get(host.ready()).unwrap();
        let gate = Gate::new();
        let first = host.pass.remote(late(gate, 1_u64));
        let other = std::thread::scope(|scope| scope.spawn(|| host.pass.remote(2)).join().unwrap());
        let error = ray::get_timeout(&other, std::time::Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        assert_eq!(ray::get(asks.remote(&host)).unwrap(), 1, "another process is another caller");
        gate.open();
        assert_eq!(ray::get((first, other)).unwrap(), (1, 2));
    }
}

#[remote(num_cpus = 0)]
fn asks(host: ActorHandle<Host>) -> u64 {
    ray::get(host.number.remote()).unwrap()
}

/// The calls that an actor has not begun are in its process. A restart fails them unless they have retries; in the embedded
/// engine they run on the next instance.
#[test]
fn a_restart_fails_the_queued_calls() {
    if joined() {
        let host = Host::remote(Tally::new());
        let (running, gate) = (Tally::new(), Gate::new());
        let runs = host.wait_at.remote(running, gate);
        let queued = host.number.remote();
        running.wait_for(1);
        ray::kill_and_restart(&host).unwrap();
        for call in [runs, queued] {
            let error = ray::get(call).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ActorUnavailable, "{error}");
        }
        gate.open();
        eventually("the actor has restarted", || ray::get(host.number.remote()).is_ok_and(|number| number == 2));
    }
}

/// An actor whose handles are dropped before Ray has started it does not start. In the embedded engine its constructor runs.
#[test]
fn an_actor_without_handles_need_not_start() {
    if joined() {
        let (gate, made) = (Gate::new(), Tally::new());
        let argument = late(gate, made);
        drop(Host::remote(&argument));
        gate.open();
        ray::get(argument).unwrap();
        // A later actor starts, so that the first one had the time.
        let later = Host::remote(Tally::new());
        ray::get(later.ready()).unwrap();
        assert_eq!(made.count(), 0);
    }
}

/// A shutdown ends the processes of the program's actors, also while their bodies run. In the embedded engine it waits for
/// bodies, and leaves behind those that do not end.
#[test]
fn a_shutdown_ends_running_bodies() {
    if super::wanted() {
        apart(|| {
            crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
            let (alive, gate) = (Words::new(), Gate::new());
            let host = Beating::remote();
            let beats = host.beat.remote(alive, gate);
            eventually("the body runs", || alive.said().len() > 2);
            ray::shutdown().unwrap();
            assert!(ray::get(beats).unwrap_err().is_runtime_gone());
            eventually("the body has ended", || {
                let before = alive.said().len();
                std::thread::park_timeout(std::time::Duration::from_millis(300));
                before == alive.said().len()
            });
            assert!(!gate.is_open());
        });
    }
}

#[remote]
struct Beating;

#[remote]
impl Beating {
    pub fn new() -> Self {
        Self
    }

    pub fn beat(&self, alive: Words, gate: Gate) {
        while !gate.is_open() {
            alive.say("beat");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }
}

/// `as_completed` and `wait` give objects in the order in which the bridge hears of them, also those that were settled long
/// before. Each object comes once.
#[test]
fn settled_objects_come_as_the_bridge_hears_of_them() {
    if joined() {
        let objects: Vec<_> = (0..20_i64).map(ray::put).collect();
        let reversed: Vec<_> = objects.iter().rev().cloned().collect();
        let mut given: Vec<_> = ray::as_completed(&reversed).map(|object| ray::get(object).unwrap()).collect();
        // The order of the puts is not that in which they come: the objects are asked for in the order of the input.
        assert_ne!(given, (0..20).collect::<Vec<_>>());
        given.sort_unstable();
        assert_eq!(given, (0..20).collect::<Vec<_>>());
    }
}

/// Each process has numbers of its own for the objects and actors of others. The references are the same for Ray.
#[test]
fn ids_are_those_of_a_process() {
    if joined() {
        let object = give_i64.remote(7);
        let (id, value) = ray::get(looks_at.remote(vec![object.clone()])).unwrap();
        assert_eq!(value, 7);
        assert_ne!(id, object.id().to_string());
        let task: ObjectRef<i32> = give.remote(1);
        ray::get(&task).unwrap();
    }
}

#[remote]
fn looks_at(objects: Vec<ObjectRef<i64>>) -> (String, i64) {
    (objects[0].id().to_string(), ray::get(&objects[0]).unwrap())
}

/// Ray keeps the text of the error of a constructor's argument, and not its type.
#[test]
fn the_error_of_a_constructors_argument_is_a_text() {
    if joined() {
        let host = Host::remote(no_tally.remote());
        let error = ray::get(host.number.remote()).unwrap_err();
        assert!(error.is_actor_died() && error.to_string().contains("no tally"), "{error}");
        assert!(error.downcast_ref::<NoTally>().is_none());
    }
}

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct NoTally;

impl std::fmt::Display for NoTally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no tally")
    }
}

#[remote]
fn no_tally() -> Result<Tally, NoTally> {
    Err(NoTally)
}

/// Ray does not count the attempts of the calls of async actors.
#[test]
fn attempts_of_async_methods_are_not_counted() {
    if joined() {
        let woven = Woven::options().max_restarts(1).max_task_retries(-1).remote(Tally::new());
        assert_eq!(ray::get(woven.crash_once.remote()).unwrap(), (2, 0));
    }
}

#[remote]
struct Woven {
    number: u64,
}

#[remote]
impl Woven {
    pub fn new(made: Tally) -> Self {
        Self { number: made.add() }
    }

    pub async fn crash_once(&self) -> (u64, u32) {
        assert!(self.number > 1, "crashes");
        (self.number, ray::context().attempt())
    }
}

/// Ray 2.60 loses the place of a call in the line of its caller if the call is cancelled before it has reached the actor: the
/// later calls wait for it for half a minute, and fail. In the embedded engine they run at once.
#[test]
fn a_cancelled_call_that_waits_for_its_argument_leaves_a_gap() {
    if joined() {
        let host = Host::remote(Tally::new());
        ray::get(host.ready()).unwrap();
        let gate = Gate::new();
        let cancelled = host.pass.remote(late(gate, 1_u64));
        let behind = host.pass.remote(2);
        ray::cancel(&cancelled).unwrap();
        assert!(ray::get(cancelled).unwrap_err().is_cancelled());
        let error = ray::get_timeout(&behind, std::time::Duration::from_millis(500)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::GetTimeout, "{error}");
        ray::kill(&host).unwrap();
        gate.open();
    }
}

/// A forced cancellation ends the process of the body. The body of the embedded engine goes on.
#[test]
fn a_forced_cancellation_ends_the_process() {
    if joined() {
        let gate = Gate::new();
        let object = wait.options().num_cpus(0.0).max_retries(0).remote(gate);
        ray::get(nothing.remote()).unwrap();
        ray::cancel_with(&object, ray::CancelOptions::new().force(true)).unwrap();
        let error = ray::get_timeout(object, PATIENCE).unwrap_err();
        assert!(error.is_cancelled() || error.is_worker_crashed(), "{error}");
        assert!(!gate.is_open());
    }
}
