//! `impl` blocks that cannot belong to an actor.

use ray::remote;

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Default for Counter {
    fn default() -> Self {
        Counter { value: 0 }
    }
}

#[remote]
impl Counter {
    pub fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }
}

#[remote]
struct Stack<T> {
    items: Vec<T>,
}

#[remote]
impl<T: Send + Sync + 'static> Stack<T> {
    pub fn new() -> Self {
        Stack { items: Vec::new() }
    }

    pub fn push(&mut self, item: T) {
        self.items.push(item);
    }
}

#[remote]
struct Quiet;

#[remote]
impl Quiet {
    pub fn new() -> Self {
        Quiet
    }

    fn speak(&self) -> String {
        "..".into()
    }
}

#[remote]
struct Named;

#[remote(max_restarts = 3, num_cpu = 1)]
impl Named {
    pub fn new() -> Self {
        Named
    }

    pub fn remote(&self) {}

    pub fn options(&self) {}
}

fn main() {
    let counter = Counter::remote();
    let _ = counter.increment.remote();
    let _ = Stack::<u8>::remote().push.remote(1);
    let _ = Quiet::remote();
}
