//! The table of a task, without its type, as the table of an entry refers to it.

use std::ptr::NonNull;

use crate::base::id::ActorId;

/// The table of a task, of which an object knows nothing: `task` makes it and reads it.
#[derive(Clone, Copy)]
pub(crate) struct TaskTable {
    table: *const (),
    about: unsafe fn(NonNull<()>) -> About,
}

/// The name and the actor of a task, for events.
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) actor: Option<ActorId>,
}

// SAFETY: the address of a static that is Sync.
unsafe impl Sync for TaskTable {}

impl TaskTable {
    /// `about` is called with entries that have this table.
    pub(crate) const fn erase<T: Sync>(table: &'static T, about: unsafe fn(NonNull<()>) -> About) -> Self {
        Self { table: std::ptr::from_ref(table).cast(), about }
    }

    /// # Safety
    /// The entry has this table, and is alive.
    pub(super) unsafe fn about(self, entry: NonNull<()>) -> About {
        // SAFETY: the caller's promise.
        unsafe { (self.about)(entry) }
    }

    /// # Safety
    /// It was made of a `T`.
    #[inline]
    pub(crate) const unsafe fn get<T>(self) -> &'static T {
        // SAFETY: the caller's promise; it was made of a static reference.
        unsafe { &*self.table.cast() }
    }
}
