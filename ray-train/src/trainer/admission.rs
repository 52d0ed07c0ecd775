//! A group's workers get their resources, all together or none.
//!
//! Each worker's actor asks for its own; the engine grants one after the other. Only one group of the process asks at a time,
//! so no two of them hold a half each and wait for the other's.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ray::{ActorHandle, ObjectRef, WeakActorHandle};

use super::caller::Caller;
use super::door::lock;
use super::interrupt::Watch;
use super::worker::Worker;
use crate::config::Share;
use crate::faults::{NotAdmitted, failed};

/// How often it is looked at whether Ctrl-C was pressed.
pub(crate) const SLICE: Duration = Duration::from_millis(100);

/// What an elastic group waits for more than the least: what is free is granted within microseconds.
const MORE: Duration = Duration::from_millis(200);

/// Nobody waits longer, and the system's clock does not go much further.
const AGES: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The groups of this process, and whether one of them is being admitted.
static GROUPS: Mutex<Groups> = Mutex::new(Groups { admitting: false, admitted: Vec::new(), next: 0 });
static FREED: Condvar = Condvar::new();

struct Groups {
    admitting: bool,
    admitted: Vec<Entry>,
    next: u64,
}

struct Entry {
    number: u64,
    run: String,
    path: PathBuf,
    share: Share,
    /// How many of its workers hold their share; the others stand in for workers that were left behind with theirs.
    holding: usize,
    /// The group that waits for this one: the run's `fit` was called in its loop.
    waiting: Option<u64>,
    workers: Vec<WeakActorHandle<Worker>>,
}

impl Entry {
    fn title(&self) -> String {
        format!("the run `{}` holds {} of {}", self.run, count(self.holding), amounts(self.share.iter()))
    }
}

/// What a group asks for.
pub(crate) struct Request<'a> {
    pub(crate) run: &'a str,
    pub(crate) path: &'a Path,
    pub(crate) share: Share,
    pub(crate) least: usize,
    pub(crate) most: usize,
    /// Workers of this run's former groups that are still in code of their own, and hold what they hold.
    pub(crate) left_behind: usize,
    pub(crate) longest: Duration,
    pub(crate) caller: &'a Caller,
}

/// A group that has its resources: its workers, killed when this goes.
pub(crate) struct Admitted {
    pub(crate) number: u64,
    pub(crate) workers: Vec<ActorHandle<Worker>>,
}

impl Admitted {
    /// Ends the workers. What they hold is free again, but for those that are in code of their own.
    pub(crate) fn end(&self) {
        self.workers.iter().for_each(ray::kill);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.end();
        lock(&GROUPS).admitted.retain(|entry| entry.number != self.number);
    }
}

/// The turn of the one group that is being admitted.
struct Turn;

impl Turn {
    fn wait(deadline: Instant, watch: &Watch) -> Option<Turn> {
        let mut groups = lock(&GROUPS);
        while groups.admitting {
            if watch.is_raised() || Instant::now() >= deadline {
                return None;
            }
            groups = FREED.wait_timeout(groups, SLICE).unwrap_or_else(PoisonError::into_inner).0;
        }
        groups.admitting = true;
        Some(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&GROUPS).admitting = false;
        FREED.notify_one();
    }
}

/// Makes the workers and waits until they have their resources. None: Ctrl-C was pressed.
///
/// # Errors
/// [`NotAdmitted`]; the engine's own.
pub(crate) fn admit(request: &Request<'_>, watch: &Watch) -> ray::Result<Option<Admitted>> {
    let Plan { workers, substitutes } = request.plan()?;
    let deadline = Instant::now() + request.longest.min(AGES);
    let Some(_turn) = Turn::wait(deadline, watch) else {
        return if watch.is_raised() { Ok(None) } else { Err(request.in_vain(0)) };
    };
    let nothing = Share { cpus: 0.0, gpus: 0.0, memory: 0, custom: Vec::new() };
    let mut candidates = Candidates::default();
    for number in 0..workers {
        candidates.add(worker(if number < substitutes { &nothing } else { &request.share })?);
    }
    let granted = candidates.await_ready(request.least, deadline, watch)?;
    if watch.is_raised() {
        return Ok(None);
    }
    if granted.len() < request.least {
        return Err(request.in_vain(granted.iter().filter(|at| **at >= substitutes).count()));
    }
    let more = if workers > request.least { candidates.await_ready(workers, Instant::now() + MORE, watch)? } else { granted };
    let holding = more.iter().filter(|at| **at >= substitutes).count();
    let workers = candidates.take(&more);
    let mut groups = lock(&GROUPS);
    groups.next += 1;
    let number = groups.next;
    groups.admitted.push(Entry {
        number,
        run: request.run.to_owned(),
        path: request.path.to_owned(),
        share: request.share.clone(),
        holding,
        waiting: request.caller.group,
        workers: workers.iter().map(ActorHandle::downgrade).collect(),
    });
    Ok(Some(Admitted { number, workers }))
}

/// The worker of a rank, if its group is among those of this process.
pub(crate) fn find(path: &Path, rank: usize) -> ray::Result<ActorHandle<Worker>> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let groups = lock(&GROUPS);
    let group = groups.admitted.iter().find(|entry| entry.path == real);
    let group = group.ok_or_else(|| failed(format!("no run in {} is under way in this process", path.display())))?;
    let worker = group.workers.get(rank).and_then(WeakActorHandle::upgrade);
    worker.ok_or_else(|| {
        failed(format!("the run `{}` has {} workers, and no living one of rank {rank}", group.run, group.workers.len()))
    })
}

fn worker(share: &Share) -> ray::Result<ActorHandle<Worker>> {
    let mut options = Worker::options().num_cpus(share.cpus).num_gpus(share.gpus).memory(share.memory);
    for (name, amount) in &share.custom {
        options = options.resource(name.clone(), *amount);
    }
    options.try_remote()
}

/// Workers that have yet to be admitted, and what is ready when they are; killed if they are not.
#[derive(Default)]
struct Candidates {
    workers: Vec<ActorHandle<Worker>>,
    ready: Vec<ObjectRef<()>>,
}

impl Drop for Candidates {
    fn drop(&mut self) {
        for (worker, ready) in self.workers.iter().zip(&self.ready) {
            ray::kill(worker);
            // That it is dead is known here, and needs no line in the log.
            let _ = ray::get_timeout(ready, Duration::ZERO);
        }
    }
}

impl Candidates {
    fn add(&mut self, worker: ActorHandle<Worker>) {
        self.ready.push(worker.ready());
        self.workers.push(worker);
    }

    /// These are admitted, the others are not.
    fn take(mut self, admitted: &[usize]) -> Vec<ActorHandle<Worker>> {
        let mut taken = Vec::new();
        for at in admitted.iter().rev() {
            drop(self.ready.remove(*at));
            taken.push(self.workers.remove(*at));
        }
        taken.reverse();
        taken
    }

    /// Waits until so many have their resources; which ones do then. As [`Board::await_event`](super::door::Board::await_event)
    /// this is no wait of the engine's.
    fn await_ready(&self, least: usize, deadline: Instant, watch: &Watch) -> ray::Result<Vec<usize>> {
        let ready = &self.ready;
        let there = Arc::new((Mutex::new(0), Condvar::new()));
        for object in ready {
            let there = Arc::clone(&there);
            object.on_ready(move || {
                *lock(&there.0) += 1;
                there.1.notify_one();
            });
        }
        let mut count = lock(&there.0);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if *count >= least || left.is_zero() || watch.is_raised() {
                break;
            }
            count = there.1.wait_timeout(count, left.min(SLICE)).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(count);
        let granted: Vec<usize> = (0..ready.len()).filter(|at| ready[*at].is_ready()).collect();
        // A worker that is dead is as ready as one that is not.
        granted.iter().try_for_each(|at| ray::get(&ready[*at]))?;
        Ok(granted)
    }
}

/// Resources that stay where they are until a group has ended.
struct Kept {
    /// The holder and what it holds, as a part of a sentence.
    holder: String,
    held: Vec<(String, f64)>,
}

impl Kept {
    fn amount(&self, of: &str) -> f64 {
        self.held.iter().filter(|(name, _)| name == of).map(|(_, amount)| amount).sum()
    }
}

/// How many workers are made, and how many of them without resources, because one that was left behind has theirs.
#[derive(Debug, PartialEq)]
struct Plan {
    workers: usize,
    substitutes: usize,
}

impl Request<'_> {
    fn plan(&self) -> ray::Result<Plan> {
        let there = ray::cluster_resources()?;
        let kept = self.kept();
        let fits = |(name, amount): (&str, f64), kept: &[Kept]| {
            let kept: f64 = kept.iter().map(|kept| kept.amount(name)).sum();
            // Amounts are exact to a ten-thousandth.
            let there = there.get(name).copied().unwrap_or(0.0) - kept;
            ((there + 0.00005) / amount).floor().max(0.0) as usize
        };
        let capacity = |kept: &[Kept]| self.share.iter().map(|share| fits(share, kept)).min().unwrap_or(usize::MAX);
        if capacity(&[]) < self.least {
            return Err(self.impossible(&there));
        }
        plan(capacity(&kept), self.least, self.most, self.left_behind).ok_or_else(|| self.never_free(&there, &kept))
    }

    /// Everything that cannot become free before this group has ended: the groups that wait for it hold their shares, and the
    /// caller holds its own.
    fn kept(&self) -> Vec<Kept> {
        let mut kept = Vec::new();
        let groups = lock(&GROUPS);
        let mut waiting = self.caller.group;
        while let Some(group) = waiting.and_then(|number| groups.admitted.iter().find(|group| group.number == number)) {
            let times = group.holding as f64;
            let held = group.share.iter().map(|(name, amount)| (name.to_owned(), amount * times)).collect();
            kept.push(Kept { holder: group.title(), held });
            waiting = group.waiting;
        }
        drop(groups);
        // A rank's own share is its group's.
        if kept.is_empty()
            && let Some(caller) = self.caller.title()
        {
            let held = self.caller.keeps();
            if !held.is_empty() {
                let amounts = amounts(held.iter().map(|(name, amount)| (name.as_str(), *amount)));
                kept.push(Kept { holder: format!("{caller}, which called `fit`, holds {amounts} itself"), held });
            }
        }
        kept
    }

    fn title(&self) -> String {
        let share = amounts(self.share.iter());
        format!("the run `{}` asks for {} of {share} each", self.run, count(self.least))
    }

    fn impossible(&self, there: &std::collections::BTreeMap<String, f64>) -> ray::Error {
        let need: Vec<String> =
            self.share.iter().map(|(name, amount)| format!("{name} {}", amount * self.least as f64)).collect();
        let asked = self.share.iter().map(|(name, _)| (name, there.get(name).copied().unwrap_or(0.0)));
        let message = format!(
            "{}, in all {}, but the node has {}: take fewer workers or less for each, or start the engine with more (ray::init_with and a Config{})",
            self.title(),
            need.join(", "),
            amounts(asked),
            if self.share.gpus > 0.0 { "; `.num_gpus(ray_train::Device::gpus())` tells it of the machine's GPUs" } else { "" }
        );
        ray::Error::other(NotAdmitted { message })
    }

    /// The node has enough, and not without what is kept until this group has ended.
    fn never_free(&self, there: &std::collections::BTreeMap<String, f64>, kept: &[Kept]) -> ray::Error {
        let free = self.share.iter().map(|(name, _)| {
            let kept: f64 = kept.iter().map(|kept| kept.amount(name)).sum();
            (name, (there.get(name).copied().unwrap_or(0.0) - kept).max(0.0))
        });
        let holders: Vec<&str> = kept.iter().map(|kept| kept.holder.as_str()).collect();
        let message = format!(
            "{}, and cannot get them, however long it waits: {}, until this `fit` has ended; besides that, free are {} at most. Take fewer workers or less for each, leave something free for them, or train in place (ScalingConfig::in_place)",
            self.title(),
            holders.join(", "),
            amounts(free)
        );
        ray::Error::other(NotAdmitted { message })
    }

    /// So many workers had been granted theirs, which is free again when this is read.
    fn in_vain(&self, granted: usize) -> ray::Error {
        let free = ray::available_resources().unwrap_or_default();
        let free =
            self.share.iter().map(|(name, amount)| (name, free.get(name).copied().unwrap_or(0.0) + amount * granted as f64));
        let free = amounts(free);
        let mut holders: Vec<String> = lock(&GROUPS).admitted.iter().map(Entry::title).collect();
        // The groups among them are there already.
        let caller = self.kept().into_iter().filter(|_| self.caller.group.is_none());
        holders.extend(caller.map(|kept| kept.holder));
        if self.left_behind > 0 {
            holders
                .push(format!("{} of this run that were left behind in code of their own hold theirs", count(self.left_behind)));
        }
        holders.push("tasks and other actors hold the rest".to_owned());
        let message = format!(
            "{}, and did not get them in {:?}: free are {free}; {}. Wait for their end, ask for less, or raise ScalingConfig::wait_for_resources",
            self.title(),
            self.longest,
            holders.join(", ")
        );
        ray::Error::other(NotAdmitted { message })
    }
}

/// What can be made of a node that has room for `capacity` workers, of which those left behind take some.
fn plan(capacity: usize, least: usize, most: usize, left_behind: usize) -> Option<Plan> {
    if capacity < least {
        return None;
    }
    let room = capacity.saturating_sub(left_behind);
    let substitutes = least.saturating_sub(room);
    Some(Plan { workers: most.min(room + substitutes), substitutes })
}

fn count(workers: usize) -> String {
    if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") }
}

fn amounts<'a>(amounts: impl Iterator<Item = (&'a str, f64)>) -> String {
    let list: Vec<String> = amounts.map(|(name, amount)| format!("{name}: {amount}")).collect();
    format!("{{{}}}", list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_were_left_behind_are_stood_in_for() {
        assert_eq!(plan(3, 4, 4, 0), None);
        assert_eq!(plan(4, 4, 4, 0), Some(Plan { workers: 4, substitutes: 0 }));
        assert_eq!(plan(4, 4, 4, 1), Some(Plan { workers: 4, substitutes: 1 }));
        assert_eq!(plan(3, 2, 8, 0), Some(Plan { workers: 3, substitutes: 0 }), "as many as can be had");
        assert_eq!(plan(3, 2, 8, 1), Some(Plan { workers: 2, substitutes: 0 }), "an elastic group goes on smaller");
        assert_eq!(plan(2, 2, 8, 5), Some(Plan { workers: 2, substitutes: 2 }));
    }
}
