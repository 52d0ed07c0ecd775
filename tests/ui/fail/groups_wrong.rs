//! Invalid options of concurrency groups.

use ray::remote;

#[remote(groups(io = 0, default = 2, io = 3, "" = 1), groups = 4)]
struct Wrong;

#[remote]
impl Wrong {
    pub fn new() -> Self {
        Wrong
    }
    #[method(group = 3)]
    pub fn number(&self) {}
    #[method(group)]
    pub fn nothing(&self) {}
    #[method(concurrency_group = "io")]
    pub fn pythonic(&self) {}
}

#[remote(groups())]
struct Empty;

#[remote(concurrency_groups(io = 2))]
struct Pythonic;

fn main() {
    let _ = Wrong::remote();
}
