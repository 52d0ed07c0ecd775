//! The executor: what the typed API of the parent asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ray::__private::executor::{Executor, RemoteActor, RemoteCall, RemoteCreation, RemoteState, fail};
use ray::{ErrorKind, Result};

use super::driver::{Driver, Given, Job, resources_of_all};
use super::message::Creation;

/// The executor.
#[derive(Default)]
pub(crate) struct Processes(Arc<Driver>);

impl std::fmt::Debug for Processes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Processes")
    }
}

fn job(call: RemoteCall) -> (Job, Vec<Given>) {
    let (retries, name, path) = (call.retries(), call.name().to_owned(), call.spec.path().to_owned());
    let given = call.args.into_iter().map(Given::Own).collect();
    (Job { task: call.task, parent: call.parent, path, name, reply: call.reply, retries: Some(retries) }, given)
}

impl Executor for Processes {
    fn process(&self) -> u32 {
        0
    }

    fn submit(&self, call: RemoteCall) {
        let (job, given) = job(call);
        self.0.submit(job, given);
    }

    fn create_actor(&self, creation: RemoteCreation) -> Result<RemoteActor> {
        if creation.max_pending_calls().is_some() {
            let what = "the executor of the tests counts no waiting calls: leave out max_pending_calls";
            return Err(fail::error(ErrorKind::InvalidArgument, what));
        }
        let settings = Creation::of(&creation);
        let class = creation.class.path().to_owned();
        let (job, given) = job(creation.call);
        self.0.create(class, &settings, job, given)
    }

    fn call_actor(&self, actor: u64, call: RemoteCall) {
        let (job, given) = job(call);
        self.0.enqueue(actor, job, given);
    }

    fn acquire_actor(&self, actor: u64) -> bool {
        self.0.acquire(actor)
    }

    fn release_actor(&self, actor: u64) {
        self.0.release(actor);
    }

    fn kill_actor(&self, actor: u64, _restart: bool) {
        self.0.kill(actor, "the actor was killed by `ray::kill`");
    }

    fn actor_state(&self, actor: u64) -> RemoteState {
        if self.0.death(actor).is_none() { RemoteState::Alive } else { RemoteState::Dead }
    }

    fn exit_actor(&self, _actor: u64) -> Result<()> {
        Err(fail::error(ErrorKind::InvalidArgument, "no actor runs in this process"))
    }

    fn find_actor(&self, namespace: &str, name: &str) -> Result<RemoteActor> {
        self.0.find(namespace, name)
    }

    fn named_actors(&self) -> Vec<(String, String)> {
        self.0.all_names()
    }

    fn cancel(&self, task: u64, recursive: bool, force: bool) {
        self.0.cancel(task, recursive, force);
    }

    fn total_resources(&self) -> BTreeMap<String, f64> {
        resources_of_all()
    }

    fn available_resources(&self) -> BTreeMap<String, f64> {
        resources_of_all()
    }

    fn shutdown(&self) {
        self.0.end_all();
    }
}
