//! Streams of actors' methods.

use futures::{Stream, stream};
use ray::{ActorHandle, ErrorKind, Yielder, remote};

use crate::support::{Gate, Tally, engine};

#[remote(max_restarts = 1)]
struct Source {
    next: u64,
}

#[remote]
impl Source {
    pub fn new(next: u64) -> Self {
        Source { next }
    }

    pub fn count(&mut self, n: u64) -> impl Iterator<Item = u64> {
        (0..n).map(|_| {
            self.next += 1;
            self.next
        })
    }

    #[method(backpressure = 2)]
    pub fn push(&mut self, out: Yielder<u64>, n: u64, made: Tally) -> Result<(), String> {
        for x in 0..n {
            made.add();
            out.push(x).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    pub fn between(&self, xs: &[u64], end: u64) -> Result<impl Iterator<Item = u64>, String> {
        if xs.is_empty() { Err("empty".to_owned()) } else { Ok(xs.iter().copied().filter(move |x| *x < end)) }
    }

    pub fn crash(&self, n: u64) -> impl Iterator<Item = u64> {
        (0..=n).inspect(move |x| assert!(*x < n, "crashed at {n}"))
    }

    pub fn get(&self) -> u64 {
        self.next
    }
}

#[remote]
struct Async(u64);

#[remote]
impl Async {
    pub fn new(n: u64) -> Self {
        Async(n)
    }

    pub fn numbers(&self) -> impl Stream<Item = u64> {
        stream::iter(0..self.0)
    }

    pub async fn pushed(&mut self, out: Yielder<u64>) -> ray::Result<()> {
        for x in 0..self.0 {
            out.push_async(x).await?;
        }
        self.0 = 0;
        Ok(())
    }

    pub async fn left(&self) -> u64 {
        self.0
    }
}

#[test]
fn methods_make_streams() {
    engine();
    let source = Source::remote(10);
    let items: Vec<_> = source.count.remote(3).collect();
    assert_eq!(ray::get(items).unwrap(), [11, 12, 13]);
    assert_eq!(ray::get(source.between.remote(vec![1, 5, 2], 3).collect::<Vec<_>>()).unwrap(), [1, 2]);
    assert!(ray::get(source.between.remote(Vec::<u64>::new(), 3).next().unwrap()).unwrap_err().to_string().contains("empty"));
    let wide = source.count.options().backpressure(1000).remote(1000);
    ray::get(source.get.remote()).unwrap();
    assert_eq!(wide.count(), 1000);
    source.count.tell(5);
    source.count.options().name("told").tell(5);
    assert_eq!(ray::get(source.get.remote()).unwrap(), 10 + 3 + 1000 + 10);
}

#[test]
fn async_methods_make_streams() {
    engine();
    let actor = Async::remote(500);
    assert_eq!(actor.numbers.remote().count(), 500);
    assert_eq!(actor.pushed.remote().count(), 500);
    assert_eq!(ray::get(actor.left.remote()).unwrap(), 0);
}

#[test]
fn an_exclusive_stream_holds_its_actor_to_its_end() {
    engine();
    let (source, made) = (Source::remote(0), Tally::new());
    let mut stream = source.push.remote(10, made);
    made.wait_for(3);
    let later = source.get.remote();
    assert!(ray::get_timeout(&later, std::time::Duration::ZERO).unwrap_err().is_timeout());
    // Each item lets the method make one more.
    for item in 0..7 {
        assert!(!later.is_ready());
        assert_eq!(ray::get(stream.next().unwrap()).unwrap(), item);
        made.wait_for(4 + item);
    }
    drop(stream);
    assert_eq!(ray::get(later).unwrap(), 0);
}

#[test]
fn a_killed_actor_ends_its_streams() {
    engine();
    let (source, made) = (Source::remote(0), Tally::new());
    let stream = source.push.remote(100, made);
    made.wait_for(3);
    let waiting = source.count.remote(3);
    ray::kill(&source).unwrap();
    let items: Vec<_> = stream.collect();
    assert_eq!(items.len(), 3);
    assert!(ray::get(items.into_iter().last().unwrap()).unwrap_err().is_actor_died());
    assert!(ray::get(waiting.last().unwrap()).unwrap_err().is_actor_died());
    assert!(ray::get(source.count.remote(3).last().unwrap()).is_err());
    assert!(source.count.try_remote(3).is_err());
}

#[test]
fn a_crash_is_the_last_item() {
    engine();
    let source = Source::remote(7);
    let mut stream = source.crash.remote(2);
    assert_eq!(ray::get(stream.by_ref().take(2).collect::<Vec<_>>()).unwrap(), [0, 1]);
    assert!(ray::get(stream.next().unwrap()).unwrap_err().to_string().contains("crashed at 2"));
    assert!(stream.next().is_none());
    assert_eq!(ray::get(source.get.remote()).unwrap(), 7);
}

#[test]
fn a_cancelled_call_ends_its_stream() {
    engine();
    let (source, made) = (Source::remote(0), Tally::new());
    let stream = source.push.remote(100, made);
    let queued = source.count.remote(3);
    made.wait_for(3);
    queued.cancel().unwrap();
    assert!(ray::get(queued.last().unwrap()).unwrap_err().is_cancelled());
    stream.cancel().unwrap();
    assert!(ray::get(stream.last().unwrap()).unwrap_err().is_cancelled());
    assert_eq!(ray::get(source.get.remote()).unwrap(), 0);
}

#[remote(max_restarts = 5, max_task_retries = 5)]
struct Fragile {
    attempts: Tally,
}

#[remote]
impl Fragile {
    pub fn new(attempts: Tally) -> Self {
        Fragile { attempts }
    }

    pub fn count(&mut self, n: u64) -> impl Iterator<Item = u64> {
        let attempt = self.attempts.add();
        (0..n).inspect(move |x| assert!(*x < 5 * attempt, "attempt {attempt}"))
    }
}

#[test]
fn a_restart_skips_the_items_that_were_given() {
    engine();
    let attempts = Tally::new();
    let actor = Fragile::remote(attempts);
    let items: Vec<_> = actor.count.remote(12).collect();
    assert_eq!(ray::get(items).unwrap(), (0..12).collect::<Vec<_>>());
    assert_eq!(attempts.count(), 3);
}

#[remote(max_concurrency = 2)]
struct Wide;

#[remote]
impl Wide {
    pub fn new() -> Self {
        Wide
    }

    pub fn gated(&self, gate: Gate) -> impl Iterator<Item = u64> {
        std::iter::once_with(move || {
            gate.wait();
            1
        })
    }

    pub fn open(&self, gate: Gate) {
        gate.open();
    }
}

#[test]
fn streams_of_a_concurrent_actor_run_beside_other_calls() {
    engine();
    let (actor, gate) = (Wide::remote(), Gate::new());
    let stream = actor.gated.remote(gate);
    ray::get(actor.open.remote(gate)).unwrap();
    assert_eq!(stream.count(), 1);
}

#[test]
fn a_method_that_gets_a_later_call_of_its_own_actor_is_a_deadlock() {
    engine();
    let looped = Looped::remote();
    let mut stream = looped.stream.remote(looped.clone());
    let error = ray::get(stream.next().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert!(stream.next().is_none());
}

#[remote]
struct Looped;

#[remote]
impl Looped {
    pub fn new() -> Self {
        Looped
    }

    pub fn stream(&mut self, itself: ActorHandle<Looped>) -> ray::Result<impl Iterator<Item = u64>> {
        let value = ray::get(itself.value.remote())?;
        Ok(0..value)
    }

    pub fn value(&self) -> u64 {
        1
    }
}
