//! Scheduling decisions: pure state machines, apart from the threads that carry out what they decide.

pub(crate) mod arrivals;
pub(crate) mod available;
pub(crate) mod bundles;
pub(crate) mod claims;
pub(crate) mod cpu_pool;
pub(crate) mod gpus;
pub(crate) mod monitor_state;
pub(crate) mod node;
pub(crate) mod pool;
