//! Reserving and removing placement groups, and the claims of work in them. [`group`](crate::engine::group) has the states and rules.

use std::sync::Arc;
use std::time::Instant;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::PlacementGroupId;
use crate::base::placement::Lifetime;
use crate::base::placement_group::{PlacementGroup, PlacementGroupSpec};
use crate::base::resources::Resources;
use crate::engine::claim::{is_wanted, key_of, serve_claims, start_granted};
use crate::engine::engine::{Engine, Reserving, Start};
use crate::engine::group::{Group, Held, Inside, PlacementGroupState, removed};
use crate::engine::returning::{Return, Seat};
use crate::object::entry::Hold;
use crate::sched::bundles::Bundles;
use crate::sched::claims::{Grant, Granted, Key, Shape, Term};
use crate::sched::gpus::{Gpus, Share};
use crate::task::head::TaskHead;

/// Makes a group, which waits for its resources beside the claims of tasks and actors.
///
/// # Errors
/// `Infeasible`: the node does not have the resources. `InvalidArgument`: another group has the name.
pub(crate) fn create(engine: &Engine, spec: PlacementGroupSpec, lifetime: Lifetime) -> Result<PlacementGroup> {
    let bundles = &spec.bundles;
    engine.total().check_covers(&spec.total, &format_args!("a placement group of {} bundle(s)", bundles.len()))?;
    if !Gpus::of_node(engine.total().gpu).fit_all(bundles) {
        let what = format!(
            "the bundles {bundles:?} of a placement group ask for parts of GPUs that the {} GPU(s) of the node cannot have together, since each fraction is a part of one GPU: ask for smaller fractions, or pass a Config with more GPUs to `ray::init_with`",
            engine.total().num_gpus()
        );
        return Err(Error::new(ErrorKind::Infeasible, what));
    }
    let id = PlacementGroupId::from_raw(crate::base::id::fresh());
    let handle = PlacementGroup::new(id, engine.epoch, Arc::clone(bundles));
    let group = Group::new(handle.clone(), spec, lifetime);
    engine.groups.enter(&group)?;
    let shape = Shape::of(group.total.clone(), Term::Life);
    let (key, parts) = (group.key(), Arc::clone(handle.shared_bundles()));
    {
        let mut node = engine.claims.lock();
        node.claims.claim_start(key, shape, Some(parts), Start::Group(group), Instant::now());
        crate::engine::claim::count_claims(engine, &mut node);
    }
    serve_claims(engine);
    crate::engine::queue::notify(engine);
    Ok(handle)
}

impl Reserving for Group {
    fn reserved(self: Arc<Self>, engine: &Engine, gpus: Vec<Share>) {
        let promise = {
            let mut inside = self.inside.lock();
            if inside.state == PlacementGroupState::Removed {
                drop(inside);
                engine.cpu.end_of_life(self.total.cpu());
                give_to_node(engine, self.handle.bundle_specs().iter().zip(&gpus).map(|(spec, gpus)| (spec, gpus, 0)));
                return;
            }
            inside.bundles = Bundles::new(self.handle.bundle_specs(), gpus);
            inside.state = PlacementGroupState::Created;
            inside.promise.take()
        };
        if let Some(promise) = promise {
            promise.fulfil(self.handle.clone());
        }
        serve(engine, &self);
    }
}

/// Gives resources of a group back to the node: amounts, GPUs, and CPU units that are overdrawn.
fn give_to_node<'a>(engine: &Engine, parts: impl Iterator<Item = (&'a Resources, &'a Share, u64)>) {
    let mut cpu = 0;
    {
        let mut node = engine.claims.lock();
        for (part, gpus, overdrawn) in parts {
            node.give_back_part(part, gpus);
            cpu += part.cpu();
            engine.cpu.overdraw(overdrawn);
        }
    }
    let _ = engine.cpu.give(cpu);
    serve_claims(engine);
}

/// Removes a group: its waiting and running tasks fail, and its actors die. Does nothing for a removed group.
pub(crate) fn remove(engine: &Engine, group: &Arc<Group>) {
    let (was, promise, starts, returns, free, held) = {
        let mut inside = group.inside.lock();
        let was = std::mem::replace(&mut inside.state, PlacementGroupState::Removed);
        if was == PlacementGroupState::Removed {
            return;
        }
        let starts = inside.claims.take_starts();
        let mut returns = Vec::new();
        while let Some(claim) = inside.claims.take_return() {
            returns.push(claim);
        }
        engine.groups.remove_claims(starts.len() + returns.len());
        let held: Vec<Hold> = inside.held.values().map(|held| held.work.clone()).collect();
        (was, inside.promise.take(), starts, returns, inside.bundles.take_all(), held)
    };
    engine.groups.free_name(group);
    if held.is_empty() {
        engine.groups.forget(group);
    }
    let error = group.removed();
    if was == PlacementGroupState::Pending {
        // A claim that was served meanwhile is given back by `reserved`.
        crate::engine::claim::withdraw_claim(engine, group.key());
    } else {
        // What actors of the group still hold they give back soon, like tasks, when their bodies have ended.
        engine.cpu.end_of_life(group.total.cpu());
        {
            let mut node = engine.claims.lock();
            returns.into_iter().for_each(|(units, getter)| node.claims.claim_return(0, units, getter));
            crate::engine::claim::count_claims(engine, &mut node);
        }
        give_to_node(engine, free.iter().map(|(part, gpus, overdrawn)| (part, gpus, *overdrawn)));
    }
    if let Some(promise) = promise {
        promise.fail_quietly(error.clone());
    }
    for work in starts.into_iter().chain(held) {
        refuse(engine, &work, &error);
    }
    crate::engine::queue::notify(engine);
}

/// Fails a task because its group was removed, or ends the actor of a creation.
fn refuse(engine: &Engine, work: &Hold, error: &Error) {
    let Some(head) = work.task() else { return };
    if let Some(for_life) = &head.vtable().kind.for_life {
        (for_life.group_removed)(head, error.clone());
        return;
    }
    if work.abort(head.blame(error.clone())) {
        (head.vtable().kind.dependency_failed)(head);
    }
    if head.vtable().is_async {
        // As `engine::future` does for a canceller.
        if let Some(future) = engine.futures.handle(work.entry()) {
            future.abort();
        }
    }
}

/// The id of the group of a task or a creation.
pub(crate) fn id_of(head: &TaskHead) -> Option<PlacementGroupId> {
    head.extra()?.settings.in_group().map(|place| place.group.id())
}

/// Enters a task or a creation in the claims of its group.
#[cold]
pub(crate) fn claim(engine: &Engine, task: Hold) {
    let Some(head) = task.task() else { return };
    let Some(settings) = head.extra().map(|extra| &extra.settings) else { return };
    let Some(place) = settings.in_group() else { return };
    let Some(group) = engine.groups.find(place.group.id()) else {
        refuse(engine, &task, &removed(place.group, None));
        return;
    };
    let (key, term) = key_of(head);
    let shape = Shape { demand: settings.resources.clone(), term, place: place.bundle };
    {
        let mut inside = group.inside.lock();
        if inside.state == PlacementGroupState::Removed {
            drop(inside);
            refuse(engine, &task, &group.removed());
            return;
        }
        if !is_wanted(head) {
            // The task was cancelled, or its actor was killed.
            drop(inside);
            drop(task);
            return;
        }
        inside.claims.claim_start(key, shape, None, task, Instant::now());
        engine.groups.add_claim();
    }
    serve(engine, &group);
    crate::engine::queue::notify(engine);
}

/// Withdraws the claim of a task or a creation; `false`: it has none.
pub(crate) fn withdraw(engine: &Engine, id: PlacementGroupId, key: Key) -> bool {
    let Some(group) = engine.groups.find(id) else { return false };
    let withdrawn = group.inside.lock().claims.withdraw_start(key);
    if withdrawn.is_none() {
        return false;
    }
    engine.groups.remove_claims(1);
    // If the claim kept younger ones waiting, they may be served now.
    serve(engine, &group);
    true
}

/// Serves the claims of a group while there are enough resources.
pub(crate) fn serve(engine: &Engine, group: &Group) {
    let (mut getters, mut starts) = (Vec::new(), Vec::new());
    {
        let mut inside = group.inside.lock();
        if inside.state != PlacementGroupState::Created {
            return;
        }
        let inside = &mut *inside;
        let now = Instant::now();
        while let Some(grant) = inside.claims.next(now, &mut inside.bundles) {
            match grant {
                Grant::Return(getter) => getters.push(getter),
                Grant::Start(Granted { start, key, demand, term, place, shares }) => {
                    let gpus = shares.into_iter().next().unwrap_or_default();
                    starts.push(hold(inside, key, Held { work: start, place, demand, term, gpus }));
                }
            }
        }
        engine.groups.remove_claims(getters.len() + starts.len());
    }
    getters.into_iter().for_each(|getter| getter.grant());
    starts.into_iter().for_each(|task| start_granted(engine, task));
}

/// Lists what a task or an actor was granted; returns the work, which may begin.
fn hold(inside: &mut Inside, key: Key, held: Held) -> Hold {
    let work = held.work.clone();
    inside.held.insert(key, held);
    if let Some(head) = work.task()
        && head.owner().is_none()
    {
        head.mark_granted(true);
    }
    work
}

/// Gives an extra CPU of a bundle to a task that waits for it: to the oldest one for which a thread waits, or to the oldest one. `false`:
/// none waits, or running bodies, which hold `running` CPU units of the bundle, do not hold everything that was taken of it.
pub(crate) fn serve_overdrawn(engine: &Engine, group: &Group, place: usize, running: u64) -> bool {
    let work = {
        let mut inside = group.inside.lock();
        let inside = &mut *inside;
        let total = group.handle.bundle_specs().get(place).map_or(0, Resources::cpu);
        if inside.state != PlacementGroupState::Created
            || inside.bundles.pool(place).is_none_or(|pool| running < pool.taken_cpu(total))
        {
            return false;
        }
        let is_such = |shape: &Shape| inside.bundles.lacks_only_cpu(shape, place);
        let Some((key, shape, work)) = inside.claims.take_start(is_such, |work| work.state.load().has_waiters()) else {
            return false;
        };
        let gpus = inside.bundles.pool(place).and_then(|pool| pool.take_overdrawn(&shape.demand));
        debug_assert!(gpus.is_some(), "only CPUs are missing");
        let held = Held { work, place, demand: shape.demand, term: shape.term, gpus: gpus.unwrap_or_default() };
        hold(inside, key, held)
    };
    engine.groups.remove_claims(1);
    start_granted(engine, work);
    true
}

/// Serves the claims of all groups: a start that was barred may be served now.
pub(crate) fn serve_all(engine: &Engine) {
    engine.groups.all().iter().for_each(|group| serve(engine, group));
}

/// Gives back what a task or an actor was granted in a group.
pub(crate) fn give_back(engine: &Engine, id: PlacementGroupId, key: Key) {
    let Some(group) = engine.groups.find(id) else { return };
    let (held, was_last) = {
        let mut inside = group.inside.lock();
        let inside = &mut *inside;
        let Some(held) = inside.held.remove(&key) else { return };
        let is_removed = inside.state == PlacementGroupState::Removed;
        if !is_removed && let Some(pool) = inside.bundles.pool(held.place) {
            pool.give_back(&held.demand, &held.gpus, held.term);
        }
        (held, is_removed.then_some(inside.held.is_empty()))
    };
    match was_last {
        None => serve(engine, &group),
        Some(was_last) => {
            give_to_node(engine, std::iter::once((&held.demand, &held.gpus, 0)));
            if was_last {
                engine.groups.forget(&group);
            }
        }
    }
}

/// The bundle in which a task or an actor holds CPUs.
pub(crate) fn seat(engine: &Engine, id: PlacementGroupId, key: Key) -> Option<Seat> {
    let group = engine.groups.find(id)?;
    let inside = group.inside.lock();
    inside.held.get(&key).filter(|held| held.demand.cpu() > 0).map(|held| Seat { group: id, place: held.place })
}

/// The GPUs that a task or an actor holds in a group.
pub(crate) fn gpus(engine: &Engine, id: PlacementGroupId, key: Key) -> Share {
    let group = engine.groups.find(id);
    group.and_then(|group| group.inside.lock().held.get(&key).map(|held| held.gpus.clone())).unwrap_or_default()
}

/// Gives CPU units to the bundle, for a body that lends them. `false`: the group was removed, so they belong to the node.
pub(crate) fn give_cpu(engine: &Engine, seat: Seat, units: u64) -> bool {
    let Some(group) = engine.groups.find(seat.group) else { return false };
    {
        let mut inside = group.inside.lock();
        if inside.state == PlacementGroupState::Removed {
            return false;
        }
        if let Some(pool) = inside.bundles.pool(seat.place) {
            pool.give_cpu(units);
        }
    }
    serve(engine, &group);
    true
}

/// Takes CPU units of the bundle that the body has lent, ahead of unstarted tasks; `false`: they are not free, or getters wait for
/// theirs. None: the group was removed, so they belong to the node.
pub(crate) fn take_cpu(engine: &Engine, seat: Seat, units: u64) -> Option<bool> {
    let group = engine.groups.find(seat.group)?;
    let mut inside = group.inside.lock();
    if inside.state == PlacementGroupState::Removed {
        return None;
    }
    let waits = inside.claims.has_returns();
    Some(!waits && inside.bundles.pool(seat.place).is_some_and(|pool| pool.take_cpu(units)))
}

/// Enters the claim of a getter that wants its CPU of the bundle back. `false`: the group was removed, so the CPU belongs to the node.
pub(crate) fn claim_return(engine: &Engine, seat: Seat, units: u64, getter: &Arc<Return>) -> bool {
    let Some(group) = engine.groups.find(seat.group) else { return false };
    {
        let mut inside = group.inside.lock();
        if inside.state == PlacementGroupState::Removed {
            return false;
        }
        inside.claims.claim_return(seat.place, units, Arc::clone(getter));
        engine.groups.add_claim();
    }
    serve(engine, &group);
    true
}

/// Takes all claims out of the groups, for a shutdown: returns the starts, and fails the groups that wait.
pub(crate) fn drain(engine: &Engine) -> Vec<Hold> {
    let mut starts = Vec::new();
    for group in engine.groups.all() {
        let (drained, held, promise) = {
            let mut inside = group.inside.lock();
            (inside.claims.drain(), std::mem::take(&mut inside.held), inside.promise.take())
        };
        starts.extend(drained);
        drop(held);
        if let Some(promise) = promise {
            promise.fail_quietly(crate::base::epoch::gone("the placement group ended with it"));
        }
    }
    starts
}
