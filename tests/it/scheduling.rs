//! Scheduling: the limit of CPUs, when unawaited tasks start, which thread runs a body, extra threads, idling, stall
//! reports.

use std::time::{Duration, Instant};

use ray::{Config, ObjectRef, remote};

use crate::cluster;
use crate::stage::{Crowd, Meeting, alone_on, apart, eventually, hold_every_cpu, late};
use crate::support::{Gate, PATIENCE, Tally, calls};

static RUNNING: Crowd = Crowd::new();

/// Computes on its CPU, waits for its children, for which it lends the CPU, and computes again.
#[remote]
fn branch(depth: u64) -> u64 {
    compute();
    if depth == 0 {
        return 1;
    }
    let children = [branch.remote(depth - 1), branch.remote(depth - 1)];
    compute();
    let [one, two] = children;
    let sum = if depth.is_multiple_of(2) {
        ray::get([one, two]).unwrap().iter().sum()
    } else {
        ray::get(one).unwrap() + ray::get(two).unwrap()
    };
    if !cluster::is_worker() {
        // A worker of Ray goes on at once after a wait, even if no CPU is free.
        compute();
    }
    sum
}

#[remote]
fn computes() {
    compute();
}

fn compute() {
    let _running = RUNNING.enter();
    for _ in 0..20 {
        std::thread::yield_now();
    }
}

/// At most `num_cpus` tasks compute at once, with several submitting threads, nested tasks, and getters that run bodies.
#[test]
fn two_cpus_run_two_tasks() {
    alone_on(2, || {
        std::thread::scope(|scope| {
            // Each body that waits is a process of a cluster.
            let (threads, rounds, [deep, less, little]) = calls((1, 1, [1, 1, 0]), (6, 3, [4, 3, 2]));
            for _ in 0..threads {
                scope.spawn(move || {
                    for _ in 0..rounds {
                        let many: Vec<_> = (0..3).map(|_| branch.remote(deep)).collect();
                        assert_eq!(ray::get(many).unwrap(), [1 << deep; 3]);
                        assert_eq!(ray::get(branch.remote(deep)).unwrap(), 1 << deep);
                        let timed = ray::get_timeout(branch.remote(less), Duration::from_secs(50));
                        assert_eq!(timed.unwrap(), 1 << less);
                        let (ready, rest) = ray::wait((0..4).map(|_| branch.remote(little)).collect::<Vec<_>>(), 2).unwrap();
                        assert_eq!(ray::get(ready).unwrap(), [1 << little; 2]);
                        assert_eq!(ray::as_completed(rest).map(|one| ray::get(one).unwrap()).sum::<u64>(), 2 << little);
                    }
                });
            }
        });
        assert!(RUNNING.most() <= 2, "{} at once", RUNNING.most());
        let meeting = Meeting::of(2);
        ray::get([(); 2].map(|()| crate::stage::meet.remote(meeting))).unwrap();
        eventually("all CPUs are free again", || ray::available_resources().unwrap()["CPU"] == 2.0);
    });
}

#[remote]
fn meets(meeting: Meeting) {
    let _running = RUNNING.enter();
    meeting.meet();
}

/// With sixteen CPUs exactly sixteen tasks run at once, on any machine. The largest cluster of the tests has four CPUs.
#[test]
fn sixteen_cpus_run_sixteen_tasks() {
    alone_on(calls(4, 16), || {
        let cpus = calls(4, 16);
        let meeting = Meeting::of(cpus);
        ray::get((0..cpus).map(|_| meets.remote(meeting)).collect::<Vec<_>>()).unwrap();
        let alone = Meeting::of(1);
        ray::get((0..calls(100, 2000)).map(|_| meets.remote(alone)).collect::<Vec<_>>()).unwrap();
        assert_eq!(RUNNING.most() as u64, cpus);
    });
}

#[remote]
fn start(started: Tally) {
    started.add();
}

/// A task that no thread gets starts soon, on an idle and on a busy engine. The bounds are generous; ray-bench measures it.
#[test]
fn unawaited_tasks_start_soon() {
    alone_on(2, || {
        let median = |rounds: u64| {
            let started = Tally::new();
            let mut took: Vec<Duration> = (1..=rounds)
                .map(|round| {
                    let begun = Instant::now();
                    start.tell(started);
                    started.wait_for(round);
                    begun.elapsed()
                })
                .collect();
            took.sort();
            took[took.len() / 2]
        };
        let idle = median(calls(20, 200));
        assert!(idle < Duration::from_millis(calls(1000, 10)), "{idle:?}");
        let stop = Gate::new();
        let feeder = std::thread::spawn(move || {
            while !stop.is_open() {
                ray::get((0..50).map(|_| computes.remote()).collect::<Vec<_>>()).unwrap();
            }
        });
        let loaded = median(calls(10, 50));
        stop.open();
        feeder.join().unwrap();
        assert!(loaded < Duration::from_millis(calls(5000, 100)), "{loaded:?}");
    });
}

/// The process and the thread.
fn here() -> String {
    format!("{} {:?}", std::process::id(), std::thread::current().id())
}

#[remote]
fn where_it_runs(gate: Gate) -> String {
    gate.wait();
    here()
}

#[remote]
fn gets_beside_other_work(open: Gate) {
    for way in 0..calls(4, 60) {
        let gate = Gate::new();
        let long = where_it_runs.remote(gate);
        let short = || where_it_runs.remote(open);
        match way % 4 {
            0 => drop(ray::get(short()).unwrap()),
            1 => drop(ray::get([short(), short()]).unwrap()),
            2 => drop(ray::wait(&[short()], 1).unwrap()),
            _ => drop(ray::as_completed(vec![short()]).next()),
        }
        assert!(!long.is_ready());
        gate.open();
        // A timed get runs no bodies.
        let other = ray::get_timeout(long, PATIENCE).unwrap();
        assert_ne!(other, here());
    }
}

/// A getter runs only tasks that it waits for. Another task could keep it for a long time.
#[test]
fn a_getter_runs_no_other_work() {
    alone_on(2, || {
        let open = Gate::new();
        open.open();
        gets_beside_other_work.call(open);
        ray::get(gets_beside_other_work.remote(open)).unwrap();
    });
}

#[remote]
struct Sleeper;

#[remote]
impl Sleeper {
    pub fn new() -> Self {
        Sleeper
    }
    pub fn meet(&mut self, meeting: Meeting) {
        meeting.meet();
    }
    pub fn answer(&mut self, n: u64) -> u64 {
        n + 1
    }
}

/// Actors hold no CPU by default, as in Ray: on two CPUs ten actors, and a hundred, block inside their bodies at once.
#[test]
fn many_actors_may_block_at_once() {
    alone_on(2, || {
        for count in calls([2, 4], [10, 100]) {
            let meeting = Meeting::of(count);
            let sleepers: Vec<_> = (0..count).map(|_| Sleeper::remote()).collect();
            ray::get(sleepers.iter().map(|sleeper| sleeper.meet.remote(meeting)).collect::<Vec<_>>()).unwrap();
        }
    });
}

/// An actor answers while all CPUs are held and thousands of tasks are queued; a task that asks for no CPU runs as well.
#[test]
fn an_actor_answers_while_all_cpus_are_held() {
    alone_on(2, || {
        let gate = Gate::new();
        let held = hold_every_cpu(gate);
        let queued: Vec<_> = (0..calls(100, 5000)).map(|n| crate::stage::give.remote(n)).collect();
        let actor = Sleeper::remote();
        let mut took: Vec<Duration> = (0..calls(20, 100))
            .map(|n| {
                let begun = Instant::now();
                assert_eq!(ray::get(actor.answer.remote(n)).unwrap(), n + 1);
                begun.elapsed()
            })
            .collect();
        took.sort();
        let median = took[took.len() / 2];
        assert!(median < Duration::from_millis(calls(1000, 10)), "{median:?}");
        // A timed get runs no bodies, so a worker thread must run the call.
        let asked = std::thread::spawn(move || ray::get_timeout(actor.answer.remote(1), Duration::from_secs(20))).join();
        assert_eq!(asked.unwrap().unwrap(), 2);
        assert_eq!(ray::get_timeout(crate::stage::give.options().num_cpus(0.0).remote(7), Duration::from_secs(20)).unwrap(), 7);
        assert!(queued.iter().all(|task| !task.is_ready()));
        gate.open();
        ray::get(held).unwrap();
        assert_eq!(ray::get(queued).unwrap(), (0..calls(100, 5000)).collect::<Vec<_>>());
    });
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[remote]
fn hold(started: Tally, gate: Gate) {
    started.add();
    gate.wait();
}

#[remote]
fn get(object: ObjectRef<u64>) -> u64 {
    ray::get(object).unwrap()
}

/// The engine adds threads beyond the number of CPUs when work that asks for no CPU waits, and ends them when they idle.
#[test]
fn spare_threads_are_added_and_removed() {
    alone_on(2, || {
        let before = threads();
        let many = calls(4, 100);
        let meeting = Meeting::of(many);
        ray::get((0..many).map(|_| crate::stage::meet.options().num_cpus(0.0).remote(meeting)).collect::<Vec<_>>()).unwrap();
        // On a cluster the threads are those of other processes.
        assert!(cluster::wanted() || threads() >= 100, "{} threads", threads());
        eventually("spare threads are gone", || threads() <= before + 4);
        let (started, gate) = (Tally::new(), Gate::new());
        let holds = hold.remote(started, gate);
        started.wait_for(1);
        ray::get((0..calls(100, 20_000)).map(|n| crate::stage::give.remote(n)).collect::<Vec<_>>()).unwrap();
        assert!(threads() <= before + 6, "short work adds no threads: {}", threads());
        gate.open();
        ray::get(holds).unwrap();
    });
}

/// The CPU time of this process, in clock ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[remote]
async fn wait_async(gate: Gate) {
    gate.opened().await;
}

/// An idle engine uses no CPU time after it has worked, also while actors, getters and futures wait.
#[test]
fn an_idle_engine_uses_no_cpu() {
    alone_on(2, || {
        let many = calls(4, 20);
        let (gate, meeting) = (Gate::new(), Meeting::of(many));
        ray::get((0..many).map(|_| crate::stage::meet.options().num_cpus(0.0).remote(meeting)).collect::<Vec<_>>()).unwrap();
        ray::get((0..calls(100, 1000)).map(|n| crate::stage::give.remote(n)).collect::<Vec<_>>()).unwrap();
        let actor = Sleeper::remote();
        assert_eq!(ray::get(actor.answer.remote(1)).unwrap(), 2);
        let future = wait_async.remote(gate);
        let argument = late(gate, 1u64);
        let behind = actor.answer.remote(&argument);
        let getter = std::thread::spawn({
            let argument = argument.clone();
            move || ray::get(argument).unwrap()
        });
        let nested = get.remote(&argument);
        let measure = || {
            std::thread::sleep(Duration::from_secs(1)); // body: the engine must be idle after this second
            let before = ticks();
            std::thread::sleep(Duration::from_secs(2)); // body: the measured time
            ticks() - before
        };
        let used = measure();
        assert!(used <= 1, "{used} ticks while bodies and getters wait");
        gate.open();
        ray::get((future, behind, nested)).unwrap();
        assert_eq!(getter.join().unwrap(), 1);
        let used = measure();
        assert!(used <= 1, "{used} ticks while nothing waits");
    });
}

/// When nothing starts because running bodies hold the resources, the stall report names the waiting work and the holders.
#[test]
fn the_stall_report() {
    #[remote]
    fn holds_everything(gate: Gate) {
        gate.wait();
    }
    #[remote]
    fn wants_two() {}
    #[remote]
    fn nested(object: ObjectRef<()>) {
        ray::get(object).unwrap();
    }
    let said = apart(|| {
        let patience = Duration::from_millis(100);
        crate::support::init_with(Config::new().num_cpus(2).stall_report(patience)).unwrap();
        let gate = Gate::new();
        let held = holds_everything.options().num_cpus(1.5).remote(gate);
        let all: Vec<ObjectRef<()>> = vec![
            nested.options().num_cpus(0.0).remote(&held),
            held,
            wants_two.options().num_cpus(2.0).remote(),
            wants_two.remote(),
        ];
        std::thread::sleep(patience * 10); // body: nothing starts in this time
        gate.open();
        ray::get(all).unwrap();
    });
    for part in ["CPU: 2", "holds_everything", "scheduling.rs:", "`nested` waits for `holds_everything`", "0.5 of 2 CPU"] {
        assert!(said.stderr.contains(part), "{part} in:\n{}", said.stderr);
    }
    assert_eq!(said.stderr.matches("nothing has started").count(), 1, "one report per stall:\n{}", said.stderr);
}

/// The stall report names waiting threads outside of bodies, and actors that hold CPUs for life.
#[test]
fn the_stall_report_names_drivers_and_actors() {
    #[remote]
    fn starved() {}
    #[remote]
    struct Hog;
    #[remote]
    impl Hog {
        pub fn new() -> Self {
            Hog
        }
        pub fn hold(&self) {}
    }
    let said = apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).stall_report(Duration::from_millis(100))).unwrap();
        let hog = Hog::options().num_cpus(2.0).remote();
        ray::get(hog.hold.remote()).unwrap();
        let object = starved.remote();
        let waiter = std::thread::Builder::new().name("the waiter".into()).spawn(move || ray::get(object)).unwrap();
        std::thread::sleep(Duration::from_secs(1)); // body: nothing starts in this time
        ray::kill(&hog).unwrap();
        waiter.join().unwrap().unwrap();
    });
    for part in ["actor `Hog` holds {CPU: 2} for life", "thread `the waiter` waits for `starved`"] {
        assert!(said.stderr.contains(part), "{part} in:\n{}", said.stderr);
    }
}
