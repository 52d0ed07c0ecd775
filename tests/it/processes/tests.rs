//! What holds when bodies run in child processes.

use ray::{ActorHandle, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::eventually;
use crate::support::{Gate, Tally, in_child};

fn in_processes(name: &str, body: impl FnOnce()) {
    in_child(name, || {
        if !super::wanted() {
            super::start(ray::Config::new().tips(false)).expect("the engine starts");
        }
        body();
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct NoBread {
    loaves: u32,
}

impl std::fmt::Display for NoBread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} loaves are too few", self.loaves)
    }
}

impl std::error::Error for NoBread {}

/// References and handles inside a value.
#[derive(Clone, Serialize, Deserialize)]
struct Basket {
    numbers: Vec<ObjectRef<i64>>,
    counter: Option<ActorHandle<Counter>>,
}

#[remote]
fn process() -> u32 {
    std::process::id()
}

#[remote]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[remote]
fn bakes(loaves: u32) -> Result<u32, NoBread> {
    if loaves < 3 { Err(NoBread { loaves }) } else { Ok(loaves) }
}

#[remote]
fn panics() -> u32 {
    panic!("no oven")
}

#[remote(num_returns = 2)]
fn halves(text: String) -> (String, String) {
    let (a, b) = text.split_at(text.len() / 2);
    (a.to_owned(), b.to_owned())
}

/// Gets in its own process what the parent and other children have made.
#[remote]
fn sums(basket: Basket) -> ray::Result<i64> {
    let mut sum: i64 = ray::get(basket.numbers)?.iter().sum();
    if let Some(counter) = basket.counter {
        sum += ray::get(counter.add.remote(100))?;
    }
    Ok(sum)
}

/// Makes objects that stay in its own process until they are asked for.
#[remote]
fn fills(upto: i64) -> Basket {
    Basket { numbers: (0..upto).map(|number| add.remote(number, 0)).chain([ray::put(1000)]).collect(), counter: None }
}

#[remote]
fn fibonacci(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = (fibonacci.remote(n - 1), fibonacci.remote(n - 2));
    ray::get(a).unwrap() + ray::get(b).unwrap()
}

#[remote]
fn waits_until_cancelled(began: Tally, ended: Tally) {
    began.add();
    while !ray::context().is_cancelled() {
        std::thread::yield_now();
    }
    ended.add();
}

#[remote]
fn cancels(tasks: Vec<ObjectRef<()>>) -> ray::Result<()> {
    tasks.iter().try_for_each(ray::cancel)
}

#[remote]
fn dies() -> u32 {
    std::process::abort()
}

/// 13 panics when it is decoded, 14 when it is encoded.
#[derive(Clone, Debug)]
struct Brittle(u32);

impl Serialize for Brittle {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, 14, "breaks in the oven");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Brittle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        assert_ne!(number, 13, "breaks on the table");
        Ok(Self(number))
    }
}

#[remote]
fn brittle(number: u32) -> Brittle {
    Brittle(number)
}

#[remote]
fn breaks(value: Brittle) -> u32 {
    value.0
}

/// Counts its drop.
struct Dropped(Tally);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[remote]
async fn awaits_a_gate(gate: Gate, began: Tally, dropped: Tally) {
    let _dropped = Dropped(dropped);
    began.add();
    gate.opened().await;
}

/// The ids of the task itself and of two trees of tasks below it.
#[remote]
fn ids(depth: u32) -> Vec<String> {
    let mut found = vec![ray::context().task_id().expect("a task").to_string()];
    if depth > 0 {
        let below = vec![ids.remote(depth - 1), ids.remote(depth - 1)];
        found.extend(ray::get(below).unwrap().concat());
    }
    found
}

#[remote]
async fn passes(gate: Gate, number: i64) -> i64 {
    gate.opened().await;
    number
}

#[remote]
struct Counter {
    value: i64,
}

#[remote]
struct Bell;

#[remote]
impl Bell {
    pub fn new() -> Self {
        Bell
    }
    pub fn add(&mut self, number: i64) -> i64 {
        -number
    }
}

#[remote]
impl Counter {
    pub fn new(value: i64) -> Self {
        Counter { value }
    }
    pub fn add(&mut self, number: i64) -> i64 {
        self.value += number;
        self.value
    }
    pub fn process(&self) -> u32 {
        std::process::id()
    }
    pub fn takes(&mut self, loaves: u32) -> Result<i64, NoBread> {
        if loaves < 3 { Err(NoBread { loaves }) } else { Ok(self.value) }
    }
    pub fn tears(&mut self) {
        panic!("torn")
    }
    pub fn leaves(&mut self) -> ray::Result<()> {
        ray::exit_actor()
    }
}

/// Functions and methods run in other processes, each actor in one of its own.
#[test]
fn bodies_run_in_children() {
    in_processes("processes::tests::bodies_run_in_children", || {
        let own = std::process::id();
        assert_ne!(ray::get(process.remote()).unwrap(), own);
        let (first, second) = (Counter::remote(1), Counter::remote(2));
        let (one, two) = (ray::get(first.process.remote()).unwrap(), ray::get(second.process.remote()).unwrap());
        assert!(one != two && one != own && two != own);
        assert_eq!(ray::get(first.process.remote()).unwrap(), one, "an actor stays in its process");
    });
}

/// Results are arguments of further calls, before they are there; a call may return several values.
#[test]
fn references_as_arguments() {
    in_processes("processes::tests::references_as_arguments", || {
        let chain = (0..10).fold(add.remote(0, 0), |sum, number| add.remote(&sum, number));
        assert_eq!(ray::get(chain).unwrap(), 45);
        let gate = Gate::new();
        let late = add.remote(passes.remote(gate, 5), 6);
        gate.open();
        assert_eq!(ray::get(late).unwrap(), 11);
        let (left, right) = halves.remote("breadcrumb".to_owned());
        assert_eq!((ray::get(left).unwrap(), ray::get(right).unwrap()), ("bread".into(), "crumb".into()));
    });
}

/// Objects of the parent, of another child and of the child itself are read through references inside values, both ways.
#[test]
fn references_inside_values() {
    in_processes("processes::tests::references_inside_values", || {
        let basket = Basket { numbers: vec![ray::put(1), add.remote(2, 3)], counter: Some(Counter::remote(10)) };
        assert_eq!(ray::get(sums.remote(basket.clone())).unwrap(), 1 + 5 + 110);
        assert_eq!(ray::get(sums.remote(basket)).unwrap(), 1 + 5 + 210, "the handle is one of the same actor");
        let filled = ray::get(fills.remote(5)).unwrap();
        assert_eq!(ray::get(&filled.numbers).unwrap(), [0, 1, 2, 3, 4, 1000]);
        assert_eq!(ray::get(sums.remote(filled)).unwrap(), 1010);
        assert_eq!(ray::get(sums.remote(fills.remote(3))).unwrap(), 1003, "a value that the parent never sees");
    });
}

#[test]
fn nested_tasks() {
    in_processes("processes::tests::nested_tasks", || {
        assert_eq!(ray::get(fibonacci.remote(6)).unwrap(), 8);
    });
}

/// An error keeps its kind, its text, its type and the names of the tasks that it has passed.
#[test]
fn errors_keep_their_types() {
    in_processes("processes::tests::errors_keep_their_types", || {
        let error = ray::get(bakes.remote(1)).unwrap_err();
        assert_eq!((error.kind(), error.downcast_ref()), (ErrorKind::Task, Some(&NoBread { loaves: 1 })));
        assert!(format!("{error:?}").contains("`bakes`"), "{error:?}");
        let error = ray::get(panics.remote()).unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("no oven") && error.to_string().contains("tests.rs"), "{error}");
        let dependant = ray::get(add.remote(add.remote(1, 2), 3)).unwrap();
        assert_eq!(dependant, 6);
        let counter = Counter::remote(7);
        let error = ray::get(counter.takes.remote(2)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&NoBread { loaves: 2 }));
        assert_eq!(ray::get(counter.add.remote(0)).unwrap(), 7, "an error leaves the actor alive");
    });
}

/// The calls of one caller run in order, also behind an argument that is not ready.
#[test]
fn calls_of_an_actor_keep_their_order() {
    in_processes("processes::tests::calls_of_an_actor_keep_their_order", || {
        let (counter, gate) = (Counter::remote(0), Gate::new());
        let late = passes.remote(gate, 1);
        let calls: Vec<_> = std::iter::once(counter.add.remote(&late)).chain((2..20).map(|n| counter.add.remote(n))).collect();
        gate.open();
        let expected: Vec<i64> = (1..20)
            .scan(0, |sum, n| {
                *sum += n;
                Some(*sum)
            })
            .collect();
        assert_eq!(ray::get(calls).unwrap(), expected);
    });
}

/// How actors end: a panic, `exit_actor`, `kill`.
#[test]
fn ends_of_actors() {
    in_processes("processes::tests::ends_of_actors", || {
        let torn = Counter::remote(0);
        let error = ray::get(torn.tears.remote()).unwrap_err();
        assert!(error.is_actor_died() && error.to_string().contains("torn"), "{error}");
        let left = Counter::remote(0);
        assert!(ray::get(left.leaves.remote()).unwrap_err().is_actor_died());
        assert!(ray::get(left.add.remote(1)).unwrap_err().is_actor_died());
        let killed = Counter::remote(0);
        ray::get(killed.add.remote(1)).unwrap();
        ray::kill(&killed).unwrap();
        assert!(ray::get(killed.add.remote(1)).unwrap_err().is_actor_died());
        eventually("the process is gone", || killed.state() == ray::ActorState::Dead);
    });
}

/// A cancelled task fails at once, and its body is told.
#[test]
fn cancel() {
    in_processes("processes::tests::cancel", || {
        let (began, ended) = (Tally::new(), Tally::new());
        let task = waits_until_cancelled.remote(began, ended);
        began.wait_for(1);
        ray::cancel(&task).unwrap();
        assert!(ray::get(&task).unwrap_err().is_cancelled());
        ended.wait_for(1);
    });
}

/// A reference inside a value serves to cancel its task, in another process than the one that has made the call.
#[test]
fn cancel_in_another_process() {
    in_processes("processes::tests::cancel_in_another_process", || {
        let (began, ended) = (Tally::new(), Tally::new());
        let task = waits_until_cancelled.remote(began, ended);
        began.wait_for(1);
        ray::get(cancels.remote(vec![task.clone()])).unwrap();
        ended.wait_for(1);
        assert!(ray::get(&task).unwrap_err().is_cancelled());
    });
}

/// A call of an actor cannot be cancelled by force, as in the embedded engine.
#[test]
fn cancel_by_force_of_an_actors_call() {
    in_processes("processes::tests::cancel_by_force_of_an_actors_call", || {
        let counter = Counter::remote(1);
        let call = counter.add.remote(passes.remote(Gate::new(), 1));
        let error = ray::cancel_with(&call, ray::CancelOptions::new().force(true)).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("ray::kill"), "{error}");
    });
}

/// An async body is dropped at its next await.
#[test]
fn cancel_of_an_async_body() {
    in_processes("processes::tests::cancel_of_an_async_body", || {
        let (began, dropped) = (Tally::new(), Tally::new());
        let task = awaits_a_gate.remote(Gate::new(), began, dropped);
        began.wait_for(1);
        ray::cancel(&task).unwrap();
        assert!(ray::get(&task).unwrap_err().is_cancelled());
        dropped.wait_for(1);
    });
}

/// A panic of the user's `Serialize` or `Deserialize`, in the child or in the parent, fails the call, and later calls run.
#[test]
fn panics_of_serde() {
    in_processes("processes::tests::panics_of_serde", || {
        let error = ray::get(brittle.remote(13)).unwrap_err();
        assert!(error.is_serialization() && error.to_string().contains("breaks on the table"), "{error}");
        let error = ray::get(brittle.remote(14)).unwrap_err();
        assert!(error.to_string().contains("breaks in the oven"), "{error}");
        let error = ray::get(breaks.remote(Brittle(13))).unwrap_err();
        assert!(error.to_string().contains("breaks on the table"), "{error}");
        assert_eq!(ray::get(breaks.remote(brittle.remote(12))).unwrap(), 12);
    });
}

/// No two tasks of the parent and of its children have the same id.
#[test]
fn ids_are_unique_among_the_processes() {
    in_processes("processes::tests::ids_are_unique_among_the_processes", || {
        let found = ray::get(vec![ids.remote(2), ids.remote(2)]).unwrap().concat();
        let unique: std::collections::HashSet<_> = found.iter().collect();
        assert_eq!((found.len(), unique.len()), (14, 14), "{found:?}");
    });
}

/// The end of a process fails the task that it ran, with an error that says so; the next task runs in another process.
#[test]
fn a_child_that_dies() {
    in_processes("processes::tests::a_child_that_dies", || {
        let error = ray::get(dies.remote()).unwrap_err();
        assert!(error.is_worker_crashed() && error.to_string().contains("`dies`"), "{error}");
        assert_eq!(ray::get(add.remote(1, 2)).unwrap(), 3);
        let counter = Counter::remote(0);
        let number = ray::get(counter.process.remote()).unwrap();
        // SAFETY: the process is a child of this one, which has not waited for it.
        unsafe { libc::kill(number.cast_signed(), libc::SIGKILL) };
        eventually("the actor is dead", || ray::get(counter.add.remote(1)).is_err_and(|error| error.is_actor_died()));
    });
}

/// What cannot leave the process is refused, with what to do.
#[test]
fn what_is_local_is_refused() {
    in_processes("processes::tests::what_is_local_is_refused", || {
        let error = ray::get(ray::task(|| 7).remote()).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("local"), "{error}");
        let limited = Counter::options().max_pending_calls(1).remote(0);
        let error = ray::get(limited.add.remote(1)).unwrap_err();
        assert!(error.to_string().contains("max_pending_calls"), "{error}");
    });
}

/// Named actors are found from the parent and from children.
#[test]
fn named_actors() {
    in_processes("processes::tests::named_actors", || {
        let counter = Counter::options().name("till").remote(5);
        assert_eq!(ray::get(counter.add.remote(1)).unwrap(), 6);
        let found = ray::get_actor::<Counter>("till").unwrap();
        assert_eq!(ray::get(found.add.remote(1)).unwrap(), 7);
        assert_eq!(found.upgrade().unwrap(), counter, "two handles of one actor");
        let other = Bell::options().name("till").get_if_exists(true).remote();
        let error = ray::get(other.add.remote(1)).unwrap_err();
        assert!(error.to_string().contains("Counter"), "the actor of that name is of another class: {error}");
        assert_eq!(ray::list_named_actors(), [("default".to_owned(), "till".to_owned())]);
        assert!(ray::get_actor::<Counter>("none").unwrap_err().is_actor_not_found());
    });
}
