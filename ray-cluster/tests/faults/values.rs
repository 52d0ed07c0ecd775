//! Values that are too large, and items that cannot leave the process.

use ray::{ObjectRef, remote};

use crate::driver::{Driver, body, says};
use crate::space::{HEAD, Space};

const LARGE: usize = 60_000_000;

#[remote]
fn makes(byte: u8) -> Large {
    Large::of(byte)
}

/// Bytes that travel as one piece.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Large(String);

impl Large {
    fn of(byte: u8) -> Self {
        Self(String::from_utf8(vec![byte; LARGE]).expect("an ASCII byte"))
    }
}

#[remote]
fn count(references: Vec<ObjectRef<i32>>) -> usize {
    references.len()
}

#[remote(local)]
fn stays(x: i32) -> i32 {
    x
}

/// The store of the node has 100 MB, and Ray moves what it cannot hold to the disk.
#[test]
fn store_that_is_full() {
    body(|| {
        ray::init().expect("the cluster is there");
        let stored: Vec<_> = (b'a'..b'd').map(|byte| ray::put(Large::of(byte))).collect();
        let made: Vec<_> = (b'd'..b'f').map(|byte| makes.remote(byte)).collect();
        for (byte, object) in (b'a'..).zip(stored.iter().chain(&made)) {
            let value = ray::get(object).unwrap_or_else(|error| panic!("object {byte}: {error}"));
            assert!(value == Large::of(byte), "object {byte} has another value");
        }
    });
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "values::store_that_is_full").address(HEAD).succeed(space);
}

#[test]
fn value_with_too_many_references() {
    body(|| {
        ray::init().expect("the cluster is there");
        let one = ray::put(1);
        let many = ray::put(vec![one.clone(); 70_000]);
        let error = ray::get(&many).map(drop).expect_err("a value has a limit");
        says(&error, &["more than 65,535 references", "divide it"]);
        let few = ray::put(vec![one; 1_000]);
        assert_eq!(ray::get(count.remote(ray::get(&few).expect("it is in the limit"))).expect("a task runs"), 1_000);
    });
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "values::value_with_too_many_references").address(HEAD).succeed(space);
}

#[test]
fn items_that_cannot_leave_the_process() {
    body(|| {
        ray::init().expect("the cluster is there");
        let error = ray::get(stays.remote(1)).expect_err("it is local");
        assert!(error.is_invalid_argument(), "{error:?}");
        says(&error, &["stays", "local"]);
        let error = ray::get(ray::task(|| 1).remote()).expect_err("a closure has no name");
        assert!(error.is_invalid_argument(), "{error:?}");
        says(&error, &["closure"]);
    });
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "values::items_that_cannot_leave_the_process").address(HEAD).succeed(space);
}
