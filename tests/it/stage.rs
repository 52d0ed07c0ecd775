//! Helpers of the tests that run in a child process: they start the child, and bring its engine into a certain state.

use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ray::{Config, ObjectRef};

use crate::support::{ChildOutput, Gate, PATIENCE, Tally, crowd_of_others, in_child, in_child_with, init_with, move_in_parent};

/// Runs the body of the calling test in a child process. The first use of ray starts the engine; on a cluster, where it must be
/// started before, it is. The name of the test is taken from the type name of the closure; if the format of type names ever
/// changes, every such test fails with `there is no test ..`.
pub(crate) fn alone<F: FnOnce()>(body: F) -> ChildOutput {
    in_child(test_of::<F>(), || {
        begin();
        body();
    })
}

/// Like [`alone`], for a body that starts the engine itself.
pub(crate) fn apart<F: FnOnce()>(body: F) -> ChildOutput {
    in_child(test_of::<F>(), body)
}

/// Starts the engine where its first use does not.
fn begin() {
    if crate::cluster::wanted() {
        init_with(Config::new()).expect("the engine starts");
    }
}

/// Like [`alone`], with an engine that has `cpus` CPUs.
pub(crate) fn alone_on<F: FnOnce()>(cpus: usize, body: F) -> ChildOutput {
    in_child(test_of::<F>(), || {
        init_with(Config::new().num_cpus(cpus)).expect("the engine starts");
        body();
    })
}

/// Like [`alone`], with environment variables.
pub(crate) fn alone_with<F: FnOnce()>(environment: &[(&str, &str)], body: F) -> ChildOutput {
    in_child_with(test_of::<F>(), environment, || {
        begin();
        body();
    })
}

fn test_of<F>() -> &'static str {
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, rest)| rest);
    name.split("::{{closure}}").next().unwrap_or(name)
}

/// A barrier: no thread passes it before `wanted` threads have arrived.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Meeting {
    wanted: u64,
    there: Tally,
}

impl Meeting {
    pub(crate) fn of(wanted: u64) -> Self {
        Self { wanted, there: Tally::new() }
    }

    #[track_caller]
    pub(crate) fn meet(self) {
        self.there.add();
        self.there.wait_for(self.wanted);
    }

    /// Like [`Meeting::meet`], for an async body.
    pub(crate) async fn join(self) {
        self.there.add();
        self.there.reached(self.wanted).await;
    }
}

/// Counts the bodies that are inside, in all processes, and the largest number that were inside at once. A test has it as a
/// static.
#[derive(Debug)]
pub(crate) struct Crowd {
    place: &'static Location<'static>,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The guard of one body that is inside.
#[derive(Debug)]
pub(crate) struct Inside(&'static Crowd);

impl Crowd {
    #[track_caller]
    pub(crate) const fn new() -> Self {
        Self { place: Location::caller(), now: AtomicUsize::new(0), most: AtomicUsize::new(0) }
    }

    /// The name of the crowd, the same in all processes.
    fn name(&self) -> String {
        self.place.to_string()
    }

    pub(crate) fn enter(&'static self) -> Inside {
        if !move_in_parent(&self.name(), 1) {
            let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
        }
        Inside(self)
    }

    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst) + crowd_of_others(&self.name()).0
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst).max(crowd_of_others(&self.name()).1)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !move_in_parent(&self.0.name(), -1) {
            self.0.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Adds one to the tally when it is dropped.
#[derive(Debug)]
pub(crate) struct Token(pub(crate) Tally);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// Whether the bodies of this engine run in processes of a cluster: in the process of a test, and in bodies.
pub(crate) fn on_cluster() -> bool {
    crate::cluster::wanted() || crate::cluster::is_worker()
}

/// Polls until `is_so` returns `true`: for a state that nothing signals.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    // On a cluster a look asks another process.
    let pause = Duration::from_micros(if on_cluster() { 5000 } else { 200 });
    while !is_so() {
        assert!(Instant::now() < end, "not reached after {PATIENCE:?}: {what}");
        std::thread::park_timeout(pause);
    }
}

/// Checks a state that the embedded engine has at once, and a cluster after some time.
#[track_caller]
pub(crate) fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    if on_cluster() { eventually(what, is_so) } else { assert!(is_so(), "not so at once: {what}") }
}

/// In a body: whether it was cancelled. On a cluster a cancellation reaches the body some time after `cancel` has returned, so
/// a body waits for it there.
pub(crate) fn is_cancelled_by_now() -> bool {
    let end = Instant::now() + if on_cluster() { PATIENCE } else { Duration::ZERO };
    loop {
        let is_cancelled = ray::context().is_cancelled();
        if is_cancelled || Instant::now() >= end {
            return is_cancelled;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The error of a call of a dead actor. The embedded engine refuses the call; on a cluster the object of the call fails.
#[track_caller]
pub(crate) fn refusal<T: Clone + Send + Sync + 'static>(call: ray::Result<ObjectRef<T>>) -> ray::Error {
    match call {
        Ok(object) if on_cluster() => ray::get(object).map(drop).expect_err("the actor is dead"),
        Ok(_) => panic!("the call was not refused"),
        Err(error) => error,
    }
}

/// Checks the ends of an actor's state after a kill: it is dropped `drops` times, or never on a cluster, where a kill ends the
/// process.
#[track_caller]
pub(crate) fn dropped_after_kill(dropped: Tally, drops: u64) {
    if on_cluster() {
        assert_eq!(dropped.count(), 0, "a kill ends the process of the state");
    } else {
        dropped.wait_for(drops);
        assert_eq!(dropped.count(), drops);
    }
}

/// The result of a call. On a cluster it is made again while the actor restarts: Ray keeps no call for the next instance, unless the
/// call may be retried.
#[track_caller]
pub(crate) fn served<T: Clone + Send + Sync + 'static>(call: impl Fn() -> ObjectRef<T>) -> T {
    let mut outcome = ray::get(call());
    if crate::cluster::wanted() {
        eventually("the actor has restarted", || {
            if outcome.as_ref().is_err_and(ray::Error::is_actor_unavailable) {
                outcome = ray::get(call());
            }
            !outcome.as_ref().is_err_and(ray::Error::is_actor_unavailable)
        });
    }
    outcome.unwrap()
}

/// Waits until the gate is open. In a worker of a cluster also until the body is cancelled: Ray settles the object of a cancelled task
/// when its body ends, the embedded engine does at once.
#[track_caller]
pub(crate) fn wait_or_end(gate: Gate) {
    if crate::cluster::is_worker() {
        eventually("the gate opens", || gate.is_open() || ray::context().is_cancelled());
    } else {
        gate.wait();
    }
}

/// Shuts the engine down while a body runs. The embedded engine tells of the body, whose thread it cannot end; a cluster ends the
/// process of the body.
#[track_caller]
pub(crate) fn shut_down_beside_a_body() {
    let ended = ray::shutdown();
    if crate::cluster::wanted() {
        ended.expect("the process of the body ends");
    } else {
        assert!(ended.unwrap_err().is_timeout(), "a body still runs");
    }
}

#[ray::remote]
fn hold(running: Tally, gate: Gate) {
    running.add();
    eventually("the gate opens", || gate.is_open());
}

/// Submits a task for every CPU, which holds it until the gate opens; returns when all of them run. The tasks poll the gate: if
/// they blocked, the monitor thread would grant an extra CPU to a queued task after half a second.
pub(crate) fn hold_every_cpu(gate: Gate) -> Vec<ObjectRef<()>> {
    let cpus = ray::cluster_resources().unwrap()["CPU"] as u64;
    let running = Tally::new();
    let held = (0..cpus).map(|_| hold.options().name("holder").remote(running, gate)).collect();
    running.wait_for(cpus);
    held
}

/// Values of types that [`late`] can return.
pub(crate) trait Late: Send + Sync + Sized + 'static {
    fn after(self, gate: Gate) -> ObjectRef<Self>;
}

/// Waits until the gate is open. In a worker of a cluster also until the body is cancelled: the tasks that depend on a
/// cancelled task fail there when its body has ended, in the embedded engine at once.
fn wait_or_stop(gate: Gate) {
    if crate::cluster::is_worker() {
        eventually("the gate opens", || gate.is_open() || ray::context().is_cancelled());
    } else {
        gate.wait();
    }
}

/// The functions are not generic, and so run in other processes too.
macro_rules! late {
    ($($function:ident: $value:ty),+) => {$(
        /// With `inline = false`: a getter that ran this body could not open the gate.
        #[ray::remote(inline = false)]
        fn $function(gate: Gate, value: $value) -> $value {
            wait_or_stop(gate);
            value
        }

        impl Late for $value {
            fn after(self, gate: Gate) -> ObjectRef<Self> {
                $function.options().name("late").num_cpus(0.0).remote(gate, self)
            }
        }
    )+};
}

late!(late_i32: i32, late_i64: i64, late_u32: u32, late_u64: u64, late_tally: Tally, late_gate: Gate, late_vector: Vec<i32>);

/// A task that asks for no CPU and returns `value` when the gate opens.
pub(crate) fn late<T: Late>(gate: Gate, value: T) -> ObjectRef<T> {
    value.after(gate)
}

macro_rules! give {
    ($($function:ident: $value:ty),+) => {$(
        /// Returns its argument.
        #[ray::remote]
        pub(crate) fn $function(value: $value) -> $value {
            value
        }
    )+};
}

give!(give: i32, give_i64: i64, give_u64: u64);

macro_rules! panics {
    ($($function:ident: $value:ty),+) => {$(
        /// Panics with this message.
        #[ray::remote]
        pub(crate) fn $function(message: String) -> $value {
            panic!("{message}")
        }
    )+};
}

panics!(panic_gate: Gate, panic_tally: Tally, panic_i64: i64, panic_u32: u32, panic_u64: u64, panic_u8: u8);

#[ray::remote]
pub(crate) fn nothing() {}

/// Waits until the gate is open. With `inline = false`: a getter that ran this body could not open the gate.
#[ray::remote(inline = false)]
pub(crate) fn wait(gate: Gate) {
    gate.wait();
}

/// Waits for the others of the meeting.
#[ray::remote]
pub(crate) fn meet(meeting: Meeting) {
    meeting.meet();
}
