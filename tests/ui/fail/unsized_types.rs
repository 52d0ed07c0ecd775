//! Parameters and results whose types have no size. (`&[T]`, `&str`, `&Path`, `&OsStr` and `&CStr` can be parameters.)

use std::fmt::Display;
use std::sync::Arc;

use ray::remote;

pub trait Shape: Send + Sync {
    fn area(&self) -> f64;
}

#[remote]
fn area(shape: &dyn Shape, scale: f64) -> f64 {
    shape.area() * scale
}

#[remote(local)]
fn printed(value: &(dyn Display + Send + Sync)) -> String {
    value.to_string()
}

#[remote]
fn by_value(shape: dyn Shape, name: str, bytes: [u8]) -> usize {
    name.len() + bytes.len() + shape.area() as usize
}

#[remote]
fn largest(count: usize) -> dyn Shape {
    todo!("{count}")
}

#[remote]
fn text() -> Result<str, String> {
    todo!()
}

#[remote]
fn words() -> [String] {
    todo!()
}

#[remote]
fn parts(shapes: Vec<dyn Shape>, name: Option<str>, file: (std::path::Path, u8), user: std::ffi::OsStr) -> Vec<[u8]> {
    todo!("{} {name:?} {} {user:?}", shapes.len(), file.1)
}

#[remote]
fn apply(f: Box<dyn Fn(i32) -> i32>, x: i32) -> i32 {
    f(x)
}

#[remote]
fn apply_shared(f: &Arc<dyn Fn(i32) -> i32 + Send + Sync>, x: i32) -> i32 {
    f(x)
}

#[remote(local)]
fn apply_here(f: Box<dyn FnOnce(i32) -> i32 + Send>, x: i32) -> i32 {
    f(x)
}

#[remote]
struct Canvas;

#[remote]
impl Canvas {
    pub fn new(first: &dyn Shape) -> Self {
        let _ = first.area();
        Canvas
    }

    pub fn add(&mut self, shape: &dyn Shape) {
        let _ = shape.area();
    }
}

fn main() {
    let _ = area.remote(1.0, 2.0);
    let _ = apply.remote(Box::new(|x: i32| x), 1);
    let _ = Canvas::remote(1).add.remote(2);
}
