//! Bodies that block in the operating system while the work that they wait for needs a CPU: locks held during gets,
//! initialisers that get, joins of threads that get.

use std::sync::{Mutex, OnceLock};

use ray::{ActorHandle, Config, remote};

use crate::stage::{Meeting, alone, alone_on, apart};

#[remote]
fn child(x: u64) -> u64 {
    x
}

#[remote]
async fn async_child(x: u64) -> u64 {
    x
}

#[remote]
struct Child;

#[remote]
impl Child {
    pub fn new() -> Self {
        Child
    }
    pub fn give(&self, x: u64) -> u64 {
        x
    }
}

static LOCK: Mutex<u64> = Mutex::new(0);

type Over = fn(&ActorHandle<Child>) -> u64;

/// Holds the lock of its process during the get with this number.
#[remote]
fn hold_the_lock(over: usize, host: ActorHandle<Child>) -> u64 {
    let mut sum = LOCK.lock().unwrap();
    let added = ALL_OVERS[over](&host);
    *sum += added;
    added
}

/// Runs many bodies at once that hold a lock during a get.
fn locks_over_gets(over: Over) {
    *LOCK.lock().unwrap() = 0;
    let (rounds, bodies) = crate::support::calls((1, 3), (6, 16));
    let host = Child::remote();
    let over = ALL_OVERS.iter().position(|one| std::ptr::fn_addr_eq(*one, over)).expect("it is in the table");
    let mut added = 0;
    for _ in 0..rounds {
        let calls: Vec<_> = (0..bodies).map(|_| hold_the_lock.remote(over, host.clone())).collect();
        added += ray::get(calls).unwrap().into_iter().sum::<u64>();
    }
    assert_eq!(added, rounds * bodies * 2);
    if !crate::cluster::wanted() {
        assert_eq!(*LOCK.lock().unwrap(), added, "the bodies share the lock of this process");
    }
}

fn two_tasks(_: &ActorHandle<Child>) -> u64 {
    ray::get([child.remote(1), child.remote(1)]).unwrap().into_iter().sum()
}

fn a_wait_for_two_tasks(_: &ActorHandle<Child>) -> u64 {
    let (ready, _) = ray::wait(&[child.remote(1), child.remote(1)], 2).unwrap();
    ray::get(ready).unwrap().into_iter().sum()
}

fn two_tasks_as_completed(_: &ActorHandle<Child>) -> u64 {
    ray::as_completed(vec![child.remote(1), child.remote(1)]).map(|object| ray::get(object).unwrap()).sum()
}

/// The awaited task cannot begin before its arguments are ready.
fn a_chain(_: &ActorHandle<Child>) -> u64 {
    ray::get(child.remote(child.remote(child.remote(2)))).unwrap()
}

fn a_chain_as_completed(_: &ActorHandle<Child>) -> u64 {
    ray::as_completed(vec![child.remote(child.remote(2))]).map(|object| ray::get(object).unwrap()).sum()
}

#[remote]
async fn async_parent() -> u64 {
    child.remote(1).await.unwrap() + async_child.remote(1).await.unwrap()
}

/// The get waits for an async body, which awaits the task that needs a CPU.
fn an_async_parent(_: &ActorHandle<Child>) -> u64 {
    ray::get(async_parent.remote()).unwrap()
}

/// The awaited call is queued behind an earlier call of the actor, which waits for a task.
fn a_call_behind_another(host: &ActorHandle<Child>) -> u64 {
    host.give.tell(child.remote(1));
    ray::get(host.give.remote(2)).unwrap()
}

fn an_async_task(_: &ActorHandle<Child>) -> u64 {
    ray::get(async_child.remote(2)).unwrap()
}

fn a_call(host: &ActorHandle<Child>) -> u64 {
    ray::get(host.give.remote(2)).unwrap()
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_one_cpu() {
    alone_on(1, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_two_cpus() {
    alone_on(2, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_eight_cpus() {
    alone_on(8, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_a_chain_on_one_cpu() {
    alone_on(1, || locks_over_gets(a_chain));
}

#[test]
fn a_lock_over_a_get_of_a_chain_on_two_cpus() {
    alone_on(2, || locks_over_gets(a_chain));
}

#[test]
fn a_lock_over_a_chain_as_completed() {
    alone_on(2, || locks_over_gets(a_chain_as_completed));
}

#[test]
fn a_lock_over_a_get_of_an_async_parent() {
    alone_on(2, || locks_over_gets(an_async_parent));
}

#[test]
fn a_lock_over_a_get_behind_another_call() {
    alone_on(2, || locks_over_gets(a_call_behind_another));
}

#[test]
fn a_lock_over_a_wait() {
    alone_on(2, || locks_over_gets(a_wait_for_two_tasks));
}

#[test]
fn a_lock_over_as_completed() {
    alone_on(1, || locks_over_gets(two_tasks_as_completed));
}

#[test]
fn a_lock_over_a_get_of_an_async_task() {
    alone_on(2, || locks_over_gets(an_async_task));
}

#[test]
fn a_lock_over_a_get_of_an_actors_call() {
    alone_on(2, || locks_over_gets(a_call));
}

fn initialisers_that_get() {
    static ONCE: OnceLock<u64> = OnceLock::new();
    #[remote]
    fn read() -> u64 {
        *ONCE.get_or_init(|| ray::get([child.remote(3), child.remote(4)]).unwrap().into_iter().sum())
    }
    let readers: Vec<_> = (0..crate::support::calls(4, 16)).map(|_| read.remote()).collect();
    assert!(ray::get(readers).unwrap().into_iter().all(|sum| sum == 7));
}

#[test]
fn an_initialiser_that_gets_on_one_cpu() {
    alone_on(1, || {
        initialisers_that_get();
    });
}

#[test]
fn an_initialiser_that_gets_on_two_cpus() {
    alone_on(2, || {
        initialisers_that_get();
    });
}

#[test]
fn an_initialiser_that_gets_on_eight_cpus() {
    alone_on(8, || {
        initialisers_that_get();
    });
}

/// The body with this number.
#[remote]
fn run_body(body: usize) -> u64 {
    ALL_BODIES[body]()
}

/// Runs `count` bodies at once, each of which blocks in the operating system.
fn blocked_bodies(count: usize, body: fn() -> u64) {
    let body = ALL_BODIES.iter().position(|one| std::ptr::fn_addr_eq(*one, body)).expect("it is in the table");
    let bodies: Vec<_> = (0..count).map(|_| run_body.remote(body)).collect();
    assert_eq!(ray::get(bodies).unwrap(), vec![10; count]);
}

fn joins_threads() -> u64 {
    let threads: Vec<_> = (1..=4).map(|x| std::thread::spawn(move || ray::get(child.remote(x)).unwrap())).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn blocks_on_awaits() -> u64 {
    futures::executor::block_on(async {
        let mut sum = 0;
        for x in 1..=4 {
            sum += child.remote(x).await.unwrap();
        }
        sum
    })
}

fn joins_threads_that_block_on_awaits() -> u64 {
    let awaits = |x| std::thread::spawn(move || futures::executor::block_on(child.remote(x)).unwrap());
    let threads: Vec<_> = (1..=4).map(awaits).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn joins_threads_that_wait() -> u64 {
    let waits = |x| {
        std::thread::spawn(move || {
            let (ready, _) = ray::wait(&[child.remote(x), async_child.remote(x)], 2).unwrap();
            ray::get(ready).unwrap()[0]
        })
    };
    let threads: Vec<_> = (1..=4).map(waits).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[test]
fn a_body_that_joins_threads_that_block_on_awaits() {
    alone_on(2, || blocked_bodies(3, joins_threads_that_block_on_awaits));
}

fn blocks_in_a_runtime() -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (one, other) = tokio::join!(child.remote(4), async_child.remote(6));
        one.unwrap() + other.unwrap()
    })
}

#[test]
fn a_body_that_blocks_in_a_runtime_of_its_own() {
    alone_on(1, || blocked_bodies(2, blocks_in_a_runtime));
}

#[test]
fn a_body_that_joins_threads_that_wait() {
    alone_on(1, || blocked_bodies(2, joins_threads_that_wait));
}

fn loops_with_rayon() -> u64 {
    use rayon::prelude::*;
    let turns = crate::support::calls(4, 40_u64);
    (0..turns).into_par_iter().map(|x| ray::get(child.remote(x % 2)).unwrap()).sum::<u64>() * 20 / turns
}

#[test]
fn a_body_that_loops_with_rayon_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, loops_with_rayon));
}

#[test]
fn a_body_that_loops_with_rayon_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, loops_with_rayon));
}

#[test]
fn a_body_that_joins_threads_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, joins_threads));
}

#[test]
fn a_body_that_joins_threads_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, joins_threads));
}

#[test]
fn a_body_that_joins_threads_on_eight_cpus() {
    alone_on(8, || blocked_bodies(9, joins_threads));
}

#[test]
fn a_body_that_blocks_on_awaits_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, blocks_on_awaits));
}

#[test]
fn a_body_that_blocks_on_awaits_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, blocks_on_awaits));
}

/// Runs `body` on an engine with two CPUs and at most two threads.
fn with_two_threads(body: impl Fn()) {
    crate::support::init_with(Config::new().num_cpus(2).max_threads(2)).unwrap();
    body();
    ray::shutdown().unwrap();
}

const OVERS: [Over; 7] =
    [two_tasks, a_chain, a_wait_for_two_tasks, two_tasks_as_completed, an_async_task, a_call, an_async_parent];
/// A call takes the number of a function: functions cannot be sent to another process.
const ALL_OVERS: [Over; 9] = [
    two_tasks,
    a_chain,
    a_wait_for_two_tasks,
    two_tasks_as_completed,
    an_async_task,
    a_call,
    an_async_parent,
    a_chain_as_completed,
    a_call_behind_another,
];
const ALL_BODIES: [fn() -> u64; 6] = [
    joins_threads,
    joins_threads_that_wait,
    joins_threads_that_block_on_awaits,
    blocks_on_awaits,
    blocks_in_a_runtime,
    loops_with_rayon,
];
const BODIES: [fn() -> u64; 5] =
    [joins_threads, joins_threads_that_wait, joins_threads_that_block_on_awaits, blocks_on_awaits, blocks_in_a_runtime];

#[test]
fn blocked_bodies_with_as_few_threads_as_cpus() {
    alone(|| {
        for over in OVERS {
            with_two_threads(|| locks_over_gets(over));
        }
        for body in BODIES {
            with_two_threads(|| blocked_bodies(3, body));
        }
    });
}

#[cfg(target_os = "linux")]
fn workers_alive() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let names = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("ray-worker")).count()
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn blocked_bodies_when_the_system_refuses_threads() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2)).unwrap();
        assert_eq!(ray::get(async_parent.remote()).unwrap(), 2, "the threads of the async runtime are started");
        let both = Meeting::of(2);
        let workers: Vec<_> = (0..2).map(|_| crate::stage::meet.remote(both)).collect();
        ray::get(workers).unwrap();
        while workers_alive() > 2 {
            std::thread::yield_now();
        }
        crate::no_threads::refuse_threads();
        // A known limit: a task that only async bodies await may find no thread here.
        for over in OVERS.into_iter().filter(|over| !std::ptr::fn_addr_eq(*over, an_async_parent as Over)) {
            locks_over_gets(over);
        }
    });
}
