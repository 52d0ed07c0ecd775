//! An instance of an actor class outside of the engine, without its type.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::call::spec::Spec;

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
