//! A `Result` is flattened if the return type names it; an alias that hides a `Result` is refused.

use ray::remote;

type Outcome = Result<i64, String>;
type Fallible<T> = std::io::Result<T>;

#[remote]
fn hidden() -> Outcome {
    Ok(1)
}

#[remote]
async fn generic_alias() -> Fallible<i64> {
    Ok(1)
}

#[remote]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    pub fn get(&self) -> Outcome {
        Ok(1)
    }
}

fn main() {}
