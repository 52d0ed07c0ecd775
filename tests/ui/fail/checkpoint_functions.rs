//! `checkpoint_every` for types without the functions that it needs.

use ray::remote;

#[remote(checkpoint_every = 2)]
struct Without;

#[remote]
impl Without {
    pub fn new() -> Self {
        Without
    }
    pub fn go(&mut self) {}
}

#[remote(checkpoint_every = 2)]
struct Mismatch;

#[remote]
impl Mismatch {
    pub fn new() -> Self {
        Mismatch
    }
    pub fn go(&mut self) {}
    fn checkpoint(&self) -> u64 {
        1
    }
    fn restore(_: String) -> Self {
        Mismatch
    }
}

#[remote(checkpoint_every = 2)]
struct Elsewhere;

#[remote]
impl Elsewhere {
    pub fn new() -> Self {
        Elsewhere
    }
    pub fn go(&mut self) {}
    fn checkpoint(&self) -> u64 {
        1
    }
    fn restore(number: u64) -> u64 {
        number
    }
}

fn main() {
    let _ = (Without::remote(), Mismatch::remote(), Elsewhere::remote());
}
