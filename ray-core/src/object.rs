//! Objects: the entry that holds a result, its memory, and the references to it.

pub(crate) mod any;
pub(crate) mod block;
pub(crate) mod carried;
pub(crate) mod depot;
pub(crate) mod encoded;
pub(crate) mod entry;
pub(crate) mod erased;
pub(crate) mod events;
pub(crate) mod future_waiter;
pub(crate) mod items;
pub(crate) mod kind;
pub(crate) mod object_ref;
pub(crate) mod part;
pub(crate) mod parts;
pub(crate) mod patience;
pub(crate) mod region;
pub(crate) mod release;
pub(crate) mod remote;
pub(crate) mod room;
pub(crate) mod stamp;
pub(crate) mod state;
pub(crate) mod stream;
pub(crate) mod task_table;
pub(crate) mod view;
pub(crate) mod waiter;
pub(crate) mod watch;
