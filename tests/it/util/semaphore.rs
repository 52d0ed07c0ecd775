//! Semaphores: how many bodies are inside at once, and what becomes of permits.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use ray::util::{Semaphore, SemaphoreActor};
use ray::{ObjectRef, remote};

use super::{a_caller_waits, nobody_waits};
use crate::stage::{Crowd, alone, alone_on, eventually};
use crate::support::{calls, engine};

const SHORT: Duration = Duration::from_millis(20);

/// No more bodies are inside than there are permits, in tasks and in async tasks.
#[test]
fn permits_limit_the_bodies_inside() {
    static INSIDE: Crowd = Crowd::new();
    #[remote(num_cpus = 0)]
    fn work(semaphore: Semaphore, number: u64) -> ray::Result<u64> {
        let _permit = semaphore.acquire()?;
        let _inside = INSIDE.enter();
        thread::yield_now();
        Ok(number)
    }
    #[remote]
    async fn work_async(semaphore: Semaphore, number: u64) -> ray::Result<u64> {
        let _permit = semaphore.acquire_async().await?;
        let _inside = INSIDE.enter();
        Ok(number)
    }
    alone_on(4, || {
        let count = calls(4, 100);
        let semaphore = Semaphore::new(2);
        let refs: Vec<ObjectRef<u64>> =
            (0..count).flat_map(|number| [work.remote(&semaphore, number), work_async.remote(&semaphore, number)]).collect();
        assert_eq!(ray::get(refs).unwrap().into_iter().sum::<u64>(), count * (count - 1));
        assert!((1..=2).contains(&INSIDE.most()), "{}", INSIDE.most());
        eventually("all permits are back", || semaphore.available_permits().unwrap() == 2);
    });
}

/// Permits are taken, given back, added and forgotten. A wait for one ends with its time-out.
#[test]
fn permits_are_counted() {
    engine();
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire().unwrap();
    assert_eq!(semaphore.available_permits().unwrap(), 0);
    assert!(semaphore.try_acquire().unwrap().is_none());
    assert!(semaphore.acquire_timeout(Duration::ZERO).unwrap().is_none());
    assert!(semaphore.acquire_timeout(SHORT).unwrap().is_none());
    drop(permit);
    semaphore.acquire_timeout(SHORT).unwrap().expect("the permit is back").forget();
    assert_eq!(semaphore.available_permits().unwrap(), 0);
    semaphore.add_permits(3).unwrap();
    let three = [(); 3].map(|()| semaphore.try_acquire().unwrap());
    assert!(three.iter().all(Option::is_some) && semaphore.try_acquire().unwrap().is_none());
    drop(three);
    futures::executor::block_on(async {
        let permit = semaphore.try_acquire_async().await.unwrap();
        assert!(permit.is_some());
        semaphore.add_permits_async(1).await.unwrap();
        assert_eq!(semaphore.available_permits_async().await.unwrap(), 3);
    });
}

/// The permit of a body that panics or fails returns.
#[test]
fn a_failed_body_returns_its_permit() {
    #[remote]
    fn fail(semaphore: Semaphore, panics: bool) -> ray::Result<()> {
        let _permit = semaphore.acquire()?;
        assert!(!panics, "as asked");
        Err(ray::Error::other("as asked"))
    }
    engine();
    let semaphore = Semaphore::new(1);
    for panics in [true, false] {
        assert!(ray::get(fail.remote(&semaphore, panics)).is_err());
    }
    drop(semaphore.acquire().unwrap());
}

/// A caller whose wait ends with its cancel, and a future that is dropped, take no permit.
#[test]
fn a_caller_that_gives_up_takes_no_permit() {
    #[remote(num_cpus = 0)]
    fn acquire(semaphore: Semaphore) -> ray::Result<()> {
        semaphore.acquire().map(drop)
    }
    alone(|| {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.acquire().unwrap();
        let waiting = acquire.remote(&semaphore);
        a_caller_waits(1);
        ray::cancel(&waiting).unwrap();
        assert!(ray::get(waiting).unwrap_err().is_cancelled());
        nobody_waits();
        for _ in 0..10 {
            let mut future = pin!(semaphore.acquire_async());
            assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(permit);
        eventually("the permit is free", || semaphore.available_permits().unwrap() == 1);
        drop(semaphore.acquire().unwrap());
    });
}

/// A shutdown ends all waits. The drop of a permit of a dead semaphore does nothing.
#[test]
fn a_shutdown_ends_all_waits() {
    engine();
    let semaphore = Semaphore::new(1);
    let permit = semaphore.acquire().unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire().map(drop))
        })
        .collect();
    semaphore.shutdown().unwrap();
    for waiting in waiting {
        assert!(waiting.join().unwrap().unwrap_err().is_actor_died());
    }
    assert!(semaphore.try_acquire().unwrap_err().is_actor_died());
    assert!(semaphore.available_permits().unwrap_err().is_actor_died());
    assert!(semaphore.add_permits(1).unwrap_err().is_actor_died());
    drop(permit);
}

/// A permit that an earlier instance of the actor gave does not count in the instance after a restart.
#[test]
fn a_permit_from_before_a_restart_adds_none() {
    engine();
    let actor = SemaphoreActor::options().max_restarts(1).remote(2);
    let semaphore: Semaphore = actor.clone().into();
    let permit = semaphore.acquire().unwrap();
    ray::kill_and_restart(&actor).unwrap();
    eventually("the restarted semaphore has all its permits", || semaphore.available_permits().is_ok_and(|permits| permits == 2));
    drop(permit);
    assert_eq!(semaphore.available_permits().unwrap(), 2, "the late permit adds none");
}
