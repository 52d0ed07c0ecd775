//! Events.

use std::thread;
use std::time::{Duration, Instant};

use ray::remote;
use ray::util::Event;
use serde::{Deserialize, Serialize};

use crate::support::{Tally, calls, engine};

const SHORT: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Start {
    event: Event,
    begun: Tally,
}

#[remote(num_cpus = 0)]
fn wait(start: Start) -> ray::Result<()> {
    start.begun.add();
    start.event.wait()
}

#[remote]
async fn wait_async(start: Start) -> ray::Result<()> {
    start.begun.add();
    start.event.wait_async().await
}

/// Setting an event lets all callers go on: threads, tasks and async tasks. Later callers do not wait.
#[test]
fn a_set_event_lets_all_callers_go_on() {
    engine();
    let start = Start { event: Event::new(), begun: Tally::new() };
    let count = calls(2, 20);
    let tasks: Vec<_> = (0..count).flat_map(|_| [wait.remote(start.clone()), wait_async.remote(start.clone())]).collect();
    start.begun.wait_for(2 * count);
    let thread = thread::spawn({
        let event = start.event.clone();
        move || event.wait()
    });
    assert!(!start.event.is_set().unwrap());
    start.event.set().unwrap();
    ray::get(tasks).unwrap();
    thread.join().unwrap().unwrap();
    start.event.wait().unwrap();
    assert!(start.event.is_set().unwrap() && start.event.wait_timeout(Duration::ZERO).unwrap());
}

/// A cleared event makes callers wait again, until their time-out.
#[test]
fn a_cleared_event_makes_callers_wait() {
    engine();
    let event = Event::default();
    event.set().unwrap();
    event.clear().unwrap();
    assert!(!event.wait_timeout(Duration::ZERO).unwrap());
    let begin = Instant::now();
    assert!(!event.wait_timeout(SHORT).unwrap());
    assert!(begin.elapsed() >= SHORT);
    futures::executor::block_on(async {
        event.set_async().await.unwrap();
        assert!(event.is_set_async().await.unwrap());
        event.wait_async().await.unwrap();
        event.clear_async().await.unwrap();
        assert!(!event.is_set_async().await.unwrap());
    });
}

/// A wait in an async body that would block is an error.
#[test]
fn a_blocking_wait_in_an_async_body_is_an_error() {
    #[remote]
    async fn block(event: Event) -> ray::Result<()> {
        event.wait()
    }
    engine();
    let event = Event::new();
    assert!(ray::get(block.remote(&event)).unwrap_err().is_blocking_in_async());
    assert_eq!(event, ray::get(ray::put(event.clone())).unwrap());
}

/// A shutdown ends all waits.
#[test]
fn a_shutdown_ends_all_waits() {
    engine();
    let start = Start { event: Event::new(), begun: Tally::new() };
    let tasks = [wait.remote(start.clone()), wait_async.remote(start.clone())];
    start.begun.wait_for(2);
    start.event.shutdown().unwrap();
    for task in tasks {
        let error = ray::get(task).unwrap_err();
        assert!(error.is_actor_died(), "{error}");
    }
    assert!(start.event.set().unwrap_err().is_actor_died());
    assert!(start.event.is_set().unwrap_err().is_actor_died());
    assert!(start.event.wait_timeout(SHORT).unwrap_err().is_actor_died());
}
