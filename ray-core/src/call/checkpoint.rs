//! How the state of an actor class is saved in checkpoints and restored: the functions of the user, without their types.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::base::error::Error;
use crate::base::error::conversion::UserError;
use crate::call::function::Outcome;

/// How the state of a class is saved and restored.
pub struct Checkpoints<A> {
    every: u32,
    save: fn(&A) -> Checkpoint,
    restore: fn(&Checkpoint) -> Outcome<A>,
}

impl<A> fmt::Debug for Checkpoints<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoints(every {})", self.every)
    }
}

impl<A> Checkpoints<A> {
    /// A checkpoint after each nth call.
    ///
    /// # Panics
    /// If `every` is 0. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn new(every: u32, save: fn(&A) -> Checkpoint, restore: fn(&Checkpoint) -> Outcome<A>) -> Self {
        assert!(every > 0, "checkpoint_every must be 1 or more");
        Self { every, save, restore }
    }

    /// After how many calls a checkpoint is made.
    pub(crate) fn every(&self) -> u32 {
        self.every
    }

    /// Makes a checkpoint of a state.
    pub(crate) fn save(&self, actor: &A) -> Checkpoint {
        (self.save)(actor)
    }

    /// Makes a state of a checkpoint.
    pub(crate) fn restore(&self, checkpoint: &Checkpoint) -> Outcome<A> {
        (self.restore)(checkpoint)
    }

    /// Checks the types of the user's functions: `restore` takes what `checkpoint` returns, and makes the state of it.
    #[must_use]
    pub const fn checked<C: Clone + Send + Sync + 'static, R: Restored<A>>(self, _: fn(&A) -> C, _: fn(C) -> R) -> Self {
        self
    }
}

/// A checkpoint of any type.
#[derive(Clone)]
pub struct Checkpoint(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkpoint")
    }
}

impl Checkpoint {
    /// The checkpoint that the user's function has returned.
    #[must_use]
    pub fn new<C: Send + Sync + 'static>(checkpoint: C) -> Self {
        Self(Arc::new(checkpoint))
    }

    /// Passes a clone of the checkpoint to the user's function.
    ///
    /// # Errors
    /// Those of the function.
    pub fn restored<A, C: Clone + 'static, R: Restored<A>>(&self, restore: fn(C) -> R) -> Outcome<A> {
        let checkpoint = self.0.downcast_ref::<C>().expect("`Checkpoints::checked` has compared the types");
        restore(checkpoint.clone()).into_outcome()
    }
}

/// What `restore` of a class may return: the state, or a `Result` of it.
#[diagnostic::on_unimplemented(
    message = "`restore` makes the actor's state: it returns `Self` or `Result<Self, E>`, not `{Self}`",
    label = "`checkpoint_every` needs `fn checkpoint(&self) -> C` and `fn restore(C) -> Self`"
)]
pub trait Restored<A> {
    /// The outcome of a constructor.
    ///
    /// # Errors
    /// That of the function.
    fn into_outcome(self) -> Outcome<A>;
}

impl<A> Restored<A> for A {
    fn into_outcome(self) -> Outcome<A> {
        Ok(self)
    }
}

impl<A, E: UserError> Restored<A> for std::result::Result<A, E> {
    fn into_outcome(self) -> Outcome<A> {
        self.map_err(Error::other)
    }
}
