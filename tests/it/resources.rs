//! Logical resources: which tasks and actors run at once, which requests are infeasible, and when resources are returned.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ray::{Config, ErrorKind, ObjectRef, remote};

use crate::cluster;
use crate::stage::{Crowd, Inside, Meeting, Token, alone_on, apart, eventually, hold_every_cpu};
use crate::support::{Gate, PATIENCE, Tally, calls};

static CROWD: Crowd = Crowd::new();

fn stay(crowd: &'static Crowd, meeting: Option<Meeting>) -> Inside {
    let inside = crowd.enter();
    if let Some(meeting) = meeting {
        meeting.meet();
    }
    inside
}

fn all_free() -> bool {
    /// Values take memory of a cluster's object store, whose size is not told at once.
    fn without_store(mut resources: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
        resources.remove("object_store_memory");
        resources
    }
    without_store(ray::available_resources().unwrap()) == without_store(ray::cluster_resources().unwrap())
}

/// Tasks that ask for fractions of a CPU share it, and the amounts are exact.
#[test]
fn fractions() {
    #[remote(num_cpus = 0.5)]
    fn half(meeting: Option<Meeting>) {
        drop(stay(&CROWD, meeting));
    }
    alone_on(2, || {
        let meeting = Meeting::of(4);
        ray::get((0..4).map(|_| half.remote(Some(meeting))).collect::<Vec<_>>()).unwrap();
        ray::get((0..calls(40, 400)).map(|_| half.remote(None)).collect::<Vec<_>>()).unwrap();
        assert_eq!(CROWD.most(), 4);
        let thirds = (0..calls(40, 300)).map(|_| half.options().num_cpus(0.3334).remote(None));
        ray::get(thirds.collect::<Vec<_>>()).unwrap();
        eventually("all resources are free again", all_free);
    });
}

/// Custom resources, GPUs and memory limit the tasks that run at once, as CPUs do.
#[test]
fn other_resources() {
    static LICENCE: Crowd = Crowd::new();
    static GPU: Crowd = Crowd::new();
    static MEMORY: Crowd = Crowd::new();
    #[remote(num_cpus = 0, resources(licence = 1))]
    fn licensed(meeting: Option<Meeting>) {
        drop(stay(&LICENCE, meeting));
    }
    #[remote(num_cpus = 0, num_gpus = 1)]
    fn on_the_gpu() {
        drop(stay(&GPU, None));
    }
    #[remote(num_cpus = 0)]
    fn in_memory() {
        drop(stay(&MEMORY, None));
    }
    /// The free CPUs, GPUs and licences. The head of a cluster hears of the resources that a body holds after it has begun.
    #[remote(num_gpus = 1, resources(licence = 0.5))]
    fn what_is_free(expected: (f64, f64, f64)) -> (f64, f64, f64) {
        let look = || {
            let free = ray::available_resources().unwrap();
            (free["CPU"], free["GPU"], free["licence"])
        };
        if cluster::is_worker() {
            eventually("the head knows the resources of this body", || look() == expected);
        }
        look()
    }
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).resource("licence", 3.0).num_gpus(1).memory(1000)).unwrap();
        let meeting = Meeting::of(3);
        ray::get((0..3).map(|_| licensed.remote(Some(meeting))).collect::<Vec<_>>()).unwrap();
        let many: Vec<ObjectRef<()>> = (0..calls(10, 100))
            .flat_map(|_| [licensed.remote(None), on_the_gpu.remote(), in_memory.options().memory(400).remote()])
            .collect();
        ray::get(many).unwrap();
        assert_eq!((LICENCE.most(), GPU.most()), (3, 1));
        let total = ray::cluster_resources().unwrap();
        assert_eq!((total["CPU"], total["GPU"], total["licence"]), (2.0, 1.0, 3.0));
        if !cluster::wanted() {
            // A node of a cluster has the memory of its machine.
            assert!(MEMORY.most() <= 2, "{}", MEMORY.most());
            assert_eq!(total["memory"], 1000.0);
        }
        eventually("all resources are free again", all_free);
        let expected = (1.0, 0.0, 2.5);
        assert_eq!(ray::get(what_is_free.remote(expected)).unwrap(), expected);
    });
}

/// A request that exceeds the resources of the node is an error at once, which names the function.
#[test]
fn requests_beyond_the_node_are_infeasible() {
    #[remote]
    fn one() -> u64 {
        1
    }
    #[remote(num_gpus = 1)]
    struct Trainer;
    #[remote]
    impl Trainer {
        pub fn new() -> Self {
            Trainer
        }
        pub fn call(&self) -> u64 {
            1
        }
    }
    alone_on(2, || {
        let gate = Gate::new();
        let held = hold_every_cpu(gate);
        for wrong in [
            one.options().num_cpus(2.0001),
            one.options().num_gpus(0.5),
            one.options().resource("licence", 1.0),
            one.options().memory(u64::MAX),
        ] {
            let what = format!("{wrong:?}");
            let object = wrong.remote();
            assert!(object.is_ready(), "{what}: at once");
            let error = ray::get(object).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Infeasible, "{what}: {error}");
            assert!(error.to_string().contains("one"), "{error}");
        }
        assert!(one.options().num_cpus(3.0).try_remote().unwrap_err().is_infeasible());
        assert!(ray::get(crate::stage::give.options().num_cpus(3.0).remote(1)).unwrap_err().is_infeasible());
        assert!(ray::get(Trainer::remote().call.remote()).unwrap_err().is_infeasible());
        assert!(Trainer::try_remote().unwrap_err().is_infeasible());
        gate.open();
        ray::get(held).unwrap();
    });
}

/// Negative, too small and non-finite amounts are errors, and so are reserved names of resources.
#[test]
fn invalid_amounts() {
    #[remote]
    fn unit() -> u64 {
        1
    }
    alone_on(2, || {
        for wrong in [-1.0, 0.000_05, 1e-9, f64::NAN, f64::INFINITY, 1e300] {
            let error = ray::get(unit.options().num_cpus(wrong).remote()).unwrap_err();
            assert!(error.is_invalid_argument(), "{wrong}: {error}");
            assert!(unit.options().resource("x", wrong).try_remote().unwrap_err().is_invalid_argument(), "{wrong}");
        }
        for name in ["CPU", "GPU", "memory", ""] {
            let error = ray::get(unit.options().resource(name, 1.0).remote()).unwrap_err();
            assert!(error.is_invalid_argument(), "{name:?}: {error}");
        }
        assert_eq!(ray::get(unit.options().num_cpus(0.0001).remote()).unwrap(), 1);
    });
}

#[remote(num_cpus = 1)]
struct Resident {
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Resident {
    pub fn new(dropped: Tally) -> Self {
        Resident { token: Token(dropped) }
    }
    pub fn holds(&self) -> f64 {
        ray::context().assigned_resources().num_cpus()
    }
}

/// An actor that asks for a CPU holds it for life: with two CPUs the third actor starts when one of the others ends.
#[test]
fn actors_hold_resources_for_life() {
    alone_on(2, || {
        let dropped = Tally::new();
        let mut residents: Vec<_> = (0..3).map(|_| Resident::remote(dropped)).collect();
        let ready: Vec<_> = residents.iter().map(|resident| resident.ready()).collect();
        let (first, rest) = ray::wait(&ready, 2).unwrap();
        assert_eq!((first.len(), rest.len()), (2, 1));
        eventually("no CPU is free", || ray::available_resources().unwrap()["CPU"] == 0.0);
        let at = ready.iter().position(|object| !object.is_ready()).unwrap();
        assert_eq!(residents[at].state(), ray::ActorState::PendingCreation);
        let task = crate::stage::give.remote(1);
        assert!(!task.is_ready(), "no CPU is free for a task");
        let third = residents.remove(at);
        let holds = third.holds.remote();
        ray::kill(&residents[0]).unwrap();
        assert_eq!(ray::get(holds).unwrap(), 1.0);
        drop(residents);
        assert_eq!(ray::get(task).unwrap(), 1);
        drop(third);
        // On a cluster the state of the killed actor is lost with its process.
        dropped.wait_for(calls(2, 3));
        eventually("all resources are free again", all_free);
    });
}

#[remote]
fn opens(gate: Gate) {
    gate.open();
}

/// An actor that holds the only CPU lends it during a get, in its constructor and in its methods, also in a call by `tell`.
/// It has the CPU again before the get returns.
#[test]
fn a_blocked_get_of_an_actor_lends_its_cpu() {
    #[remote]
    struct Waiter(i64);
    #[remote]
    impl Waiter {
        pub fn new() -> ray::Result<Self> {
            Ok(Waiter(ray::get(crate::stage::give_i64.remote(1))?))
        }
        pub fn ask(&mut self, gate: Gate) -> ray::Result<f64> {
            ray::get(opens.remote(gate))?;
            self.0 += ray::get((0..3).map(|x| crate::stage::give_i64.remote(x)).collect::<Vec<_>>())?.iter().sum::<i64>();
            Ok(ray::available_resources()?["CPU"])
        }
        pub fn sum(&self) -> i64 {
            self.0
        }
    }
    alone_on(1, || {
        let waiter = Waiter::options().num_cpus(1.0).remote();
        let (asked, told) = (Gate::new(), Gate::new());
        assert_eq!(ray::get(waiter.ask.remote(asked)).unwrap(), 0.0);
        waiter.ask.tell(told);
        told.wait();
        assert_eq!(ray::get(waiter.sum.remote()).unwrap(), 7);
        ray::kill(&waiter).unwrap();
        eventually("all resources are free again", all_free);
        assert_eq!(ray::get(crate::stage::give.remote(1)).unwrap(), 1);
    });
}

/// A CPU that an actor lends during a get is not granted to another actor for life: the lender would never get it back.
#[test]
fn a_lent_cpu_is_not_granted_for_life() {
    #[remote]
    struct Lender;
    #[remote]
    impl Lender {
        pub fn new() -> Self {
            Lender
        }
        pub fn lend(&self, begun: Gate) -> ray::Result<f64> {
            let tasks: Vec<_> = (0..3).map(|_| opens.remote(begun)).collect();
            ray::get_timeout(&tasks, PATIENCE)?;
            Ok(ray::available_resources()?["CPU"])
        }
    }
    alone_on(2, || {
        let lender = Lender::options().num_cpus(2.0).remote();
        ray::get(lender.ready()).unwrap();
        let other = Lender::options().num_cpus(1.0).remote();
        assert_eq!(ray::get_timeout(lender.lend.remote(Gate::new()), PATIENCE).unwrap(), 0.0);
        assert!(!other.ready().is_ready());
        drop(lender);
        ray::get_timeout(other.ready(), PATIENCE).unwrap();
    });
}

/// An actor or a task that waits for more CPUs than the living actors leave does not delay other work, however long it
/// waits.
#[test]
fn an_actor_that_cannot_start_delays_no_other_work() {
    alone_on(2, || {
        let dropped = Tally::new();
        let keeper = Resident::remote(dropped);
        ray::get(keeper.ready()).unwrap();
        let wide = Resident::options().num_cpus(2.0).remote(dropped);
        let task = crate::stage::give.options().num_cpus(2.0).remote(7);
        let begun = Instant::now();
        // This is longer than the time for which smaller work may overtake a claim that could be granted.
        while begun.elapsed() < Duration::from_millis(250) {
            assert_eq!(ray::get_timeout(crate::stage::give.remote(1), PATIENCE).unwrap(), 1);
        }
        drop(keeper);
        ray::get_timeout(wide.ready(), PATIENCE).unwrap();
        drop(wide);
        assert_eq!(ray::get_timeout(task, PATIENCE).unwrap(), 7);
    });
}

/// A blocked get lends its CPU: the child of a parent that holds the only CPU runs on another thread.
#[test]
fn a_blocked_get_lends_its_cpu() {
    fn here() -> String {
        format!("{} {:?}", std::process::id(), std::thread::current().id())
    }
    #[remote]
    fn child_of_one(started: Gate) -> String {
        started.open();
        here()
    }
    #[remote]
    fn parent_of_one(started: Gate) -> (String, String) {
        // A timed get runs no bodies.
        (here(), ray::get_timeout(child_of_one.remote(started), PATIENCE).unwrap())
    }
    alone_on(1, || {
        for _ in 0..calls(5, 50) {
            let started = Gate::new();
            let (parent, child) = ray::get_timeout(parent_of_one.remote(started), PATIENCE).unwrap();
            assert_ne!(parent, child);
            assert!(started.is_open());
        }
        eventually("all resources are free again", all_free);
    });
}

/// `wait` and `as_completed` lend the CPU as `get` does.
#[test]
fn a_blocked_wait_lends_its_cpu() {
    #[remote]
    fn sum(way: u64) -> u64 {
        let children: Vec<_> = (0..3).map(|n| crate::stage::give_u64.remote(n)).collect();
        match way {
            0 => ray::get(children).unwrap().into_iter().sum::<u64>(),
            1 => ray::get(ray::wait(children, 3).unwrap().0).unwrap().into_iter().sum(),
            _ => ray::as_completed(children).map(|child| ray::get(child).unwrap()).sum(),
        }
    }
    alone_on(1, || {
        assert_eq!((0..3).map(|n| ray::get_timeout(sum.remote(n), PATIENCE).unwrap()).collect::<Vec<_>>(), [3, 3, 3]);
        eventually("all resources are free again", all_free);
    });
}

/// A task that asks for both CPUs runs when it has both, and smaller tasks do not starve it.
#[test]
fn a_large_task_is_not_starved() {
    static CPUS: Crowd = Crowd::new();
    #[remote]
    fn small() {
        drop(CPUS.enter());
    }
    #[remote(num_cpus = 2)]
    fn large() {
        drop((CPUS.enter(), CPUS.enter()));
    }
    alone_on(2, || {
        let stop = Gate::new();
        let feeders: Vec<_> = (0..calls(2, 4))
            .map(|_| {
                std::thread::spawn(move || {
                    while !stop.is_open() {
                        let some = (0..calls(5, 20)).map(|_| small.remote()).collect::<Vec<_>>();
                        ray::get_timeout(some, PATIENCE).unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            ray::get(large.remote()).unwrap();
        }
        stop.open();
        for feeder in feeders {
            feeder.join().unwrap();
        }
        assert!(CPUS.most() <= 2, "{} CPUs were used at once", CPUS.most());
        eventually("all resources are free again", all_free);
    });
}

/// Resources are returned however a task or an actor ends: failed, cancelled, or with a failed argument.
#[test]
fn resources_are_returned_after_failures() {
    #[remote]
    fn run(running: Tally, gate: Gate) {
        running.add();
        gate.wait();
    }
    #[remote]
    fn outer() -> u64 {
        let inner: ObjectRef<u64> = crate::stage::panic_u64.remote("inner".to_owned());
        assert!(ray::get(inner).is_err());
        panic!("outer")
    }
    alone_on(2, || {
        let (gate, running) = (Gate::new(), Tally::new());
        for cpus in [0.5, 1.0, 2.0] {
            let failed: ObjectRef<u64> = crate::stage::panic_u64.options().num_cpus(cpus).remote("fails".to_owned());
            assert!(ray::get(failed).unwrap_err().is_panic());
        }
        let before = running.count();
        let runs = run.options().num_cpus(1.5).remote(running, gate);
        let queued = run.options().num_cpus(1.5).remote(running, gate);
        running.wait_for(before + 1);
        ray::cancel(&runs).unwrap();
        ray::cancel(&queued).unwrap();
        let free = || ray::available_resources().unwrap()["CPU"];
        if cluster::wanted() {
            eventually("the head knows the resources of the body", || free() == 0.5);
        }
        assert_eq!(free(), 0.5, "the body of a cancelled task keeps its resources until it ends");
        gate.open();
        eventually("all resources are free again", all_free);
        let broken: ObjectRef<Tally> = crate::stage::panic_tally.remote("broken".to_owned());
        let unstartable = Resident::remote(&broken);
        assert!(ray::get(unstartable.ready()).is_err());
        assert!(ray::get(outer.remote()).is_err());
        eventually("all resources are free again", all_free);
    });
}

/// The context of a body reports the resources that it holds.
#[test]
fn assigned_resources() {
    #[remote(num_cpus = 2)]
    fn two() -> f64 {
        ray::context().assigned_resources().num_cpus()
    }
    #[remote]
    async fn none() -> f64 {
        ray::context().assigned_resources().num_cpus()
    }
    #[remote]
    fn assigned() -> f64 {
        ray::context().assigned_resources().num_cpus()
    }
    alone_on(2, || {
        assert_eq!(ray::get((two.remote(), none.remote())).unwrap(), (2.0, 0.0));
        assert_eq!(ray::get((assigned.remote(), assigned.options().num_cpus(0.5).remote())).unwrap(), (1.0, 0.5));
        assert_eq!(ray::context().assigned_resources().num_cpus(), 0.0);
    });
}
