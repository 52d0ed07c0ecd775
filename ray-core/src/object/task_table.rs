//! What the table of an entry has of its task's own table, of which objects know nothing.

use crate::base::id::ActorId;
use crate::object::entry::Header;

/// The table of a task, of which an object knows nothing: `task` makes it and reads it.
#[derive(Clone, Copy)]
pub(crate) struct TaskTable {
    table: *const (),
    about: fn(&Header) -> Option<About>,
}

/// What events say of a task.
pub(crate) struct About {
    pub(crate) name: &'static str,
    pub(crate) actor: Option<ActorId>,
}

// SAFETY: the address of a static that is Sync.
unsafe impl Sync for TaskTable {}

impl TaskTable {
    /// `about` is given entries with this table.
    pub(crate) const fn erase<T: Sync>(table: &'static T, about: fn(&Header) -> Option<About>) -> Self {
        Self { table: std::ptr::from_ref(table).cast(), about }
    }

    pub(super) fn about(self, entry: &Header) -> Option<About> {
        (self.about)(entry)
    }

    /// # Safety
    /// It was made of a `T`.
    #[inline]
    pub(crate) const unsafe fn get<T>(self) -> &'static T {
        // SAFETY: the caller's promise; it was made of a static reference.
        unsafe { &*self.table.cast() }
    }
}
