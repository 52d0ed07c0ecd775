//! Closures as tasks: row T3, and what they share with functions.

use ray::{ErrorKind, ObjectRef};

use crate::support::{Gate, Tally, engine};

#[test]
fn a_closure_is_a_task() {
    engine();
    let base = 40;
    assert_eq!(ray::get(ray::task(move || base + 2).remote()).unwrap(), 42);
}

#[test]
fn what_it_captures_is_moved() {
    engine();
    struct NotClone(Vec<u8>);
    let value = NotClone(vec![1, 2, 3]);
    let place = value.0.as_ptr() as usize;
    let back = ray::task(move || value).remote().take().unwrap();
    assert_eq!(back.0, [1, 2, 3]);
    assert_eq!(back.0.as_ptr() as usize, place, "not copied");
}

#[test]
fn a_closure_gets_what_it_captured_a_reference_to() {
    engine();
    let object = ray::put(vec![1, 2, 3]);
    let sum = ray::task({
        let object = object.clone();
        move || object.view().map(|numbers| numbers.iter().sum::<i32>())
    });
    let sum: ObjectRef<ray::Result<i32>> = sum.remote();
    assert_eq!(ray::get(sum).unwrap().unwrap(), 6, "a closure's Result is its value");
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
fn a_closure_is_told() {
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
fn a_closure_runs_once_and_elsewhere() {
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
    assert_eq!(ray::get(object).unwrap(), 1, "its value is kept, it is not run again");
}
