//! Groups by name, as in Ray.
//!
//! A name belongs to this process. It is free again when its group was destroyed, or when all members that had joined have left.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::actor::class::Actor;
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHold;
use crate::base::error::{Error, ErrorKind, Result};
use crate::collective::errors;
use crate::collective::group::{Group, invalid};
use crate::collective::local::LocalGroup;
use crate::collective::rendezvous::MemberState;
use crate::engine::thread;

/// A group that has a name.
#[derive(Debug)]
struct Named {
    group: Arc<LocalGroup>,
    /// The actor of each rank, if it is known.
    owners: Vec<Option<ActorHold>>,
}

static GROUPS: LazyLock<Mutex<HashMap<String, Named>>> = LazyLock::new(Mutex::default);

impl Named {
    /// Whether all members that had joined have left, or all actors of the group are dead: the name may be used again.
    fn is_over(&self) -> bool {
        let table = self.group.rendezvous.lock();
        let left = table.members.iter().any(|member| member.state == MemberState::Left);
        let here = table.members.iter().any(|member| matches!(member.state, MemberState::Outside | MemberState::Inside));
        drop(table);
        let actors = &self.group.actors;
        !here && (left || (!actors.is_empty() && actors.iter().all(|actor| actor.is_dead())))
    }

    fn rank_of(&self, actor: &ActorHold) -> Option<usize> {
        self.owners.iter().position(|owner| owner.as_ref().is_some_and(|owner| owner.head() == actor.head()))
    }
}

/// The actor whose body runs on this thread.
fn this_actor() -> Option<ActorHold> {
    crate::actor::host::hold_of_frame(thread::existing()?.frame()?)
}

fn title(name: &str) -> String {
    format!("the collective group `{name}`")
}

/// Joins the group `name` as member `rank` of `world_size`; the first call makes the group. Returns at once: the first
/// operation waits for the other members.
/// [Ray's page](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).
///
/// Called in each actor (or task, or thread), which keeps the [`Group`] for as long as it is a member.
///
/// # Errors
/// `InvalidArgument` if `rank` is not below `world_size`, the group has another size, or the rank was taken before.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::{Sum, init_collective_group};
///
/// let total = |rank, mine: i64| {
///     let body = move || -> ray::Result<i64> {
///         let mut group = init_collective_group("workers", 2, rank)?; // an actor does it in `new`, and keeps it
///         let mut all = [mine];
///         group.allreduce(&mut all, Sum)?;
///         Ok(all[0])
///     };
///     ray::task(body).num_cpus(0.0).remote()
/// };
/// for total in [total(0, 30), total(1, 12)] {
///     assert_eq!(ray::get(total)?, 42);
/// }
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init_collective_group(name: &str, world_size: usize, rank: usize) -> Result<Group> {
    if rank >= world_size {
        return Err(invalid(format!(
            "{}: rank {rank} of {world_size} members is not in 0 to {}",
            title(name),
            world_size.saturating_sub(1)
        )));
    }
    // Dropped after the lock is released, because the drop may free actors.
    let _former;
    let mut groups = GROUPS.lock();
    _former = if groups.get(name).is_some_and(Named::is_over) { groups.remove(name) } else { None };
    let named = groups.entry(name.to_owned()).or_insert_with(|| Named {
        group: LocalGroup::new(world_size, title(name), Vec::new(), false),
        owners: vec![None; world_size],
    });
    let size = named.group.rendezvous.members();
    if size != world_size {
        return Err(invalid(format!(
            "{} has {size} members, not {world_size}: give the same size in all calls, or call `destroy_collective_group` first",
            title(name)
        )));
    }
    let group = take(name, named, rank)?;
    if let Some(actor) = this_actor() {
        named.owners[rank] = Some(actor);
    }
    Ok(group)
}

fn take(name: &str, named: &Named, rank: usize) -> Result<Group> {
    if named.group.rendezvous.join(rank) {
        return Ok(Group::of(&named.group, rank));
    }
    let left = named.group.rendezvous.lock().members[rank].state == MemberState::Left;
    let advice = if left {
        "and has left: call `destroy_collective_group`, and let all members join again"
    } else {
        "by a handle that is in use: keep that handle, or call `destroy_collective_group` first"
    };
    Err(invalid(format!("{}: rank {rank} was taken before, {advice}", title(name))))
}

/// Makes the group `name` of `actors`, the i-th of which has rank i. Each actor takes its handle with [`get_group`].
/// [Ray's page](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).
///
/// The death of an actor breaks the group, even before it has taken its handle.
///
/// # Errors
/// `InvalidArgument` if `actors` is empty, names an actor twice, or a group of that name exists.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray::__private::Actor;
/// use ray::ActorHandle;
/// use ray::collective::{create_collective_group, get_group};
///
/// // Called once, where the actors were made. A method of each actor then does `self.group = Some(get_group("workers")?)`.
/// fn connect<Worker: Actor>(workers: &[ActorHandle<Worker>]) -> ray::Result<()> {
///     create_collective_group("workers", workers)
/// }
/// ```
pub fn create_collective_group<'a, A: Actor>(name: &str, actors: impl IntoIterator<Item = &'a ActorHandle<A>>) -> Result<()> {
    let actors: Vec<ActorHold> = actors.into_iter().map(ActorHandle::hold).collect();
    if actors.is_empty() {
        return Err(invalid(format!("{} needs at least one actor", title(name))));
    }
    let twice = (1..actors.len()).find(|at| actors[..*at].iter().any(|other| other.head() == actors[*at].head()));
    if let Some(rank) = twice {
        return Err(invalid(format!("{}: the actor of rank {rank} has a lower rank already: give each actor once", title(name))));
    }
    // Dropped after the lock is released, because the drop may free actors.
    let _former;
    let mut groups = GROUPS.lock();
    if groups.get(name).is_some_and(|named| !named.is_over()) {
        return Err(invalid(format!("{} exists: take another name, or call `destroy_collective_group` first", title(name))));
    }
    let owners = actors.iter().cloned().map(Some).collect();
    let group = LocalGroup::new(actors.len(), title(name), actors, false);
    _former = groups.insert(name.to_owned(), Named { group, owners });
    Ok(())
}

/// The handle of the actor that calls this, in a group that [`create_collective_group`] made. It is given once: the actor keeps
/// it, and leaves the group when it drops the handle.
///
/// # Errors
/// `InvalidArgument` outside of an actor, if there is no group `name`, if the actor is no member of it, or if its handle was
/// taken before.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(ray::collective::get_group("unknown").unwrap_err().is_invalid_argument());
/// ```
pub fn get_group(name: &str) -> Result<Group> {
    of_this_actor(name, |named, rank| take(name, named, rank))
}

/// The rank, in the group `name`, of the actor that calls this. A [`Group`] handle has its rank itself: [`Group::rank`].
///
/// # Errors
/// `InvalidArgument` outside of an actor, if there is no group `name`, or if the actor is no member of it.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(ray::collective::get_rank("unknown").is_err());
/// ```
pub fn get_rank(name: &str) -> Result<usize> {
    of_this_actor(name, |_, rank| Ok(rank))
}

/// How many members the group `name` has.
///
/// # Errors
/// `InvalidArgument` if there is no group `name`.
///
/// ```
/// # extern crate ray_core as ray;
/// let _first = ray::collective::init_collective_group("five", 5, 0)?;
/// assert_eq!(ray::collective::get_collective_group_size("five")?, 5);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn get_collective_group_size(name: &str) -> Result<usize> {
    GROUPS.lock().get(name).map(|named| named.group.rendezvous.members()).ok_or_else(|| unknown(name))
}

/// Whether there is a group `name` that was not destroyed, and that not all members that had joined have left.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(!ray::collective::is_group_initialized("unknown"));
/// ```
#[must_use]
pub fn is_group_initialized(name: &str) -> bool {
    GROUPS.lock().get(name).is_some_and(|named| !named.is_over())
}

/// Ends the group `name` and frees the name: its members' operations return errors from now on. `false`: there was no such
/// group. So each member may call it, as in Ray, when all members have had their last operation.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::collective::{destroy_collective_group, init_collective_group};
/// let mut group = init_collective_group("short", 1, 0)?;
/// group.barrier()?;
/// assert!(destroy_collective_group("short"));
/// assert!(group.barrier().unwrap_err().is_collective());
/// assert!(!destroy_collective_group("short"));
/// # Ok::<(), ray::Error>(())
/// ```
pub fn destroy_collective_group(name: &str) -> bool {
    // Dropped after the lock is released, because the drop may free actors.
    let named = GROUPS.lock().remove(name);
    match named {
        Some(named) => {
            named.group.poison(errors::destroyed(&named.group.title));
            true
        }
        None => false,
    }
}

fn of_this_actor<R>(name: &str, act: impl FnOnce(&Named, usize) -> Result<R>) -> Result<R> {
    let groups = GROUPS.lock();
    let named = groups.get(name).ok_or_else(|| unknown(name))?;
    let Some(actor) = this_actor() else {
        return Err(invalid(format!(
            "{}: only a method of an actor can look up its rank by name; elsewhere use the `Group` handle",
            title(name)
        )));
    };
    match named.rank_of(&actor) {
        Some(rank) => act(named, rank),
        None => Err(invalid(format!(
            "{}: this actor is no member: give it to `create_collective_group`, or call `init_collective_group` in it",
            title(name)
        ))),
    }
}

fn unknown(name: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!("no collective group is named `{name}`: make it with `create_collective_group` or `init_collective_group`"),
    )
}
