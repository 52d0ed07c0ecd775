//! Which arguments each kind of parameter accepts, and when they are moved, cloned, borrowed and dropped.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ray::{ActorHandle, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::on_cluster;
use crate::support::{Gate, Tally, engine, strict};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn sum_owned(xs: Vec<i64>) -> i64 {
    xs.iter().sum()
}

#[remote]
fn sum(xs: &[i64]) -> i64 {
    xs.iter().sum()
}

#[remote]
fn length(text: &str) -> usize {
    text.len()
}

#[remote]
fn owned_length(text: String) -> usize {
    text.len()
}

#[allow(clippy::ptr_arg, reason = "the test needs a parameter `&T` of an arbitrary type")]
#[remote]
fn place(bytes: &Vec<u8>) -> usize {
    bytes.as_ptr() as usize
}

#[remote]
fn slice_place(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}

#[remote]
fn mixed(a: i64, b: &str, c: &[i64], d: ObjectRef<i64>, mut e: Vec<i64>) -> String {
    e.push(0);
    format!("{a} {b} {c:?} {} {e:?}", ray::get(d).unwrap())
}

/// A parameter `T` accepts a `T`, a reference to an object of type `T`, or an `Arc<T>`.
#[test]
fn arguments_for_an_owned_parameter() {
    engine();
    let object = ray::put(3);
    let shared = Arc::new(4);
    assert_eq!(ray::get(square.remote(2)).unwrap(), 4);
    assert_eq!(ray::get(square.remote(&object)).unwrap(), 9);
    assert_eq!(ray::get(square.remote(object)).unwrap(), 9);
    assert_eq!(ray::get(square.remote(&shared)).unwrap(), 16);
    assert_eq!(ray::get(square.remote(shared)).unwrap(), 16);
    assert_eq!(ray::get(square.remote(square.remote(square.remote(2)))).unwrap(), 256);
    assert_eq!(ray::get(owned_length.remote("four")).unwrap(), 4);
    assert_eq!(ray::get(owned_length.remote("fifth".to_owned())).unwrap(), 5);
    assert_eq!(ray::get(owned_length.remote(ray::put("sixths".to_owned()))).unwrap(), 6);
}

/// A parameter `Vec<T>` or `&[T]` accepts a `Vec`, slice or array of references (fan-in).
#[test]
fn fan_in() {
    engine();
    let squares: Vec<_> = (0..10).map(|x| square.remote(x)).collect();
    assert_eq!(ray::get(sum_owned.remote(&squares)).unwrap(), 285);
    assert_eq!(ray::get(sum_owned.remote(&squares[..3])).unwrap(), 5);
    assert_eq!(ray::get(sum_owned.remote([square.remote(1), square.remote(2)])).unwrap(), 5);
    assert_eq!(ray::get(sum.remote(&squares)).unwrap(), 285);
    assert_eq!(ray::get(sum.remote(&squares[8..])).unwrap(), 145);
    assert_eq!(ray::get(sum.remote(squares.clone())).unwrap(), 285);
    assert_eq!(ray::get(sum_owned.remote(squares)).unwrap(), 285);
    assert_eq!(ray::get(sum_owned.remote(Vec::<ObjectRef<i64>>::new())).unwrap(), 0);
    let one = square.remote(7);
    assert_eq!(ray::get(sum.remote(vec![one.clone(), one.clone(), one])).unwrap(), 147, "the same object three times");
}

#[test]
fn a_fan_in_waits_for_all_and_fails_with_one() {
    engine();
    let gate = Gate::new();
    let late = wait_at.remote(gate);
    let total = sum.remote(vec![square.remote(2), late.clone()]);
    let failed = sum_owned.remote(vec![late.clone(), fails.remote()]);
    let has_failed = |failed| assert!(ray::get(failed).unwrap_err().to_string().contains("no good"));
    let failed = if on_cluster() {
        Some(failed)
    } else {
        // The failure does not wait for the other argument. On a cluster it does: a test of `differs_calls` asserts that.
        has_failed(failed);
        None
    };
    assert!(!total.is_ready() && !late.is_ready());
    gate.open();
    assert_eq!(ray::get(total).unwrap(), 5);
    failed.into_iter().for_each(has_failed);
}

#[remote]
fn wait_at(gate: Gate) -> i64 {
    gate.wait();
    1
}

#[remote]
fn fails() -> Result<i64, String> {
    Err("no good".into())
}

#[remote]
fn file_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}

#[remote]
fn lengths(os: &OsStr, c: &CStr) -> (usize, usize) {
    (os.len(), c.to_bytes().len())
}

/// A parameter `&Path` accepts a `PathBuf`, references to one, a `&Path` and a text; `&OsStr` and `&CStr` likewise.
#[test]
fn arguments_for_borrowed_paths() {
    engine();
    let path = PathBuf::from("data/train.csv");
    let object = ray::put(path.clone());
    let calls = [
        file_name.remote("data/train.csv"),
        file_name.remote("data/train.csv".to_owned()),
        file_name.remote(path.as_path()),
        file_name.remote(&path),
        file_name.remote(&object),
        file_name.options().name("renamed").remote(Arc::new(path)),
        file_name.remote(object),
    ];
    assert_eq!(ray::get(calls).unwrap(), [const { "train.csv" }; 7].map(|name| Some(name.to_owned())));
    assert_eq!(ray::get(lengths.remote("four", c"three")).unwrap(), (4, 5));
    let (os, c) = (OsString::from("four"), CString::from(c"three"));
    assert_eq!(ray::get(lengths.remote(&os, ray::put(c))).unwrap(), (4, 5));
}

/// A parameter `&T`, `&[T]` or `&str` accepts references, `Arc`s and owned values that can be borrowed as such.
#[test]
fn arguments_for_a_borrowed_parameter() {
    engine();
    let numbers = ray::put(vec![1, 2, 3]);
    assert_eq!(ray::get(sum.remote(&numbers)).unwrap(), 6);
    assert_eq!(ray::get(sum.remote(numbers)).unwrap(), 6);
    assert_eq!(ray::get(sum.remote(vec![4, 5])).unwrap(), 9);
    assert_eq!(ray::get(sum.remote([4, 5, 6])).unwrap(), 15);
    let shared = Arc::new(vec![7, 8]);
    assert_eq!(ray::get(sum.remote(&shared)).unwrap(), 15);
    assert_eq!(ray::get(sum.remote(shared)).unwrap(), 15);
    assert_eq!(ray::get(sum.remote(range.remote(4))).unwrap(), 6, "a task's result");
    let text = "seventh".to_owned();
    assert_eq!(ray::get(length.remote(&text)).unwrap(), 7);
    assert_eq!(ray::get(length.remote("six")).unwrap(), 3);
    assert_eq!(ray::get(length.remote(ray::put(text.clone()))).unwrap(), 7);
    assert_eq!(ray::get(length.remote(Arc::new(text.clone()))).unwrap(), 7);
    assert_eq!(ray::get(length.remote(text)).unwrap(), 7);
}

#[remote]
fn range(n: i64) -> Vec<i64> {
    (0..n).collect()
}

/// A hundred bodies read the stored object in place.
#[test]
fn a_borrowed_parameter_is_not_copied() {
    engine();
    let object = ray::put(vec![1_u8; 1000]);
    let here = object.view().unwrap().as_ptr() as usize;
    let mut places: Vec<_> = (0..50).map(|_| place.remote(&object)).collect();
    places.extend((0..50).map(|_| slice_place.remote(&object)));
    assert_eq!(ray::get(places).unwrap(), [here; 100]);
    let shared = Arc::new(vec![1_u8; 1000]);
    let here = shared.as_ptr() as usize;
    assert_eq!(ray::get(place.remote(&shared)).unwrap(), here, "the content of an Arc is not copied");
    if !strict() {
        let mine = vec![2_u8; 1000];
        let here = mine.as_ptr() as usize;
        assert_eq!(ray::get(place.remote(mine)).unwrap(), here, "a value is moved in");
    }
}

/// A parameter `ObjectRef<T>` stays a reference, and the task does not wait for it.
#[test]
fn a_reference_parameter_is_not_waited_for() {
    engine();
    let gate = Gate::new();
    let late = wait_at.remote(gate);
    let looks = vec![looks_at.remote(&late), looks_at.remote(late.clone())];
    for (is_ready, id) in ray::get(looks).unwrap() {
        assert!(!is_ready);
        // On a cluster each process has numbers of its own for objects.
        assert!(id == late.id().to_string() || on_cluster(), "{id}");
    }
    let inside = looks_into.remote(vec![late.clone(), late.clone()]);
    assert_eq!(ray::get(inside).unwrap(), 0, "references in a `Vec<ObjectRef<T>>` stay references");
    let hidden = looks_behind.remote(Deep { inside: Some(late.clone()) });
    assert_eq!(ray::get(hidden).unwrap(), Some(false), "a reference inside a value stays a reference");
    let stored = ray::put(late.clone());
    let outer: ObjectRef<ObjectRef<i64>> = stored.clone();
    let inner = ray::get(outer).unwrap();
    assert!(inner == late || on_cluster(), "the value of an object can be a reference");
    assert!(!inner.is_ready());
    gate.open();
    assert_eq!(ray::get(ray::get(stored).unwrap()).unwrap(), 1);
    assert_eq!(ray::get(mixed.remote(1, "b", [2, 3], late, ray::put(vec![4]))).unwrap(), "1 b [2, 3] 1 [4, 0]");
}

#[remote]
fn looks_at(object: ObjectRef<i64>) -> (bool, String) {
    (object.is_ready(), object.id().to_string())
}

#[remote]
fn looks_into(objects: Vec<ObjectRef<i64>>) -> usize {
    objects.iter().filter(|object| object.is_ready()).count()
}

#[derive(Clone, Serialize, Deserialize)]
struct Deep {
    inside: Option<ObjectRef<i64>>,
}

#[remote]
fn looks_behind(deep: Deep) -> Option<bool> {
    deep.inside.map(|object| object.is_ready())
}

/// The result of a task can be a reference or contain references.
#[test]
fn results_that_are_references() {
    engine();
    let object: ObjectRef<ObjectRef<i64>> = submits.remote(5);
    assert_eq!(ray::get(ray::get(object).unwrap()).unwrap(), 25);
    let deep = ray::get(wraps.remote(square.remote(6))).unwrap();
    assert_eq!(ray::get(deep.inside.unwrap()).unwrap(), 36);
}

#[remote]
#[allow(deprecated, reason = "the reference is that of another task")]
fn submits(x: i64) -> ObjectRef<i64> {
    square.remote(x)
}

#[remote]
fn wraps(object: ObjectRef<i64>) -> Deep {
    Deep { inside: Some(object) }
}

#[remote]
struct Cell {
    value: i64,
}

#[remote]
impl Cell {
    pub fn new(value: i64) -> Self {
        Cell { value }
    }
    pub fn add(&mut self, x: i64) -> i64 {
        self.value += x;
        self.value
    }
}

#[remote]
fn adds(cell: ActorHandle<Cell>, x: i64) -> i64 {
    ray::get(cell.add.remote(x)).unwrap()
}

/// A parameter `ActorHandle<A>` accepts a handle or a borrowed handle.
#[test]
fn arguments_for_a_handle_parameter() {
    engine();
    let cell = Cell::remote(square.remote(2));
    let one = square.remote(1);
    assert_eq!(ray::get(adds.remote(&cell, 1)).unwrap(), 5);
    assert_eq!(ray::get(adds.remote(cell.clone(), square.remote(3))).unwrap(), 14);
    assert_eq!(ray::get(cell.add.remote(&one)).unwrap(), 15);
}

static CLONES: AtomicUsize = AtomicUsize::new(0);

struct Counted;

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.fetch_add(1, Ordering::Relaxed);
        Counted
    }
}

#[remote(local)]
fn takes(_value: Counted) {}

#[remote(local)]
fn borrows(_value: &Counted) {}

#[remote(local)]
fn makes() -> Counted {
    Counted
}

/// A value is moved out if the task holds the last reference, otherwise cloned once. A borrowed parameter is never cloned.
#[test]
fn clones_are_counted() {
    engine();
    let clones = |work: &dyn Fn()| {
        let before = CLONES.load(Ordering::Relaxed);
        work();
        CLONES.load(Ordering::Relaxed) - before
    };
    let run = |object: ObjectRef<()>| ray::get(object).unwrap();
    assert_eq!(clones(&|| run(takes.remote(Counted))), 0);
    assert_eq!(clones(&|| run(takes.remote(ray::put_local(Counted)))), 0, "the last reference");
    assert_eq!(clones(&|| run(takes.remote(makes.remote()))), 0, "the result of a task, passed on");
    assert_eq!(clones(&|| run(takes.remote(Arc::new(Counted)))), 0, "the last Arc");
    let object = ray::put_local(Counted);
    assert_eq!(clones(&|| run(takes.remote(&object))), 1);
    let shared = Arc::new(Counted);
    assert_eq!(clones(&|| run(takes.remote(&shared))), 1);
    assert_eq!(clones(&|| run(borrows.remote(&object))), 0);
    assert_eq!(clones(&|| run(borrows.remote(&shared))), 0);
    assert_eq!(clones(&|| assert!(ray::get(makes.remote()).is_ok())), 0, "a get of the only reference");
    let kept = makes.remote();
    assert_eq!(clones(&|| assert!(ray::get(&kept).is_ok())), 1);
    assert_eq!(clones(&|| drop(kept.view().unwrap())), 0);
}

struct Noisy(Tally);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[remote(local)]
fn swallows(_value: &Noisy, gate: Gate) {
    gate.wait();
}

/// The arguments are dropped when the body ends, or when a task fails without running.
#[test]
fn arguments_are_dropped() {
    engine();
    let (tally, gate) = (Tally::new(), Gate::new());
    let running = swallows.remote(Noisy(tally), gate);
    assert_eq!(tally.count(), 0);
    gate.open();
    ray::get(running).unwrap();
    assert_eq!(tally.count(), 1, "dropped before the result is ready");
    let failing = swallows.remote(Noisy(tally), fails_gate.remote());
    ray::get(failing).unwrap_err();
    assert_eq!(tally.count(), 2);
    let infeasible = swallows.options().num_cpus(1e6).remote(Noisy(tally), gate);
    ray::get(infeasible).unwrap_err();
    assert_eq!(tally.count(), 3);
}

#[remote]
fn fails_gate() -> Result<Gate, String> {
    Err("no gate".into())
}
