//! `num_returns` must be an integer literal that matches the return type.

use ray::remote;

const TWO: usize = 2;
type Pair = (u8, u8);

#[remote(num_returns = 2)]
fn no_tuple() -> u8 {
    1
}

#[remote(num_returns = 3)]
fn another_length() -> (u8, u8) {
    (1, 2)
}

#[remote(num_returns = 2)]
fn nothing() {}

#[remote(num_returns = 2)]
fn alias() -> Pair {
    (1, 2)
}

#[remote(num_returns = 2)]
fn result() -> Result<u8, String> {
    Ok(1)
}

#[remote(num_returns = 0)]
fn none() {}

#[remote(num_returns = TWO)]
fn constant() -> (u8, u8) {
    (1, 2)
}

#[remote(num_returns = 13)]
fn many() -> (u8, u8) {
    (1, 2)
}

fn main() {
    let _ = no_tuple.remote();
    let _ = another_length.remote();
    let _ = constant.remote();
}
