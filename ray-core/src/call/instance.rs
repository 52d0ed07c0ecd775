//! An instance of an actor class outside of the engine, without its type.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::base::error::Result;
use crate::call::function::BoxFuture;
use crate::call::spec::Spec;

/// A constructor that has begun: a future of the instance. A constructor that is not `async` runs to its end in the first
/// poll.
pub type Constructing = BoxFuture<'static, Result<Instance>>;

/// An instance of any actor class. Clones refer to the same instance, which is dropped with the last clone and the last running
/// call.
#[derive(Clone)]
pub struct Instance {
    pub(crate) class: &'static Spec,
    pub(crate) cell: Arc<dyn Any + Send + Sync>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({})", self.class.path())
    }
}

impl Instance {
    /// The module path and the name of the class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.class.path()
    }
}
