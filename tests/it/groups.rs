//! Concurrency groups of actors.

use ray::{ActorHandle, ActorState, ErrorKind, ObjectRef, remote};

use crate::actor_sorts::{Stop, all_died};
use crate::stage::{Crowd, Token, alone, alone_on, dropped_after_kill, late, on_cluster, refusal};
use crate::support::{Tally, calls};

static IO: Crowd = Crowd::new();
static COMPUTE: Crowd = Crowd::new();
static DEFAULT: Crowd = Crowd::new();
static WRITING: Crowd = Crowd::new();

#[remote(groups(io = 2, compute = 4), max_restarts = 1)]
struct Server {
    number: u64,
    value: u64,
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Server {
    pub fn new(made: Tally, dropped: Tally) -> Self {
        Server { number: made.add(), value: 0, token: Token(dropped) }
    }
    #[method(group = "io")]
    pub fn fetch(&self, stop: Option<Stop>) -> u64 {
        let _inside = IO.enter();
        if let Some(stop) = stop {
            stop.meet();
        }
        self.value
    }
    #[method(group = "compute")]
    pub fn compute(&self, stop: Option<Stop>) -> u64 {
        let _inside = COMPUTE.enter();
        if let Some(stop) = stop {
            stop.meet();
        }
        self.value
    }
    pub fn plain(&self, stop: Option<Stop>) -> u64 {
        let _inside = DEFAULT.enter();
        if let Some(stop) = stop {
            stop.meet();
        }
        self.value
    }
    pub fn number(&self) -> u64 {
        self.number
    }
    pub fn change(&mut self) -> u64 {
        let (_writing, before) = (WRITING.enter(), self.value);
        assert_eq!(IO.now() + COMPUTE.now() + DEFAULT.now(), 0, "nothing runs beside an exclusive call");
        std::thread::yield_now();
        self.value = before + 1;
        self.value
    }
    #[method(group = "io")]
    pub fn change_by_io(&mut self) -> u64 {
        self.change()
    }
    #[method(group = "compute")]
    pub fn crash(&self) {
        panic!("crashes");
    }
}

fn server() -> ActorHandle<Server> {
    Server::remote(Tally::new(), Tally::new())
}

/// Fills both slots of the group `io`, and lets more calls wait for one.
fn fill(server: &ActorHandle<Server>, more: usize) -> (Stop, Vec<ObjectRef<u64>>) {
    let stop = Stop::new();
    let all = (0..2 + more).map(|_| server.fetch.remote(Some(stop))).collect();
    stop.running.wait_for(2);
    (stop, all)
}

/// Each group runs as many calls at once as its size says, the default group one, and a full group does not keep the calls of
/// others back.
#[test]
fn groups_have_slots_of_their_own() {
    alone_on(1, || {
        let server = server();
        let (io, mut all) = fill(&server, 6);
        let (compute, plain) = (Stop::new(), Stop::new());
        all.extend((0..8).map(|_| server.compute.remote(Some(compute))));
        compute.running.wait_for(4);
        all.extend((0..3).map(|_| server.plain.remote(Some(plain))));
        plain.running.wait_for(1);
        assert_eq!((IO.now(), COMPUTE.now(), DEFAULT.now()), (2, 4, 1));
        plain.gate.open();
        compute.gate.open();
        ray::get(all.split_off(8)).unwrap();
        assert_eq!(io.running.count(), 2, "the group is full");
        io.gate.open();
        ray::get(all).unwrap();
        assert_eq!((io.running.count(), IO.most(), COMPUTE.most(), DEFAULT.most()), (8, 2, 4, 1));
    });
}

/// `max_concurrency` is the size of the default group.
#[test]
fn the_size_of_the_default_group() {
    alone(|| {
        let server = Server::options().max_concurrency(3).remote(Tally::new(), Tally::new());
        let stop = Stop::new();
        let all: Vec<_> = (0..9).map(|_| server.plain.remote(Some(stop))).collect();
        stop.running.wait_for(3);
        assert_eq!(ray::get(server.fetch.remote(None)).unwrap(), 0);
        stop.gate.open();
        ray::get(all).unwrap();
        assert_eq!(DEFAULT.most(), 3);
    });
}

/// `&mut self` excludes the calls of all groups, and later calls wait for it.
#[test]
fn exclusive_calls_exclude_all_groups() {
    alone(|| {
        let server = server();
        let (io, first) = fill(&server, 0);
        let change = server.change.remote();
        let behind = server.compute.remote(None);
        assert_eq!(ray::get(crate::stage::give.remote(1)).unwrap(), 1);
        assert!(!change.is_ready(), "calls of another group run");
        io.gate.open();
        assert_eq!(ray::get(first).unwrap(), [0, 0]);
        assert_eq!(ray::get(change).unwrap(), 1);
        // Ray starts the calls of different groups in any order.
        assert!(ray::get(behind).unwrap() == 1 || on_cluster());

        let rounds = calls(10, 300);
        let mut changes = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..rounds {
            reads.extend([server.fetch.remote(None), server.compute.remote(None), server.plain.remote(None)]);
            changes.extend([server.change.remote(), server.change_by_io.remote()]);
        }
        let mut changes = ray::get(changes).unwrap();
        changes.sort_unstable();
        assert_eq!(changes, (2..2 + 2 * rounds).collect::<Vec<_>>());
        ray::get(reads).unwrap();
        assert_eq!(WRITING.most(), 1);
    });
}

/// The options of a call choose another group; an unknown one is an error that lists the groups.
#[test]
fn the_group_of_one_call() {
    alone(|| {
        let server = server();
        let (io, first) = fill(&server, 1);
        assert_eq!(ray::get(server.fetch.options().group("compute").remote(None)).unwrap(), 0);
        assert_eq!(ray::get(server.plain.options().group("compute").name("look").remote(None)).unwrap(), 0);
        for error in [
            ray::get(server.fetch.options().group("disk").remote(None)).unwrap_err(),
            refusal(server.fetch.options().group("disk").try_remote(None)),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument);
            assert!(error.to_string().contains("`disk`") && error.to_string().contains("`io`, `compute`"), "{error}");
        }
        io.gate.open();
        ray::get(first).unwrap();
        let without = crate::actor_sorts::Serial::remote(Tally::new(), Tally::new());
        let error = ray::get(without.pass.options().group("io").remote(None)).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("groups(io = 2)"), "{error}");
    });
}

/// The calls of a group of one slot run in the order of submission, also if others overtake them.
#[test]
fn the_calls_of_a_group_keep_their_order() {
    alone(|| {
        let log = Log::remote();
        let count = calls(20, 1000);
        let all: Vec<_> = (0..count).map(|n| if n % 2 == 0 { log.one.remote(n) } else { log.other.remote(n) }).collect();
        ray::get(all).unwrap();
        for parity in [0, 1] {
            let lines = ray::get(log.lines.remote(parity)).unwrap();
            assert_eq!(lines, (0..count).filter(|n| n % 2 == parity).collect::<Vec<_>>());
        }
    });
}

#[remote(groups(one = 1, other = 1))]
struct Log {
    lines: [std::sync::Mutex<Vec<u64>>; 2],
}

#[remote]
impl Log {
    pub fn new() -> Self {
        Log { lines: Default::default() }
    }
    #[method(group = "one")]
    pub fn one(&self, n: u64) {
        self.lines[0].lock().unwrap().push(n);
    }
    #[method(group = "other")]
    pub fn other(&self, n: u64) {
        self.lines[1].lock().unwrap().push(n);
    }
    pub fn lines(&self, which: u64) -> Vec<u64> {
        self.lines[which as usize].lock().unwrap().clone()
    }
}

#[remote(groups(io = 2))]
struct Woven;

#[remote]
impl Woven {
    pub fn new() -> Self {
        Woven
    }
    #[method(group = "io")]
    pub async fn fetch(&self, stop: Stop) {
        let _inside = IO.enter();
        stop.running.add();
        stop.gate.opened().await;
    }
    pub async fn wait(&self, stop: Stop) {
        stop.running.add();
        stop.gate.opened().await;
    }
    pub async fn alone(&mut self) -> usize {
        IO.now()
    }
}

/// The groups of an async actor limit the calls that are between their first and their last await.
#[test]
fn groups_of_an_async_actor() {
    alone(|| {
        let (woven, io, default) = (Woven::remote(), Stop::new(), Stop::new());
        let fetches: Vec<_> = (0..6).map(|_| woven.fetch.remote(io)).collect();
        io.running.wait_for(2);
        let many: Vec<_> = (0..50).map(|_| woven.wait.remote(default)).collect();
        default.running.wait_for(50);
        assert_eq!(io.running.count(), 2);
        default.gate.open();
        io.gate.open();
        ray::get(many).unwrap();
        ray::get(fetches).unwrap();
        assert_eq!((ray::get(woven.alone.remote()).unwrap(), IO.most()), (0, 2));
    });
}

/// A kill fails the calls that wait for a slot, too.
#[test]
fn a_kill_fails_calls_of_all_groups() {
    alone(|| {
        let dropped = Tally::new();
        let server = Server::remote(Tally::new(), dropped);
        let (io, mut all) = fill(&server, 4);
        all.push(server.change.remote());
        all.push(server.compute.remote(None));
        ray::kill(&server).unwrap();
        all_died(all);
        assert_eq!(server.state(), ActorState::Dead);
        io.gate.open();
        dropped_after_kill(dropped, 1);
        assert_eq!(io.running.count(), 2);
    });
}

/// After a crash the calls that wait for a slot run on the new instance.
#[test]
fn waiting_calls_run_after_a_restart() {
    alone(|| {
        let server = server();
        let (io, mut first) = fill(&server, 0);
        let waiting: Vec<_> = (0..4).map(|_| server.number.options().group("io").remote()).collect();
        let crash = server.crash.remote();
        assert!(ray::get(crash).unwrap_err().is_actor_unavailable());
        for call in first.drain(..) {
            assert!(ray::get(call).unwrap_err().is_actor_unavailable());
        }
        io.gate.open();
        for number in waiting {
            match ray::get(number) {
                Ok(number) => assert_eq!(number, 2),
                Err(error) => assert!(on_cluster() && error.is_actor_unavailable(), "{error}"),
            }
        }
    });
}

/// A cancelled call does not block the calls behind it, and one that waited for the actor alone lets the other groups go on.
#[test]
fn a_cancelled_call_leaves_its_group() {
    alone(|| {
        let server = server();
        let (io, first) = fill(&server, 0);
        let change = server.change.remote();
        let behind = server.compute.remote(None);
        ray::cancel(&change).unwrap();
        assert!(ray::get(change).unwrap_err().is_cancelled());
        assert_eq!(ray::get(behind).unwrap(), 0);
        let (cancelled, next) = (server.fetch.remote(None), server.fetch.remote(None));
        ray::cancel(&cancelled).unwrap();
        io.gate.open();
        ray::get(first).unwrap();
        assert_eq!(ray::get(next).unwrap(), 0);
    });
}

/// Without handles the actor ends after the calls that wait for slots and for arguments.
#[test]
fn waiting_calls_keep_the_actor_alive() {
    alone(|| {
        let dropped = Tally::new();
        let server = Server::remote(Tally::new(), dropped);
        let (io, mut all) = fill(&server, 5);
        let argument = crate::support::Gate::new();
        let log = Log::remote();
        let write = log.one.remote(late(argument, 3_u64));
        drop(log);
        all.push(server.change_by_io.remote());
        drop(server);
        io.gate.open();
        assert_eq!(ray::get(all).unwrap(), [0, 0, 0, 0, 0, 0, 0, 1]);
        dropped.wait_for(1);
        argument.open();
        ray::get(write).unwrap();
    });
}

/// Calls that wait for a slot count as pending calls.
#[test]
fn waiting_calls_are_pending() {
    alone(|| {
        let server = Server::options().max_pending_calls(3).remote(Tally::new(), Tally::new());
        ray::get(server.ready()).unwrap();
        let (io, first) = fill(&server, 0);
        let waiting: Vec<_> = (0..3).map(|_| server.fetch.remote(None)).collect();
        let error = ray::get(server.fetch.remote(None)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PendingCallsLimitExceeded);
        io.gate.open();
        ray::get(first).unwrap();
        ray::get(waiting).unwrap();
        assert_eq!(ray::get(server.fetch.remote(None)).unwrap(), 0);
    });
}

/// Calls of several threads, of all groups and exclusive ones, while the groups are full again and again.
#[test]
fn groups_under_load() {
    alone_on(2, || {
        let server = server();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let server = &server;
                scope.spawn(move || {
                    let mut all = Vec::new();
                    for n in 0..calls(10, 500) {
                        all.push(match (n + thread) % 5 {
                            0 => server.fetch.remote(None),
                            1 => server.compute.remote(None),
                            2 => server.plain.remote(None),
                            3 => server.change.remote(),
                            _ => server.change_by_io.remote(),
                        });
                    }
                    ray::get(all).unwrap();
                });
            }
        });
        assert_eq!(ray::get(server.plain.remote(None)).unwrap(), calls(4 * 4, 4 * 200));
        assert!(WRITING.most() == 1 && IO.most() <= 2 && COMPUTE.most() <= 4 && DEFAULT.most() <= 1);
    });
}
