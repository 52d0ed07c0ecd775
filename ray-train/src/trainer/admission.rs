//! Admission: all workers of a group get their resources, or none does.
//!
//! The actor of each worker asks for its own resources, and the engine grants them one actor at a time. Only one group of the process
//! asks at a time, so two groups cannot each hold a part of their workers while they wait for the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ray::{ActorHandle, ObjectRef};

use super::caller::Caller;
use super::groups::{GroupDetails, Retained, WorkerGroup, amounts, describe_all, retained_by_waiting, worker_count};
use super::interrupt::InterruptGuard;
use super::lock::lock;
use super::worker::Worker;
use crate::config::WorkerResources;
use crate::error::NotAdmitted;

/// The interval at which a waiting thread checks whether the run should stop.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The time that an elastic group waits for workers beyond its minimum: the engine grants free resources within microseconds.
const ELASTIC_WAIT: Duration = Duration::from_millis(200);

/// Longer waits are cut to this: the clock of some systems cannot represent a much later deadline.
const MAX_WAIT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Amounts of resources are multiples of a ten-thousandth; this absorbs the rounding of their floating-point sums.
const ROUNDING: f64 = 0.00005;

/// Whether a group is being admitted.
static ADMITTING: Mutex<bool> = Mutex::new(false);
static ADMISSION_ENDED: Condvar = Condvar::new();

/// The request of a group.
pub(crate) struct Request<'a> {
    pub(crate) run: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) resources: WorkerResources,
    pub(crate) min_workers: usize,
    pub(crate) max_workers: usize,
    /// Workers of this run's earlier groups whose loops have not returned yet: they still hold their resources.
    pub(crate) abandoned: usize,
    pub(crate) timeout: Duration,
    pub(crate) caller: &'a Caller,
}

/// The exclusive right to admit a group, until it is dropped.
struct AdmissionTurn;

impl AdmissionTurn {
    /// Waits for the turn; none if the deadline has passed or the run should stop.
    fn wait(deadline: Instant, interrupt: &InterruptGuard) -> Option<AdmissionTurn> {
        let mut admitting = lock(&ADMITTING);
        while *admitting {
            if interrupt.should_stop() || Instant::now() >= deadline {
                return None;
            }
            admitting = ADMISSION_ENDED.wait_timeout(admitting, POLL_INTERVAL).unwrap_or_else(PoisonError::into_inner).0;
        }
        *admitting = true;
        Some(AdmissionTurn)
    }
}

impl Drop for AdmissionTurn {
    fn drop(&mut self) {
        *lock(&ADMITTING) = false;
        ADMISSION_ENDED.notify_one();
    }
}

/// Creates the workers and waits until they have their resources. Returns none if the run should stop.
///
/// # Errors
/// [`NotAdmitted`], and errors of the engine.
pub(crate) fn admit(request: &Request<'_>, interrupt: &InterruptGuard) -> ray::Result<Option<WorkerGroup>> {
    let Plan { workers, substitutes } = request.plan()?;
    let deadline = Instant::now() + request.timeout.min(MAX_WAIT);
    let Some(_turn) = AdmissionTurn::wait(deadline, interrupt) else {
        return if interrupt.should_stop() { Ok(None) } else { Err(request.timed_out(0)) };
    };
    let no_resources = WorkerResources { cpus: 0.0, gpus: 0.0, memory: 0, custom: Vec::new() };
    let mut candidates = Candidates::default();
    for number in 0..workers {
        candidates.add(create_worker(if number < substitutes { &no_resources } else { &request.resources })?);
    }
    let mut granted = candidates.wait_for(request.min_workers, deadline, interrupt)?;
    if interrupt.should_stop() {
        return Ok(None);
    }
    let holding = |granted: &[usize]| granted.iter().filter(|index| **index >= substitutes).count();
    if granted.len() < request.min_workers {
        return Err(request.timed_out(holding(&granted)));
    }
    if workers > request.min_workers {
        granted = candidates.wait_for(workers, Instant::now() + ELASTIC_WAIT, interrupt)?;
    }
    let details = GroupDetails {
        run: request.run.to_owned(),
        path: request.path.to_owned(),
        resources: request.resources.clone(),
        holding: holding(&granted),
        waiting_group: request.caller.group,
    };
    Ok(Some(WorkerGroup::register(details, candidates.take(&granted))))
}

fn create_worker(resources: &WorkerResources) -> ray::Result<ActorHandle<Worker>> {
    let mut options = Worker::options().num_cpus(resources.cpus).num_gpus(resources.gpus).memory(resources.memory);
    for (name, amount) in &resources.custom {
        options = options.resource(name.clone(), *amount);
    }
    options.try_remote()
}

/// Workers that are not admitted yet, each with the object that is ready when it has its resources. They are killed when this is
/// dropped.
#[derive(Default)]
struct Candidates {
    workers: Vec<ActorHandle<Worker>>,
    ready: Vec<ObjectRef<()>>,
}

impl Drop for Candidates {
    fn drop(&mut self) {
        for (worker, ready) in self.workers.iter().zip(&self.ready) {
            let _ = ray::kill(worker);
            // Reads the error of the killed worker, so that the engine does not log it as unread.
            let _ = ray::get_timeout(ready, Duration::ZERO);
        }
    }
}

impl Candidates {
    fn add(&mut self, worker: ActorHandle<Worker>) {
        self.ready.push(worker.ready());
        self.workers.push(worker);
    }

    /// Takes the workers of these indices, which are in ascending order, and kills the others.
    fn take(mut self, indices: &[usize]) -> Vec<ActorHandle<Worker>> {
        let mut taken = Vec::new();
        for index in indices.iter().rev() {
            drop(self.ready.remove(*index));
            taken.push(self.workers.remove(*index));
        }
        taken.reverse();
        taken
    }

    /// Waits until at least `count` workers have their resources, the deadline has passed, or the run should stop. Returns the indices
    /// of the workers that have their resources.
    ///
    /// The wait does not use the engine, for the same reason as that of
    /// [`ReportBoard::next_event`](super::report_board::ReportBoard::next_event).
    fn wait_for(&self, count: usize, deadline: Instant, interrupt: &InterruptGuard) -> ray::Result<Vec<usize>> {
        let ready = &self.ready;
        let arrived = Arc::new((Mutex::new(0), Condvar::new()));
        for object in ready {
            let arrived = Arc::clone(&arrived);
            object.on_ready(move || {
                *lock(&arrived.0) += 1;
                arrived.1.notify_one();
            });
        }
        let mut arrivals = lock(&arrived.0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *arrivals >= count || left.is_zero() || interrupt.should_stop() {
                break;
            }
            arrivals = arrived.1.wait_timeout(arrivals, left.min(POLL_INTERVAL)).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(arrivals);
        let granted: Vec<usize> = (0..ready.len()).filter(|index| ready[*index].is_ready()).collect();
        // The object of a dead worker is ready too, with an error.
        granted.iter().try_for_each(|index| ray::get(&ready[*index]))?;
        Ok(granted)
    }
}

/// The number of workers to create, and how many of them get no resources, because an abandoned worker holds theirs.
#[derive(Debug, PartialEq)]
struct Plan {
    workers: usize,
    substitutes: usize,
}

impl Request<'_> {
    fn plan(&self) -> ray::Result<Plan> {
        let node = ray::cluster_resources()?;
        let retained = self.retained();
        let fits = |(name, amount): (&str, f64), retained: &[Retained]| {
            ((left_of(&node, name, retained) + ROUNDING) / amount).floor().max(0.0) as usize
        };
        let capacity =
            |retained: &[Retained]| self.resources.iter().map(|resource| fits(resource, retained)).min().unwrap_or(usize::MAX);
        if capacity(&[]) < self.min_workers {
            return Err(self.exceeds_node(&node));
        }
        plan(capacity(&retained), self.min_workers, self.max_workers, self.abandoned)
            .ok_or_else(|| self.unobtainable(&node, &retained))
    }

    /// The resources that cannot become free before this group has ended: those of the groups that wait for it, and those of its
    /// caller.
    fn retained(&self) -> Vec<Retained> {
        let mut retained = retained_by_waiting(self.caller.group);
        // If the caller is a rank, its resources are those of its group, which are counted already.
        if retained.is_empty()
            && let Some(caller) = self.caller.describe()
        {
            let resources = self.caller.retained_resources();
            if !resources.is_empty() {
                let amounts = amounts(resources.iter().map(|(name, amount)| (name.as_str(), *amount)));
                retained.push(Retained { holder: format!("{caller}, which called `fit`, holds {amounts} itself"), resources });
            }
        }
        retained
    }

    /// The request, as the beginning of an error message.
    fn describe(&self) -> String {
        let each = amounts(self.resources.iter());
        format!("the run `{}` asks for {} of {each} each", self.run, worker_count(self.min_workers))
    }

    /// The error of a request for more than the node has.
    fn exceeds_node(&self, node: &BTreeMap<String, f64>) -> ray::Error {
        let total = self.resources.iter().map(|(name, amount)| (name, amount * self.min_workers as f64));
        let available = self.resources.iter().map(|(name, _)| (name, left_of(node, name, &[])));
        let message = format!(
            "{}, {} in total, but the node has {}: use fewer workers, or fewer resources for each, or start the engine with more (ray::init_with and a Config{})",
            self.describe(),
            amounts(total),
            amounts(available),
            if self.resources.gpus > 0.0 {
                "; `.num_gpus(ray_train::Device::gpus())` tells it of the machine's GPUs"
            } else {
                ""
            }
        );
        ray::Error::other(NotAdmitted { message })
    }

    /// The error of a request for resources that the node has, but that cannot become free before this group has ended.
    fn unobtainable(&self, node: &BTreeMap<String, f64>, retained: &[Retained]) -> ray::Error {
        let obtainable = self.resources.iter().map(|(name, _)| (name, left_of(node, name, retained).max(0.0)));
        let holders: Vec<&str> = retained.iter().map(|retained| retained.holder.as_str()).collect();
        let message = format!(
            "{}, which cannot become free while this `fit` runs: {}; at most {} can become free. Use fewer workers, or fewer resources for each, leave resources free for them, or train in place (ScalingConfig::in_place)",
            self.describe(),
            holders.join(", "),
            amounts(obtainable)
        );
        ray::Error::other(NotAdmitted { message })
    }

    /// The error of a request that was not granted in time. `granted` workers had their resources, and have returned them when the
    /// user reads this.
    fn timed_out(&self, granted: usize) -> ray::Error {
        let available = ray::available_resources().unwrap_or_default();
        let free = self.resources.iter().map(|(name, amount)| (name, left_of(&available, name, &[]) + amount * granted as f64));
        let free = amounts(free);
        let mut holders = describe_all();
        // If the caller is in a group, that group is among them.
        if self.caller.group.is_none() {
            holders.extend(self.retained().into_iter().map(|retained| retained.holder));
        }
        if self.abandoned > 0 {
            holders.push(format!("{} that this run has abandoned hold theirs", worker_count(self.abandoned)));
        }
        holders.push("tasks and other actors hold the rest".to_owned());
        let message = format!(
            "{}, which were not free within {:?}: {free} are free; {}. Wait until their holders end, ask for less, or raise ScalingConfig::wait_for_resources",
            self.describe(),
            self.timeout,
            holders.join(", ")
        );
        ray::Error::other(NotAdmitted { message })
    }
}

/// The amount of a resource in `all` without the retained amounts.
fn left_of(all: &BTreeMap<String, f64>, resource: &str, retained: &[Retained]) -> f64 {
    all.get(resource).copied().unwrap_or(0.0) - retained.iter().map(|retained| retained.amount(resource)).sum::<f64>()
}

/// The plan for a node that has room for `capacity` workers, where abandoned workers take some of the room. None if the room is too
/// small for the minimum, even with substitutes.
fn plan(capacity: usize, min_workers: usize, max_workers: usize, abandoned: usize) -> Option<Plan> {
    if capacity < min_workers {
        return None;
    }
    let room = capacity.saturating_sub(abandoned);
    let substitutes = min_workers.saturating_sub(room);
    Some(Plan { workers: max_workers.min(room + substitutes), substitutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutes_replace_abandoned_workers() {
        assert_eq!(plan(3, 4, 4, 0), None);
        assert_eq!(plan(4, 4, 4, 0), Some(Plan { workers: 4, substitutes: 0 }));
        assert_eq!(plan(4, 4, 4, 1), Some(Plan { workers: 4, substitutes: 1 }));
        assert_eq!(plan(3, 2, 8, 0), Some(Plan { workers: 3, substitutes: 0 }), "as many workers as the node has room for");
        assert_eq!(plan(3, 2, 8, 1), Some(Plan { workers: 2, substitutes: 0 }), "an elastic group becomes smaller");
        assert_eq!(plan(2, 2, 8, 5), Some(Plan { workers: 2, substitutes: 2 }));
    }
}
