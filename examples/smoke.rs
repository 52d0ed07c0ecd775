use ray::{ObjectRef, remote};
use std::time::Duration;
#[remote]
fn square(x: i64) -> i64 {
    x * x
}
#[remote]
fn total(xs: &[f64]) -> f64 {
    xs.iter().sum()
}
#[remote]
fn fib(n: u64) -> u64 {
    if n < 2 {
        n
    } else {
        let a = fib.remote(n - 1);
        let b = fib.remote(n - 2);
        ray::get(a).unwrap() + ray::get(b).unwrap()
    }
}
#[remote]
struct Counter {
    value: i64,
}
#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter { value: 0 }
    }
    pub fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }
    pub fn get_counter(&self) -> i64 {
        self.value
    }
}
fn main() -> ray::Result<()> {
    ray::init()?;
    let futures: Vec<_> = (0..4).map(|i| square.remote(i)).collect();
    println!("{:?}", ray::get(&futures)?);
    println!("{}", square(7));
    let counter = Counter::remote();
    println!("{}", ray::get(counter.increment.remote())?);
    let counters: Vec<_> = (0..10).map(|_| Counter::remote()).collect();
    println!("{:?}", ray::get(counters.iter().map(|c| c.increment.remote()).collect::<Vec<_>>())?);
    let big = ray::put(vec![1f64; 20_000]);
    let sums: Vec<_> = (0..10).map(|_| total.remote(&big)).collect();
    let (ready, rest) = ray::wait(&sums, ray::first(2).timeout(Duration::from_secs(1)))?;
    println!("{} {}", ready.len(), rest.len());
    let mut rest = ray::Pending::from(sums);
    while !rest.is_empty() {
        let (mut done, others) = ray::wait(rest, 1)?;
        println!("{}", ray::get(done.remove(0))?);
        rest = others;
    }
    for _ in 0..3 {
        let t = std::time::Instant::now();
        println!("fib {} {:?}", ray::get(fib.remote(25))?, t.elapsed());
        let t = std::time::Instant::now();
        for i in 0..1_000_000 {
            ray::get(square.remote(i))?;
        }
        println!("rt {:?}", t.elapsed() / 1_000_000);
        let t = std::time::Instant::now();
        let v: Vec<_> = (0..1_000_000).map(|i| square.remote(i)).collect();
        println!("tasks submit {:?}", t.elapsed() / 1_000_000);
        let s: i64 = ray::get(v)?.iter().sum();
        println!("tasks {:?} {s}", t.elapsed() / 1_000_000);
        let t = std::time::Instant::now();
        for _ in 0..1_000_000 {
            ray::get(counter.increment.remote())?;
        }
        println!("ask {:?}", t.elapsed() / 1_000_000);
        let t = std::time::Instant::now();
        let v: Vec<_> = (0..100_000).map(|_| counter.increment.remote()).collect();
        ray::get(v)?;
        println!("pipe {:?}", t.elapsed() / 100_000);
        let t = std::time::Instant::now();
        for _ in 0..1_000_000 {
            counter.increment.tell();
        }
        println!("tell send {:?}", t.elapsed() / 1_000_000);
        ray::get(counter.get_counter.remote())?;
        println!("tell {:?}", t.elapsed() / 1_000_000);
        let t = std::time::Instant::now();
        for _ in 0..100_000 {
            drop(Counter::remote());
        }
        println!("spawnstop {:?}", t.elapsed() / 100_000);
        let v: Vec<_> = (0..1000).map(|i| square.remote(i)).collect();
        let t = std::time::Instant::now();
        let mut p = ray::Pending::from(v);
        while !p.is_empty() {
            let (mut d, o) = ray::wait(p, 1)?;
            ray::get(d.remove(0))?;
            p = o;
        }
        println!("wait1000 {:?}", t.elapsed() / 1000);
    }
    Ok(())
}
