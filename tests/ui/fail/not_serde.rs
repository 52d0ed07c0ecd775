//! Arguments and results of items that are not `local` must be serialisable.

use ray::remote;

#[derive(Clone)]
struct Plain;

#[remote]
fn parameter(x: Plain) -> u8 {
    let _ = x;
    1
}

#[remote]
fn borrowed(xs: &[Plain], n: u8) -> u8 {
    xs.len() as u8 + n
}

#[remote]
fn result() -> Plain {
    Plain
}

#[remote]
fn fallible() -> Result<Plain, String> {
    Ok(Plain)
}

#[remote]
struct Counter;

#[remote]
impl Counter {
    pub fn new(x: Plain) -> Self {
        let _ = x;
        Counter
    }

    pub fn set(&mut self, x: Plain) -> u8 {
        let _ = x;
        1
    }

    pub fn get(&self) -> Plain {
        Plain
    }
}

fn main() {}
