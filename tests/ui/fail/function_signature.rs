//! Signatures that a remote function cannot have; one error each, and no further error where they are called.

use std::borrow::Cow;

use ray::remote;

#[remote]
fn mutable(xs: &mut Vec<f64>) -> f64 {
    xs.push(1.0);
    xs.iter().sum()
}

#[remote]
fn opaque_parameter(xs: impl Iterator<Item = f64>, scale: f64) -> f64 {
    xs.sum::<f64>() * scale
}

#[remote]
fn opaque_result(n: usize) -> impl Iterator {
    0..n
}

#[remote]
fn future(n: usize) -> impl Future<Output = usize> {
    async move { n }
}

#[remote]
fn borrowed_result(xs: &[f64]) -> &[f64] {
    &xs[1..]
}

#[remote]
fn borrowed_name(name: &str) -> Result<&str, String> {
    Ok(name)
}

#[remote]
fn borrowed_inside(name: Option<&str>, names: &[&str]) -> usize {
    name.map_or(0, str::len) + names.len()
}

#[remote]
fn borrowed_cow(name: Cow<'_, str>) -> usize {
    name.len()
}

#[remote]
fn for_ever(name: &'static str) -> usize {
    name.len()
}

#[remote]
fn lifetime<'a>(a: &'a str, b: &'a str) -> usize {
    a.len() + b.len()
}

#[remote]
fn generic<T: Clone>(xs: Vec<T>, n: usize) -> usize {
    xs.len() + n
}

#[remote]
fn sized<const N: usize>(xs: [u8; N]) -> usize {
    xs.len()
}

#[remote(local)]
fn flagged<const FLAG: bool>(x: u8) -> u8 {
    x + FLAG as u8
}

#[remote]
fn many(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8, m: u8) -> u8 {
    a + b + c + d + e + f + g + h + i + j + k + l + m
}

#[remote]
const fn constant(x: u8) -> u8 {
    x
}

#[remote]
unsafe fn dangerous(x: u8) -> u8 {
    x
}

#[remote]
extern "C" fn foreign(x: u8) -> u8 {
    x
}

#[remote]
fn endless() -> ! {
    loop {}
}

#[remote]
fn several(xs: &mut Vec<u8>, f: impl Fn(u8) -> u8) -> &'static str {
    xs.iter_mut().for_each(|x| *x = f(*x));
    "done"
}

fn main() {
    let _ = mutable.remote(vec![1.0]);
    let _ = opaque_parameter.remote(3.0, 1.0);
    let _ = opaque_result.remote(3);
    let _ = future.remote(3);
    let _ = borrowed_result.remote(vec![1.0]);
    let _ = borrowed_name.remote("x");
    let _ = for_ever.remote("x");
    let _ = lifetime.remote("x", "y");
    let _ = generic.remote(vec![1], 2);
    let _ = constant.remote(1);
    let _ = dangerous.remote(1);
    let _ = foreign.remote(1);
    let _ = endless.options();
    println!("{}", mutable(&mut vec![1.0]) + constant(1) as f64);
}
