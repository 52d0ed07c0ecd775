//! `ray::context()`: the ids, names, attempt, resources and cancellation of the running body.

use std::collections::HashSet;

use ray::{ObjectRef, remote};

use crate::stage::{is_cancelled_by_now, on_cluster};
use crate::support::{Gate, Tally, calls, engine, in_child};

#[remote]
fn ids() -> (String, String, String, String) {
    let context = ray::context();
    (
        context.task_id().unwrap().to_string(),
        context.job_id().to_string(),
        context.node_id().to_string(),
        context.worker_id().to_string(),
    )
}

#[remote]
fn names() -> (String, String, String, u32) {
    let context = ray::context();
    (
        context.task_name().unwrap().to_owned(),
        context.function_name().unwrap().to_owned(),
        context.namespace().to_owned(),
        context.attempt(),
    )
}

#[remote]
async fn async_names(gate: Gate) -> (Option<String>, Option<String>, Option<String>, f64) {
    gate.opened().await;
    let context = ray::context();
    (
        context.task_id().map(|id| id.to_string()),
        context.task_name().map(str::to_owned),
        context.function_name().map(str::to_owned),
        context.assigned_resources().num_cpus(),
    )
}

#[remote]
struct Named {}

#[remote]
impl Named {
    pub fn new() -> Self {
        Named {}
    }
    pub fn tell(&self) -> (Option<String>, Option<String>, Option<String>, bool) {
        let context = ray::context();
        (
            context.actor_id().map(|id| id.to_string()),
            context.actor_name(),
            context.function_name().map(str::to_owned),
            context.was_current_actor_reconstructed(),
        )
    }
    pub fn is_this(&self) -> bool {
        let context = ray::context();
        let weak = context.current_actor::<Named>().unwrap();
        weak.upgrade().is_some_and(|handle| Some(handle.id()) == context.actor_id())
    }
}

/// The driver is neither a task nor an actor.
#[test]
fn on_the_driver() {
    engine();
    let context = ray::context();
    assert!(context.task_id().is_none());
    assert!(context.task_name().is_none() && context.function_name().is_none());
    assert!(context.actor_id().is_none() && context.actor_name().is_none());
    assert!(context.current_actor::<Named>().unwrap_err().is_actor_not_found());
    assert!(!context.was_current_actor_reconstructed() && !context.is_cancelled());
    assert_eq!(context.attempt(), 0);
    assert_eq!(context.assigned_resources().num_cpus(), 0.0);
    assert_eq!(context.namespace(), "default");
}

#[remote(inline = false)]
fn worker_id(started: Tally, gate: Gate) -> String {
    started.add();
    gate.wait();
    ray::context().worker_id().to_string()
}

/// A task has the task id of its references, and the job and node of the driver.
#[test]
fn ids_of_a_task() {
    engine();
    let object = ids.remote();
    let (task, job, node, _) = ray::get(&object).unwrap();
    assert_eq!(Some(task), object.task_id().map(|id| id.to_string()));
    assert_eq!(job, ray::context().job_id().to_string());
    assert_eq!(node, ray::context().node_id().to_string());
    assert_eq!(node, ray::nodes().unwrap()[0].id.to_string());
    let (started, gate) = (Tally::new(), Gate::new());
    let workers: Vec<ObjectRef<String>> = (0..3).map(|_| worker_id.remote(started, gate)).collect();
    started.wait_for(3);
    gate.open();
    let workers: HashSet<_> = ray::get(workers).unwrap().into_iter().collect();
    assert_eq!(workers.len(), 3, "concurrent tasks run on different workers");
}

#[test]
fn names_of_a_task() {
    engine();
    let told = ray::get(names.remote()).unwrap();
    assert_eq!(told, ("names".to_owned(), "it::context::names".to_owned(), "default".to_owned(), 0));
    let (name, function, ..) = ray::get(names.options().name("mine").remote()).unwrap();
    assert_eq!((name.as_str(), function.as_str()), ("mine", "it::context::names"));
}

/// An async body has its context after an await as well, on any thread.
#[test]
fn of_an_async_task() {
    engine();
    let gate = Gate::new();
    let objects: Vec<_> = (0..10).map(|x| async_names.options().name(format!("n{x}")).remote(gate)).collect();
    gate.open();
    for (x, object) in objects.into_iter().enumerate() {
        let (id, name, function, cpus) = ray::get(&object).unwrap();
        assert_eq!(id, object.task_id().map(|id| id.to_string()));
        assert_eq!(name, Some(format!("n{x}")));
        assert_eq!(function.as_deref(), Some("it::context::async_names"));
        assert_eq!(cpus, 0.0, "an async task asks for no CPU");
    }
}

#[test]
fn of_an_actor() {
    engine();
    let handle = Named::options().name("context::of_an_actor").remote();
    let (id, name, function, again) = ray::get(handle.tell.remote()).unwrap();
    // On a cluster each process has numbers of its own for actors.
    assert!(id == Some(handle.id().to_string()) || on_cluster() && id.is_some(), "{id:?}");
    assert_eq!(name.as_deref(), Some("context::of_an_actor"));
    assert!(function.unwrap().ends_with("tell"));
    assert!(!again);
    assert!(ray::get(handle.is_this.remote()).unwrap());
    let nameless = Named::remote();
    assert_eq!(ray::get(nameless.tell.remote()).unwrap().1, None);
}

/// While a getter runs a task on its own thread, the context is that of the task.
#[test]
fn in_a_task_that_the_getter_runs() {
    engine();
    for _ in 0..calls(10, 100) {
        let object = ids.remote();
        let own = object.task_id().unwrap().to_string();
        assert_eq!(ray::get(object).unwrap().0, own);
        assert!(ray::context().task_id().is_none(), "after the get the context is that of the driver");
    }
    assert_eq!(ray::get(nested.remote()).unwrap(), (true, false));
}

/// Whether the task is the same after a nested get as before it, and the same as the nested one.
#[remote]
fn nested() -> (bool, bool) {
    let before = ray::context().task_id();
    let inner = ray::get(ids.remote()).unwrap().0;
    let after = ray::context().task_id();
    (before == after, before.map(|id| id.to_string()) == Some(inner))
}

/// The assigned resources, by name.
#[remote]
fn assigned() -> Vec<(String, f64)> {
    let context = ray::context();
    let mut held: Vec<_> = context.assigned_resources().iter().map(|(name, amount)| (name.to_owned(), amount)).collect();
    held.sort_by(|a, b| a.0.cmp(&b.0));
    held
}

/// `assigned_resources` are the requested ones.
#[test]
fn assigned_resources() {
    in_child("context::assigned_resources", || {
        crate::support::init_with(ray::Config::new().num_cpus(4).num_gpus(2).resource("seat", 3.0)).unwrap();
        let pairs = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect::<Vec<_>>();
        assert_eq!(ray::get(assigned.remote()).unwrap(), pairs(&[("CPU", 1.0)]));
        assert_eq!(ray::get(assigned.options().num_cpus(0.0).remote()).unwrap(), pairs(&[]));
        // The cluster of this test has one seat.
        let seats = calls(1.0, 2.0);
        let all = assigned.options().num_cpus(2.5).num_gpus(0.5).resource("seat", seats).memory(64).remote();
        assert_eq!(ray::get(all).unwrap(), pairs(&[("CPU", 2.5), ("GPU", 0.5), ("memory", 64.0), ("seat", seats)]));
    });
}

#[remote(inline = false)]
fn sees_cancellation(started: Gate, gate: Gate, seen: Gate) {
    assert!(!ray::context().is_cancelled());
    started.open();
    gate.wait();
    assert!(is_cancelled_by_now());
    seen.open();
}

/// A running body sees that it was cancelled.
#[test]
fn is_cancelled() {
    engine();
    let (started, gate, seen) = (Gate::new(), Gate::new(), Gate::new());
    let object = sees_cancellation.remote(started, gate, seen);
    started.wait();
    ray::cancel(&object).unwrap();
    assert!(ray::get(object).unwrap_err().is_cancelled());
    gate.open();
    seen.wait();
}
