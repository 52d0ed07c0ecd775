//! Lints name the user's items, as they do for plain functions.

#![deny(dead_code, deprecated)]

use ray::{ObjectRef, remote};

#[remote]
fn unused(x: i64) -> i64 {
    x * x
}

#[remote(local)]
async fn unused_generic<T>(x: T) -> T {
    x
}

#[remote]
#[deprecated = "use `new`"]
fn old(x: i64) -> i64 {
    x
}

#[remote]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    #[deprecated = "use `get`"]
    pub fn count(&self) -> i64 {
        0
    }
}

#[remote]
fn puts(x: i64) -> ObjectRef<i64> {
    ray::put(x)
}

#[remote]
async fn puts_or_fails(x: i64) -> Result<ObjectRef<i64>, String> {
    Ok(ray::put(x))
}

// No warnings.

#[remote]
#[allow(dead_code, reason = "an example")]
fn silenced() {}

#[remote]
#[expect(dead_code, reason = "an example")]
fn expected() {}

#[remote]
fn _underscore() {}

#[remote]
fn called_plainly(x: i64) -> i64 {
    x
}

#[remote]
fn mapped(x: i64) -> i64 {
    x
}

#[remote]
#[allow(deprecated, reason = "the reference is that of another task")]
fn forwards(object: ObjectRef<i64>) -> ObjectRef<i64> {
    object
}

fn main() {
    let _ = old.remote(1);
    let _ = old.options().name("old").remote(1);
    println!("{}", old(1) + old.call(1));
    old.tell(1);
    let counter = Counter::remote();
    let _ = counter.count.remote();
    let _ = (puts.remote(1), puts_or_fails.remote(1), forwards.remote(ray::put(1)));
    println!("{} {:?}", called_plainly(1), [1, 2].map(*mapped));
}
