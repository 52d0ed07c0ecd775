//! The parameter of `fmt` cannot have the name of a remote function in scope.

use std::fmt;

use ray::remote;

#[remote]
fn f(x: i64) -> i64 {
    x * x
}

struct Point(i64);

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.0)
    }
}

fn main() {
    println!("{}", Point(1));
}
