//! The table of a task, without its type, to which the table of an entry refers.

use std::ptr::NonNull;

use crate::base::id::ActorId;

/// The table of a task, without its type: the module `task` makes it and reads it.
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

// SAFETY: it has a shared reference to a static that is `Sync` (see `erase`), and a function pointer.
unsafe impl Sync for TaskTable {}

impl TaskTable {
    /// `about` is called with entries that have this table.
    pub(crate) const fn erase<T: Sync>(table: &'static T, about: unsafe fn(NonNull<()>) -> About) -> Self {
        Self { table: std::ptr::from_ref(table).cast(), about }
    }

    /// The name and the actor of the entry's task.
    ///
    /// # Safety
    /// The entry has this table, and is alive.
    pub(super) unsafe fn about(self, entry: NonNull<()>) -> About {
        // SAFETY: `about` takes entries that have this table (see `erase`); the caller guarantees that this one has it.
        unsafe { (self.about)(entry) }
    }

    /// # Safety
    /// The table was made of a `T`.
    #[inline]
    pub(crate) const unsafe fn get<T>(self) -> &'static T {
        // SAFETY: `erase` has made the pointer of a `&'static T`, with the `T` that the caller names.
        unsafe { &*self.table.cast() }
    }
}
