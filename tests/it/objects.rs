//! Objects and references to them: put, view, take, identity, callbacks, awaits, drops.

use std::collections::HashSet;
use std::sync::Arc;

use ray::{ErrorKind, ObjectRef, TakeError, remote};

use crate::cluster;
use crate::support::{Gate, Tally, calls, engine, in_child, strict};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn wait_at(gate: Gate) -> i64 {
    gate.wait();
    1
}

#[remote(local)]
fn make(tally: Tally) -> Noisy {
    Noisy(tally)
}

/// Neither `Clone` nor serialisable; adds one to the tally when dropped.
#[derive(Debug)]
struct Noisy(Tally);

impl Drop for Noisy {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// `put` moves the value into the object.
#[test]
fn put() {
    engine();
    let value = vec![1_u8; 1 << 16];
    let place = value.as_ptr();
    let object = ray::put(value);
    // On a cluster the value is in the object store until it is asked for.
    assert!(cluster::wanted() || object.is_ready());
    assert_eq!(object.task_id(), None, "no task makes the object");
    if !strict() {
        assert_eq!(object.view().unwrap().as_ptr(), place, "moved, not copied");
    }
    assert_eq!(ray::get(&object).unwrap().len(), 1 << 16);
}

/// `put_local` accepts a type that cannot be serialised; `ObjectRef::from` adopts an `Arc`.
#[test]
fn put_local_and_adopted_arcs() {
    engine();
    let (sender, receiver) = std::sync::mpsc::channel();
    let object = ray::put_local(sender);
    object.view().unwrap().send(5).unwrap();
    assert_eq!(receiver.recv().unwrap(), 5);

    let shared = Arc::new(vec![1, 2, 3]);
    let object = ObjectRef::from(Arc::clone(&shared));
    assert!(std::ptr::eq(&*object.view().unwrap(), &*shared), "the object shares the `Arc`, in strict mode as well");
    assert_eq!(Arc::strong_count(&shared), 2);
    drop(object);
    assert_eq!(Arc::strong_count(&shared), 1);
}

/// Several views can read the same object, and each keeps it alive.
#[test]
fn views() {
    engine();
    let object = square.remote(3);
    let (one, two) = (object.view().unwrap(), object.view().unwrap());
    assert!(std::ptr::eq(&*one, &*two));
    drop(object);
    drop(one);
    assert_eq!(*two, 9, "the view keeps the value alive");
    assert_eq!(format!("{two:?}"), "9", "the `Debug` form of a view is that of the value");
    if !cluster::wanted() {
        let tally = Tally::new();
        let object = make.remote(tally);
        let (one, two) = (object.view().unwrap(), object.view().unwrap());
        drop((object, one));
        assert_eq!(tally.count(), 0, "the view keeps the value alive");
        drop(two);
        assert_eq!(tally.count(), 1);
    }
    let error = crate::stage::panic_u8.remote("nothing to see".to_owned()).view().map(|view| *view).unwrap_err();
    assert!(error.is_panic());
}

/// `take` by the only reference always succeeds, at any time, and needs no `Clone`.
#[test]
fn the_sole_owner_takes() {
    engine();
    #[remote]
    fn seven() -> Box<i32> {
        Box::new(7)
    }
    for _ in 0..calls(100, 20_000) {
        let taken = seven.remote().take();
        assert_eq!(taken.map(|value| *value).ok(), Some(7));
    }
    let gate = Gate::new();
    let tally = Tally::new();
    for round in 0..calls(40, 200) {
        // A dependant held a reference until it ended.
        if cluster::wanted() {
            let object = ray::put(3);
            assert_eq!(ray::get(square.remote(&object)).unwrap(), 9);
            assert_eq!(object.take().expect("the dependant has ended"), 3);
            continue;
        }
        let object = ray::put_local(Noisy(tally));
        let dependant = reads.remote(&object);
        ray::get(dependant).unwrap();
        drop(object.take().expect("the dependant has ended"));
        assert_eq!(tally.count(), round + 1);
    }
    gate.open();
}

#[remote(local)]
fn reads(_noisy: &Noisy) {}

/// `take` also succeeds right after a `wait` has returned the object, on many threads.
#[test]
fn the_sole_owner_takes_as_soon_as_it_is_ready() {
    #[remote]
    fn empty() -> Vec<u8> {
        Vec::new()
    }
    engine();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..calls(25, 2000) {
                    let object = empty.remote();
                    let (ready, _) = ray::wait([object], ray::first(1).timeout(crate::support::PATIENCE)).unwrap();
                    let [object] = <[_; 1]>::try_from(ready).unwrap();
                    assert!(object.take().is_ok());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// `take` of a shared object returns the reference.
#[test]
fn a_shared_object_is_not_taken() {
    engine();
    let object = square.remote(3);
    let other = object.clone();
    let object = match object.take() {
        Err(TakeError::Shared(object)) => object,
        outcome => panic!("{outcome:?}"),
    };
    assert_eq!(object, other);
    let told = ray::Error::from(object.take().unwrap_err());
    assert_eq!(told.kind(), ErrorKind::InvalidArgument);
    assert_eq!(other.take().expect("the reference is the last one"), 9);
    if !cluster::wanted() {
        let tally = Tally::new();
        let object = make.remote(tally);
        let other = object.clone();
        assert!(matches!(object.take(), Err(TakeError::Shared(_))));
        drop(other.take().expect("the reference is the last one"));
        assert_eq!(tally.count(), 1);
    }

    let kept = Arc::new(5);
    let object = ObjectRef::from(Arc::clone(&kept));
    assert!(matches!(object.take(), Err(TakeError::Shared(_))), "the Arc shares it");
    assert_eq!(ObjectRef::from(kept).take().unwrap(), 5);

    let failed = crate::stage::panic_u8.remote("no value".to_owned());
    let also = failed.clone();
    assert!(matches!(failed.take(), Err(TakeError::Failed(error)) if error.is_panic()));
    assert!(ray::get(also).unwrap_err().is_panic());
}

/// Equality, hashes and ids of references.
#[test]
fn identity() {
    engine();
    let (a, b) = (square.remote(3), square.remote(3));
    let same = a.clone();
    assert_eq!(a, same);
    assert_ne!(a, b);
    assert_eq!(a.id(), same.id());
    assert_ne!(a.id(), b.id());
    assert!(a.task_id().is_some());
    assert_eq!(a.task_id().map(|id| id.to_string()), Some(a.id().to_string()));
    let all: HashSet<_> = [a.clone(), b.clone(), same].into_iter().collect();
    assert_eq!(all.len(), 2);
    assert_eq!(format!("{a:?}"), format!("ObjectRef({})", a.id()));
    let any: HashSet<_> = [a.any(), b.any(), a.any().clone()].into_iter().collect();
    assert_eq!(any.len(), 2);
    assert_eq!(a.any().id(), a.id());
    let elsewhere = std::thread::spawn(move || ray::get(a).unwrap());
    assert_eq!(elsewhere.join().unwrap(), 9);
    ray::get(b).unwrap();
}

/// `try_get` and `is_ready` do not wait.
#[test]
fn try_get_and_is_ready() {
    engine();
    let gate = Gate::new();
    let object = wait_at.remote(gate);
    assert!(!object.is_ready() && !object.any().is_ready());
    assert_eq!(object.try_get().unwrap(), None);
    gate.open();
    ray::get(&object).unwrap();
    assert!(object.is_ready() && object.any().is_ready());
    assert_eq!(object.try_get().unwrap(), Some(1));
    let failed = crate::stage::panic_u8.remote("early".to_owned());
    ray::get(&failed).unwrap_err();
    assert!(failed.is_ready(), "a failed object is ready");
    assert!(failed.try_get().unwrap_err().is_panic());
}

/// An `on_ready` callback is called once, whether it is registered before or after the object is settled, also for a failed
/// object. A panic in a callback has no other effect.
#[test]
fn on_ready() {
    engine();
    let (gate, tally) = (Gate::new(), Tally::new());
    let object = wait_at.remote(gate);
    for _ in 0..3 {
        object.on_ready(move || _ = tally.add());
    }
    object.on_ready(|| panic!("a callback that panics"));
    assert_eq!(tally.count(), 0);
    gate.open();
    tally.wait_for(3);
    object.on_ready(move || _ = tally.add());
    tally.wait_for(4);
    let failed = crate::stage::panic_u8.remote("early".to_owned());
    failed.on_ready(move || _ = tally.add());
    tally.wait_for(5);
    ray::get(failed).unwrap_err();
    assert_eq!(ray::get(square.remote(2)).unwrap(), 4, "the engine runs further tasks");
}

/// References are futures that any executor can await.
#[test]
fn references_are_awaited_on_any_executor() {
    engine();
    let (ready, gate) = (square.remote(4), Gate::new());
    let late = wait_at.remote(gate);
    let both = async {
        let first = ready.await.unwrap();
        gate.open();
        (first, late.clone().await.unwrap(), late.await.unwrap())
    };
    assert_eq!(futures::executor::block_on(both), (16, 1, 1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sum = runtime.block_on(async {
        let objects = (0..100).map(|x| square.remote(x));
        futures::future::try_join_all(objects).await.unwrap().into_iter().sum::<i64>()
    });
    assert_eq!(sum, 328_350);
    let error = runtime.block_on(crate::stage::panic_u8.remote("awaited".to_owned())).unwrap_err();
    assert!(error.is_panic());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let spawned = runtime.spawn(async { square.remote(square.remote(3)).await });
    assert_eq!(runtime.block_on(spawned).unwrap().unwrap(), 81);
}

/// Dropping a future or a reference cancels nothing.
#[test]
fn dropping_cancels_nothing() {
    #[remote]
    fn work(gate: Gate, tally: Tally) -> u64 {
        gate.wait();
        tally.add()
    }
    engine();
    let (gate, tally) = (Gate::new(), Tally::new());
    drop(work.remote(gate, tally));
    let object = work.remote(gate, tally);
    {
        let mut future = Box::pin(object.clone());
        let waker = futures::task::noop_waker();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    gate.open();
    tally.wait_for(2);
    assert!(ray::get(object).is_ok());
}

/// Dropping a `cancel_on_drop` guard cancels the task, unless `keep` is called.
#[test]
fn cancel_on_drop() {
    engine();
    let gate = Gate::new();
    let object = wait_at.remote(gate);
    let guard = object.clone().cancel_on_drop();
    assert_eq!(guard.id(), object.id());
    drop(guard);
    assert!(ray::get(object).unwrap_err().is_cancelled());
    let object = wait_at.remote(gate);
    let kept = object.cancel_on_drop().keep();
    gate.open();
    assert_eq!(ray::get(kept).unwrap(), 1);
}

/// An object is freed at once when its last reference is dropped.
#[test]
fn freed_with_the_last_reference() {
    engine();
    let tally = Tally::new();
    let object = make.remote(tally);
    let (any, copy) = (object.any(), object.clone());
    ray::wait(&[object.any()], 1).unwrap();
    drop(object);
    drop(copy);
    assert_eq!(tally.count(), 0);
    drop(any);
    assert_eq!(tally.count(), 1);

    let gate = Gate::new();
    let object = ray::put_local(Noisy(tally));
    let reader = reads_at.remote(&object, gate);
    drop(object);
    assert_eq!(tally.count(), 1, "the task still needs the argument");
    gate.open();
    ray::get(reader).unwrap();
    assert_eq!(tally.count(), 2, "dropped before the result of the reader is ready");

    // A result without references is dropped as soon as it is ready.
    make.tell(tally);
    tally.wait_for(3);
    // A long chain of objects in objects is freed without deep recursion.
    let mut list = ray::put_local(None);
    for _ in 0..crate::support::calls(100, 200_000) {
        list = ray::put_local(Some(Link { _next: list }));
    }
    drop(list);
}

struct Link {
    _next: ObjectRef<Option<Link>>,
}

#[remote(local)]
fn reads_at(_noisy: &Noisy, gate: Gate) {
    gate.wait();
}

struct PanicsWhenDropped(Tally);

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        self.0.add();
        panic!("in Drop");
    }
}

#[remote(local)]
fn makes_bad(tally: Tally) -> PanicsWhenDropped {
    PanicsWhenDropped(tally)
}

#[remote(local)]
fn eats_bad(_bad: PanicsWhenDropped) -> i64 {
    5
}

#[remote(local)]
fn looks_at_bad(_bad: &PanicsWhenDropped) -> i64 {
    6
}

/// A panic in the `Drop` of a value loses no other value and blocks no thread; the engine runs further tasks.
#[test]
fn a_value_that_panics_when_dropped() {
    in_child("objects::a_value_that_panics_when_dropped", || {
        crate::support::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let tally = Tally::new();
        // The last reference is dropped on this thread, or on a thread of the engine.
        drop(ray::put_local(PanicsWhenDropped(tally)));
        assert_eq!(tally.count(), 1);
        let object = makes_bad.remote(tally);
        ray::wait(&[object.any()], 1).unwrap();
        drop(object);
        assert_eq!(tally.count(), 2);
        makes_bad.tell(tally);
        tally.wait_for(3);
        // A panic in a drop inside the body is a panic of the body.
        let error = ray::get(eats_bad.remote(PanicsWhenDropped(tally))).unwrap_err();
        assert!(error.is_panic(), "{error}");
        assert_eq!(tally.count(), 4);
        // A borrowed argument is dropped after the body: the result is the value or the panic, but the get never hangs.
        let outcome = ray::get(looks_at_bad.remote(PanicsWhenDropped(tally)));
        assert!(outcome.as_ref().map_or_else(ray::Error::is_panic, |value| *value == 6), "{outcome:?}");
        assert_eq!(tally.count(), 5);
        // An argument of a task that never runs.
        let failed = crate::stage::panic_gate.remote("no gate".to_owned());
        ray::get(hands_on.remote(PanicsWhenDropped(tally), failed)).unwrap_err();
        assert_eq!(tally.count(), 6);
        let squares: Vec<_> = (0..100).map(|x| square.remote(x)).collect();
        assert_eq!(ray::get(squares).unwrap()[9], 81);
    });
}

#[remote(local)]
fn hands_on(_bad: PanicsWhenDropped, _gate: Gate) {}
