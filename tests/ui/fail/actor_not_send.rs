//! An actor that holds an `Rc`.

use std::rc::Rc;

use ray::remote;

#[remote]
struct Cache {
    names: Rc<Vec<String>>,
    hits: u64,
}

#[remote]
impl Cache {
    pub fn new() -> Self {
        Cache { names: Rc::new(Vec::new()), hits: 0 }
    }

    pub fn find(&mut self, name: &str) -> Option<usize> {
        self.hits += 1;
        self.names.iter().position(|other| other == name)
    }

    pub fn hits(&self) -> u64 {
        self.hits
    }
}

fn main() {
    let cache = Cache::remote();
    let _ = cache.find.remote("x");
}
