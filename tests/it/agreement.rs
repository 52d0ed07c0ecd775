//! The functions of the library take every form of a handle, a reference or a number that means the same.

use std::collections::HashSet;
use std::time::Duration;

use ray::{ActorHandle, ObjectRef, Pending, RemoteFunction, WeakActorHandle, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{alone_on, eventually};
use crate::support::{calls, engine, strict};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn length(text: String) -> usize {
    text.len()
}

#[remote]
fn add(left: i64, right: &i64) -> i64 {
    left + right
}

#[remote]
fn refuse(x: i64) -> Result<i64, String> {
    Err(format!("no {x}"))
}

#[remote(num_returns = 2)]
fn divide(x: i64, by: i64) -> (i64, i64) {
    (x / by, x % by)
}

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new(value: i64) -> Self {
        Counter { value }
    }
    pub fn add(&mut self, n: i64) -> i64 {
        self.value += n;
        self.value
    }
}

#[remote]
fn add_to(counter: ActorHandle<Counter>, n: i64) -> ray::Result<i64> {
    ray::get(counter.add.remote(n))
}

#[remote]
fn add_to_weak(counter: WeakActorHandle<Counter>, n: i64) -> i64 {
    ray::get(counter.add.remote(n)).unwrap()
}

#[remote]
fn add_to_all(counters: Vec<ActorHandle<Counter>>) -> Vec<i64> {
    ray::get(counters.iter().map(|counter| counter.add.remote(1)).collect::<Vec<_>>()).unwrap()
}

#[derive(Clone, Serialize, Deserialize)]
struct Card {
    counter: WeakActorHandle<Counter>,
}

#[remote]
fn add_to_card(card: Card) -> i64 {
    ray::get(card.counter.add.remote(1)).unwrap()
}

/// The handle that `get_actor` returns can be killed, compared, hashed, passed as an argument and put into values.
#[test]
fn a_weak_handle_in_every_place_of_a_handle() {
    alone_on(2, || {
        let counter = Counter::options().name("counter").remote(0);
        let found = ray::get_actor::<Counter>("counter").unwrap();
        assert_eq!(found, counter);
        assert_eq!(counter, found);
        assert_eq!(found, counter.downgrade());
        let other = Counter::remote(0);
        assert!(found != other && found != other.downgrade());
        let set: HashSet<_> = [found.clone(), counter.downgrade(), other.downgrade()].into();
        assert_eq!(set.len(), 2);

        assert_eq!(ray::get(add_to.remote(&found, 1)).unwrap(), 1);
        assert_eq!(ray::get(add_to.remote(found.clone(), 1)).unwrap(), 2);
        assert_eq!(ray::get(add_to_weak.remote(&found, 1)).unwrap(), 3);
        assert_eq!(ray::get(add_to_weak.remote(found.clone(), 1)).unwrap(), 4);
        assert_eq!(ray::get(add_to_card.remote(Card { counter: found.clone() })).unwrap(), 5);

        ray::kill(&found).unwrap();
        eventually("the actor is dead", || counter.state() == ray::ActorState::Dead);
        ray::kill(&found).unwrap();
        let error = ray::get(add_to.remote(&found, 1)).unwrap_err();
        assert!(error.is_actor_died(), "{error:?}");
        assert!(ray::get(counter.add.remote(1)).unwrap_err().is_actor_died());
    });
}

/// A weak handle restarts its actor too.
#[test]
fn a_weak_handle_restarts_its_actor() {
    alone_on(2, || {
        let counter = Counter::options().max_restarts(1).max_task_retries(-1).remote(7);
        assert_eq!(ray::get(counter.add.remote(1)).unwrap(), 8);
        ray::kill_and_restart(&counter.downgrade()).unwrap();
        assert_eq!(ray::get(counter.add.remote(1)).unwrap(), 8);
    });
}

/// `kill` of a handle whose engine was shut down is an error.
#[test]
fn a_kill_after_the_shutdown() {
    alone_on(2, || {
        let counter = Counter::remote(0);
        ray::get(counter.ready()).unwrap();
        let weak = counter.downgrade();
        ray::shutdown().unwrap();
        let gone = [ray::kill(&counter), ray::kill(&weak), ray::kill_and_restart(&counter), ray::kill_and_restart(&weak)];
        assert!(gone.iter().all(|gone| gone.as_ref().unwrap_err().is_runtime_gone()), "{gone:?}");
    });
}

/// A parameter `Vec<ActorHandle<A>>` takes arrays and slices of handles, and a `String` takes a `&String`.
#[test]
fn arrays_of_handles_and_borrowed_strings() {
    engine();
    let counters = [Counter::remote(0), Counter::remote(10)];
    assert_eq!(ray::get(add_to_all.remote(&counters)).unwrap(), [1, 11]);
    assert_eq!(ray::get(add_to_all.remote(&counters[1..])).unwrap(), [12]);
    assert_eq!(ray::get(add_to_all.remote(counters.to_vec().as_slice())).unwrap(), [2, 13]);
    assert_eq!(ray::get(add_to_all.remote(counters.to_vec())).unwrap(), [3, 14]);
    assert_eq!(ray::get(add_to_all.remote(counters)).unwrap(), [4, 15]);
    let text = "seven".to_owned();
    assert_eq!(ray::get(length.remote(&text)).unwrap(), 5);
}

/// `get`, `get_timeout` and `get_all_settled` take the same: references, lists, `Pending` and tuples.
#[test]
fn get_and_get_all_settled_take_the_same() {
    engine();
    let squares = || (0..4).map(|x| square.remote(x)).collect::<Vec<_>>();
    assert_eq!(ray::get(Pending::from(squares())).unwrap(), [0, 1, 4, 9]);
    let (first, rest) = ray::wait(squares(), 1).unwrap();
    let mut values = ray::get(rest).unwrap();
    values.extend(ray::get(first).unwrap());
    values.sort_unstable();
    assert_eq!(values, [0, 1, 4, 9]);
    let rest = ray::wait(squares(), 4).unwrap().1;
    assert_eq!(ray::get(rest).unwrap(), []);
    assert_eq!(ray::get_timeout(Pending::from(squares()), Duration::from_secs(60)).unwrap(), [0, 1, 4, 9]);
    assert_eq!(Vec::from(Pending::from(squares())).len(), 4);

    let values = |results: Vec<ray::Result<i64>>| results.into_iter().map(Result::ok).collect::<Vec<_>>();
    let mixed = || vec![square.remote(2), refuse.remote(1), square.remote(3)];
    assert_eq!(values(ray::get_all_settled(mixed())), [Some(4), None, Some(9)]);
    assert_eq!(values(ray::get_all_settled(&mixed())), [Some(4), None, Some(9)]);
    assert_eq!(values(ray::get_all_settled(&mixed()[1..])), [None, Some(9)]);
    assert_eq!(values(ray::get_all_settled(Pending::from(mixed()))), [Some(4), None, Some(9)]);
    let [four, error] = ray::get_all_settled([square.remote(2), refuse.remote(1)]);
    assert_eq!((four.unwrap(), error.unwrap_err().is_task()), (4, true));
    let [four, one] = ray::get_all_settled(&[square.remote(2), square.remote(1)]);
    assert_eq!((four.unwrap(), one.unwrap()), (4, 1));
    let (error, five) = ray::get_all_settled((refuse.remote(1), length.remote("seven")));
    assert_eq!((error.unwrap_err().is_task(), five.unwrap()), (true, 5));
    assert_eq!(ray::get_all_settled(square.remote(3)).unwrap(), 9);
    assert!(ray::get_all_settled(&refuse.remote(3)).is_err());
}

/// Amounts are integers or floats, in every setter; the getters return floats.
#[test]
fn amounts_of_any_number_type() {
    engine();
    let held = |object: ObjectRef<(f64, f64)>| ray::get(object).unwrap();
    #[remote(num_cpus = 0)]
    fn cpus() -> (f64, f64) {
        let context = ray::context();
        (context.assigned_resources().num_cpus(), context.assigned_resources().num_gpus())
    }
    assert_eq!(held(cpus.options().num_cpus(1).remote()), (1.0, 0.0));
    assert_eq!(held(cpus.options().num_cpus(1_u8).num_gpus(0).remote()), (1.0, 0.0));
    assert_eq!(held(cpus.options().num_cpus(0.5_f32).remote()), (0.5, 0.0));
    assert_eq!(held(cpus.options().num_cpus(0.25).remote()), (0.25, 0.0));
    for error in [
        ray::get(cpus.options().num_cpus(-1).remote()).unwrap_err(),
        ray::get(cpus.options().num_cpus(i64::MAX).remote()).unwrap_err(),
        ray::get(cpus.options().resource("seat", f32::NAN).remote()).unwrap_err(),
    ] {
        assert!(error.is_invalid_argument(), "{error:?}");
    }
    let counter = Counter::options().num_cpus(0).resource("seat", 0_u64).remote(1);
    assert_eq!(ray::get(counter.add.remote(1)).unwrap(), 2);
}

/// Code that is generic over remote functions and methods.
#[test]
fn generic_code_over_remote_functions() {
    fn each<A, F: RemoteFunction<(A,)>>(function: &F, items: Vec<A>) -> Vec<ObjectRef<F::Output>> {
        items.into_iter().map(|item| function.remote((item,))).collect()
    }
    fn pair<F>(function: F) -> ray::Result<i64>
    where
        F: RemoteFunction<(i64, ObjectRef<i64>), Output = i64>,
    {
        ray::get(function.remote((1, ray::put(2))))
    }
    engine();
    assert_eq!(ray::get(each(&square, vec![1, 2, 3])).unwrap(), [1, 4, 9]);
    assert_eq!(ray::get(each(&square, vec![ray::put(4), square.remote(2)])).unwrap(), [16, 16]);
    assert_eq!(ray::get(each(&length, vec!["a", "bc"])).unwrap(), [1, 2]);
    assert!(ray::get(each(&refuse, vec![1])).unwrap_err().is_task());
    assert_eq!(pair(add).unwrap(), 3);
    assert_eq!(ray::get(RemoteFunction::remote(&divide, (7, 2))).unwrap(), (3, 1));
    let counter = Counter::remote(0);
    assert_eq!(ray::get(each(&counter.add, vec![1, 2, 3])).unwrap(), [1, 3, 6]);
}

/// `?` converts errors of the standard library, and boxed errors, in a function that returns `ray::Result`.
#[test]
fn std_errors_become_errors() {
    #[remote]
    fn parse(text: String) -> ray::Result<i64> {
        Ok(text.parse::<i64>()?)
    }
    fn open(path: &str) -> ray::Result<usize> {
        Ok(std::fs::read_to_string(path)?.len())
    }
    fn boxed() -> ray::Result<()> {
        let failed: Result<(), Box<dyn std::error::Error + Send + Sync>> = Err("boxed".into());
        Ok(failed?)
    }
    fn nested() -> ray::Result<()> {
        let own: Box<dyn std::error::Error + Send + Sync> = Box::new(ray::get(refuse.remote(1)).unwrap_err());
        Err(own)?
    }
    engine();
    let error = ray::get(parse.remote("seven")).unwrap_err();
    assert!(error.to_string().contains("invalid digit"), "{error:?}");
    assert!(strict() || error.downcast_ref::<std::num::ParseIntError>().is_some(), "{error:?}");
    assert!(open("/nowhere/at/all").unwrap_err().downcast_ref::<std::io::Error>().is_some());
    assert_eq!(boxed().unwrap_err().to_string(), "boxed");
    assert!(nested().unwrap_err().is_task(), "an error of the library stays as it is");
    assert_eq!(ray::get((0..calls(2, 20)).map(|x| parse.remote(x.to_string())).collect::<Vec<_>>()).unwrap()[1], 1);
}
