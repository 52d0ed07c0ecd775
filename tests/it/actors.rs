//! Actors: creation, calls, state, errors, and how they end themselves.

use ray::{ActorHandle, ActorState, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{Token, alone, late, on_cluster, refusal, soon};
use crate::support::{Gate, Tally, calls, engine};

#[remote]
struct Counter {
    value: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Overdrawn {
    by: i64,
}

impl std::fmt::Display for Overdrawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "overdrawn by {}", self.by)
    }
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
    pub fn value(&self) -> i64 {
        self.value
    }
    pub fn double(&mut self) -> i64 {
        self.value *= 2;
        self.value
    }
    pub fn withdraw(&mut self, n: i64) -> Result<i64, Overdrawn> {
        if n > self.value {
            return Err(Overdrawn { by: n - self.value });
        }
        self.value -= n;
        Ok(self.value)
    }
    pub fn tear(&mut self) -> i64 {
        self.value = -1;
        panic!("torn to {}", "pieces")
    }
    pub fn look_and_panic(&self) -> i64 {
        std::panic::panic_any(self.value)
    }
    #[method(num_returns = 2)]
    pub fn both(&self) -> (i64, String) {
        (self.value, self.value.to_string())
    }
    pub fn pass_on(&self) -> ray::Result<i64> {
        Err(ray::Error::other("as it is"))
    }
    pub fn leave(&mut self) -> ray::Result<i64> {
        ray::exit_actor()?;
        Ok(self.value)
    }
}

/// `remote` returns the handle before the constructor has run. The actor type remains an ordinary type.
#[test]
fn a_handle_is_returned_before_the_constructor_runs() {
    alone(|| {
        let gate = Gate::new();
        let counter = Counter::remote(late(gate, 41));
        let first = counter.add.remote(1);
        assert_eq!(counter.state(), ActorState::PendingCreation);
        assert!(!first.is_ready());
        gate.open();
        assert_eq!(ray::get(first).unwrap(), 42);
        assert_eq!(counter.state(), ActorState::Alive);
        let mut plain = Counter::new(1);
        assert_eq!(plain.add(1), 2, "the type can be used without an engine");
    });
}

/// An actor keeps its state between calls; also `with`, `ready` and `id`.
#[test]
fn state_is_kept_between_calls() {
    alone(|| {
        let counter = Counter::remote(0);
        ray::get(counter.ready()).unwrap();
        assert_eq!((1..=5).map(|_| ray::get(counter.add.remote(1)).unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        let all: Vec<ObjectRef<i64>> = (0..100).map(|_| counter.add.remote(1)).collect();
        assert_eq!(ray::get(all).unwrap(), (6..106).collect::<Vec<_>>());
        // On a cluster `with` is an error.
        let doubled = if on_cluster() { counter.double.remote() } else { counter.with(Counter::double) };
        assert_eq!(ray::get(doubled).unwrap(), 210);
        let (number, text) = counter.both.remote();
        assert_eq!((ray::get(number).unwrap(), ray::get(text).unwrap()), (210, "210".to_owned()));
        let other = Counter::remote(0);
        assert_ne!(counter.id(), other.id());
        assert_eq!(ray::get(other.value.remote()).unwrap(), 0, "each actor has its own state");
    });
}

/// The caller gets the `Err` of a method; the actor stays alive and keeps its state.
#[test]
fn an_error_leaves_the_actor_alive() {
    alone(|| {
        let account = Counter::remote(10);
        let error = ray::get(account.withdraw.remote(15)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Task);
        assert_eq!(error.downcast_ref::<Overdrawn>(), Some(&Overdrawn { by: 5 }));
        assert!(error.to_string().contains("withdraw") && error.to_string().contains("overdrawn by 5"), "{error}");
        assert_eq!(ray::get(account.withdraw.remote(4)).unwrap(), 6);
        let error = ray::get(account.pass_on.remote()).unwrap_err();
        assert!(error.is_other() && error.to_string().contains("as it is"), "{error}");
        assert_eq!(account.state(), ActorState::Alive);
    });
}

/// A panic may leave the state inconsistent, so it ends the actor. The error names the method, the message and the place.
#[test]
fn a_panic_ends_the_actor() {
    alone(|| {
        let counter = Counter::remote(0);
        let torn = counter.tear.remote();
        let behind = counter.value.remote();
        let error = ray::get(torn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActorDied);
        let chain = format!("{error:?}");
        assert!(chain.contains("torn to pieces") && chain.contains("tear") && chain.contains("actors.rs:"), "{chain}");
        let error = ray::get(behind).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActorDied);
        assert!(format!("{error:?}").contains("torn to pieces"), "{error:?}");
        assert!(ray::get(counter.value.remote()).unwrap_err().is_actor_died());
        assert!(refusal(counter.value.try_remote()).is_actor_died());
        soon("the actor is dead", || counter.state() == ActorState::Dead);
        let shared = Counter::remote(7);
        let error = ray::get(shared.look_and_panic.remote()).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("7 (a payload of type"), "{error:?}");
    });
}

#[remote]
struct Unstartable;

#[remote]
impl Unstartable {
    pub fn new(panics: bool) -> Result<Self, String> {
        assert!(!panics, "the constructor panics");
        Err("no licence".to_owned())
    }
    pub fn call(&self) -> i64 {
        1
    }
}

/// Every call of an actor whose constructor failed has the error of the constructor.
#[test]
fn a_constructor_that_fails() {
    alone(|| {
        for (panics, text) in [(false, "no licence"), (true, "the constructor panics")] {
            let actor = Unstartable::remote(panics);
            for object in [actor.call.remote(), actor.call.remote()] {
                let error = ray::get(object).unwrap_err();
                assert!(error.is_actor_died() && format!("{error:?}").contains(text), "{error:?}");
            }
            let error = ray::get(actor.ready()).unwrap_err();
            assert!(error.is_actor_died() && format!("{error:?}").contains(text), "{error:?}");
            assert!(ray::get(actor.call.remote()).unwrap_err().is_actor_died());
            assert_eq!(actor.state(), ActorState::Dead);
        }
    });
}

/// Every call of an actor with a failed constructor argument has the error of that argument.
#[test]
fn a_constructor_whose_argument_fails() {
    alone(|| {
        let gate = Gate::new();
        let broken = does_not_start.remote(gate);
        let (waits, late) = (Counter::remote(&broken), broken.clone());
        let early = waits.value.remote();
        gate.open();
        for object in [early, waits.value.remote(), Counter::remote(late).value.remote()] {
            let error = ray::get(object).unwrap_err();
            assert!(error.is_actor_died() && format!("{error:?}").contains("no start"), "{error:?}");
        }
    });
}

#[remote]
fn does_not_start(gate: Gate) -> i64 {
    gate.wait();
    panic!("no start")
}

/// The error of `exit_actor` outside of an actor.
#[remote]
fn exits() -> Option<String> {
    ray::exit_actor().err().filter(ray::Error::is_invalid_argument).map(|error| error.to_string())
}

#[remote]
struct Bomb {
    #[allow(dead_code)]
    token: Token,
}

#[remote]
impl Bomb {
    pub fn new(drops: Tally) -> Self {
        Bomb { token: Token(drops) }
    }
    pub fn call(&mut self) -> i64 {
        7
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a state that panics when it is dropped");
    }
}

/// A panic in the `Drop` of an actor's state affects no call; its fields are dropped, and the engine runs further work.
#[test]
fn a_state_that_panics_when_dropped() {
    alone(|| {
        let drops = Tally::new();
        let bomb = Bomb::remote(drops);
        let last = bomb.call.remote();
        drop(bomb);
        assert_eq!(ray::get(last).unwrap(), 7);
        drops.wait_for(1);
        let bomb = Bomb::remote(drops);
        ray::get(bomb.ready()).unwrap();
        ray::kill(&bomb).unwrap();
        if on_cluster() {
            assert_eq!(drops.count(), 1, "a kill ends the process of the state");
        } else {
            drops.wait_for(2);
        }
        assert_eq!(ray::get(Counter::remote(1).add.remote(1)).unwrap(), 2);
    });
}

/// Calls by `tell` keep their order among the other calls. An `Err` of one leaves the actor alive, a panic ends it.
#[test]
fn told_calls_keep_their_order() {
    alone(|| {
        let counter = Counter::remote(0);
        let told = calls(100, 1000);
        for _ in 0..told {
            counter.add.tell(1);
        }
        assert_eq!(ray::get(counter.value.remote()).unwrap(), told);
        counter.withdraw.tell(1_000_000);
        assert_eq!(ray::get(counter.value.remote()).unwrap(), told);
        counter.tear.tell();
        let error = ray::get(counter.value.remote()).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("torn to pieces"), "{error:?}");
        counter.add.tell(1);
    });
}

/// The calls before `terminate` run; the calls after it fail.
#[test]
fn terminate_ends_the_actor_after_its_calls() {
    alone(|| {
        let counter = Counter::remote(0);
        let before: Vec<_> = (0..10).map(|_| counter.add.remote(1)).collect();
        let ended = counter.terminate();
        let after = counter.value.remote();
        assert_eq!(ray::get(before).unwrap().last(), Some(&10));
        ray::get(ended).unwrap();
        assert!(ray::get(after).unwrap_err().is_actor_died());
        assert!(ray::get(counter.value.remote()).unwrap_err().is_actor_died());
        assert_eq!(counter.state(), ActorState::Dead);
    });
}

/// `exit_actor` ends the actor that calls it and fails the running call, as in Ray. Outside of an actor it is an error.
#[test]
fn exit_actor_ends_the_actor() {
    alone(|| {
        let counter = Counter::remote(3);
        assert!(ray::get(counter.leave.remote()).unwrap_err().is_actor_died());
        assert!(ray::get(counter.value.remote()).unwrap_err().is_actor_died());
        assert!(ray::exit_actor().unwrap_err().is_invalid_argument());
        assert!(ray::get(exits.remote()).unwrap().is_some(), "in a task");
    });
}

#[remote]
struct Circle {
    radius: f64,
}

#[remote]
impl Circle {
    pub fn new(radius: f64) -> Self {
        Circle { radius }
    }
    pub fn area(&self, scale: f64) -> f64 {
        3.0 * self.radius * self.radius * scale
    }
}

#[remote]
struct Rectangle {
    width: f64,
}

#[remote]
impl Rectangle {
    pub fn new(width: f64) -> Self {
        Rectangle { width }
    }
    pub async fn area(&self, scale: f64) -> Result<f64, String> {
        if self.width < 0.0 { Err("no such rectangle".into()) } else { Ok(self.width * 2.0 * scale) }
    }
}

/// What the handles of several classes have in common.
trait Shape: Send + Sync {
    fn area(&self, scale: f64) -> ObjectRef<f64>;
}

impl Shape for ActorHandle<Circle> {
    fn area(&self, scale: f64) -> ObjectRef<f64> {
        self.area.remote(scale)
    }
}

impl Shape for ActorHandle<Rectangle> {
    fn area(&self, scale: f64) -> ObjectRef<f64> {
        self.area.remote(scale)
    }
}

/// A trait of the program on the handles of several classes takes the place of a base class.
#[test]
fn handles_of_several_classes_behind_a_trait() {
    engine();
    let shapes: [Box<dyn Shape>; 3] =
        [Box::new(Circle::remote(1.0)), Box::new(Rectangle::remote(3.0)), Box::new(Rectangle::remote(-1.0))];
    let areas = shapes.map(|shape| shape.area(10.0));
    assert_eq!(ray::get(&areas[..2]).unwrap(), [30.0, 60.0]);
    assert_eq!(ray::get(&areas[2]).unwrap_err().downcast_ref::<String>().unwrap(), "no such rectangle");
}
