//! Claims on resources that are not free: they are granted in turn, and withdrawn as soon as they are not needed any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ray::{Config, ObjectRef, remote};

use crate::stage::{Crowd, Token, alone_on, apart, eventually, hold_every_cpu};
use crate::support::{Gate, PATIENCE, Tally};

/// A claim that has waited for this long is urgent: smaller work may not overtake it.
const URGENT: Duration = Duration::from_millis(100);

#[remote(num_cpus = 2)]
struct Wide {
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Arc<Token>,
}

#[remote(local)]
impl Wide {
    pub fn new(token: Arc<Token>, made: Tally) -> Self {
        made.add();
        Wide { token }
    }
    pub fn call(&self) -> u64 {
        1
    }
}

/// Submits a task that holds one of the two CPUs until the gate opens; returns when it runs.
fn hold_one(gate: Gate) -> ObjectRef<()> {
    let held = Gate::new();
    let holder = ray::task(move || {
        held.open();
        gate.wait();
    });
    let holder = holder.remote();
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
        type Unwanted = fn(Token, Tally);
        let ways: [(&str, Unwanted); 7] = [
            ("a cancelled task", |token, ran| {
                let wide = ray::task(move || {
                    ran.add();
                    drop(token);
                });
                let wide = wide.num_cpus(2.0).remote();
                let_claims_become_urgent();
                ray::cancel(&wide).unwrap();
                assert!(ray::get(wide).unwrap_err().is_cancelled());
            }),
            ("a task whose guard is dropped", |token, ran| {
                let wide = ray::task(move || {
                    ran.add();
                    drop(token);
                });
                let guard = wide.num_cpus(2.0).remote().cancel_on_drop();
                let_claims_become_urgent();
                drop(guard);
            }),
            ("a child of a cancelled task", |token, ran| {
                let (submitted, end) = (Gate::new(), Gate::new());
                let parent = ray::task(move || {
                    let child = ray::task(move || {
                        ran.add();
                        drop(token);
                    });
                    drop(child.num_cpus(2.0).remote());
                    submitted.open();
                    end.wait();
                });
                let parent = parent.num_cpus(0.0).remote();
                submitted.wait();
                let_claims_become_urgent();
                ray::cancel(&parent).unwrap();
                end.open();
            }),
            ("a killed actor", |token, ran| {
                let wide = Wide::remote(Arc::new(token), ran);
                let call = wide.call.remote();
                let_claims_become_urgent();
                ray::kill(&wide);
                assert!(ray::get(call).unwrap_err().is_actor_died());
            }),
            ("a killed actor with restarts left", |token, ran| {
                let wide = Wide::options().max_restarts(3).remote(Arc::new(token), ran);
                let_claims_become_urgent();
                ray::kill(&wide);
            }),
            ("a dropped actor", |token, ran| {
                let wide = Wide::remote(Arc::new(token), ran);
                let_claims_become_urgent();
                drop(wide);
            }),
            ("an actor whose creator was cancelled", |token, ran| {
                let (submitted, end, handles) = (Gate::new(), Gate::new(), Gate::new());
                let creator = ray::task(move || {
                    let wide = Wide::remote(Arc::new(token), ran);
                    submitted.open();
                    end.wait();
                    drop(wide);
                    handles.open();
                });
                let creator = creator.num_cpus(0.0).remote();
                submitted.wait();
                let_claims_become_urgent();
                ray::cancel(&creator).unwrap();
                end.open();
                handles.wait();
            }),
        ];
        for (what, way) in ways {
            let (gate, dropped, ran) = (Gate::new(), Tally::new(), Tally::new());
            let holder = hold_one(gate);
            way(Token(dropped), ran);
            assert_eq!(dropped.count(), 1, "{what}: its captured values are dropped");
            small_work_starts(what);
            // A thread that has just run a task holds its CPU for a moment.
            eventually(what, || ray::available_resources().unwrap()["CPU"] as u64 == 1);
            gate.open();
            ray::get(holder).unwrap();
            eventually("all CPUs are free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
            assert_eq!(ran.count(), 0, "{what}: it must not run");
            let wide = crate::stage::give.options().num_cpus(2.0).remote(2);
            assert_eq!(ray::get_timeout(wide, PATIENCE).unwrap(), 2, "{what}: the next claim is granted");
        }
    });
}

/// An actor with pending calls keeps its claim, with or without handles.
#[test]
fn pending_calls_keep_an_actors_claim() {
    alone_on(2, || {
        let (gate, dropped, made) = (Gate::new(), Tally::new(), Tally::new());
        let holder = hold_one(gate);
        let wide = Wide::remote(Arc::new(Token(dropped)), made);
        let call = wide.call.remote();
        drop(wide);
        assert_eq!((dropped.count(), made.count()), (0, 0));
        gate.open();
        assert_eq!(ray::get_timeout(call, PATIENCE).unwrap(), 1);
        ray::get(holder).unwrap();
        dropped.wait_for(1);
    });
}

/// A constructor waits for one of its arguments. When its actor is killed, the other arguments are dropped.
#[test]
fn a_killed_actor_drops_its_arguments() {
    alone_on(2, || {
        let (gate, dropped) = (Gate::new(), Tally::new());
        let late: ObjectRef<Tally> = crate::stage::late(gate, Tally::new());
        let wide = Wide::remote(Arc::new(Token(dropped)), &late);
        ray::kill(&wide);
        assert_eq!(dropped.count(), 1);
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
    fn compute(cpus: usize) {
        let inside: Vec<_> = (0..cpus).map(|_| COMPUTING.enter()).collect();
        assert!(COMPUTING.now() <= CPUS, "{} of {CPUS} CPUs compute", COMPUTING.now());
        std::hint::black_box((0..200).sum::<u64>());
        drop(inside);
    }
    alone_on(CPUS, || {
        let dropped = Tally::new();
        let mut made = 0;
        for round in 0..crate::support::calls(10, 150usize) {
            let gate = Gate::new();
            let held = if round % 5 == 0 {
                // Bodies of cancelled tasks may still run, and wait for CPUs that the holders would keep.
                dropped.wait_for(made);
                hold_every_cpu(gate)
            } else {
                Vec::new()
            };
            let work: Vec<ObjectRef<()>> = (0..12usize)
                .map(|n| {
                    let (cpus, token) = (1 + (round + n) % CPUS, Token(dropped));
                    made += 1;
                    let work = ray::task(move || {
                        compute(cpus);
                        if n % 3 == 0 {
                            let child = ray::task(|| compute(1)).remote();
                            let _ = ray::get_timeout(child, PATIENCE);
                            compute(cpus);
                        }
                        drop(token);
                    });
                    work.num_cpus(cpus as f64).remote()
                })
                .collect();
            for at in (round % 3..work.len()).step_by(2) {
                ray::cancel(&work[at]).unwrap();
            }
            gate.open();
            for work in work {
                match ray::get_timeout(work, PATIENCE) {
                    Ok(()) => {}
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
            ray::get(held).unwrap();
        }
        dropped.wait_for(made);
        eventually("all CPUs are free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
        assert!(COMPUTING.most() <= CPUS);
    });
}

/// After a claim is withdrawn, small tasks that no thread waits for start as well, without a getter that could run them.
#[test]
fn a_withdrawn_claim_does_not_delay_other_tasks() {
    alone_on(2, || {
        let kill_one: fn() = || {
            let wide = Wide::remote(Arc::new(Token(Tally::new())), Tally::new());
            let_claims_become_urgent();
            ray::kill(&wide);
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
            let small: Vec<_> = (0..3).map(|_| ray::task(move || ran.add()).remote()).collect();
            ran.wait_for(3);
            gate.open();
            ray::get(holder).unwrap();
            drop(small);
        }
    });
}
