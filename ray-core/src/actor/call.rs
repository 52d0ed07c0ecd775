//! A call that has a reference, without its types: the head of its allocation, and the references to it.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

use crate::actor::head::ActorHold;
use crate::actor::mailbox::{Buffer, Next};
use crate::call::spec::Spec;
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// The fields that calls add to the head of a task. The entry of every task whose kind says `of_actor` begins with it.
#[repr(C)]
pub(crate) struct CallHead {
    pub(crate) task: TaskHead,
    pub(crate) actor: ActorHold,
    /// The number of the caller. The calls of one caller keep their order.
    pub(crate) caller: u64,
    /// No other body may use the instance while this one runs.
    pub(crate) exclusive: bool,
    /// The call is the creation, which makes the instance.
    pub(crate) creates: bool,
    /// The number of the concurrency group; 0: the default group.
    pub(crate) group: u8,
    /// The actor restarts while the call runs, and the call is made again when its body is over. Set only for a call whose
    /// arguments are kept.
    pub(crate) cut_off: AtomicBool,
}

impl CallHead {
    /// # Safety
    /// The entry is a call, and alive for `'a`.
    #[inline]
    pub(crate) unsafe fn of<'a>(entry: NonNull<Header>) -> &'a Self {
        // SAFETY: the caller guarantees that the entry is a call, which begins with a `CallHead`, and that it is alive.
        unsafe { entry.cast().as_ref() }
    }
}

/// The entry as a call, if it is the call of a method or of a constructor.
#[inline]
pub(crate) fn as_call(header: &Header) -> Option<&CallHead> {
    let is_call = header.task()?.vtable().kind.of_actor;
    // SAFETY: `of_actor` says that the entry is a call, and the reference shows that it is alive.
    is_call.then(|| unsafe { CallHead::of(NonNull::from(header)) })
}

/// The actor of a call; `None`: the entry is no call.
pub(crate) fn actor_of(entry: &Header) -> Option<ActorHold> {
    as_call(entry).map(|call| call.actor.clone())
}

/// A hold on a call.
#[derive(Clone)]
pub(crate) struct CallHold(Hold);

impl CallHold {
    /// # Panics
    /// If the entry is no call.
    pub(crate) fn of(hold: Hold) -> Self {
        assert!(as_call(&hold).is_some(), "the entry is a call");
        Self(hold)
    }

    /// As [`of`](Self::of), without the check.
    ///
    /// # Safety
    /// The entry is a call.
    #[inline]
    pub(crate) unsafe fn of_call(hold: Hold) -> Self {
        Self(hold)
    }

    #[inline]
    pub(crate) fn hold(&self) -> &Hold {
        &self.0
    }

    #[inline]
    pub(crate) fn into_hold(self) -> Hold {
        self.0
    }
}

impl Deref for CallHold {
    type Target = CallHead;
    #[inline]
    fn deref(&self) -> &CallHead {
        // SAFETY: the constructors take calls only, and the hold keeps the entry alive.
        unsafe { CallHead::of(self.0.entry()) }
    }
}

/// The next message of a mailbox.
#[derive(Clone, Copy)]
pub(crate) struct Upcoming {
    pub(crate) caller: u64,
    /// The definition whose body runs.
    pub(crate) definition: &'static Spec,
    /// None for a told call.
    pub(crate) entry: Option<NonNull<Header>>,
}

/// Looks at the next message.
pub(crate) fn peek(front: &Buffer) -> Option<Upcoming> {
    Some(match front.peek()? {
        Next::Call(entry) => {
            // SAFETY: the mailbox holds the entry, and only calls are put into mailboxes.
            let call = unsafe { CallHead::of(entry) };
            Upcoming { caller: call.caller, definition: call.task.vtable().definition(), entry: Some(entry) }
        }
        Next::Told { caller, definition } => Upcoming { caller, definition, entry: None },
    })
}
