//! An instance of an actor class outside of the engine, erased.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::call::spec::Spec;

/// An instance of an actor class, of any. Clones are the same instance, which is dropped with the last of them and the last
/// running call.
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
    /// Module path and name of the class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.class.path()
    }
}
