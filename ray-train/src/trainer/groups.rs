//! The registry of this process's worker groups: their workers, and the resources that they hold.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ray::{ActorHandle, WeakActorHandle};

use super::lock::lock;
use super::worker::Worker;
use crate::config::WorkerResources;
use crate::error::failed;

static GROUPS: Mutex<Groups> = Mutex::new(Groups { admitted: Vec::new(), last_number: 0 });

struct Groups {
    admitted: Vec<Entry>,
    last_number: u64,
}

/// A group that has its resources.
struct Entry {
    number: u64,
    details: GroupDetails,
    workers: Vec<WeakActorHandle<Worker>>,
}

/// The description of a group in the registry.
pub(super) struct GroupDetails {
    pub(super) run: String,
    /// The run's directory, canonical.
    pub(super) path: PathBuf,
    pub(super) resources: WorkerResources,
    /// The number of its workers that hold these resources. The others replace workers that were abandoned with their resources.
    pub(super) holding: usize,
    /// The group that waits for this one, because its loop or callback called the run's `fit`.
    pub(super) waiting_group: Option<u64>,
}

impl GroupDetails {
    /// The group and the resources that it holds, as a part of an error message.
    fn describe(&self) -> String {
        format!("the run `{}` holds {} of {}", self.run, worker_count(self.holding), amounts(self.resources.iter()))
    }
}

/// The workers of an admitted group. They are killed when this is dropped.
pub(super) struct WorkerGroup {
    pub(super) number: u64,
    pub(super) workers: Vec<ActorHandle<Worker>>,
}

impl WorkerGroup {
    /// Registers a group.
    pub(super) fn register(details: GroupDetails, workers: Vec<ActorHandle<Worker>>) -> WorkerGroup {
        let mut groups = lock(&GROUPS);
        groups.last_number += 1;
        let number = groups.last_number;
        let weak = workers.iter().map(ActorHandle::downgrade).collect();
        groups.admitted.push(Entry { number, details, workers: weak });
        WorkerGroup { number, workers }
    }

    /// Kills the workers. Their resources become free, except for those of a worker whose loop has not returned yet.
    pub(super) fn kill(&self) {
        for worker in &self.workers {
            // An engine that was shut down has no workers left.
            let _ = ray::kill(worker);
        }
    }
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        self.kill();
        lock(&GROUPS).admitted.retain(|entry| entry.number != self.number);
    }
}

impl Worker {
    /// The worker of a rank of a run that is in progress in this process, by the run's directory.
    ///
    /// # Errors
    /// No run with this directory is in progress in this process, or it has no living worker of this rank.
    ///
    /// ```
    /// assert!(ray_train::Worker::find("nowhere", 0).is_err());
    /// ```
    pub fn find(run: impl AsRef<Path>, rank: usize) -> ray::Result<ActorHandle<Worker>> {
        let path = run.as_ref();
        let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let groups = lock(&GROUPS);
        let group = groups.admitted.iter().find(|entry| entry.details.path == canonical);
        let group = group
            .ok_or_else(|| failed(format!("no run with the directory {} is in progress in this process", path.display())))?;
        let worker = group.workers.get(rank).and_then(WeakActorHandle::upgrade);
        worker.ok_or_else(|| {
            let (run, workers) = (&group.details.run, group.workers.len());
            failed(format!("the run `{run}` has {workers} workers, and no living worker of rank {rank}"))
        })
    }
}

/// Resources that stay with their holder until a group has ended.
pub(super) struct Retained {
    /// The holder and its resources, as a part of an error message.
    pub(super) holder: String,
    pub(super) resources: Vec<(String, f64)>,
}

impl Retained {
    pub(super) fn amount(&self, resource: &str) -> f64 {
        self.resources.iter().filter(|(name, _)| name == resource).map(|(_, amount)| amount).sum()
    }
}

/// The resources of a group that waits for a call of `fit`, of the group that waits for that group, and so on.
pub(super) fn retained_by_waiting(mut waiting: Option<u64>) -> Vec<Retained> {
    let groups = lock(&GROUPS);
    let mut retained = Vec::new();
    while let Some(group) = waiting.and_then(|number| groups.admitted.iter().find(|group| group.number == number)) {
        let details = &group.details;
        let workers = details.holding as f64;
        let resources = details.resources.iter().map(|(name, amount)| (name.to_owned(), amount * workers)).collect();
        retained.push(Retained { holder: details.describe(), resources });
        waiting = details.waiting_group;
    }
    retained
}

/// The groups of this process and the resources that they hold, for error messages.
pub(super) fn describe_all() -> Vec<String> {
    lock(&GROUPS).admitted.iter().map(|entry| entry.details.describe()).collect()
}

pub(super) fn worker_count(workers: usize) -> String {
    if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") }
}

/// `{CPU: 4, GPU: 1}`.
pub(super) fn amounts<'a>(amounts: impl Iterator<Item = (&'a str, f64)>) -> String {
    let list: Vec<String> = amounts.map(|(name, amount)| format!("{name}: {amount}")).collect();
    format!("{{{}}}", list.join(", "))
}
