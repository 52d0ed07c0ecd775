//! Claims on resources that are not free: they are granted in turn, and withdrawn as soon as they are not needed any more.

use std::time::{Duration, Instant};

use ray::{Config, ObjectRef, remote};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::stage::{Crowd, Token, alone_on, apart, eventually, hold_every_cpu, on_cluster, soon};
use crate::support::{Gate, PATIENCE, Tally, calls, strict};

/// A claim that has waited for this long is urgent: smaller work may not overtake it.
const URGENT: Duration = Duration::from_millis(100);

/// A captured value that can be sent: counts its copies that are made and that are dropped.
#[derive(Debug)]
struct Captured(Copies);

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Copies {
    made: Tally,
    dropped: Tally,
}

impl Copies {
    fn new() -> Self {
        Copies { made: Tally::new(), dropped: Tally::new() }
    }
    fn capture(self) -> Captured {
        self.made.add();
        Captured(self)
    }
    /// Whether no copy is left of those that were made.
    fn are_gone(self) -> bool {
        let dropped = self.dropped.count();
        dropped > 0 && dropped == self.made.count()
    }
}

impl Clone for Captured {
    fn clone(&self) -> Self {
        self.0.capture()
    }
}

impl Serialize for Captured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Captured {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Copies::deserialize(deserializer)?.capture())
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.dropped.add();
    }
}

#[remote(num_cpus = 2)]
struct Wide {
    #[allow(dead_code, reason = "the test observes its drop")]
    captured: Captured,
}

#[remote]
impl Wide {
    pub fn new(captured: Captured, made: Tally) -> Self {
        made.add();
        Wide { captured }
    }
    pub fn call(&self) -> u64 {
        1
    }
}

/// Counts that it runs.
#[remote(inline = false)]
fn run(captured: Captured, ran: Tally) {
    ran.add();
    drop(captured);
}

/// A task of two CPUs.
fn wide(captured: Captured, ran: Tally) -> ObjectRef<()> {
    run.options().num_cpus(2.0).remote(captured, ran)
}

#[remote(num_cpus = 0, inline = false)]
fn submits_wide(captured: Captured, ran: Tally, submitted: Gate, end: Gate) {
    drop(wide(captured, ran));
    submitted.open();
    end.wait();
}

#[remote(num_cpus = 0, inline = false)]
fn creates_wide(captured: Captured, ran: Tally, submitted: Gate, end: Gate, dropped: Gate) {
    let wide = Wide::remote(captured, ran);
    submitted.open();
    end.wait();
    drop(wide);
    dropped.open();
}

#[remote(inline = false)]
fn hold(held: Gate, gate: Gate) {
    held.open();
    gate.wait();
}

/// Submits a task that holds one of the two CPUs until the gate opens; returns when it runs.
fn hold_one(gate: Gate) -> ObjectRef<()> {
    let held = Gate::new();
    let holder = hold.remote(held, gate);
    held.wait();
    holder
}

fn let_claims_become_urgent() {
    let begun = Instant::now();
    while begun.elapsed() < 2 * URGENT {
        std::thread::park_timeout(URGENT);
    }
}

/// Checks that small tasks run on the free CPU, so that no withdrawn claim delays them.
fn small_work_starts(what: &str) {
    for _ in 0..3 {
        assert_eq!(ray::get_timeout(crate::stage::give.remote(7), PATIENCE).expect(what), 7);
    }
}

/// Work that waits for two CPUs can become unwanted in several ways. In each, its claim is withdrawn at once, its captured
/// values are dropped, and the free CPU is available to other work, however old the claim was.
#[test]
fn an_unwanted_claim_is_withdrawn() {
    alone_on(2, || {
        type Unwanted = fn(Captured, Tally);
        let ways: [(&str, Unwanted); 7] = [
            ("a cancelled task", |captured, ran| {
                let wide = wide(captured, ran);
                let_claims_become_urgent();
                ray::cancel(&wide).unwrap();
                assert!(ray::get(wide).unwrap_err().is_cancelled());
            }),
            ("a task whose guard is dropped", |captured, ran| {
                let guard = wide(captured, ran).cancel_on_drop();
                let_claims_become_urgent();
                drop(guard);
            }),
            ("a child of a cancelled task", |captured, ran| {
                let (submitted, end) = (Gate::new(), Gate::new());
                let parent = submits_wide.remote(captured, ran, submitted, end);
                submitted.wait();
                let_claims_become_urgent();
                ray::cancel(&parent).unwrap();
                end.open();
            }),
            ("a killed actor", |captured, ran| {
                let wide = Wide::remote(captured, ran);
                let call = wide.call.remote();
                let_claims_become_urgent();
                ray::kill(&wide).unwrap();
                assert!(ray::get(call).unwrap_err().is_actor_died());
            }),
            ("a killed actor with restarts left", |captured, ran| {
                let wide = Wide::options().max_restarts(3).remote(captured, ran);
                let_claims_become_urgent();
                ray::kill(&wide).unwrap();
            }),
            ("a dropped actor", |captured, ran| {
                let wide = Wide::remote(captured, ran);
                let_claims_become_urgent();
                drop(wide);
            }),
            ("an actor whose creator was cancelled", |captured, ran| {
                let (submitted, end, dropped) = (Gate::new(), Gate::new(), Gate::new());
                let creator = creates_wide.remote(captured, ran, submitted, end, dropped);
                submitted.wait();
                let_claims_become_urgent();
                ray::cancel(&creator).unwrap();
                end.open();
                dropped.wait();
            }),
        ];
        for (what, way) in ways {
            let (gate, copies, ran) = (Gate::new(), Copies::new(), Tally::new());
            let holder = hold_one(gate);
            way(copies.capture(), ran);
            soon("its captured values are dropped", || copies.are_gone());
            small_work_starts(what);
            // A thread that has just run a task holds its CPU for a moment.
            eventually(what, || ray::available_resources().unwrap()["CPU"] as u64 == 1);
            gate.open();
            ray::get(holder).unwrap();
            eventually("all CPUs are free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
            assert_eq!(ran.count(), 0, "{what}: it must not run");
            let next = crate::stage::give.options().num_cpus(2.0).remote(2);
            assert_eq!(ray::get_timeout(next, PATIENCE).unwrap(), 2, "{what}: the next claim is granted");
        }
    });
}

/// An actor with pending calls keeps its claim, with or without handles.
#[test]
fn pending_calls_keep_an_actors_claim() {
    alone_on(2, || {
        let (gate, copies, made) = (Gate::new(), Copies::new(), Tally::new());
        let holder = hold_one(gate);
        let wide = Wide::remote(copies.capture(), made);
        let call = wide.call.remote();
        drop(wide);
        // Where arguments are encoded, the copies of this process are gone.
        assert!(strict() || !copies.are_gone());
        assert_eq!(made.count(), 0);
        gate.open();
        assert_eq!(ray::get_timeout(call, PATIENCE).unwrap(), 1);
        assert_eq!(made.count(), 1);
        ray::get(holder).unwrap();
        eventually("the actor drops its captured value", || copies.are_gone());
    });
}

/// A constructor waits for one of its arguments. When its actor is killed, the other arguments are dropped.
#[test]
fn a_killed_actor_drops_its_arguments() {
    alone_on(2, || {
        let (gate, copies) = (Gate::new(), Copies::new());
        let late: ObjectRef<Tally> = crate::stage::late(gate, Tally::new());
        let wide = Wide::remote(copies.capture(), &late);
        ray::kill(&wide).unwrap();
        soon("the arguments are dropped", || copies.are_gone());
        gate.open();
        ray::get(late).unwrap();
        small_work_starts("after the kill");
    });
}

/// A task that was granted its CPUs but has not begun is cancelled: the CPUs are returned. Here no thread is free to begin
/// it.
#[test]
fn a_cancelled_grant_is_returned() {
    apart(|| {
        crate::support::init_with(Config::new().num_cpus(2).max_threads(2)).unwrap();
        let (gate, dropped, ran, running) = (Gate::new(), Tally::new(), Tally::new(), Tally::new());
        let work = move || {
            running.add();
            gate.wait();
        };
        let busy: Vec<_> = (0..2).map(|_| ray::task(work).num_cpus(0.0).remote()).collect();
        running.wait_for(2);
        let token = Token(dropped);
        let wide = ray::task(move || {
            ran.add();
            drop(token);
        });
        let wide = wide.num_cpus(2.0).remote();
        eventually("the claim is granted", || ray::available_resources().unwrap()["CPU"] as u64 == 0);
        ray::cancel(&wide).unwrap();
        assert_eq!(dropped.count(), 1);
        eventually("the CPUs are returned", || ray::available_resources().unwrap()["CPU"] as u64 == 2);
        gate.open();
        ray::get(busy).unwrap();
        assert_eq!(ran.count(), 0);
    });
}

/// Claims of many sizes are cancelled while they wait and while bodies compute and get. Bodies never compute with more CPUs
/// than there are, and at the end all CPUs are free.
#[test]
fn claims_of_many_sizes_are_cancelled_while_they_wait() {
    const CPUS: usize = 4;
    static COMPUTING: Crowd = Crowd::new();
    #[remote]
    fn compute_one() {
        compute(1);
    }
    #[remote(inline = false)]
    fn work(n: usize, cpus: usize, captured: Captured) {
        compute(cpus);
        if n.is_multiple_of(3) {
            let _ = ray::get_timeout(compute_one.remote(), PATIENCE);
            // Ray does not wait for the CPUs again that a body has lent during a get.
            compute(if on_cluster() { 0 } else { cpus });
        }
        drop(captured);
    }
    fn compute(cpus: usize) {
        let inside: Vec<_> = (0..cpus).map(|_| COMPUTING.enter()).collect();
        assert!(COMPUTING.now() <= CPUS, "{} of {CPUS} CPUs compute", COMPUTING.now());
        std::hint::black_box((0..200).sum::<u64>());
        drop(inside);
    }
    alone_on(CPUS, || {
        let copies = Copies::new();
        for round in 0..calls(2, 150usize) {
            let gate = Gate::new();
            let held = if round % 5 == 0 {
                // Bodies of cancelled tasks may still run, and wait for CPUs that the holders would keep.
                eventually("no body runs", || round == 0 || copies.are_gone());
                hold_every_cpu(gate)
            } else {
                Vec::new()
            };
            let sent: Vec<ObjectRef<()>> = (0..calls(6, 12usize))
                .map(|n| {
                    let cpus = 1 + (round + n) % CPUS;
                    work.options().num_cpus(cpus as f64).remote(n, cpus, copies.capture())
                })
                .collect();
            for at in (round % 3..sent.len()).step_by(2) {
                ray::cancel(&sent[at]).unwrap();
            }
            gate.open();
            for sent in sent {
                match ray::get_timeout(sent, PATIENCE) {
                    Ok(()) => {}
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            ray::get(held).unwrap();
        }
        eventually("no body runs", || copies.are_gone());
        eventually("all CPUs are free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
        assert!(COMPUTING.most() <= CPUS);
    });
}

/// After a claim is withdrawn, small tasks that no thread waits for start as well, without a getter that could run them.
#[test]
fn a_withdrawn_claim_does_not_delay_other_tasks() {
    alone_on(2, || {
        let kill_one: fn() = || {
            let wide = Wide::remote(Copies::new().capture(), Tally::new());
            let_claims_become_urgent();
            ray::kill(&wide).unwrap();
        };
        let cancel_one: fn() = || {
            let wide = crate::stage::give.options().num_cpus(2.0).remote(1);
            let_claims_become_urgent();
            ray::cancel(&wide).unwrap();
        };
        for withdraw in [cancel_one, kill_one] {
            let (gate, ran) = (Gate::new(), Tally::new());
            let holder = hold_one(gate);
            withdraw();
            let_claims_become_urgent();
            let small: Vec<_> = (0..3).map(|_| run.remote(Copies::new().capture(), ran)).collect();
            ran.wait_for(3);
            gate.open();
            ray::get(holder).unwrap();
            drop(small);
        }
    });
}
