//! Closures as tasks: what they capture, their options, errors and results.

use ray::{ErrorKind, ObjectRef};

use crate::support::{Gate, Tally, engine};

#[test]
fn a_closure_is_a_task() {
    engine();
    let base = 40;
    assert_eq!(ray::get(ray::task(move || base + 2).remote()).unwrap(), 42);
}

#[test]
fn captured_values_are_moved() {
    engine();
    struct NotClone(Vec<u8>);
    let value = NotClone(vec![1, 2, 3]);
    let place = value.0.as_ptr() as usize;
    let back = ray::task(move || value).remote().take().unwrap();
    assert_eq!(back.0, [1, 2, 3]);
    assert_eq!(back.0.as_ptr() as usize, place, "the value is moved, not copied");
}

#[test]
fn a_closure_reads_a_captured_reference() {
    engine();
    let object = ray::put(vec![1, 2, 3]);
    let sum = ray::task({
        let object = object.clone();
        move || object.view().map(|numbers| numbers.iter().sum::<i32>())
    });
    let sum: ObjectRef<i32> = sum.remote();
    assert_eq!(ray::get(sum).unwrap(), 6);
}

#[test]
fn closures_submit_closures() {
    engine();
    let outer = ray::task(|| {
        let inner: Vec<_> = (0..10).map(|x| ray::task(move || x * x).remote()).collect();
        ray::get(inner).unwrap().into_iter().sum::<i32>()
    });
    assert_eq!(ray::get(outer.remote()).unwrap(), 285);
}

#[test]
fn options_of_a_closure() {
    engine();
    let told = ray::task(|| {
        let context = ray::context();
        (context.task_name().map(str::to_owned), context.assigned_resources().num_cpus())
    });
    assert_eq!(ray::get(told.name("mine").num_cpus(2.0).remote()).unwrap(), (Some("mine".to_owned()), 2.0));
    let infeasible = ray::task(|| ()).num_gpus(1000.0).remote();
    assert_eq!(ray::get(infeasible).unwrap_err().kind(), ErrorKind::Infeasible);
    let absurd = ray::task(|| ()).num_cpus(-1.0).remote();
    assert_eq!(ray::get(absurd).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn tell_of_a_closure() {
    engine();
    let tally = Tally::new();
    ray::task(move || tally.add()).tell();
    tally.wait_for(1);
}

#[test]
fn a_closure_that_panics() {
    engine();
    let error = ray::get(ray::task(|| -> u8 { panic!("in a closure") }).name("bad").remote()).unwrap_err();
    assert!(error.is_panic());
    assert!(error.to_string().starts_with("task `bad` panicked at tests/it/closures.rs:"), "{error}");
    assert!(error.to_string().ends_with(": in a closure"), "{error}");
}

#[test]
fn a_closure_runs_once_on_another_thread() {
    engine();
    let (started, gate, tally) = (Gate::new(), Gate::new(), Tally::new());
    let object = ray::task(move || {
        started.open();
        gate.wait();
        tally.add()
    })
    .remote();
    started.wait();
    assert!(!object.is_ready());
    gate.open();
    assert_eq!(ray::get(&object).unwrap(), 1);
    assert_eq!(ray::get(object).unwrap(), 1, "the second get returns the stored value");
}

#[derive(Debug, PartialEq)]
struct Mute;

/// The `Result` of a closure is flattened like that of a function, for every kind of error type.
#[test]
fn a_closures_result_is_flattened() {
    engine();
    let good: ObjectRef<i64> = ray::task(|| "7".parse::<i64>()).remote();
    assert_eq!(ray::get(good).unwrap(), 7);
    let bad: ObjectRef<i64> = ray::task(|| "x".parse::<i64>()).name("parses").remote();
    let error = ray::get(bad).unwrap_err();
    assert!(error.is_task() && error.downcast_ref::<std::num::ParseIntError>().is_some());
    assert_eq!(error.to_string(), "task `parses` failed: invalid digit found in string");

    let wrapped: ObjectRef<i64> =
        ray::task(|| -> anyhow::Result<i64> { "x".parse().map_err(|error| anyhow::Error::new(error).context("a number")) })
            .remote();
    let error = ray::get(wrapped).unwrap_err();
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    assert!(format!("{error:?}").ends_with("because: invalid digit found in string"), "{error:?}");
    let boxed: ObjectRef<i64> =
        ray::task(|| -> Result<i64, Box<dyn std::error::Error + Send + Sync>> { Ok("x".parse()?) }).remote();
    assert!(ray::get(boxed).unwrap_err().find::<std::num::ParseIntError>().is_some());

    let text: ObjectRef<()> = ray::task(|| Err("a word")).remote();
    assert_eq!(ray::get(text).unwrap_err().downcast_ref(), Some(&"a word"));
    let own: ObjectRef<u8> = ray::task(|| Err::<u8, _>(ray::Error::other("own"))).remote();
    assert!(ray::get(own).unwrap_err().is_other(), "an error of ray passes through unchanged");
    let none: ObjectRef<u8> =
        ray::task(|| -> ray::Result<u8> { ray::get(ray::task(|| -> u8 { panic!("inner") }).remote()) }).remote();
    assert!(ray::get(none).unwrap_err().is_panic());
}

/// Every other result type is the value of the object, also a `Result` that a remote function could not return.
#[test]
fn types_that_are_not_flattened() {
    engine();
    let number: ObjectRef<u8> = ray::task(|| 7).remote();
    assert_eq!(ray::get(number).unwrap(), 7);
    let mute: ObjectRef<Result<u8, Mute>> = ray::task(|| Err::<u8, _>(Mute)).remote();
    assert_eq!(mute.take().unwrap(), Err(Mute), "the error type has no `Display`");
    let error: ObjectRef<ray::Error> = ray::task(|| ray::Error::other("a value")).remote();
    assert!(ray::get(error).unwrap().is_other());
    let option: ObjectRef<Option<Result<u8, String>>> = ray::task(|| Some(Ok(1))).remote();
    assert_eq!(ray::get(option).unwrap(), Some(Ok(1)));
    ray::get(ray::task(|| {}).remote()).unwrap();
}

/// A closure that only panics can have a reference of any type.
#[test]
fn a_closure_that_never_returns() {
    engine();
    let number: ObjectRef<u64> = ray::task(|| panic!("no number")).remote();
    let text: ObjectRef<String> = ray::task(|| panic!("no text")).name("mute").remote();
    assert!(ray::get(number).unwrap_err().is_panic() && ray::get(text).unwrap_err().is_panic());
    let tally = Tally::new();
    ray::task(move || {
        tally.add();
        panic!("no reference");
    })
    .tell();
    tally.wait_for(1);
}

fn in_generic_code<R: Send + Sync + 'static>(body: impl FnOnce() -> R + Send + 'static) -> ObjectRef<R> {
    ray::task(body).remote()
}

/// In generic code the bounds decide: the `Result` is flattened only if the bounds name it.
#[test]
fn closures_of_generic_code() {
    fn flattened<T, E>(body: impl FnOnce() -> Result<T, E> + Send + 'static) -> ObjectRef<T>
    where
        T: Send + Sync + 'static,
        E: std::error::Error + Send + Sync + 'static,
    {
        ray::task(body).remote()
    }
    engine();
    assert!(in_generic_code(|| "x".parse::<i64>()).take().unwrap().is_err());
    assert!(flattened(|| "x".parse::<i64>()).take().is_err());
    in_generic_code(|| {}).take().unwrap();
}

/// The first submission consumes the closure.
#[test]
fn a_closure_task_is_submitted_only_once() {
    engine();
    let task = ray::task(|| 7);
    let (first, second) = (task.remote(), task.remote());
    assert_eq!(ray::get(first).unwrap(), 7);
    let error = ray::get(second).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("was submitted before"), "{error}");
    assert_eq!(format!("{task:?}"), "Task(submitted)");
}

/// The `Err` of a closure that was submitted by `tell` is logged as an unread failure.
#[test]
fn the_error_of_a_told_closure_is_logged() {
    let said = crate::support::in_child("closures::the_error_of_a_told_closure_is_logged", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let tally = Tally::new();
        let counted = move |word: &'static str| {
            tally.add();
            word
        };
        ray::task(move || counted("x").parse::<i64>()).name("parses").tell();
        ray::task(move || Err::<(), _>(counted("a word"))).name("says").tell();
        ray::task(move || Err::<(), _>(anyhow::anyhow!(counted("a context")))).name("wraps").tell();
        tally.wait_for(3);
        // This task runs when the last one has returned the only CPU, and so has been logged.
        ray::get(ray::task(|| ()).remote()).unwrap();
    });
    for part in ["`parses` failed: invalid digit", "`says` failed: a word", "`wraps` failed: a context"] {
        assert!(said.stderr.contains(part), "{part} in:\n{}", said.stderr);
    }
}
