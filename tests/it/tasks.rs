//! Remote functions: submission, arguments, several returns, nesting, options, registration, unread failures.

use ray::{Error, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::stage::eventually;
use crate::support::{Gate, PATIENCE, Tally, engine, in_child, in_child_with};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn nothing() {}

#[remote]
async fn later(x: i64) -> i64 {
    x + 1
}

#[remote(local)]
fn twice<T: Clone>(x: T) -> (T, T) {
    (x.clone(), x)
}

#[remote]
fn pass(gate: Gate, x: i64) -> i64 {
    gate.wait();
    x
}

#[remote]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[remote]
fn fails(x: i64) -> Result<i64, String> {
    Err(format!("no {x}"))
}

#[remote]
fn counts(tally: Tally, _x: i64) {
    tally.add();
}

#[allow(clippy::too_many_arguments)]
#[remote]
fn twelve(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8, j: u8, k: u8, l: u8) -> u32 {
    [a, b, c, d, e, f, g, h, i, j, k, l].into_iter().map(u32::from).sum()
}

#[remote]
fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = (fib.remote(n - 1), fib.remote(n - 2));
    ray::get(a).unwrap() + ray::get(b).unwrap()
}

/// `remote` returns the reference before the work is done.
#[test]
fn a_reference_is_returned_at_once() {
    engine();
    let gate = Gate::new();
    let object = pass.remote(gate, 7);
    assert!(!object.is_ready());
    assert_eq!(object.try_get().unwrap(), None);
    gate.open();
    assert_eq!(ray::get(object).unwrap(), 7);
}

#[test]
fn any_number_of_parameters() {
    engine();
    let object: ObjectRef<()> = nothing.remote();
    ray::get(object).unwrap();
    assert_eq!(ray::get(twelve.remote(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)).unwrap(), 78);
}

/// A remote function is still an ordinary function.
#[test]
fn plain_calls() {
    assert_eq!(square(7), 49);
    assert_eq!([1, 2, 3].map(*square), [1, 4, 9]);
    assert_eq!(square.call(7), 49);
    assert_eq!(twice.call("x"), ("x", "x"));
    assert_eq!(futures::executor::block_on(later.call(1)), 2);
    assert_eq!(fails(3), Err("no 3".to_owned()), "a plain call returns the Result unchanged");
}

#[test]
fn generic_functions() {
    engine();
    assert_eq!(ray::get(twice.remote(2)).unwrap(), (2, 2));
    assert_eq!(ray::get(twice.remote("a".to_owned())).unwrap(), ("a".to_owned(), "a".to_owned()));
    let x = ray::put(3);
    assert_eq!(ray::get(twice.remote::<i32>(&x)).unwrap(), (3, 3));
    assert_eq!(ray::get(twice.options().name("two").remote(4)).unwrap(), (4, 4));
}

#[test]
fn functions_in_modules_and_bodies() {
    engine();
    mod inner {
        use ray::remote;
        #[remote]
        pub(crate) fn r#match(x: u8) -> u8 {
            x + 1
        }
    }
    #[remote]
    fn in_a_body(x: u8) -> u8 {
        x + 2
    }
    assert_eq!(ray::get(inner::r#match.remote(1)).unwrap(), 2);
    assert_eq!(ray::get(in_a_body.remote(1)).unwrap(), 3);
}

/// A call of a remote async function is a task.
#[test]
fn async_functions() {
    engine();
    assert_eq!(ray::get(later.remote(1)).unwrap(), 2);
    assert_eq!(ray::get(later.remote(square.remote(3))).unwrap(), 10);
}

/// A task starts when its arguments are ready, not before, and blocks no thread and no CPU until then.
#[test]
fn a_task_starts_when_its_arguments_are_ready() {
    in_child("tasks::a_task_starts_when_its_arguments_are_ready", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let gate = Gate::new();
        // There is a single CPU: tasks that wait for arguments hold none.
        let source = later_pass.remote(gate, 2);
        let dependants: Vec<_> = (0..100).map(|x| add.remote(&source, x)).collect();
        let chain = (0..100).fold(source.clone(), |before, x| add.remote(before, x));
        assert_eq!(ray::get_timeout(square.remote(3), PATIENCE).unwrap(), 9, "other tasks run");
        assert!(!chain.is_ready() && dependants.iter().all(|object| !object.is_ready()));
        gate.open();
        assert_eq!(ray::get(chain).unwrap(), 2 + (0..100).sum::<i64>());
        assert_eq!(ray::get(dependants).unwrap(), (2..102).collect::<Vec<_>>());
    });
}

#[remote]
async fn later_pass(gate: Gate, x: i64) -> i64 {
    gate.opened().await;
    x
}

/// The dependants of a failed task fail with its error and do not run.
#[test]
fn a_failed_argument_fails_the_task() {
    engine();
    let tally = Tally::new();
    let gate = Gate::new();
    let (early, late) = (fails.remote(7), fails.remote(pass.remote(gate, 8)));
    ray::get(&early).unwrap_err();
    let dependants = [counts.remote(tally, &early), counts.remote(tally, &late), counts.remote(tally, late)];
    gate.open();
    for (dependant, said) in dependants.into_iter().zip(["no 7", "no 8", "no 8"]) {
        let error = ray::get(dependant).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Task);
        assert_eq!(error.downcast_ref::<String>().unwrap(), said);
    }
    assert_eq!(tally.count(), 0);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Oops(i64);

impl std::fmt::Display for Oops {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "oops {}", self.0)
    }
}

#[remote(num_returns = 2)]
fn parts(gate: Gate, x: i64) -> (i64, String) {
    gate.wait();
    (x, x.to_string())
}

#[remote(num_returns = 2)]
fn parts_or(x: i64) -> Result<(i64, Vec<u8>), Oops> {
    if x < 0 { Err(Oops(x)) } else { Ok((x, vec![0; usize::try_from(x).unwrap()])) }
}

#[remote(num_returns = 3)]
async fn three() -> (u8, (), char) {
    (1, (), 'c')
}

/// With `num_returns` the parts of a tuple are separate objects of different types.
#[test]
fn several_returns() {
    engine();
    let gate = Gate::new();
    let (number, text): (ObjectRef<i64>, ObjectRef<String>) = parts.remote(gate, 5);
    assert!(!number.is_ready() && !text.is_ready());
    assert_ne!(number.id(), text.id());
    assert!(number.task_id().is_some());
    assert_eq!(number.task_id(), text.task_id());
    gate.open();
    assert_eq!(ray::get(add.remote(&number, 1)).unwrap(), 6, "a part is an argument");
    assert_eq!(text.take().unwrap(), "5", "the only reference can take the value");
    assert_eq!(ray::get(number).unwrap(), 5);

    let (number, text) = parts.remote(gate, 6);
    drop(number);
    assert_eq!(ray::get(text).unwrap(), "6", "one part can be got after the other was dropped");
    let (one, unit, letter) = three.remote();
    assert_eq!(ray::get((one, unit, letter)).unwrap(), (1, (), 'c'));
    let (number, text) = parts.options().name("named").try_remote(gate, 7).unwrap();
    assert_eq!(ray::get((number, text)).unwrap(), (7, "7".to_owned()));
}

#[test]
fn a_tuple_without_num_returns_is_one_object() {
    #[remote]
    fn pair(x: i32) -> (i32, i32) {
        (x, x)
    }
    engine();
    let whole: ObjectRef<(i32, i32)> = pair.remote(1);
    assert_eq!(ray::get(whole).unwrap(), (1, 1));
}

/// All parts fail together, with the same error.
#[test]
fn several_returns_fail_together() {
    engine();
    let (number, bytes) = parts_or.remote(3);
    assert_eq!(ray::get((number, bytes)).unwrap(), (3, vec![0; 3]));
    let (number, bytes) = parts_or.remote(-3);
    assert_eq!(ray::get(number).unwrap_err().downcast_ref(), Some(&Oops(-3)));
    assert_eq!(ray::get(bytes).unwrap_err().downcast_ref(), Some(&Oops(-3)));
    let (number, bytes) = parts_or.remote(fails.remote(1));
    assert_eq!(ray::get(number).unwrap_err().downcast_ref::<String>().unwrap(), "no 1");
    assert!(ray::Error::from(bytes.take().unwrap_err()).is_task());
}

/// Cancelling one part cancels the task, and so the other part as well.
#[test]
fn cancelling_one_part() {
    engine();
    let gate = Gate::new();
    let (number, text) = parts.remote(gate, 5);
    ray::cancel(&text).unwrap();
    assert!(ray::get(text).unwrap_err().is_cancelled());
    assert!(ray::get(number).unwrap_err().is_cancelled());
    gate.open();
}

/// Tasks submit tasks and get their results.
#[test]
fn nested_tasks() {
    engine();
    let (n, expected) = crate::support::calls((5, 5), (15, 610));
    assert_eq!(ray::get(fib.remote(n)).unwrap(), expected);
}

/// Nested tasks also run on a single CPU, because a waiting parent lends it.
#[test]
fn nested_tasks_on_one_cpu() {
    in_child("tasks::nested_tasks_on_one_cpu", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let (n, expected) = crate::support::calls((4, 3), (12, 144));
        assert_eq!(ray::get(fib.remote(n)).unwrap(), expected);
        let (deep, timed) = crate::support::calls((4, 3), (200, 50));
        assert_eq!(ray::get(descend.remote(deep)).unwrap(), deep);
        assert_eq!(ray::get_timeout(descend_timed.remote(timed), PATIENCE).unwrap(), timed, "a timed get runs no bodies itself");
    });
}

#[remote]
fn descend(n: u64) -> u64 {
    if n == 0 { 0 } else { 1 + ray::get(descend.remote(n - 1)).unwrap() }
}

#[remote]
fn descend_timed(n: u64) -> u64 {
    if n == 0 { 0 } else { 1 + ray::get_timeout(descend_timed.remote(n - 1), PATIENCE).unwrap() }
}

const TWO: f64 = 2.0;

#[remote(num_cpus = 2, name = "from the attribute", resources(seat = 0.5))]
fn asks() -> (f64, f64, String) {
    let context = ray::context();
    let held = context.assigned_resources();
    (held.num_cpus(), held.get("seat"), context.task_name().unwrap().to_owned())
}

#[remote(num_cpus = TWO)]
fn asks_by_constant() -> f64 {
    ray::context().assigned_resources().num_cpus()
}

/// The options of a call override those of the attribute.
#[test]
fn options() {
    in_child("tasks::options", || {
        crate::support::init_with(ray::Config::new().num_cpus(4).num_gpus(1).resource("seat", 1.0)).unwrap();
        assert_eq!(ray::get(asks.remote()).unwrap(), (2.0, 0.5, "from the attribute".to_owned()));
        let called = asks.options().num_cpus(0.25).resource("seat", 1.0).name("from the call");
        assert_eq!(ray::get(called.remote()).unwrap(), (0.25, 1.0, "from the call".to_owned()));
        assert_eq!(ray::get(asks.options().num_cpus(0.0).remote()).unwrap().0, 0.0);
        assert_eq!(ray::get(asks_by_constant.remote()).unwrap(), 2.0);
        let (started, gate) = (Gate::new(), Gate::new());
        let held = hold.options().num_gpus(1.0).memory(1024).remote(started, gate);
        started.wait();
        let free = || {
            let free = ray::available_resources().unwrap();
            (free["GPU"], free["memory"])
        };
        let expected = (0.0, ray::cluster_resources().unwrap()["memory"] - 1024.0);
        if cluster::wanted() {
            eventually("the head knows the resources of the task", || free() == expected);
        }
        assert_eq!(free(), expected);
        gate.open();
        ray::get(held).unwrap();
        // `tell` works on a configured call as well.
        let tally = Tally::new();
        counts.options().num_cpus(0.5).tell(tally, 1);
        tally.wait_for(1);
    });
}

#[remote]
fn hold(started: Gate, gate: Gate) {
    started.open();
    gate.wait();
}

/// The name of a task defaults to the name of its function.
#[test]
fn the_name_of_a_task() {
    engine();
    let error = ray::get(fails.remote(1)).unwrap_err();
    assert_eq!(error.to_string(), "task `fails` failed: no 1");
    let error = ray::get(fails.options().name("try it").remote(1)).unwrap_err();
    assert_eq!(error.to_string(), "task `try it` failed: no 1");
}

/// A request that exceeds the resources of the node is an error at once, for every way of submitting.
#[test]
fn infeasible_requests() {
    in_child("tasks::infeasible_requests", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let refused = |error: Error, word: &str| {
            assert_eq!(error.kind(), ErrorKind::Infeasible, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        };
        let object = square.options().num_cpus(2.0).remote(1);
        assert!(object.is_ready(), "the object has failed already");
        refused(ray::get(object).unwrap_err(), "CPU");
        refused(square.options().num_gpus(1.0).try_remote(1).unwrap_err(), "GPU");
        refused(ray::get(square.options().memory(u64::MAX).remote(1)).unwrap_err(), "memory");
        refused(ray::get(crate::stage::give.options().resource("unheard of", 0.5).remote(1)).unwrap_err(), "unheard of");
        refused(asks.try_remote().unwrap_err(), "asks");
        let error = ray::get(add.remote(1, asks_by_constant_whole.remote())).unwrap_err();
        refused(error, "CPU");
        let (number, text) = parts.options().num_cpus(3.0).remote(Gate::new(), 1);
        refused(ray::get(number).unwrap_err(), "CPU");
        refused(ray::get(text).unwrap_err(), "CPU");
    });
}

#[remote(num_cpus = TWO)]
fn asks_by_constant_whole() -> i64 {
    1
}

/// Invalid options are an error of the reference, or of `try_remote`; the task does not run.
#[test]
fn invalid_options() {
    engine();
    let tally = Tally::new();
    let absurd: [(&str, ray::Result<ObjectRef<()>>); 9] = [
        ("-1", counts.options().num_cpus(-1.0).try_remote(tally, 1)),
        ("NaN", counts.options().num_cpus(f64::NAN).try_remote(tally, 1)),
        ("inf", counts.options().num_gpus(f64::INFINITY).try_remote(tally, 1)),
        ("0.0001", counts.options().num_cpus(0.000_05).try_remote(tally, 1)),
        ("num_cpus", counts.options().resource("CPU", 1.0).try_remote(tally, 1)),
        ("licence", counts.options().resource("licence", -0.5).try_remote(tally, 1)),
        ("-2", counts.options().max_retries(-2).try_remote(tally, 1)),
        ("-3", counts.options().num_cpus(-3.0).num_cpus(1.0).try_remote(tally, 1)),
        ("1e300", counts.options().num_cpus(1e300).try_remote(tally, 1)),
    ];
    for (word, outcome) in absurd {
        let error = outcome.expect_err(word);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{word}: {error}");
        if word != "1e300" {
            assert!(error.to_string().contains(word), "{word}: {error}");
        }
    }
    assert!(ray::get(counts.options().num_cpus(-1.0).remote(tally, 1)).unwrap_err().is_invalid_argument());
    assert_eq!(tally.count(), 0);
}

/// `tell` submits without a reference.
#[test]
fn tell() {
    engine();
    let tally = Tally::new();
    counts.tell(tally, square.remote(2));
    counts.tell(tally, 1);
    tally.wait_for(2);
}

#[test]
fn try_remote_reports_only_submission_errors() {
    engine();
    assert_eq!(ray::get(square.try_remote(3).unwrap()).unwrap(), 9);
    let body = fails.try_remote(1).expect("the failure of a body is an error of the reference");
    assert!(ray::get(body).unwrap_err().is_task());
}

/// A failure that no reference has read is logged once; a failure that was read is not logged.
#[test]
fn unhandled_failures() {
    let body = || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let dropped = fails.remote(101);
        ready(&dropped);
        let again = dropped.clone();
        drop(dropped);
        drop(again);
        let read = fails.remote(102);
        ray::get(&read).unwrap_err();
        drop(read);
        let cause = fails.remote(103);
        let effect = add.remote(&cause, 1);
        ready(&effect);
        drop((cause, effect));
        let settled = ray::get_all_settled(vec![fails.remote(104)]);
        assert!(settled[0].is_err());
        let cancelled = pass.remote(Gate::new(), fails.remote(105));
        let _ = ray::get(&cancelled);
        // The only worker runs these tasks in order. The test does not get the last one: a getter could run it out of order.
        fails.tell(106);
        drop(fails.remote(107));
        let behind = Tally::new();
        ray::task(move || behind.add()).tell();
        behind.wait_for(1);
    };
    let said = in_child("tasks::unhandled_failures", body).stderr;
    let times = |text: &str| said.matches(&format!("failed: {text}")).count();
    for (text, expected) in
        [("no 101", 1), ("no 102", 0), ("no 103", 1), ("no 104", 0), ("no 105", 0), ("no 106", 1), ("no 107", 1)]
    {
        assert_eq!(times(text), expected, "{text} in\n{said}");
    }
    assert!(said.contains("RAY_IGNORE_UNHANDLED_ERRORS=1"), "{said}");
    assert!(said.contains("in task `fails`"), "the log has the chain of tasks: {said}");
}

#[test]
fn unhandled_failures_can_be_ignored() {
    let environment = [("RAY_IGNORE_UNHANDLED_ERRORS", "1")];
    let said = in_child_with("tasks::unhandled_failures_can_be_ignored", &environment, || {
        let dropped = fails.remote(101);
        ready(&dropped);
        drop(dropped);
    });
    assert!(!said.stderr.contains("no 101"), "{}", said.stderr);
}

fn ready<T>(object: &ObjectRef<T>) {
    ray::wait(&[object.any()], ray::first(1).timeout(PATIENCE)).unwrap();
    assert!(object.is_ready());
}
