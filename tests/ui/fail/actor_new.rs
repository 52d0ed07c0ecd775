//! Invalid constructors.

use ray::remote;

#[remote]
struct Already;
#[remote]
impl Already {
    pub fn new(&self) -> Self {
        Already
    }
}

#[remote]
struct Perhaps;
#[remote]
impl Perhaps {
    pub fn new() -> Option<Self> {
        Some(Perhaps)
    }
}

#[remote]
struct Nothing;
#[remote]
impl Nothing {
    pub fn new() {}
}

#[remote]
struct Given;
#[remote]
impl Given {
    #[method(num_returns = 2)]
    pub fn new<T>(items: &mut Vec<u8>, f: impl Fn(u8), item: T) -> Result<Self, String> {
        let _ = (items, f, item);
        Ok(Given)
    }

    pub fn ping(&self) {}
}

#[derive(Default)]
#[remote]
struct Twice;
#[remote(default)]
impl Twice {
    pub fn new() -> Self {
        Twice
    }
}

#[derive(Default)]
#[remote]
struct Valued;
#[remote(default = 1)]
impl Valued {
    pub fn new() -> Self {
        Valued
    }
}

fn main() {
    let _ = Perhaps::remote();
    let _ = Nothing::remote();
    let _ = Given::remote(vec![1], 2, 3).ping.remote();
}
