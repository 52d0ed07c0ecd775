//! Groups by name, as actors find each other in Ray.
//!
//! A name is of this process. It is free again when its group was destroyed, or all who had joined it have left.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::actor::class::Actor;
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHold;
use crate::base::error::{Error, ErrorKind, Result};
use crate::collective::board::Seat;
use crate::collective::group::{Group, invalid};
use crate::collective::shared::Room;
use crate::collective::trouble;
use crate::engine::thread;

/// A group that has a name.
#[derive(Debug)]
struct Named {
    room: Arc<Room>,
    /// The actors of its ranks, as far as they are known.
    owners: Vec<Option<ActorHold>>,
}

static GROUPS: LazyLock<Mutex<HashMap<String, Named>>> = LazyLock::new(Mutex::default);

impl Named {
    /// Whoever had joined has left, so that the name may be used again.
    fn is_over(&self) -> bool {
        let table = self.room.board.lock();
        let gone = table.places.iter().any(|place| place.seat == Seat::Gone);
        let here = table.places.iter().any(|place| matches!(place.seat, Seat::Out | Seat::In));
        drop(table);
        let actors = &self.room.actors;
        !here && (gone || (!actors.is_empty() && actors.iter().all(|actor| actor.is_dead())))
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

/// Joins the group of that name as member `rank` of `world_size`; the first to come makes it. Returns at once: the first
/// operation waits for the others.
/// [Ray's page](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).
///
/// Called in each actor (or task, or thread), which keeps the [`Group`] for as long as it is a member.
///
/// # Errors
/// `InvalidArgument` if `rank` is not below `world_size`, the group has another size, or the rank is taken.
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
            "{}: rank {rank} of {world_size} members is none of 0 to {}",
            title(name),
            world_size.saturating_sub(1)
        )));
    }
    // Dropped after the lock: with it may go what is left of actors.
    let _former;
    let mut groups = GROUPS.lock();
    _former = if groups.get(name).is_some_and(Named::is_over) { groups.remove(name) } else { None };
    let named = groups
        .entry(name.to_owned())
        .or_insert_with(|| Named { room: Room::new(world_size, title(name), Vec::new(), false), owners: vec![None; world_size] });
    let size = named.room.board.members();
    if size != world_size {
        return Err(invalid(format!(
            "{} has {size} members, not {world_size}: all must say the same, or `destroy_collective_group` it first",
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
    if named.room.board.join(rank) {
        return Ok(Group::of(&named.room, rank));
    }
    let gone = named.room.board.lock().places[rank].seat == Seat::Gone;
    let advice = if gone {
        "and has left: `destroy_collective_group` it, and let all members join again"
    } else {
        "by a handle that is in use: keep that one, or `destroy_collective_group` it first"
    };
    Err(invalid(format!("{}: rank {rank} was taken before, {advice}", title(name))))
}

/// Makes a group of those actors, the i-th of which has rank i; each of them takes its handle with [`get_group`].
/// [Ray's page](https://docs.ray.io/en/latest/ray-more-libs/ray-collective.html).
///
/// The death of an actor breaks the group, also before it has taken its handle.
///
/// # Errors
/// `InvalidArgument` if there are no actors, one is there twice, or the name is that of a living group.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray::__private::Actor;
/// use ray::ActorHandle;
/// use ray::collective::{create_collective_group, get_group};
///
/// // Once, by whoever has made the actors; in a method of each of them: `self.group = Some(get_group("workers")?)`.
/// fn connect<Worker: Actor>(workers: &[ActorHandle<Worker>]) -> ray::Result<()> {
///     create_collective_group("workers", workers)
/// }
/// ```
pub fn create_collective_group<'a, A: Actor>(name: &str, actors: impl IntoIterator<Item = &'a ActorHandle<A>>) -> Result<()> {
    let actors: Vec<ActorHold> = actors.into_iter().map(ActorHandle::hold).collect();
    if actors.is_empty() {
        return Err(invalid(format!("{} of no actors: it has one at least", title(name))));
    }
    let twice = (1..actors.len()).find(|at| actors[..*at].iter().any(|other| other.head() == actors[*at].head()));
    if let Some(rank) = twice {
        return Err(invalid(format!("{}: the actor of rank {rank} has a lower rank already: name each once", title(name))));
    }
    // Dropped after the lock: with it may go what is left of actors.
    let _former;
    let mut groups = GROUPS.lock();
    if groups.get(name).is_some_and(|named| !named.is_over()) {
        return Err(invalid(format!("{} exists: take another name, or `destroy_collective_group` it first", title(name))));
    }
    let owners = actors.iter().cloned().map(Some).collect();
    let room = Room::new(actors.len(), title(name), actors, false);
    _former = groups.insert(name.to_owned(), Named { room, owners });
    Ok(())
}

/// The running actor's handle of a group that [`create_collective_group`] made. Given once: the actor keeps it, and leaves the
/// group when it is dropped.
///
/// # Errors
/// `InvalidArgument` outside of an actor, or if there is no such group, the actor is no member of it, or has taken its handle.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(ray::collective::get_group("nobody's").unwrap_err().is_invalid_argument());
/// ```
pub fn get_group(name: &str) -> Result<Group> {
    of_this_actor(name, |named, rank| take(name, named, rank))
}

/// The running actor's rank in the group of that name. A [`Group`] tells its own: [`Group::rank`].
///
/// # Errors
/// `InvalidArgument` outside of an actor, or if there is no such group, or the actor is no member of it.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(ray::collective::get_rank("nobody's").is_err());
/// ```
pub fn get_rank(name: &str) -> Result<usize> {
    of_this_actor(name, |_, rank| Ok(rank))
}

/// How many members the group of that name has.
///
/// # Errors
/// `InvalidArgument` if there is no such group.
///
/// ```
/// # extern crate ray_core as ray;
/// let _first = ray::collective::init_collective_group("five", 5, 0)?;
/// assert_eq!(ray::collective::get_collective_group_size("five")?, 5);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn get_collective_group_size(name: &str) -> Result<usize> {
    GROUPS.lock().get(name).map(|named| named.room.board.members()).ok_or_else(|| unknown(name))
}

/// Whether there is a group of that name: made, not destroyed, and not left by all who had joined.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(!ray::collective::is_group_initialized("nobody's"));
/// ```
#[must_use]
pub fn is_group_initialized(name: &str) -> bool {
    GROUPS.lock().get(name).is_some_and(|named| !named.is_over())
}

/// Ends the group of that name, whose members' operations are errors from now on, and frees the name; `false`: there was
/// none. So each member may call it, as in Ray, when all have had their last operation.
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
    // Dropped after the lock, as above.
    let named = GROUPS.lock().remove(name);
    match named {
        Some(named) => {
            named.room.poison(trouble::destroyed(&named.room.title));
            true
        }
        None => false,
    }
}

fn of_this_actor<R>(name: &str, act: impl FnOnce(&Named, usize) -> Result<R>) -> Result<R> {
    let groups = GROUPS.lock();
    let named = groups.get(name).ok_or_else(|| unknown(name))?;
    let Some(actor) = this_actor() else {
        return Err(invalid(format!("{}: only an actor has a rank by name; elsewhere ask the `Group` itself", title(name))));
    };
    match named.rank_of(&actor) {
        Some(rank) => act(named, rank),
        None => Err(invalid(format!(
            "{}: this actor is no member of it: name it in `create_collective_group`, or let it `init_collective_group`",
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
