//! `#[remote(local)]`: types that cannot be serialised, in tasks and actors.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, RwLock};

use ray::{ObjectRef, remote};

use crate::support::{Gate, engine};

#[remote(local)]
fn sends(sender: Sender<i64>, x: i64) {
    sender.send(x).unwrap();
}

#[remote(local)]
fn opens() -> Mutex<Vec<i64>> {
    Mutex::new(vec![1])
}

#[remote(local)]
fn pushes(list: &Mutex<Vec<i64>>, x: i64) -> usize {
    let mut list = list.lock().unwrap();
    list.push(x);
    list.len()
}

#[remote(local)]
fn applies(work: Box<dyn Fn(i64) -> i64 + Send + Sync>, x: i64) -> i64 {
    work(x)
}

#[remote(local)]
fn maps<T: Clone, U>(xs: &[T], f: fn(T) -> U) -> Vec<U> {
    xs.iter().cloned().map(f).collect()
}

#[remote(local)]
fn largest<T>(xs: Vec<T>) -> Option<T>
where
    T: PartialOrd,
{
    xs.into_iter().reduce(|a, b| if b > a { b } else { a })
}

#[remote(local)]
fn generic_result<T: Clone, const N: usize>(xs: [T; N]) -> Result<T, &'static str> {
    xs.first().cloned().ok_or("empty")
}

type Hidden<T> = std::result::Result<T, &'static str>;

#[remote(local)]
fn hidden_result<T>(x: T) -> Hidden<T> {
    Ok(x)
}

fn double<T: std::ops::Add<Output = T> + Copy>(x: T) -> T {
    x + x
}

#[test]
fn a_channel_is_an_argument() {
    engine();
    let (sender, receiver): (Sender<i64>, Receiver<i64>) = channel();
    let sent: Vec<_> = (0..10).map(|x| sends.remote(sender.clone(), x)).collect();
    ray::get(sent).unwrap();
    drop(sender);
    let mut all: Vec<_> = receiver.into_iter().collect();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<_>>(), "the tasks have dropped their senders");
}

#[test]
fn a_lock_is_an_object() {
    engine();
    let list: ObjectRef<Mutex<Vec<i64>>> = opens.remote();
    let pushed: Vec<_> = (0..20).map(|x| pushes.remote(&list, x)).collect();
    let mut lengths = ray::get(pushed).unwrap();
    lengths.sort_unstable();
    assert_eq!(lengths, (2..22).collect::<Vec<_>>());
    assert_eq!(list.take().unwrap().into_inner().unwrap().len(), 21);
}

#[test]
fn a_closure_is_an_argument() {
    engine();
    let y = 5;
    let work: Box<dyn Fn(i64) -> i64 + Send + Sync> = Box::new(move |x| x + y);
    assert_eq!(ray::get(applies.remote(work, 2)).unwrap(), 7);
}

#[test]
fn generic_functions() {
    engine();
    assert_eq!(ray::get(maps.remote([1, 2], double as fn(i32) -> i32)).unwrap(), [2, 4]);
    assert_eq!(ray::get(largest.remote(vec![1.5, 2.5, 0.5])).unwrap(), Some(2.5));
    assert_eq!(ray::get(largest.remote(vec!["a", "c", "b"])).unwrap(), Some("c"));
    assert_eq!(largest.call(vec![3, 1]), Some(3));
    let first: ObjectRef<u8> = generic_result.remote([1_u8, 2]);
    assert_eq!(ray::get(first).unwrap(), 1);
    assert!(ray::get(generic_result.remote::<u8, 0>([])).unwrap_err().to_string().ends_with("empty"));
    let whole: ObjectRef<Result<u8, &'static str>> = hidden_result.remote(3_u8);
    assert_eq!(ray::get(whole).unwrap(), Ok(3), "in a generic function an alias hides a Result");
}

#[remote]
struct Registry<K: std::hash::Hash + Eq + Send + 'static, V: Send + 'static> {
    values: HashMap<K, V>,
    shared: Arc<RwLock<usize>>,
}

#[remote(local)]
impl<K, V> Registry<K, V>
where
    K: std::hash::Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub fn new(shared: Arc<RwLock<usize>>) -> Self {
        Registry { values: HashMap::new(), shared }
    }
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        *self.shared.write().unwrap() += 1;
        self.values.insert(key, value)
    }
    pub fn lookup(&self, key: &K) -> Option<V> {
        self.values.get(key).cloned()
    }
}

#[test]
fn a_generic_actor() {
    engine();
    let count = Arc::new(RwLock::new(0));
    let registry = Registry::<String, i64>::remote(count.clone());
    assert_eq!(ray::get(registry.insert.remote("a", 1)).unwrap(), None);
    assert_eq!(ray::get(registry.insert.remote("a", 2)).unwrap(), Some(1));
    assert_eq!(ray::get(registry.lookup.remote("a".to_owned())).unwrap(), Some(2));
    assert_eq!(*count.read().unwrap(), 2, "the actor shares the lock with the caller");
    let other = Registry::<u8, Vec<u8>>::remote(Arc::new(RwLock::new(0)));
    assert_eq!(ray::get(other.insert.remote(1, vec![1])).unwrap(), None);
}

/// A local task takes the result of an ordinary task, and the other way round.
#[test]
fn local_and_other_tasks_mix() {
    engine();
    let gate = Gate::new();
    let sum = totals.remote(maps.remote::<i64, i64>(late.remote(gate), double as fn(i64) -> i64));
    gate.open();
    assert_eq!(ray::get(sum).unwrap(), 12);
}

#[remote]
fn late(gate: Gate) -> Vec<i64> {
    gate.wait();
    vec![1, 2, 3]
}

#[remote]
fn totals(xs: &[i64]) -> i64 {
    xs.iter().sum()
}
