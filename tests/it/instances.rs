//! Actor classes from bytes: instances outside of the engine, and calls of their methods.

use std::cell::Cell;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use ray::__private::{Encoded, Instance, MethodEntry, Registration, Running};
use ray::{ErrorKind, ObjectRef, remote};

use crate::codec::{arg, bytes, ready_soon};
use crate::support::engine;

static DROPPED: AtomicU32 = AtomicU32::new(0);

/// A class with methods of all four kinds.
#[remote]
struct Account {
    total: i64,
    name: String,
}

#[allow(dead_code, reason = "called from bytes")]
#[remote]
impl Account {
    pub fn new(total: i64, name: &str) -> Result<Self, String> {
        assert!(total >= -1, "never so far below zero");
        if total < 0 { Err("below zero".into()) } else { Ok(Account { total, name: name.to_owned() }) }
    }
    pub fn total(&self) -> i64 {
        self.total
    }
    pub fn add(&mut self, amount: i64) -> Result<i64, String> {
        if amount < 0 {
            return Err("a negative amount".into());
        }
        self.total += amount;
        Ok(self.total)
    }
    pub async fn name_of(&self, number: &ObjectRef<u8>) -> (String, ObjectRef<u8>) {
        ready_soon().await;
        (self.name.clone(), number.clone())
    }
    pub async fn rename(&mut self, name: String) -> String {
        ready_soon().await;
        std::mem::replace(&mut self.name, name)
    }
    #[method(num_returns = 2)]
    pub fn halves(&self) -> (i64, i64) {
        (self.total / 2, self.total - self.total / 2)
    }
    pub fn tears(&mut self) {
        panic!("torn in two")
    }
    pub async fn tears_later(&self) {
        ready_soon().await;
        panic!("torn later")
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if self.name == "dropped" {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            panic!("a drop that panics");
        }
    }
}

/// Not `Sync`, so its calls exclude each other.
#[remote]
struct Counts(Cell<u64>);

#[allow(dead_code, reason = "called from bytes")]
#[remote]
impl Counts {
    pub fn new() -> Self {
        Counts(Cell::new(0))
    }
    pub fn count(&self) -> u64 {
        let before = self.0.get();
        std::thread::yield_now();
        self.0.set(before + 1);
        self.0.get()
    }
}

#[remote]
struct Stays;

#[allow(dead_code, reason = "called from bytes")]
#[remote(local)]
impl Stays {
    pub fn new() -> Self {
        Stays
    }
    pub fn stay(&self) {}
}

fn found(class: &str) -> &'static Registration {
    ray::__private::lookup(&format!("{}::{class}", module_path!())).unwrap()
}

fn account(total: i64, name: &str) -> Instance {
    found("Account").construct(vec![arg(&total), arg(&name)]).unwrap()
}

fn method(name: &str) -> &'static MethodEntry {
    found("Account").method(name).unwrap()
}

fn poll(running: &mut Running) -> Poll<ray::Result<Encoded>> {
    pin!(running).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn methods_of_all_kinds_are_invoked_from_bytes() {
    engine();
    let account = account(3, "first");
    assert_eq!(account.class(), "it::instances::Account");
    assert_eq!(method("total").invoke(&account, vec![]).unwrap().bytes, [3]);
    assert_eq!(method("add").invoke(&account, vec![bytes(&[4])]).unwrap().bytes, [7]);
    let number = ray::put(9u8);
    let result = method("name_of").invoke(&account, vec![arg(&number)]).unwrap();
    assert_eq!(result.carried.len(), 1);
    assert_eq!(result.decode::<(String, ObjectRef<u8>)>().unwrap(), ("first".to_owned(), number));
    let result = method("rename").invoke(&account, vec![arg(&"second")]).unwrap();
    assert_eq!(result.decode::<String>().unwrap(), "first");
    assert_eq!(method("halves").invoke(&account, vec![]).unwrap().decode::<(i64, i64)>().unwrap(), (3, 4));
    let error = method("add").invoke(&account, vec![arg(&-1)]).unwrap_err();
    assert_eq!(error.to_string(), "task `Account.add` failed: a negative amount");
    assert_eq!(method("total").invoke(&account.clone(), vec![]).unwrap().bytes, [7], "an error leaves the instance as it is");
}

#[test]
fn the_signature_tells_how_a_method_uses_its_instance() {
    let class = found("Account");
    assert!(class.is_class() && !found("Counts").is_async());
    let kinds = class.methods().iter().map(|method| (method.name(), method.is_async(), method.is_exclusive()));
    let expected = [
        ("total", false, false),
        ("add", false, true),
        ("name_of", true, false),
        ("rename", true, true),
        ("halves", false, false),
        ("tears", false, true),
        ("tears_later", true, false),
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

#[test]
fn what_does_not_fit_a_method_is_refused() {
    let account = account(3, "a");
    let refused = |error: ray::Error, kind: ErrorKind, words: &[&str]| {
        assert_eq!(error.kind(), kind, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
    };
    let named = "`it::instances::Account::add` (tests/it/instances.rs:";
    refused(method("add").invoke(&account, vec![]).unwrap_err(), ErrorKind::InvalidArgument, &[named, "and 0 are given"]);
    let error = method("add").invoke(&account, vec![bytes(&[0xc0])]).unwrap_err();
    refused(error, ErrorKind::Serialization, &["argument 1 of", named]);
    let counts = found("Counts").construct(vec![]).unwrap();
    let error = method("add").invoke(&counts, vec![arg(&1)]).unwrap_err();
    refused(error, ErrorKind::InvalidArgument, &["`it::instances::Account::add`", "of class `it::instances::Counts`"]);
    let error = found("Account").construct(vec![arg(&1)]).unwrap_err();
    refused(error, ErrorKind::InvalidArgument, &["`it::instances::Account::new`", "takes 2 argument(s), and 1 are given"]);
    let error = found("Account").construct(vec![arg(&1), bytes(&[0xc0])]).unwrap_err();
    refused(error, ErrorKind::Serialization, &["argument 2 of `it::instances::Account::new`"]);
    let error = found("Account").construct(vec![arg(&-1), arg(&"a")]).unwrap_err();
    refused(error, ErrorKind::Task, &["task `Account.new` failed: below zero"]);
    let error = found("Account").construct(vec![arg(&-2), arg(&"a")]).unwrap_err();
    refused(error, ErrorKind::Panic, &["task `Account.new` panicked at tests/it/instances.rs:", "never so far"]);
    let error = found("Stays").construct(vec![]).unwrap_err();
    refused(error, ErrorKind::InvalidArgument, &["`it::instances::Stays::new`", "local"]);
    let stay = found("Stays").method("stay").unwrap();
    refused(stay.invoke(&account, vec![]).unwrap_err(), ErrorKind::InvalidArgument, &["`it::instances::Stays::stay`", "local"]);
}

#[test]
fn after_a_panic_an_instance_is_not_used_again() {
    for (name, message) in [("tears", "torn in two"), ("tears_later", "torn later")] {
        let account = account(3, "a");
        let error = method(name).invoke(&account, vec![]).unwrap_err();
        assert!(error.is_panic() && error.to_string().contains(message), "{error}");
        assert!(error.to_string().contains(&format!("task `Account.{name}` panicked at tests/it/instances.rs:")), "{error}");
        let error = method("total").invoke(&account, vec![]).unwrap_err();
        assert!(error.is_actor_died() && error.to_string().contains("make another instance"), "{error}");
    }
}

#[test]
fn an_exclusive_call_waits_and_shared_ones_do_not() {
    engine();
    let account = account(3, "a");
    let number = ray::put(1u8);
    let call = || method("name_of").call(&account, vec![arg(&number)]);
    let (mut one, mut other) = (call(), call());
    assert!(poll(&mut one).is_pending() && poll(&mut other).is_pending(), "both run");
    let mut add = method("add").call(&account, vec![arg(&1)]);
    assert!(poll(&mut add).is_pending(), "it waits for both");
    assert!(poll(&mut one).is_ready());
    assert!(poll(&mut add).is_pending());
    drop(other);
    assert!(matches!(poll(&mut add), Poll::Ready(Ok(result)) if result.bytes == [4]), "a call that is dropped is over");
    let mut rename = method("rename").call(&account, vec![arg(&"b")]);
    assert!(poll(&mut rename).is_pending(), "it runs");
    let mut total = method("total").call(&account, vec![]);
    assert!(poll(&mut total).is_pending(), "it waits for the exclusive one");
    assert!(poll(&mut rename).is_ready() && poll(&mut total).is_ready());
}

#[test]
fn calls_of_a_class_that_is_not_sync_exclude_each_other() {
    let counts = found("Counts").construct(vec![]).unwrap();
    let count = found("Counts").method("count").unwrap();
    assert!(!count.is_exclusive());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| assert!(count.invoke(&counts, vec![]).is_ok())));
        }
    });
    assert_eq!(count.invoke(&counts, vec![]).unwrap().decode::<u64>().unwrap(), 401);
}

#[test]
fn an_instance_lives_as_long_as_its_calls() {
    let account = account(3, "dropped");
    let mut rename = method("rename").call(&account, vec![arg(&"dropped")]);
    assert!(poll(&mut rename).is_pending());
    drop(account);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
    drop(rename);
    assert_eq!(DROPPED.load(Ordering::Relaxed), 1, "once, and its panic goes nowhere");
}
