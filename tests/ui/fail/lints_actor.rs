//! Actors and methods that nothing uses: the lint names the user's items.

#![deny(dead_code, deprecated, unfulfilled_lint_expectations)]

use ray::remote;

#[remote]
struct Unused;

#[remote]
impl Unused {
    pub fn new() -> Self {
        Unused
    }

    pub fn never_called(&self) {}
}

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    #[deprecated = "a counter needs a start: use `Counter::at`"]
    pub fn new() -> Self {
        Counter { value: 0 }
    }

    pub fn increment(&mut self) -> i64 {
        self.add(1)
    }

    pub fn decrement(&mut self) -> i64 {
        self.add(-1)
    }

    #[deprecated = "use `increment`"]
    pub fn next(&mut self) -> i64 {
        self.add(1)
    }

    // No warnings: the block calls it.
    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    #[allow(dead_code, reason = "an example")]
    pub fn silenced(&self) {}

    #[expect(dead_code, reason = "an example")]
    pub fn expected(&self) {}
}

// No warnings.

#[remote]
struct Optional;

#[allow(dead_code, reason = "an example")]
#[remote]
impl Optional {
    pub fn new() -> Self {
        Optional
    }

    pub fn silenced(&self) {}
}

#[remote]
struct WithOptions;

#[remote]
impl WithOptions {
    pub fn new() -> Self {
        WithOptions
    }
}

#[remote]
struct Tried;

#[remote]
impl Tried {
    pub fn new() -> Self {
        Tried
    }
}

fn main() {
    let counter = Counter::remote();
    let _ = counter.increment.remote();
    let _ = counter.next.remote();
    let _ = WithOptions::options().name("x").remote();
    let _ = Tried::try_remote();
}
