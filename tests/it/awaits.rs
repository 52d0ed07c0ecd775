//! Awaits that are dropped, shared or borrowed, and wakers that panic.

use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::time::Duration;

use futures::future::{FutureExt, join_all};
use futures::task::noop_waker_ref;
use futures::{Stream, StreamExt};
use ray::{CancelOnDrop, Config, ObjectRef, remote};

use crate::stage::{alone_on, eventually, late, on_cluster};
use crate::support::{Gate, PATIENCE, Tally, calls, engine, flat, in_child, resident, rounds};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn sum(x: i64, y: i64) -> i64 {
    x + y
}

#[remote]
struct Adder(i64);

#[remote]
impl Adder {
    pub fn new() -> Self {
        Adder(0)
    }
    pub fn add(&mut self, x: i64) -> i64 {
        self.0 += x;
        self.0
    }
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(noop_waker_ref()))
}

/// A waker that counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_borrowed_reference_is_awaited() {
    engine();
    let gate = Gate::new();
    let object = late(gate, vec![7]);
    let mut borrowed = (&object).into_future();
    assert!(poll_once(&mut borrowed).is_pending());
    let two = async { ((&object).await, (&object).await) };
    gate.open();
    let (one, other) = futures::executor::block_on(two);
    assert_eq!((one.unwrap(), other.unwrap()), (vec![7], vec![7]));
    assert_eq!(futures::executor::block_on(borrowed).unwrap(), [7]);
    assert_eq!(object.take().unwrap(), [7], "the reference is still the only one");
    let failed = crate::stage::panic_i64.remote("no value".to_owned());
    assert!(futures::executor::block_on(async { (&failed).await }).unwrap_err().is_panic());
}

/// A dropped await loses no value.
#[test]
fn select_timeout_and_join_lose_nothing() {
    engine();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gate = Gate::new();
        let mut object = late(gate, 7);
        for _ in 0..3 {
            tokio::select! {
                biased;
                _ = &mut object => panic!("the gate is closed"),
                () = std::future::ready(()) => {}
            }
            assert!(tokio::time::timeout(Duration::ZERO, &mut object).await.is_err());
            assert!(tokio::time::timeout(Duration::ZERO, object.clone()).await.is_err());
            assert!((&object).into_future().now_or_never().is_none());
        }
        let others: Vec<_> = (0..5).map(|_| object.clone()).collect();
        let all = tokio::spawn(join_all(others));
        tokio::task::yield_now().await;
        gate.open();
        assert_eq!((&mut object).await.unwrap(), 7);
        assert_eq!(all.await.unwrap().into_iter().map(Result::unwrap).collect::<Vec<_>>(), [7; 5]);
        assert!(object.await.unwrap_err().is_invalid_argument(), "the value has been taken");
    });
}

/// The waker of the last poll is woken; earlier wakers are dropped.
#[test]
fn a_future_that_moves_between_tasks() {
    engine();
    let gate = Gate::new();
    let mut object = late(gate, 7);
    let counts: [Arc<Count>; 3] = Default::default();
    for count in &counts {
        for _ in 0..2 {
            let waker = Waker::from(Arc::clone(count));
            assert!(Pin::new(&mut object).poll(&mut Context::from_waker(&waker)).is_pending());
        }
    }
    assert_eq!(counts.each_ref().map(Arc::strong_count), [1, 1, 2]);
    gate.open();
    eventually("the last waker is woken", || counts[2].woken() == 1);
    assert_eq!(counts.each_ref().map(|count| count.woken()), [0, 0, 1]);
    assert_eq!(futures::executor::block_on(object).unwrap(), 7);
    assert_eq!(counts.each_ref().map(Arc::strong_count), [1, 1, 1]);
}

/// A `CancelOnDrop` guard that is awaited to completion cancels nothing; one that is dropped earlier cancels the task.
#[test]
fn a_cancel_on_drop_guard_is_awaited() {
    engine();
    let gate = Gate::new();
    let object = late(gate, 7);
    let other = object.clone();
    let mut guard = object.cancel_on_drop();
    assert!(poll_once(&mut guard).is_pending());
    gate.open();
    assert_eq!(futures::executor::block_on(guard).unwrap(), 7);
    assert_eq!(ray::get(other).unwrap(), 7);

    let gate = Gate::new();
    let object = late(gate, 7);
    let other = object.clone();
    let mut guard: CancelOnDrop<i32> = object.cancel_on_drop();
    assert!(poll_once(&mut guard).is_pending());
    drop(guard);
    assert!(ray::get(other).unwrap_err().is_cancelled());
    gate.open();
}

/// Dropping an executor with pending awaits affects neither the objects nor other waiters.
#[test]
fn an_executor_is_dropped_with_awaits_pending() {
    engine();
    let gate = Gate::new();
    let object = late(gate, 7);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let polled = Tally::new();
    for _ in 0..50 {
        let mut object = object.clone();
        runtime.spawn(std::future::poll_fn(move |context| {
            let poll = Pin::new(&mut object).poll(context);
            polled.add();
            poll
        }));
    }
    polled.wait_for(50);
    runtime.shutdown_timeout(PATIENCE);
    gate.open();
    assert_eq!(ray::get(object).unwrap(), 7);
}

/// How a waker misbehaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Faulty {
    Clone,
    Wake,
    Drop,
}

/// A waker that panics in the method that `how` names. The waker that this function returns never panics when it is dropped.
fn faulty(how: Faulty) -> Waker {
    fn fault(data: *const ()) -> Faulty {
        [Faulty::Clone, Faulty::Wake, Faulty::Drop][data.addr() & 0xF]
    }
    fn check(data: *const (), now: Faulty) {
        assert!(fault(data) != now, "a waker that panics in {now:?}");
    }
    fn clone(data: *const ()) -> RawWaker {
        check(data, Faulty::Clone);
        // A different address, so that `will_wake` is false.
        RawWaker::new(data.wrapping_byte_add(0x10), &TABLE)
    }
    fn wake(data: *const ()) {
        check(data, Faulty::Wake);
        drop_one(data);
    }
    fn wake_by_ref(data: *const ()) {
        check(data, Faulty::Wake);
    }
    fn drop_one(data: *const ()) {
        if data.addr() >= 0x10 {
            check(data, Faulty::Drop);
        }
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_one);
    // SAFETY: the data is a number, which is never dereferenced, so the waker is valid on any thread.
    unsafe { Waker::from_raw(RawWaker::new(std::ptr::without_provenance(how as usize), &TABLE)) }
}

/// A waker that panics affects neither the thread that settles the object nor other waiters.
#[test]
fn wakers_that_panic() {
    engine();
    for how in [Faulty::Clone, Faulty::Wake, Faulty::Drop] {
        let gate = Gate::new();
        let object = late(gate, 7);
        let good = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&good));
        let mut before = object.clone();
        assert!(Pin::new(&mut before).poll(&mut Context::from_waker(&waker)).is_pending());
        let faulty = faulty(how);
        let mut futures: Vec<_> = (0..3).map(|_| object.clone()).collect();
        for future in &mut futures {
            for _ in 0..2 {
                let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *future).poll(&mut Context::from_waker(&faulty))));
                assert_eq!(polled.is_err(), how == Faulty::Clone, "{how:?}: a panic in `clone` reaches the poller");
            }
        }
        let mut after = object.clone();
        assert!(Pin::new(&mut after).poll(&mut Context::from_waker(&waker)).is_pending());
        futures.pop();
        let mut stream = ray::as_completed([object.clone()]).stream();
        let polled =
            catch_unwind(AssertUnwindSafe(|| Pin::new(&mut stream).poll_next(&mut Context::from_waker(&faulty)).is_pending()));
        assert_eq!(polled.is_err(), how == Faulty::Clone);
        gate.open();
        assert_eq!(ray::get(&object).unwrap(), 7, "{how:?}");
        eventually("the other waiters are woken", || good.woken() == 2);
        assert!(futures::executor::block_on(stream.next()).is_some());
        drop(futures);
        assert_eq!(futures::executor::block_on(before).unwrap(), 7);
        assert_eq!(futures::executor::block_on(after).unwrap(), 7);
    }
}

#[remote]
fn begins_and_waits(begun: Gate, gate: Gate) -> i32 {
    begun.open();
    gate.wait();
    7
}

/// A shutdown wakes every await of a task whose body still runs: owned, borrowed and in a stream.
#[test]
fn a_shutdown_wakes_every_await() {
    in_child("awaits::a_shutdown_wakes_every_await", || {
        crate::support::init_with(Config::new().num_cpus(1).shutdown_grace(Duration::ZERO)).unwrap();
        let (gate, begun) = (Gate::new(), Gate::new());
        let object: ObjectRef<i32> = begins_and_waits.remote(begun, gate);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let mut owned = object.clone();
        let mut borrowed = (&object).into_future();
        let mut stream = ray::as_completed([object.clone()]).stream();
        assert!(Pin::new(&mut owned).poll(&mut context).is_pending());
        assert!(Pin::new(&mut borrowed).poll(&mut context).is_pending());
        assert!(Pin::new(&mut stream).poll_next(&mut context).is_pending());
        begun.wait();
        assert_eq!(count.woken(), 0);
        let ended = ray::shutdown();
        // On a cluster the process of the body is no part of this program.
        assert_eq!(ended.is_err(), !on_cluster(), "the body still runs: {ended:?}");
        assert_eq!(count.woken(), 3);
        let gone = |polled: Poll<ray::Result<i32>>| matches!(polled, Poll::Ready(Err(error)) if error.is_runtime_gone());
        assert!(gone(Pin::new(&mut owned).poll(&mut context)));
        assert!(gone(Pin::new(&mut borrowed).poll(&mut context)));
        assert!(matches!(Pin::new(&mut stream).poll_next(&mut context), Poll::Ready(Some(_))));
        gate.open();
    });
}

/// Calls `body` with an object that becomes ready after `body` has returned.
fn while_pending(body: impl FnOnce(&mut ObjectRef<i64>)) {
    let gate = Gate::new();
    let mut object = late(gate, 7);
    body(&mut object);
    gate.open();
    assert_eq!(ray::get(object).unwrap(), 7);
}

/// Dropped awaits of a pending object leak no memory.
#[test]
fn dropped_awaits_leak_no_memory() {
    in_child("awaits::dropped_awaits_leak_no_memory", || {
        crate::support::init_with(Config::new().num_cpus(1)).unwrap();
        let most = 6 << 20;
        let share = rounds(600_000, 10_000_000) / 6;
        while_pending(|object| flat("a clone", share, most, || assert!(poll_once(&mut object.clone()).is_pending())));
        while_pending(|object| flat("a borrow", share, most, || assert!(poll_once(&mut (&*object).into_future()).is_pending())));
        while_pending(|object| {
            flat("another waker each time", share, most, || {
                let waker = Waker::from(Arc::new(Count::default()));
                assert!(Pin::new(&mut *object).poll(&mut Context::from_waker(&waker)).is_pending());
            });
        });
        while_pending(|object| {
            flat("two awaits at once", share, most, || {
                let (mut one, mut other) = (object.clone(), object.clone());
                assert!(poll_once(&mut one).is_pending() && poll_once(&mut other).is_pending());
            });
        });
        while_pending(|object| {
            flat("a stream", share / 10, most, || {
                let mut stream = ray::as_completed([object.clone()]).stream();
                assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(noop_waker_ref())).is_pending());
            });
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while_pending(|object| {
            runtime.block_on(async {
                let mut before = 0;
                for round in 0..share {
                    if round == share / 10 {
                        before = resident();
                    }
                    let mut given_up = pin!(tokio::time::timeout(PATIENCE, object.clone()));
                    assert!(futures::poll!(given_up.as_mut()).is_pending());
                }
                let grown = resident().saturating_sub(before);
                println!("time-outs: {share} rounds, {grown} bytes");
                assert!(grown < most, "time-outs: {grown} bytes more after {share} rounds");
            });
        });
    });
}

/// A dependant that is cancelled leaves nothing behind at an object that stays pending.
#[test]
fn cancelled_dependants_leak_no_memory() {
    in_child("awaits::cancelled_dependants_leak_no_memory", || {
        crate::support::init_with(Config::new().num_cpus(1)).unwrap();
        let gate = Gate::new();
        let (object, second) = (late(gate, 7i64), late(gate, 8i64));
        let most = 6 << 20;
        // On a cluster all of this must be over before the gate gives up.
        let share = calls(4, rounds(80_000, 1_000_000) / 4);
        flat("tasks", share, most, || ray::cancel(&square.remote(&object)).unwrap());
        flat("tasks of two objects", share, most, || ray::cancel(&sum.remote(&object, &second)).unwrap());
        flat("a chain", share / 2, most, || {
            let first = square.remote(&object);
            let last = square.remote(&first);
            ray::cancel(&first).unwrap();
            assert!(ray::get(last).unwrap_err().is_cancelled());
        });
        let adder = Adder::remote();
        flat("calls", share, most, || ray::cancel(&adder.add.remote(&object)).unwrap());
        gate.open();
        assert_eq!(ray::get(adder.add.remote(&object)).unwrap(), 7);
    });
}

/// Half of the dependants of two objects are cancelled.
#[test]
fn dependants_beside_cancelled_ones_run() {
    alone_on(1, || {
        let gate = Gate::new();
        let (object, second) = (late(gate, 7i64), late(gate, 8i64));
        let waiting: Vec<_> = (0..calls(4, 20_000)).map(|_| sum.remote(&object, &second)).collect();
        waiting.iter().step_by(2).for_each(|object| ray::cancel(object).unwrap());
        gate.open();
        for (at, object) in waiting.into_iter().enumerate() {
            assert_eq!(ray::get(object).ok(), (at % 2 == 1).then_some(15), "the dependants that were not cancelled still run");
        }
    });
}

/// A task fails with one argument while another one is pending; the pending one is settled later without harm.
#[test]
fn a_dependant_that_fails_with_one_argument() {
    alone_on(1, || {
        for _ in 0..calls(2, 200) {
            let (gate, other) = (Gate::new(), Gate::new());
            let (pending, failing) = (late(gate, 1i64), late(other, 2i64));
            let dependant = sum.remote(&pending, &failing);
            ray::cancel(&failing).unwrap();
            assert!(ray::get(dependant).unwrap_err().is_cancelled());
            other.open();
            gate.open();
            assert_eq!(ray::get(pending).unwrap(), 1);
        }
    });
}

#[remote]
async fn sleeps_briefly() -> u32 {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await; // body: the runtime must poll it again
    1
}

/// Short, except when it gets the result of an async body.
#[remote]
fn may_get(get: bool) -> u32 {
    if get { ray::get(sleeps_briefly.remote()).unwrap() } else { 0 }
}

#[remote]
async fn awaits_short_bodies(count: u32) -> u32 {
    for _ in 0..count {
        may_get.remote(false).await.unwrap();
    }
    may_get.remote(true).await.unwrap()
}

/// An await runs a short body on the only thread of the engine's async runtime. When that body waits for an async body, the thread
/// gives the runtime away first.
#[test]
fn a_body_on_the_runtime_waits_for_an_async_body() {
    crate::stage::alone_on(1, || {
        for _ in 0..5 {
            let result = ray::get_timeout(awaits_short_bodies.remote(200), std::time::Duration::from_secs(20));
            assert_eq!(result.unwrap(), 1);
        }
    });
}
