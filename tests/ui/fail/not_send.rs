//! Arguments and results must be `Send + Sync`, also of `local` items; the state of a concurrent actor must be `Sync`.

use std::cell::Cell;
use std::rc::Rc;

use ray::remote;

#[remote(local)]
fn parameter(x: Rc<u8>) -> u8 {
    *x
}

#[remote(local)]
fn result() -> Rc<u8> {
    Rc::new(1)
}

#[remote(local)]
fn borrowed(x: &Rc<u8>) -> u8 {
    **x
}

#[remote]
async fn held() -> u8 {
    let x = Rc::new(1);
    std::future::ready(()).await;
    *x
}

#[remote(max_concurrency = 2)]
struct Shared {
    x: Cell<u8>,
}

#[remote]
impl Shared {
    pub fn new() -> Self {
        Shared { x: Cell::new(1) }
    }
}

#[remote]
struct Later {
    x: Cell<u8>,
}

#[remote]
impl Later {
    pub fn new() -> Self {
        Later { x: Cell::new(1) }
    }

    pub async fn get(&self) -> u8 {
        self.x.get()
    }

    pub fn set(&mut self, x: Rc<u8>) {
        self.x.set(*x);
    }
}

#[remote]
struct Mixed {
    x: Cell<u8>,
}

#[remote]
impl Mixed {
    pub fn new() -> Self {
        Mixed { x: Cell::new(1) }
    }

    // The actor has an async method, so many of these calls run at the same time.
    pub fn get(&self) -> u8 {
        self.x.get()
    }

    pub async fn set(&mut self, x: u8) {
        self.x.set(x);
    }
}

fn main() {}
