//! Workers whose program ends.

use ray::{ObjectRef, remote};

use crate::driver::{Driver, body, says};
use crate::space::{HEAD, Space};

/// How a body ends its process.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum End {
    Abort,
    Exit,
    /// As the kernel does it when there is no memory left.
    Kill,
    /// As a program with `panic = "abort"` does it.
    PanicAborts,
}

fn end(how: End) {
    match how {
        End::Abort => std::process::abort(),
        End::Exit => std::process::exit(0),
        End::Kill => {
            let killed = std::process::Command::new("sh").args(["-c", "kill -9 $PPID"]).status();
            panic!("the shell did not kill this process: {killed:?}");
        }
        End::PanicAborts => {
            std::panic::set_hook(Box::new(|_| std::process::abort()));
            panic!("this panic aborts");
        }
    }
}

#[remote(max_retries = 0)]
fn ends(how: End) -> i32 {
    end(how);
    1
}

/// Ends its process at the first attempt.
#[remote(max_retries = 2)]
fn ends_once(mark: String) -> i32 {
    if std::fs::File::create_new(mark).is_ok() {
        end(End::Abort);
    }
    7
}

#[remote(max_retries = 0)]
fn add(x: i32, y: i32) -> i32 {
    x + y
}

#[remote]
struct Fragile;

#[remote]
impl Fragile {
    pub fn new() -> Self {
        Fragile
    }

    pub fn ends(&mut self, how: End) -> i32 {
        end(how);
        1
    }
}

#[remote]
struct Adder;

#[remote]
impl Adder {
    pub fn new() -> Self {
        Adder
    }

    pub fn add(&self, x: i32, y: i32) -> i32 {
        x + y
    }
}

#[test]
fn worker_that_ends() {
    body(|| {
        ray::init().expect("the cluster is there");
        let failed: Vec<ObjectRef<i32>> = [End::Abort, End::Exit, End::Kill, End::PanicAborts].map(|how| ends.remote(how)).into();
        for object in &failed {
            let error = ray::get(object).expect_err("the process has ended");
            assert!(error.is_worker_crashed(), "{error:?}");
            says(&error, &["ends", "max_retries"]);
        }
        // A failed argument fails the task that has it.
        let error = ray::get(add.remote(&failed[0], 1)).expect_err("the argument has failed");
        assert!(error.is_worker_crashed(), "the kind is that of the argument: {error:?}");
        says(&error, &["add"]);
        let actor = Adder::remote();
        let error = ray::get(actor.add.remote(&failed[1], 1)).expect_err("the argument has failed");
        assert!(error.is_worker_crashed(), "{error:?}");
        assert_eq!(ray::get(actor.add.remote(1, 1)).expect("the actor lives"), 2);
        assert_eq!(ray::get(ends_once.remote("/tmp/test/once".to_owned())).expect("the second attempt succeeds"), 7);
        let actor = Fragile::remote();
        let error = ray::get(actor.ends.remote(End::Abort)).expect_err("the process has ended");
        assert!(error.is_actor_died(), "{error:?}");
        let error = ray::get(actor.ends.remote(End::Exit)).expect_err("the actor is dead");
        assert!(error.is_actor_died(), "{error:?}");
        assert_eq!(ray::get(add.remote(1, 2)).expect("other workers run"), 3);
        let _ = std::fs::remove_file("/tmp/test/once");
    });
    let Some(space) = Space::with_ray() else { return };
    let ran = Driver::new(space, "workers::worker_that_ends").address(HEAD).succeed(space);
    says(
        &ran.output,
        &["has ended (signal 6)", "has ended (exit status 0)", "has ended (signal 9): if the node has no memory left"],
    );
}
