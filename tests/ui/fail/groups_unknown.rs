//! Methods whose concurrency group the struct does not have, and a state that calls cannot share.

use std::cell::Cell;

use ray::remote;

#[remote(groups(io = 2, compute = 4))]
struct Server;

#[remote]
impl Server {
    pub fn new() -> Self {
        Server
    }
    #[method(group = "disk")]
    pub fn read(&self) {}
    #[method(group = "io")]
    pub fn fetch(&self) {}
}

#[remote]
struct Plain;

#[remote]
impl Plain {
    pub fn new() -> Self {
        Plain
    }
    #[method(group = "io")]
    pub fn fetch(&self) {}
}

#[remote(groups(io = 1))]
struct Unshared(Cell<u64>);

#[remote]
impl Unshared {
    pub fn new() -> Self {
        Unshared(Cell::new(0))
    }
    pub fn count(&self) -> u64 {
        self.0.get()
    }
}

fn main() {
    let _ = (Server::remote(), Plain::remote(), Unshared::remote());
}
