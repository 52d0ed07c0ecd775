//! The placement groups of an engine: their table, and the state of each. [`group_claim`](crate::engine::group_claim) has the functions
//! that reserve and remove them, and serve the claims in them.
//!
//! # States
//!
//! ```text
//! Pending ──► Created ──► Removed
//!    └────────────────────────▲
//! ```
//!
//! * `Pending`: the group waits in the claims of the node for all of its resources.
//! * `Created`: its bundles have their resources, and serve the claims in the group.
//! * `Removed`: nothing is served any more.
//!
//! # Rules
//!
//! 1. The state changes under the lock of the group. No thread holds this lock and that of the node's claims together.
//! 2. A task or an actor that is granted is listed in `held`, under its key, until it gives its resources back. So a thread that removes
//!    the group finds either its claim or this entry.
//! 3. A removal gives back to the node what is free in the bundles; what tasks and actors hold goes to the node when they give it
//!    back. A body that has lent its CPU by then takes it again from the node. So bodies of a removed group count for the node's CPUs.
//! 4. A removed group stays in the table until nothing is held any more.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::PlacementGroupId;
use crate::base::placement::Lifetime;
use crate::base::placement_group::{PlacementGroup, PlacementGroupSpec, PlacementStrategy};
use crate::base::resources::Resources;
use crate::engine::returning::Return;
use crate::object::entry::Hold;
use crate::object::object_ref::ObjectRef;
use crate::object::parts::Promise;
use crate::sched::bundles::Bundles;
use crate::sched::claims::{Claims, Key, Term};
use crate::sched::gpus::Share;

/// The state of a placement group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlacementGroupState {
    /// The group waits for its resources.
    Pending,
    /// The group has its resources.
    Created,
    /// The group was removed.
    Removed,
}

/// A placement group.
pub(crate) struct Group {
    pub(crate) handle: PlacementGroup,
    pub(crate) name: Option<String>,
    pub(crate) strategy: PlacementStrategy,
    pub(crate) lifetime: Lifetime,
    /// The sum of the bundles.
    pub(crate) total: Resources,
    /// Ready when the group has its resources.
    pub(crate) ready: ObjectRef<PlacementGroup>,
    pub(crate) inside: Mutex<Inside>,
}

/// What changes in a group.
pub(crate) struct Inside {
    pub(crate) state: PlacementGroupState,
    pub(crate) bundles: Bundles,
    pub(crate) claims: Claims<Arc<Return>, Hold>,
    pub(crate) held: HashMap<Key, Held>,
    /// Settles `Group::ready`.
    pub(crate) promise: Option<Promise<PlacementGroup>>,
}

/// What a task or an actor was granted.
pub(crate) struct Held {
    /// The task, or the creation of the actor.
    pub(crate) work: Hold,
    pub(crate) place: usize,
    pub(crate) demand: Resources,
    pub(crate) term: Term,
    pub(crate) gpus: Share,
}

impl Group {
    pub(crate) fn new(handle: PlacementGroup, spec: PlacementGroupSpec, lifetime: Lifetime) -> Arc<Self> {
        let PlacementGroupSpec { total, strategy, name, .. } = spec;
        let promise = Promise::of(None, handle.epoch);
        let ready = promise.object();
        let inside = Inside {
            state: PlacementGroupState::Pending,
            bundles: Bundles::default(),
            claims: Claims::new(),
            held: HashMap::new(),
            promise: Some(promise),
        };
        Arc::new(Self { handle, name, strategy, lifetime, total, ready, inside: Mutex::new(inside) })
    }

    /// The key of its claim on the node.
    pub(crate) fn key(self: &Arc<Self>) -> Key {
        Key(Arc::as_ptr(self).addr())
    }

    pub(crate) fn state(&self) -> PlacementGroupState {
        self.inside.lock().state
    }

    pub(crate) fn removed(&self) -> Error {
        removed(&self.handle, self.name.as_deref())
    }
}

/// The error of a group that is not there any more.
pub(crate) fn removed(group: &PlacementGroup, name: Option<&str>) -> Error {
    let named = name.map_or_else(String::new, |name| format!(" (named `{name}`)"));
    let what = format!(
        "the placement group {}{named} was removed: make another one with `ray::placement_group`, and remove it only when its work is done",
        group.id()
    );
    Error::new(ErrorKind::PlacementGroupRemoved, what)
}

/// The placement groups of an engine.
#[derive(Default)]
pub(crate) struct Groups {
    table: RwLock<Table>,
    /// The number of claims in all groups.
    claimed: AtomicUsize,
}

#[derive(Default)]
struct Table {
    groups: BTreeMap<PlacementGroupId, Arc<Group>>,
    names: HashMap<String, PlacementGroupId>,
}

impl Groups {
    /// Adds a group.
    ///
    /// # Errors
    /// `InvalidArgument`: another group has the name.
    pub(crate) fn enter(&self, group: &Arc<Group>) -> Result<()> {
        let mut table = self.table.write();
        if let Some(name) = &group.name {
            if let Some(other) = table.names.get(name) {
                let what = format!(
                    "the placement group {other} has the name `{name}`: choose another name, find that group with `ray::get_placement_group`, or remove it"
                );
                return Err(Error::new(ErrorKind::InvalidArgument, what));
            }
            table.names.insert(name.clone(), group.handle.id());
        }
        table.groups.insert(group.handle.id(), Arc::clone(group));
        Ok(())
    }

    pub(crate) fn find(&self, id: PlacementGroupId) -> Option<Arc<Group>> {
        self.table.read().groups.get(&id).cloned()
    }

    /// The group of a handle, unless it was removed.
    ///
    /// # Errors
    /// `PlacementGroupRemoved`.
    pub(crate) fn open(&self, handle: &PlacementGroup) -> Result<Arc<Group>> {
        let group = self.find(handle.id()).ok_or_else(|| removed(handle, None))?;
        if group.state() == PlacementGroupState::Removed { Err(group.removed()) } else { Ok(group) }
    }

    pub(crate) fn named(&self, name: &str) -> Option<Arc<Group>> {
        let table = self.table.read();
        table.names.get(name).and_then(|id| table.groups.get(id)).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.table.read().names.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// All groups, also removed ones of which something is held.
    pub(crate) fn all(&self) -> Vec<Arc<Group>> {
        self.table.read().groups.values().cloned().collect()
    }

    /// The CPU units that groups have reserved.
    pub(crate) fn reserved_cpu(&self) -> u64 {
        let table = self.table.read();
        let created = table.groups.values().filter(|group| group.state() == PlacementGroupState::Created);
        created.map(|group| group.total.cpu()).sum()
    }

    pub(crate) fn free_name(&self, group: &Group) {
        if let Some(name) = &group.name {
            self.table.write().names.remove(name);
        }
    }

    /// Removes a group of which nothing is held any more.
    pub(crate) fn forget(&self, group: &Group) {
        self.table.write().groups.remove(&group.handle.id());
    }

    /// Whether work waits in a group.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn add_claim(&self) {
        self.claimed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove_claims(&self, count: usize) {
        self.claimed.fetch_sub(count, Ordering::Relaxed);
    }
}
