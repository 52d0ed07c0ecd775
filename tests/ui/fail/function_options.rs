//! Options that are unknown, repeated, misplaced or invalid; the function stays usable.

use ray::remote;

#[remote(num_cpu = 2)]
fn nearly() {}

#[remote(colour = "red")]
fn unknown() {}

#[remote(max_restarts = 1, max_concurrency = 2, max_task_retries = 3)]
fn of_actors() {}

#[remote(num_cpus = 1, num_gpus = 0.5, num_cpus = 2)]
fn twice() {}

#[remote(num_cpus = -1, num_gpus = 0.00001, memory = -5, max_retries = -2)]
fn too_little() {}

#[remote(num_cpus = "two", memory = 1.5, max_retries = 1.0, name = 3, local = 1)]
fn of_another_type() {}

#[remote(num_cpus, resources = 2, local(yes), crate)]
fn without_value() {}

#[remote(resources(CPU = 1, tpu = -1, disk = 0.5, disk = 1, "" = 1))]
fn odd_resources() {}

#[remote(retry_exceptions = 3, name = "")]
fn odd_retries() {}

#[remote(num_cpus 2)]
fn syntax() {}

#[remote("num_cpus = 2")]
fn quoted() {}

#[remote(num_cpus = 0.00001f32, num_gpus = 1e300, memory = 99999999999999999999999)]
fn absurd() {}

fn main() {
    let _ = nearly.remote();
    let _ = unknown.remote();
    let _ = of_actors.remote();
    let _ = twice.remote();
    let _ = too_little.options().name("x").remote();
    let _ = syntax.remote();
    quoted();
}
