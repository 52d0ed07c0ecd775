//! Invalid options of structs.

use ray::remote;

#[remote(max_concurrency = 0, max_pending_calls = 0, max_restarts = -2, num_returns = 2, local)]
struct Wrong;

#[remote]
impl Wrong {
    pub fn new() -> Self {
        Wrong
    }
}

#[remote(name = "counter", lifetime = "detached", max_retries = 1, retry_exceptions, max_conurrency = 2)]
enum Elsewhere {
    One,
}

#[remote]
impl Elsewhere {
    pub fn new() -> Self {
        Elsewhere::One
    }
}

fn main() {
    let _ = (Wrong::remote(), Elsewhere::remote());
}
