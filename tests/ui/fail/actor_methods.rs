//! Methods that cannot be remote.

use std::sync::Arc;

use ray::remote;

#[remote]
struct Store {
    name: String,
    items: Vec<String>,
}

#[remote]
impl Store {
    pub fn new() -> Self {
        Store { name: String::new(), items: Vec::new() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn items_mut(&mut self) -> &mut Vec<String> {
        &mut self.items
    }

    pub fn into_items(self) -> Vec<String> {
        self.items
    }

    pub fn shared(self: Arc<Self>) -> usize {
        self.items.len()
    }

    pub fn extend<T: Into<String>>(&mut self, items: Vec<T>) {
        self.items.extend(items.into_iter().map(Into::into));
    }

    pub fn fill(&self, out: &mut Vec<String>) {
        out.extend(self.items.iter().cloned());
    }

    pub fn each(&self, f: impl Fn(&str)) {
        self.items.iter().for_each(|item| f(item));
    }

    pub fn find<'a>(&'a self, name: &'a str) -> Option<Option<u8>> {
        let _ = name;
        None
    }

    pub unsafe fn raw(&self) {}

    #[method(num_returns = 2, max_retries = 3, num_cpus = 1, retry_exceptions = 7)]
    pub fn halves(&self) -> Vec<String> {
        self.items.clone()
    }

    #[method(max_task_retries = 1)]
    fn private(&self) {}

    #[method]
    pub fn helper(x: u8) -> u8 {
        x
    }

    pub fn fine(&self, x: u8) -> u8 {
        x
    }
}

fn main() {
    let store = Store::remote();
    let _ = store.name.remote();
    let _ = store.into_items.remote();
    let _ = store.fill.remote(vec![]);
    let _ = store.fine.remote(3);
    let _ = store.halves.remote();
}
