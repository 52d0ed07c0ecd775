//! Arguments of a wrong type or number, unknown methods, private state.

use ray::remote;

#[derive(Debug)]
struct Opaque;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn total(xs: &[f64], scale: f64) -> f64 {
    xs.iter().sum::<f64>() * scale
}

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(value: i64) -> Self {
        Counter { value }
    }

    pub fn add(&mut self, by: i64) -> i64 {
        self.value += by;
        self.check();
        self.value
    }

    fn check(&self) {}
}

fn types() {
    let _ = square.remote("three");
    let _ = square.remote(ray::put(String::new()));
    let _ = square.options().remote(Opaque);
    let _ = total.remote(&vec![1.0], 1.0);
    let _ = total.remote(vec!["x"], 1.0);
    let _ = square("three");
    let _ = Counter::remote("three");
    let counter = Counter::remote(0);
    let _ = counter.add.remote("three");
    let _: String = ray::get(square.remote(3)).unwrap();
}

fn arities() {
    let _ = square.remote();
    let _ = square.remote(1, 2);
    let _ = total.remote(vec![1.0]);
    let _ = square.options().remote();
    let _ = square(1, 2);
    let _ = Counter::remote();
    let counter = Counter::remote(0);
    let _ = counter.add.remote();
    let _ = counter.add.remote(1, 2);
}

fn members() {
    let counter = Counter::remote(0);
    let _ = counter.ad.remote(1);
    let _ = counter.add(1);
    let _ = counter.value;
    let _ = counter.check.remote();
    let _ = Counter::remote(0).add.remot(1);
    let _ = square.remot(1);
    let _ = square.options().num_cpu(1.0);
}

fn main() {
    types();
    arities();
    members();
}
