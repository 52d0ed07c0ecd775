//! `async fn new`: the constructor is awaited before the first call.

use ray::{ActorHandle, ActorState, ErrorKind, remote};

use crate::actor_constructors::NoSuchTable;
use crate::stage::{Token, alone, alone_on, dropped_after_kill, eventually, late, served, soon};
use crate::support::{Gate, Tally, calls};

/// What a constructor of these tests counts and waits for.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Marks {
    made: Tally,
    running: Tally,
    gate: Gate,
    dropped: Tally,
}

impl Marks {
    fn new() -> Self {
        Marks { made: Tally::new(), running: Tally::new(), gate: Gate::new(), dropped: Tally::new() }
    }
}

#[remote(max_restarts = 2)]
struct Connection {
    number: u64,
    host: String,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Connection {
    /// Panics in its first `panics` instances.
    pub async fn new(host: &str, ports: &[u32], marks: Marks, panics: u64) -> Result<Self, NoSuchTable> {
        let token = Token(marks.dropped);
        let number = marks.made.add();
        marks.running.add();
        marks.gate.opened().await;
        assert!(number > panics, "instance {number} does not start");
        let Some(port) = ports.first() else { return Err(NoSuchTable(0)) };
        Ok(Connection { number, host: format!("{host}:{port}"), token })
    }
    pub fn host(&self) -> (u64, String) {
        (self.number, self.host.clone())
    }
    pub fn set(&mut self, host: String) {
        self.host = host;
    }
    pub fn crash(&mut self) {
        panic!("crashes");
    }
}

fn connect(marks: Marks, panics: u64) -> ActorHandle<Connection> {
    Connection::remote("db", vec![80], marks, panics)
}

/// No call begins before the constructor has ended; then all begin in order.
#[test]
fn calls_wait_for_an_async_constructor() {
    alone(|| {
        let marks = Marks::new();
        let connection = connect(marks, 0);
        connection.set.tell("other".to_owned());
        let call = connection.host.remote();
        let ready = connection.ready();
        marks.running.wait_for(1);
        assert_eq!(connection.state(), ActorState::PendingCreation);
        assert!(!call.is_ready() && !ready.is_ready());
        marks.gate.open();
        assert_eq!(ray::get(call).unwrap(), (1, "other".to_owned()));
        ray::get(ready).unwrap();
        assert_eq!(connection.state(), ActorState::Alive);
    });
}

/// The constructor awaits on the engine's runtime: actors that wait in their constructors occupy no thread.
#[test]
fn async_constructors_occupy_no_thread() {
    alone_on(1, || {
        let marks = Marks::new();
        let all: Vec<_> = (0..calls(4, 200)).map(|_| connect(marks, 0)).collect();
        marks.running.wait_for(all.len() as u64);
        assert_eq!(ray::get(crate::stage::give.remote(1)).unwrap(), 1, "a task runs meanwhile");
        marks.gate.open();
        ray::get(all.iter().map(ActorHandle::ready).collect::<Vec<_>>()).unwrap();
        drop(all);
        marks.dropped.wait_for(calls(0, 200));
    });
}

/// An `Err` is the error of every call; a panic uses up restarts.
#[test]
fn an_async_constructor_that_fails() {
    alone(|| {
        let marks = Marks::new();
        marks.gate.open();
        let failed = Connection::remote("db", Vec::<u32>::new(), marks, 0);
        for error in [ray::get(failed.host.remote()).map(drop).unwrap_err(), ray::get(failed.ready()).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::ActorDied);
            assert_eq!(error.downcast_ref(), Some(&NoSuchTable(0)), "{error:?}");
        }
        assert_eq!((marks.made.count(), failed.state()), (1, ActorState::Dead));

        let marks = Marks::new();
        marks.gate.open();
        assert_eq!(ray::get(connect(marks, 2).host.remote()).unwrap().0, 3, "two restarts are used up");

        let marks = Marks::new();
        marks.gate.open();
        let error = ray::get(connect(marks, 9).host.remote()).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("instance 3 does not start"), "{error:?}");
        assert_eq!(marks.made.count(), 3);
    });
}

/// A kill drops the future of the constructor at its await, and fails the calls at once.
#[test]
fn a_kill_during_an_async_constructor() {
    alone(|| {
        let marks = Marks::new();
        let connection = connect(marks, 0);
        let call = connection.host.remote();
        marks.running.wait_for(1);
        ray::kill(&connection).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
        assert!(ray::get(connection.host.remote()).unwrap_err().is_actor_died());
        dropped_after_kill(marks.dropped, 1);
        soon("the actor is dead", || connection.state() == ActorState::Dead);
        assert_eq!(marks.made.count(), 1);
    });
}

/// `kill_and_restart` drops the future of the constructor, and runs the constructor again.
#[test]
fn a_restart_during_an_async_constructor() {
    alone(|| {
        let marks = Marks::new();
        let connection = connect(marks, 0);
        let call = connection.host.remote();
        marks.running.wait_for(1);
        ray::kill_and_restart(&connection).unwrap();
        marks.running.wait_for(2);
        dropped_after_kill(marks.dropped, 1);
        marks.gate.open();
        assert_eq!(ray::get(call).unwrap().0, 2);
        assert_eq!(marks.made.count(), 2);
    });
}

/// After a crash the constructor is awaited again.
#[test]
fn an_async_constructor_runs_again_after_a_crash() {
    alone(|| {
        let marks = Marks::new();
        marks.gate.open();
        let connection = connect(marks, 0);
        for number in 1..=2 {
            assert_eq!(served(|| connection.host.remote()), (number, "db:80".to_owned()));
            assert!(ray::get(connection.crash.remote()).unwrap_err().is_actor_unavailable());
        }
        eventually("it is alive again", || connection.state() == ActorState::Alive);
        assert_eq!(served(|| connection.host.remote()).0, 3);
        assert!(ray::get(connection.crash.remote()).unwrap_err().is_actor_died());
    });
}

#[remote(num_cpus = 0)]
fn creates(marks: Marks, created: Tally, gate: Gate) -> (u64, String) {
    let connection = connect(marks, 0);
    created.add();
    gate.wait();
    ray::get(connection.host.remote()).unwrap()
}

/// The cancellation of the task that has created the actor reaches the constructor.
#[test]
fn a_cancellation_during_an_async_constructor() {
    alone(|| {
        let (marks, created, gate) = (Marks::new(), Tally::new(), Gate::new());
        let task = creates.remote(marks, created, gate);
        created.wait_for(1);
        marks.running.wait_for(1);
        ray::cancel(&task).unwrap();
        assert!(ray::get(task).unwrap_err().is_cancelled());
        marks.dropped.wait_for(1);
        gate.open();
        assert_eq!(marks.made.count(), 1);
    });
}

/// An actor without handles whose constructor runs ends after it, with its calls.
#[test]
fn handles_dropped_during_an_async_constructor() {
    alone(|| {
        let marks = Marks::new();
        let connection = connect(marks, 0);
        marks.running.wait_for(1);
        let call = connection.host.remote();
        drop(connection);
        marks.gate.open();
        assert_eq!(ray::get(call).unwrap().0, 1);
        marks.dropped.wait_for(1);
    });
}

#[remote(max_concurrency = 4)]
struct Side {
    number: u64,
}

#[remote]
impl Side {
    pub async fn new(gate: Gate, number: u64) -> Self {
        gate.opened().await;
        Side { number }
    }
    pub fn number(&self) -> u64 {
        self.number
    }
    pub async fn later(&self) -> u64 {
        self.number
    }
}

/// An async constructor in a concurrent actor, with an argument that is pending.
#[test]
fn an_async_constructor_of_a_concurrent_actor() {
    alone(|| {
        let (gate, argument) = (Gate::new(), Gate::new());
        let side = Side::remote(gate, late(argument, 7_u64));
        let calls: Vec<_> = (0..8).map(|n| if n % 2 == 0 { side.number.remote() } else { side.later.remote() }).collect();
        argument.open();
        gate.open();
        assert_eq!(ray::get(calls).unwrap(), [7; 8]);
    });
}

/// A thread that waits for a call of an idle actor may begin the constructor itself, and hands it over.
#[test]
fn a_waiting_thread_begins_an_async_constructor() {
    alone_on(1, || {
        let gate = Gate::new();
        gate.open();
        for number in 0..calls(3, 500) {
            let side = Side::options().max_concurrency(1).remote(gate, number);
            assert_eq!(ray::get(side.number.remote()).unwrap(), number);
            let marks = Marks::new();
            marks.gate.open();
            assert_eq!(ray::get(connect(marks, 0).host.remote()).unwrap().0, 1);
        }
    });
}

/// A shutdown drops the future of a constructor that waits.
#[test]
fn a_shutdown_during_an_async_constructor() {
    alone(|| {
        let marks = Marks::new();
        let connection = connect(marks, 0);
        let call = connection.host.remote();
        marks.running.wait_for(1);
        ray::shutdown().unwrap();
        assert!(ray::get(call).is_err());
        marks.dropped.wait_for(calls(0, 1));
        drop(connection);
    });
}
