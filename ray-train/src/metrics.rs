//! Metrics: the named values of a report, their conversion from and to user types, and their JSON form.

mod convert;
mod json;
mod metric;

pub use metric::{Metric, Metrics};
