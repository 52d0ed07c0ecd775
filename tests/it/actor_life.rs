//! The ends of actors: by the drop of the last handle, by `kill`, and their state and errors afterwards.

use ray::{ActorHandle, ActorState, ErrorKind, ObjectRef, remote};

use crate::stage::{Token, alone, alone_on, dropped_after_kill, eventually, late, on_cluster, soon};
use crate::support::{Gate, Tally, calls};

#[remote]
struct Worker {
    done: u64,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Worker {
    pub fn new(drops: Tally) -> Self {
        Worker { done: 0, token: Token(drops) }
    }
    pub fn work(&mut self) -> u64 {
        self.done += 1;
        self.done
    }
    pub fn wait_at(&mut self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        self.done
    }
    /// Counts whether it was cancelled, after the gate has opened.
    pub fn notice(&mut self, running: Tally, gate: Gate, asked: Tally) {
        running.add();
        gate.wait();
        if ray::context().is_cancelled() {
            asked.add();
        }
    }
    pub fn leave_hanging(&self) -> u64 {
        let me = ray::context().current_actor::<Worker>().unwrap();
        me.work.tell();
        self.done
    }
}

/// Calls that were sent before the last handle was dropped run; then the state is dropped, once.
#[test]
fn an_actor_ends_after_its_last_handle_is_dropped() {
    alone(|| {
        let drops = Tally::new();
        let worker = Worker::remote(drops);
        let (running, gate) = (Tally::new(), Gate::new());
        let holds = worker.wait_at.remote(running, gate);
        running.wait_for(1);
        let queued: Vec<ObjectRef<u64>> = (0..100).map(|_| worker.work.remote()).collect();
        let again = worker.clone();
        drop(worker);
        let last = again.work.remote();
        let weak = again.downgrade();
        drop(again);
        soon("the actor is alive", || weak.state() == ActorState::Alive);
        assert_eq!(drops.count(), 0);
        gate.open();
        assert_eq!(ray::get(holds).unwrap(), 0);
        assert_eq!(ray::get(queued).unwrap(), (1..=100).collect::<Vec<_>>());
        assert_eq!(ray::get(last).unwrap(), 101);
        drops.wait_for(1);
        eventually("the actor is dead", || weak.state() == ActorState::Dead);
        assert!(weak.upgrade().is_none());
        assert!(ray::get(weak.work.remote()).unwrap_err().is_actor_died());
        assert_eq!(drops.count(), 1);
    });
}

/// The only handle is dropped without a call, and before the constructor has run.
#[test]
fn an_actor_whose_handle_is_dropped_at_once() {
    alone(|| {
        let drops = Tally::new();
        for _ in 0..100 {
            drop(Worker::remote(drops));
        }
        drops.wait_for(100);
        let gate = Gate::new();
        drop(Worker::remote(late(gate, drops)));
        gate.open();
        drops.wait_for(101);
        assert_eq!(drops.count(), 101);
    });
}

/// A weak handle can call the actor, and does not keep it alive.
#[test]
fn weak_handles() {
    alone(|| {
        let drops = Tally::new();
        let worker = Worker::remote(drops);
        let weak = worker.downgrade();
        assert_eq!(ray::get(weak.work.remote()).unwrap(), 1);
        let strong = weak.upgrade().unwrap();
        assert!(strong == worker && weak.id() == worker.id());
        assert_eq!(ray::get(worker.leave_hanging.remote()).unwrap(), 1);
        drop(worker);
        // On a cluster the actor is another caller than this process, so its call may come later.
        let mut own = 1;
        soon("the actor has called itself through a weak handle", || {
            own += 1;
            ray::get(strong.work.remote()).unwrap() == own + 1
        });
        drop(strong);
        drops.wait_for(1);
        assert!(weak.upgrade().is_none());
        assert!(ray::context().current_actor::<Worker>().unwrap_err().is_actor_not_found());
    });
}

/// `kill` fails the running call and the queued ones at once. The running body sees `is_cancelled`, and the state is dropped
/// when it ends.
#[test]
fn kill_of_a_running_actor() {
    alone(|| {
        let drops = Tally::new();
        let worker = Worker::remote(drops);
        let (running, gate, asked) = (Tally::new(), Gate::new(), Tally::new());
        let runs = worker.notice.remote(running, gate, asked);
        running.wait_for(1);
        let queued = worker.work.remote();
        let never = Gate::new();
        let waiting = worker.notice.remote(late(never, Tally::new()), gate, asked);
        ray::kill(&worker).unwrap();
        for object in [&runs, &waiting] {
            let error = ray::get(object).unwrap_err();
            let why = if on_cluster() { "ray.kill" } else { "ray::kill" };
            assert!(error.is_actor_died() && error.to_string().contains(why), "{error}");
        }
        assert!(ray::get(queued).unwrap_err().is_actor_died());
        soon("the actor is dead", || worker.state() == ActorState::Dead);
        assert!(ray::get(worker.work.remote()).unwrap_err().is_actor_died());
        assert_eq!((asked.count(), drops.count()), (0, 0), "the body still runs");
        ray::kill(&worker).unwrap();
        gate.open();
        dropped_after_kill(drops, 1);
        assert_eq!(asked.count(), drops.count());
        never.open();
    });
}

/// `kill` of an idle actor, and of one whose constructor waits for an argument.
#[test]
fn kill_before_and_between_calls() {
    alone(|| {
        let drops = Tally::new();
        let worker = Worker::remote(drops);
        assert_eq!(ray::get(worker.work.remote()).unwrap(), 1);
        ray::kill(&worker).unwrap();
        dropped_after_kill(drops, 1);

        let gate = Gate::new();
        let pending = Worker::remote(late(gate, drops));
        let call = pending.work.remote();
        ray::kill(&pending).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
        soon("the actor is dead", || pending.state() == ActorState::Dead);
        gate.open();
        let fresh = Worker::remote(drops);
        assert_eq!(ray::get(fresh.work.remote()).unwrap(), 1);
        assert_eq!(drops.count(), calls(0, 1), "the constructor of the killed actor never ran");
    });
}

#[remote]
struct Slow {
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Slow {
    pub fn new(running: Tally, gate: Gate, drops: Tally) -> Self {
        running.add();
        gate.wait();
        Slow { token: Token(drops) }
    }
    pub fn call(&self) -> u64 {
        1
    }
}

#[test]
fn kill_while_the_constructor_runs() {
    alone(|| {
        let (running, gate, drops) = (Tally::new(), Gate::new(), Tally::new());
        let slow = Slow::remote(running, gate, drops);
        let call = slow.call.remote();
        let ready = slow.ready();
        running.wait_for(1);
        ray::kill(&slow).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
        assert!(ray::get(ready).unwrap_err().is_actor_died());
        gate.open();
        dropped_after_kill(drops, 1);
        soon("the actor is dead", || slow.state() == ActorState::Dead);
    });
}

/// An actor that is killed while it waits for resources takes none; an actor that holds resources returns them.
#[test]
fn a_killed_actor_returns_its_resources() {
    alone_on(2, || {
        let drops = Tally::new();
        let holds = Worker::options().num_cpus(2.0).remote(drops);
        ray::get(holds.ready()).unwrap();
        let waits = Worker::options().num_cpus(1.0).remote(drops);
        let call = waits.work.remote();
        assert_eq!(waits.state(), ActorState::PendingCreation);
        ray::kill(&waits).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
        ray::kill(&holds).unwrap();
        dropped_after_kill(drops, 1);
        eventually("all CPUs are free", || ray::available_resources().unwrap()["CPU"] == 2.0);
        assert_eq!(ray::get(crate::stage::give.options().num_cpus(2.0).remote(7)).unwrap(), 7);
    });
}

/// `state()` during the life of an actor.
#[test]
fn states() {
    alone(|| {
        let gate = Gate::new();
        let worker = Worker::remote(late(gate, Tally::new()));
        assert_eq!(worker.state(), ActorState::PendingCreation);
        gate.open();
        ray::get(worker.ready()).unwrap();
        soon("the actor is alive", || worker.state() == ActorState::Alive);
        ray::get(worker.terminate()).unwrap();
        soon("the actor is dead", || worker.state() == ActorState::Dead);
    });
}

#[remote]
struct Owner {
    worker: ActorHandle<Worker>,
}

#[remote]
impl Owner {
    pub fn new(worker: ActorHandle<Worker>) -> Self {
        Owner { worker }
    }
    pub fn work(&self) -> ObjectRef<u64> {
        self.worker.work.remote()
    }
    pub fn crash(&mut self) {
        panic!("crashes");
    }
}

/// When an actor ends, in any way, the handles in its state are dropped.
#[test]
fn actors_that_hold_actors() {
    alone(|| {
        let ends: [fn(ActorHandle<Owner>); 4] = [
            drop,
            |owner| ray::kill(&owner).unwrap(),
            |owner| assert!(ray::get(owner.crash.remote()).unwrap_err().is_actor_died()),
            |owner| ray::get(owner.terminate()).unwrap(),
        ];
        for (at, end) in ends.into_iter().enumerate() {
            let drops = Tally::new();
            let owner = Owner::remote(Worker::remote(drops));
            let inner = ray::get(owner.work.remote()).unwrap();
            assert_eq!(ray::get(inner).unwrap(), 1);
            end(owner);
            drops.wait_for(1);
            assert_eq!(drops.count(), 1, "way {at}");
        }
    });
}

/// All later calls of a dead actor have the cause of its death and the name of the actor.
#[test]
fn later_calls_report_why_the_actor_died() {
    alone(|| {
        let owner = Owner::options().name("boss").remote(Worker::remote(Tally::new()));
        assert!(ray::get(owner.crash.remote()).is_err());
        for _ in 0..3 {
            let error = ray::get(owner.crash.remote()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ActorDied);
            let chain = format!("{error:?}");
            assert!(chain.contains("boss") && chain.contains("crashes") && chain.contains("actor_life.rs:"), "{chain}");
        }
    });
}
