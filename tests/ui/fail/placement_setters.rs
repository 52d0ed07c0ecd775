//! Options of placement of one call or one creation: rustc checks their types and names.

use ray::{Lifetime, SchedulingStrategy, remote};

#[remote]
fn f() {}

#[remote]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    pub fn get(&self) {}
}

fn types() {
    let _ = f.options().scheduling_strategy("SPREAD");
    let _ = f.options().label_selector("us");
    let _ = f.options().label_selector(("region", "us"));
    let _ = f.options().fallback_strategy([("region", "eu")]);
    let _ = f.options().accelerator_type(100);
    let _ = f.options().runtime_env("environment");
    let _ = Counter::options().lifetime("detached");
}

fn names() {
    let _ = f.options().scheduling_stategy(SchedulingStrategy::Spread);
    let _ = f.options().scheduling_strategy(SchedulingStrategy::SPREAD);
    let _ = f.options().label_selectors([("region", "us")]);
    let _ = f.options().lifetime(Lifetime::Detached);
    let _ = Counter::options().lifetime(Lifetime::detached);
}

fn main() {
    types();
    names();
}
