//! Options that are constants of a wrong type, and an invalid retry predicate.

use ray::remote;

const WHOLE: i32 = 2;

#[remote(num_cpus = WHOLE)]
fn whole() {}

#[remote(memory = 1.5 * 1024.0)]
fn half() {}

#[remote(retry_exceptions = is_transient)]
fn retried() {}

fn is_transient(message: &str) -> bool {
    message.is_empty()
}

#[remote(num_cpus = unknown)]
fn missing() {}

fn main() {}
