//! Options of placement in attributes: wrong spelling, wrong type, wrong place.

use ray::remote;

#[remote(scheduling_strategy = "spread")]
fn small_letters() {}

#[remote(scheduling_strategy = SPREAD)]
fn no_string() {}

#[remote(scheduling_stategy = "SPREAD", label_selectors(region = "us"), accelerator_typ = "A100", runtime_envs = environment)]
fn misspelled() {}

#[remote(label_selector = "us")]
fn no_pairs() {}

#[remote(label_selector(region = 1, zone = "a", zone = "b"))]
fn odd_pairs() {}

#[remote(accelerator_type = 100)]
fn no_name() {}

#[remote(accelerator_type = "")]
fn empty_name() {}

#[remote(runtime_env = "environment")]
fn no_path() {}

#[remote(accelerator = "A100", labels(region = "us"), env_vars = 1)]
fn other_names() {}

#[remote(fallback_strategy = "eu", lifetime = "detached", namespace = "prod", get_if_exists = true)]
fn of_a_call() {}

#[remote(fallback_strategy = "eu", lifetime = "detached", get_if_exists)]
struct Counter;

#[remote(scheduling_strategy = "SPREAD")]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    #[method(label_selector(region = "us"), lifetime = "detached")]
    pub fn get(&self) {}
}

fn main() {}
