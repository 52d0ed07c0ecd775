//! Cancelling tasks and actor calls.

use ray::{CancelOptions, ErrorKind, ObjectRef, remote};

use serde::{Deserialize, Serialize};

use crate::stage::{Token, alone, alone_on, eventually, hold_every_cpu, is_cancelled_by_now, late, on_cluster};
use crate::support::{Gate, Tally};

/// A token that can be sent. Each copy counts its drop.
#[derive(Debug, Serialize, Deserialize)]
struct Sent(Tally);

impl Drop for Sent {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Counts that it runs, waits, counts if it was cancelled, and returns a token.
#[remote(num_cpus = 0, inline = false)]
fn long(running: Tally, gate: Gate, asked: Tally, dropped: Tally) -> Sent {
    running.add();
    gate.wait();
    if is_cancelled_by_now() {
        asked.add();
    }
    Sent(dropped)
}

/// A cancelled task that has not started never runs: whether it was queued, or waited for resources or for an argument.
#[test]
fn pending_tasks_never_run() {
    #[remote]
    fn note(ran: Tally, _after: u64) {
        ran.add();
    }
    #[remote]
    fn swallow(ran: Tally, token: Sent) {
        ran.add();
        drop(token);
    }
    alone_on(2, || {
        let (gate, never) = (Gate::new(), Gate::new());
        let held = hold_every_cpu(gate);
        let captured = Tally::new();
        let ran = [(); 4].map(|()| Tally::new());
        let pending = [
            swallow.remote(ran[0], Sent(captured)),
            note.options().num_cpus(2.0).remote(ran[1], 1),
            note.remote(ran[2], late(never, 1)),
            note.options().num_cpus(0.0).remote(ran[3], late(never, 1)),
        ];
        for object in &pending {
            ray::cancel(object).unwrap();
            let error = ray::get(object).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
        }
        // On a cluster and in strict mode this is the argument that was encoded.
        captured.wait_for(1);
        gate.open();
        never.open();
        ray::get(held).unwrap();
        assert_eq!(ray::get(crate::stage::give.options().num_cpus(2.0).remote(1)).unwrap(), 1);
        let ran = ran.map(Tally::count);
        // Ray may have given the first one to a worker when the cancel came.
        assert_eq!(ran[usize::from(on_cluster())..], [0; 4][usize::from(on_cluster())..]);
    });
}

/// Cancelling a running task fails its object at once. The body continues, sees `is_cancelled`, and its value is dropped.
#[test]
fn cancelling_a_running_task() {
    alone(|| {
        let (running, gate, asked, dropped) = (Tally::new(), Gate::new(), Tally::new(), Tally::new());
        let object = long.remote(running, gate, asked, dropped);
        running.wait_for(1);
        ray::cancel(&object).unwrap();
        let error = object.view().unwrap_err();
        assert!(error.is_cancelled() && (error.to_string().contains("long") || on_cluster()), "{error}");
        assert_eq!((asked.count(), dropped.count()), (0, 0));
        gate.open();
        dropped.wait_for(1);
        assert_eq!(asked.count(), 1);
        assert!(object.view().unwrap_err().is_cancelled(), "the object stays cancelled");
    });
}

/// `force` makes no difference for a task; for an actor call it is an error.
#[test]
fn cancelling_with_force() {
    #[remote]
    struct Idle;
    #[remote]
    impl Idle {
        pub fn new() -> Self {
            Idle
        }
        pub fn wait_at(&self, gate: Gate) -> u64 {
            gate.wait();
            1
        }
    }
    alone(|| {
        let (running, gate, asked, dropped) = (Tally::new(), Gate::new(), Tally::new(), Tally::new());
        let object = long.remote(running, gate, asked, dropped);
        running.wait_for(1);
        ray::cancel_with(&object, CancelOptions::new().force(true)).unwrap();
        let error = object.view().unwrap_err();
        // On a cluster a forced cancellation ends the process of the body.
        assert!(error.is_cancelled() || on_cluster() && error.is_worker_crashed(), "{error}");
        let call = Idle::remote().wait_at.remote(gate);
        let error = ray::cancel_with(&call, CancelOptions::new().force(true)).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("ray::kill"), "{error}");
        gate.open();
        assert_eq!(ray::get(call).unwrap(), 1);
        if on_cluster() {
            assert_eq!((asked.count(), dropped.count()), (0, 0), "the body has ended with its process");
        } else {
            dropped.wait_for(1);
        }
    });
}

/// Cancelling has no effect on a task that has ended, and on an object from `put`.
#[test]
fn cancelling_ended_tasks_and_put_objects() {
    alone(|| {
        let done = crate::stage::give.remote(7);
        assert_eq!(ray::get(&done).unwrap(), 7);
        ray::cancel(&done).unwrap();
        assert_eq!(ray::get(&done).unwrap(), 7);
        let put = ray::put(8);
        ray::cancel(&put).unwrap();
        assert_eq!(ray::get(put).unwrap(), 8);
        let failed: ObjectRef<u64> = crate::stage::panic_u64.remote("first".to_owned());
        assert!(ray::get(&failed).unwrap_err().is_panic());
        ray::cancel(&failed).unwrap();
        assert!(ray::get(failed).unwrap_err().is_panic());
    });
}

/// A task that submits a child, which submits a child in turn; each waits for its child.
#[remote(inline = false)]
fn tree(depth: u64, running: Tally, gate: Gate, cancelled: Tally) -> u64 {
    if depth == 0 {
        running.add();
        gate.wait();
    } else {
        let below = tree.options().num_cpus(0.0).remote(depth - 1, running, gate, cancelled);
        if ray::get(below).is_err_and(|error| error.is_cancelled()) {
            cancelled.add();
        }
        gate.wait();
    }
    if ray::context().is_cancelled() {
        cancelled.add();
    }
    depth
}

/// Cancelling a task cancels its children and their children, unless `recursive(false)` is given.
#[test]
fn cancelling_reaches_children() {
    alone(|| {
        let (running, gate, cancelled) = (Tally::new(), Gate::new(), Tally::new());
        let root = tree.remote(3, running, gate, cancelled);
        running.wait_for(1);
        ray::cancel(&root).unwrap();
        assert!(ray::get(root).unwrap_err().is_cancelled());
        if on_cluster() {
            // The waits of the three parents end when they are cancelled, which takes some time there.
            cancelled.wait_for(3);
        }
        gate.open();
        cancelled.wait_for(4 + 3);

        let (running, gate, cancelled) = (Tally::new(), Gate::new(), Tally::new());
        let root = tree.remote(3, running, gate, cancelled);
        running.wait_for(1);
        ray::cancel_with(&root, CancelOptions::new().recursive(false)).unwrap();
        assert!(ray::get(root).unwrap_err().is_cancelled());
        cancelled.wait_for(1);
        gate.open();
        cancelled.wait_for(2);
        eventually("all tasks have ended", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
        assert_eq!(cancelled.count(), 2, "only the root is cancelled: its get failed, and it saw `is_cancelled`");
    });
}

#[remote]
struct Till {
    count: u64,
}

#[remote]
impl Till {
    pub fn new() -> Self {
        Till { count: 0 }
    }
    pub fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
    pub fn wait_at(&mut self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        self.count += if is_cancelled_by_now() { 100 } else { 1 };
        self.count
    }
}

/// A cancelled call never runs if it was queued; a running one sees `is_cancelled`. The actor keeps its state.
#[test]
fn cancelling_calls_of_an_actor() {
    alone(|| {
        let till = Till::remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let runs = till.wait_at.remote(running, gate);
        running.wait_for(1);
        let (queued, behind) = (till.count.remote(), till.count.remote());
        // Ray 2.60 loses the place of a call in the line if it is cancelled before it has reached the actor.
        ray::get(crate::stage::nothing.remote()).unwrap();
        ray::cancel(&queued).unwrap();
        ray::cancel(&runs).unwrap();
        assert!(ray::get(queued).unwrap_err().is_cancelled());
        assert!(ray::get(runs).unwrap_err().is_cancelled());
        assert!(!behind.is_ready(), "the body still runs");
        gate.open();
        // Ray does not find a call that waits at a busy actor, so the call may run; its object has failed.
        let count = ray::get(behind).unwrap();
        assert!(count == 101 || on_cluster() && count == 102, "{count}");
    });
}

#[remote]
async fn wait_async(running: Tally, gate: Gate, dropped: Tally) -> u64 {
    let _token = Token(dropped);
    running.add();
    gate.opened().await;
    1
}

#[remote]
struct AsyncTill {
    log: Vec<u64>,
}

#[remote]
impl AsyncTill {
    pub fn new() -> Self {
        AsyncTill { log: Vec::new() }
    }
    pub async fn change(&mut self, running: Tally, gate: Gate) -> u64 {
        self.log.push(1);
        running.add();
        gate.opened().await;
        self.log.push(2);
        2
    }
    pub async fn read(&self, running: Tally, gate: Gate, dropped: Tally) -> u64 {
        let _token = Token(dropped);
        running.add();
        gate.opened().await;
        1
    }
    pub fn log(&self) -> Vec<u64> {
        self.log.clone()
    }
}

/// Cancelled async bodies are dropped at their next await. After an exclusive call the state stays as the body left it.
#[test]
fn cancelled_async_bodies_are_dropped() {
    alone(|| {
        let (running, gate, dropped) = (Tally::new(), Gate::new(), Tally::new());
        let task = wait_async.remote(running, gate, dropped);
        running.wait_for(1);
        ray::cancel(&task).unwrap();
        assert!(ray::get(task).unwrap_err().is_cancelled());
        dropped.wait_for(1);

        let till = AsyncTill::remote();
        let (running, dropped) = (Tally::new(), Tally::new());
        let reads = till.read.remote(running, gate, dropped);
        running.wait_for(1);
        ray::cancel(&reads).unwrap();
        assert!(ray::get(reads).unwrap_err().is_cancelled());
        dropped.wait_for(1);
        let changes = till.change.remote(running, gate);
        running.wait_for(2);
        let behind = till.log.remote();
        ray::cancel(&changes).unwrap();
        assert!(ray::get(changes).unwrap_err().is_cancelled());
        assert_eq!(ray::get(behind).unwrap(), [1], "the state stays as the body left it");
        assert!(!gate.is_open());
    });
}

/// The dependants of a cancelled task fail as cancelled, and a cancelled task is not retried.
#[test]
fn cancelling_fails_dependants_and_stops_retries() {
    #[remote]
    fn double(x: u64) -> u64 {
        2 * x
    }
    #[remote(max_retries = 5, retry_exceptions = true, num_cpus = 0)]
    fn stubborn(tries: Tally, gate: Gate) -> Result<u64, String> {
        tries.add();
        gate.wait();
        is_cancelled_by_now();
        Err("again".to_owned())
    }
    alone(|| {
        let never = Gate::new();
        let first = late(never, 1);
        let chain = double.remote(double.remote(double.remote(&first)));
        ray::cancel(&first).unwrap();
        let error = ray::get(chain).unwrap_err();
        assert!(error.is_cancelled() && (format!("{error:?}").contains("late") || on_cluster()), "{error:?}");
        let (tries, gate) = (Tally::new(), Gate::new());
        let object = stubborn.remote(tries, gate);
        tries.wait_for(1);
        ray::cancel(&object).unwrap();
        assert!(ray::get(object).unwrap_err().is_cancelled());
        gate.open();
        never.open();
        eventually("the engine still runs tasks", || ray::get(crate::stage::nothing.remote()).is_ok());
        assert_eq!(tries.count(), 1);
    });
}

/// Whether the get of the object fails as cancelled.
#[remote]
fn gets(waits: Tally, object: ObjectRef<i32>) -> bool {
    waits.add();
    ray::get(object).is_err_and(|error| error.kind() == ErrorKind::Cancelled)
}

/// A parent waits for a task that another thread cancels: its get is an error, and the parent continues.
#[test]
fn a_getter_of_a_cancelled_task() {
    alone_on(1, || {
        let never = Gate::new();
        let child = late(never, 1);
        let waits = Tally::new();
        let parent = gets.remote(waits, child.clone());
        waits.wait_for(1);
        ray::cancel(&child).unwrap();
        assert!(ray::get(parent).unwrap(), "the get was an error");
        never.open();
    });
}

/// A `cancel_on_drop` guard cancels its task when dropped. Cancelling one of several returns cancels the task.
#[test]
fn cancel_on_drop_and_several_returns() {
    #[remote(num_returns = 2, num_cpus = 0)]
    fn pair(running: Tally, gate: Gate, asked: Tally) -> (u64, u64) {
        running.add();
        gate.wait();
        if is_cancelled_by_now() {
            asked.add();
        }
        (1, 2)
    }
    alone(|| {
        let never = Gate::new();
        let object = late(never, 1);
        drop(object.clone().cancel_on_drop());
        assert!(ray::get(object).unwrap_err().is_cancelled());
        let kept = late(never, 2).cancel_on_drop().keep();
        assert!(!kept.is_ready());
        let (running, gate, asked) = (Tally::new(), Gate::new(), Tally::new());
        let (one, two) = pair.remote(running, gate, asked);
        running.wait_for(1);
        ray::cancel(&one).unwrap();
        assert!(ray::get(one).unwrap_err().is_cancelled());
        assert!(ray::get(two).unwrap_err().is_cancelled());
        gate.open();
        asked.wait_for(1);
        never.open();
        assert_eq!(ray::get(kept).unwrap(), 2);
    });
}
