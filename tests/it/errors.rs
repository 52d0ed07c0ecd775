//! Failures of tasks: flattened results, panics, the chain of tasks in an error, kinds of errors.

use std::fmt;

use ray::{Error, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::support::{Gate, calls, engine, in_child, strict};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OutOfStock {
    item: u32,
}

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} is out of stock", self.item)
    }
}

/// An error with a source that cannot be serialised.
#[derive(Debug)]
struct Unreadable(std::num::ParseIntError);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unreadable")
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[remote]
fn buy(item: u32) -> Result<u32, OutOfStock> {
    if item == 0 { Err(OutOfStock { item }) } else { Ok(item) }
}

#[remote]
fn ship(bought: u32) -> u32 {
    bought + 100
}

#[remote]
fn order(item: u32) -> ray::Result<u32> {
    let shipped = ray::get(ship.remote(buy.remote(item)))?;
    Ok(shipped)
}

#[remote]
fn parse(text: &str) -> Result<i64, Unreadable> {
    text.parse().map_err(Unreadable)
}

#[remote]
fn reads_boxed(text: &str) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    if text.is_empty() {
        return Err("nothing to read".into());
    }
    Ok(text.parse::<i64>()?)
}

#[remote]
fn boxed_get(object: ObjectRef<u32>) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    Ok(ray::get(object)?)
}

#[remote]
fn reads(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[remote]
fn formats() -> fmt::Result {
    Err(fmt::Error)
}

#[remote]
fn word() -> Result<(), &'static str> {
    Err("a word")
}

#[remote]
fn own() -> ray::Result<()> {
    Err(Error::other(OutOfStock { item: 9 }))
}

#[remote]
async fn async_buy(item: u32) -> Result<u32, OutOfStock> {
    buy.call(item)
}

/// A function that returns `Result<T, E>` gives an `ObjectRef<T>`; `downcast_ref` finds the `E` in the failure.
#[test]
fn a_result_is_flattened() {
    engine();
    let good: ObjectRef<u32> = buy.remote(5);
    assert_eq!(ray::get(good).unwrap(), 5);
    let error = ray::get(buy.remote(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Task);
    assert!(error.is_task() && !error.is_panic());
    assert_eq!(error.downcast_ref(), Some(&OutOfStock { item: 0 }));
    assert!(error.downcast_ref::<String>().is_none());
    assert_eq!(error.to_string(), "task `buy` failed: item 0 is out of stock");
    let error = ray::get(async_buy.remote(0)).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&OutOfStock { item: 0 }));
}

/// Results with I/O, boxed, `fmt` and text errors are flattened as well, also by the alias `std::io::Result`.
#[test]
fn results_with_other_error_types() {
    engine();
    let error = ray::get(reads.remote("/no such file")).unwrap_err();
    assert!(error.is_task() && error.to_string().starts_with("task `reads` failed: "), "{error}");
    let error = ray::get(reads_boxed.remote("")).unwrap_err();
    assert!(error.to_string().ends_with("nothing to read"), "{error}");
    assert!(ray::get(reads_boxed.remote("x")).unwrap_err().to_string().ends_with("invalid digit found in string"));
    assert_eq!(ray::get(reads_boxed.remote("7")).unwrap(), 7);
    assert!(ray::get(formats.remote()).unwrap_err().is_task());
    assert!(ray::get(word.remote()).unwrap_err().to_string().ends_with("a word"));
    if !strict() {
        let error = ray::get(reads.remote("/no such file")).unwrap_err();
        assert_eq!(error.downcast_ref::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound);
        assert_eq!(ray::get(word.remote()).unwrap_err().downcast_ref(), Some(&"a word"));
    }
}

/// The `Debug` form of an error lists the sources of the user's error.
#[test]
fn sources_are_printed() {
    engine();
    let error = ray::get(parse.remote("seven")).unwrap_err();
    let told = format!("{error:?}");
    assert!(told.starts_with("task `parse` failed: unreadable\n    in task `parse` (tests/it/errors.rs:"), "{told}");
    if !strict() {
        assert!(told.ends_with("\n  because: invalid digit found in string"), "{told}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "invalid digit found in string");
        assert!(error.downcast_ref::<Unreadable>().is_some());
    }
}

/// Errors of ray pass through bodies unchanged, also boxed ones.
#[test]
fn errors_of_ray_pass_through() {
    engine();
    let error = ray::get(own.remote()).unwrap_err();
    assert!(error.is_other());
    if !strict() {
        // `Error::other` accepts any type, so a serialised error has only its text.
        assert_eq!(error.downcast_ref(), Some(&OutOfStock { item: 9 }));
    }
    let error = ray::get(order.remote(0)).unwrap_err();
    assert!(error.is_task());
    assert_eq!(error.downcast_ref(), Some(&OutOfStock { item: 0 }));
    assert_eq!(ray::get(order.remote(2)).unwrap(), 102);
    let error = ray::get(boxed_get.remote(buy.remote(0))).unwrap_err();
    assert!(error.is_task());
    assert_eq!(error.downcast_ref(), Some(&OutOfStock { item: 0 }));
    let gate = Gate::new();
    let object = crate::stage::wait.remote(gate);
    if !cluster::wanted() {
        // An error cannot be encoded as a value.
        let inner = object.clone();
        let timed = ray::task(move || ray::get_timeout(inner, std::time::Duration::ZERO).unwrap_err());
        assert!(ray::get(timed.remote()).unwrap().is_timeout(), "an error can be a result");
    }
    gate.open();
    ray::get(object).unwrap();
}

/// The chain of an error names the tasks through which the failure passed, in order.
#[test]
fn the_chain_names_every_task() {
    engine();
    let told = format!("{:?}", ray::get(order.remote(0)).unwrap_err());
    let lines: Vec<_> = told.lines().collect();
    let shown = |line: &str| line.split(':').next().unwrap().to_owned();
    assert_eq!(
        lines.iter().map(|line| shown(line)).collect::<Vec<_>>(),
        [
            "task `buy` failed",
            "    in task `buy` (tests/it/errors.rs",
            "    so task `ship`, which has it for an argument, did not run",
            "    in task `order` (tests/it/errors.rs",
        ],
        "{told}"
    );
    let one = format!("{}", ray::get(order.remote(0)).unwrap_err());
    assert_eq!(one.lines().count(), 1, "Display is one line");
}

#[remote]
fn panics(how: &str) -> u8 {
    match how {
        "literal" => panic!("a literal"),
        "formatted" => panic!("formatted {}", 7),
        "lines" => panic!("two\nlines"),
        "number" => std::panic::panic_any(77_i32),
        "unit" => std::panic::panic_any(()),
        "struct" => std::panic::panic_any(OutOfStock { item: 1 }),
        "string" => std::panic::panic_any("a String".to_owned()),
        "error" => std::panic::panic_any(Error::other("inside")),
        "resumed" => std::panic::resume_unwind(Box::new("resumed")),
        "index" => Vec::new()[std::hint::black_box(3)],
        "unwrap" => ray::get(buy.remote(0)).map(|_| 0).unwrap(),
        "empty" => panic!(""),
        "caught" => {
            std::panic::catch_unwind(|| panic!("caught before")).unwrap_err();
            std::panic::resume_unwind(Box::new("raised after"))
        }
        _ => unreachable!(),
    }
}

/// A panic fails the object. The error has the message and the place, for every type of panic payload.
#[test]
fn panics_are_errors() {
    engine();
    let told = |how: &str| {
        let error = ray::get(panics.remote(how)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic, "{how}");
        assert_eq!(error.to_string().lines().count(), 1, "{how}: {error}");
        error.to_string()
    };
    let here = "task `panics` panicked at tests/it/errors.rs:";
    for (how, said) in [
        ("literal", "a literal"),
        ("formatted", "formatted 7"),
        ("lines", "two; lines"),
        ("number", "77 (a payload of type `i32`)"),
        ("string", "a String"),
        ("index", "index out of bounds: the len is 0 but the index is 3"),
        ("empty", "(no message)"),
    ] {
        let text = told(how);
        assert!(text.starts_with(here) && text.ends_with(&format!(": {said}")), "{how}: {text}");
    }
    for how in ["unit", "struct"] {
        let text = told(how);
        assert!(text.starts_with(here) && text.contains("no text"), "{how}: {text}");
    }
    assert!(told("error").contains("inside"));
    assert!(told("unwrap").contains("item 0 is out of stock"));
    assert_eq!(
        told("resumed"),
        "task `panics` panicked: resumed",
        "the panic hook does not see `resume_unwind`, so there is no place"
    );
    assert_eq!(told("caught"), "task `panics` panicked: raised after", "the error must not have the place of another panic");
    let dependant = ray::get(ship.remote(crate::stage::panic_u32.remote("upstream".to_owned()))).unwrap_err();
    assert!(dependant.is_panic() && dependant.to_string().ends_with("upstream"), "{dependant}");
    assert_eq!(ray::get(ship.remote(1)).unwrap(), 101, "the engine runs further tasks");
}

#[remote]
async fn panics_later(gate: Gate) -> u8 {
    gate.opened().await;
    panic!("after an await")
}

#[test]
fn a_panic_after_an_await() {
    engine();
    let gate = Gate::new();
    let object = panics_later.remote(gate);
    gate.open();
    let error = ray::get(object).unwrap_err();
    assert!(error.to_string().starts_with("task `panics_later` panicked at tests/it/errors.rs:"), "{error}");
    assert!(error.to_string().ends_with("after an await"), "{error}");
}

/// Five hundred panics among a thousand tasks: all are errors, and no worker thread is lost.
#[test]
fn many_panics() {
    engine();
    let many = calls(100, 1000);
    let refs: Vec<_> = (0..many).map(|x| if x % 2 == 0 { panics.remote("literal") } else { eight.remote() }).collect();
    let settled = ray::get_all_settled(refs);
    assert_eq!(settled.iter().filter(|result| result.as_ref().is_err_and(Error::is_panic)).count(), many / 2);
    assert_eq!(settled.iter().filter(|result| result.as_ref().is_ok_and(|value| *value == 8)).count(), many / 2);
}

#[remote]
fn eight() -> u8 {
    8
}

/// The user's panic hook is called for panics in bodies, and for all other panics of the process.
#[test]
fn the_users_own_hook_is_called() {
    let said = in_child("errors::the_users_own_hook_is_called", || {
        std::panic::set_hook(Box::new(|panic| println!("hooked: {panic}")));
        let error = ray::get(panics.remote("formatted")).unwrap_err();
        assert!(error.to_string().contains("tests/it/errors.rs:"), "{error}");
        let _ = std::thread::spawn(|| panic!("no body")).join();
    });
    let times = |text: &str| said.stdout.matches(text).count();
    assert_eq!((times("hooked: "), times("formatted 7"), times("no body")), (2, 1, 1), "{}", said.stdout);
}

/// `ray::Error` implements `Error` and `Clone`; all errors of one failure share one value.
#[test]
fn an_error_is_a_value() {
    engine();
    fn is_an_error<E: std::error::Error + Clone + Send + Sync + 'static>(_: &E) {}
    let object = buy.remote(0);
    let (one, two) = (ray::get(&object).unwrap_err(), ray::get(&object).unwrap_err());
    is_an_error(&one);
    assert!(std::ptr::eq(one.downcast_ref::<OutOfStock>().unwrap(), two.downcast_ref().unwrap()), "one failure, one value");
    drop(object);
    let boxed: Box<dyn std::error::Error + Send + Sync> = one.into();
    assert_eq!(boxed.to_string(), two.to_string());
    let copy = two.clone();
    assert_eq!(format!("{copy:?}"), format!("{two:?}"));
}

/// Kinds of errors: `kind()` and exactly one of the `is_` methods match.
#[test]
fn kinds_of_tasks_and_objects() {
    engine();
    let gate = Gate::new();
    let blocked = crate::stage::wait.remote(gate);
    let cancelled = crate::stage::wait.remote(gate);
    ray::cancel(&cancelled).unwrap();
    type Question = fn(&Error) -> bool;
    let mut kinds: Vec<(Error, ErrorKind, Question)> = vec![
        (ray::get(buy.remote(0)).unwrap_err(), ErrorKind::Task, Error::is_task),
        (ray::get(panics.remote("literal")).unwrap_err(), ErrorKind::Panic, Error::is_panic),
        (ray::get(cancelled).unwrap_err(), ErrorKind::Cancelled, Error::is_cancelled),
        (ray::get_timeout(&blocked, std::time::Duration::ZERO).unwrap_err(), ErrorKind::GetTimeout, Error::is_timeout),
        (ray::wait([blocked.any()], 2).unwrap_err(), ErrorKind::InvalidArgument, Error::is_invalid_argument),
        (ray::init().unwrap_err(), ErrorKind::AlreadyInitialized, Error::is_already_initialized),
        (Error::other("mine"), ErrorKind::Other, Error::is_other),
    ];
    if !cluster::wanted() {
        // On a cluster the request waits for a node.
        let infeasible = ship.options().num_cpus(1e6).try_remote(1).unwrap_err();
        kinds.push((infeasible, ErrorKind::Infeasible, Error::is_infeasible));
    }
    for (error, kind, question) in &kinds {
        assert_eq!(error.kind(), *kind);
        assert!(question(error), "{kind:?}");
        let answers = kinds.iter().filter(|(_, _, question)| question(error)).count();
        assert_eq!(answers, 1, "{kind:?}");
        assert!(!error.to_string().is_empty());
    }
    gate.open();
    ray::get(blocked).unwrap();
}

/// A panic in the `Display` of a user's error, or in the `Clone` of a value, is reported and has no other effect.
#[test]
fn values_whose_methods_panic() {
    engine();
    let error = ray::get(faulty.remote()).unwrap_err();
    assert!(error.is_task());
    assert!(error.to_string().contains("Display panicked"), "{error}");
    let object = ray::put_local(Unclonable);
    if !cluster::wanted() {
        let error = ray::get(takes.remote(&object)).unwrap_err();
        assert!(error.is_panic() && error.to_string().ends_with("no copies"), "{error}");
    }
    let told = std::thread::spawn(move || ray::get(&object).map(|_| ())).join();
    assert!(told.is_err(), "a panic in the clone of a getter is a panic of the getter");
    assert_eq!(ray::get(ship.remote(1)).unwrap(), 101);
}

struct Faulty;

impl fmt::Display for Faulty {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("faulty")
    }
}

#[remote]
fn faulty() -> Result<(), Faulty> {
    Err(Faulty)
}

struct Unclonable;

impl Clone for Unclonable {
    fn clone(&self) -> Self {
        panic!("no copies")
    }
}

#[remote(local)]
fn takes(_value: Unclonable) {}
