//! The order in which the calls of an actor start.

use ray::{ActorHandle, ObjectRef, remote};

use crate::stage::{alone, late, on_cluster};
use crate::support::{Gate, Tally, calls};

#[remote]
struct Log {
    lines: Vec<(u64, u64)>,
}

#[remote]
impl Log {
    pub fn new() -> Self {
        Log { lines: Vec::new() }
    }
    pub fn write(&mut self, who: u64, n: u64) -> usize {
        self.lines.push((who, n));
        self.lines.len()
    }
    pub fn amend(&mut self, who: u64, n: u64) {
        self.lines.push((who, n));
    }
    pub fn lines(&self) -> Vec<(u64, u64)> {
        self.lines.clone()
    }
}

fn lines(log: &ActorHandle<Log>) -> Vec<(u64, u64)> {
    ray::get(log.lines.remote()).unwrap()
}

/// Calls of one caller start in the order of submission, across methods, `remote`, `tell` and `with`.
#[test]
fn calls_of_one_caller_start_in_order() {
    alone(|| {
        let log = Log::remote();
        let count = calls(100, 3_000);
        for n in 0..count {
            match n % 3 {
                0 => drop(log.write.remote(0, n)),
                // On a cluster `with` is an error.
                2 if !on_cluster() => drop(log.with(move |log| log.lines.push((0, n)))),
                _ => log.amend.tell(0, n),
            }
        }
        assert_eq!(lines(&log), (0..count).map(|n| (0, n)).collect::<Vec<_>>());
    });
}

/// A call with a pending argument delays later calls of its caller only.
#[test]
fn a_pending_argument_delays_only_its_caller() {
    alone(|| {
        let log = Log::remote();
        let gate = Gate::new();
        let first = log.write.remote(1, late(gate, 1));
        let second = log.write.remote(1, 2);
        log.amend.tell(1, 3);
        let other = {
            let log = log.clone();
            std::thread::spawn(move || ray::get([log.write.remote(2, 1), log.write.remote(2, 2)]).unwrap()).join().unwrap()
        };
        assert_eq!(other, [1, 2], "calls of another thread are not delayed");
        assert_eq!(ray::get(writes.remote(&log, 3, 1)).unwrap(), 3, "calls of a task are not delayed");
        assert!(!first.is_ready() && !second.is_ready());
        gate.open();
        assert_eq!(ray::get(second).unwrap(), 5);
        let order = lines(&log);
        assert_eq!(order, [(2, 1), (2, 2), (3, 1), (1, 1), (1, 2), (1, 3)]);
    });
}

#[remote(num_cpus = 0)]
fn writes(log: ActorHandle<Log>, who: u64, n: u64) -> usize {
    ray::get(log.write.remote(who, n)).unwrap()
}

/// Sends two lines; the argument of the first is pending until the gate opens.
#[remote(num_cpus = 0)]
fn writes_two(log: ActorHandle<Log>, gate: Gate) -> (ObjectRef<usize>, ObjectRef<usize>) {
    (log.write.remote(5, late(gate, 1)), log.write.remote(5, 2))
}

#[remote]
fn breaks(gate: Gate) -> u64 {
    gate.wait();
    panic!("broken")
}

#[remote]
struct Sender {
    log: ActorHandle<Log>,
    sent: u64,
}

#[remote]
impl Sender {
    pub fn new(log: ActorHandle<Log>) -> Self {
        Sender { log, sent: 0 }
    }
    /// Sends one more line; with a gate the argument is pending until the gate opens.
    pub fn send(&mut self, gate: Option<Gate>) -> ObjectRef<usize> {
        self.sent += 1;
        match gate {
            Some(gate) => self.log.write.remote(9, late(gate, self.sent)),
            None => self.log.write.remote(9, self.sent),
        }
    }
}

/// An actor is one caller across all of its calls; each task is a caller of its own.
#[test]
fn actors_and_tasks_as_callers() {
    alone(|| {
        let log = Log::remote();
        let sender = Sender::remote(&log);
        let gate = Gate::new();
        let held = ray::get(sender.send.remote(Some(gate))).unwrap();
        let behind = ray::get(sender.send.remote(None)).unwrap();
        assert_eq!(ray::get(log.write.remote(1, 1)).unwrap(), 1, "calls of the driver are not delayed");
        let (first, second) = ray::get(writes_two.remote(&log, gate)).unwrap();
        assert!(!held.is_ready() && !behind.is_ready() && !second.is_ready());
        gate.open();
        ray::get((held, behind, first, second)).unwrap();
        let of = |who: u64| lines(&log).into_iter().filter(|line| line.0 == who).map(|line| line.1).collect::<Vec<_>>();
        assert_eq!((of(9), of(5)), (vec![1, 2], vec![1, 2]));
    });
}

/// A call that will never start (it was cancelled, or its argument failed) stops delaying later calls.
#[test]
fn a_failed_or_cancelled_call_stops_delaying_later_calls() {
    alone(|| {
        let log = Log::remote();
        let gate = Gate::new();
        let broken = breaks.remote(gate);
        let failed = log.write.remote(1, &broken);
        let behind = log.write.remote(1, 2);
        let never = Gate::new();
        let cancelled = log.write.remote(1, late(never, 3));
        let last = log.write.remote(1, 4);
        assert!(!behind.is_ready());
        gate.open();
        assert_eq!(ray::get(behind).unwrap(), 1);
        assert!(ray::get(failed).unwrap_err().is_panic());
        assert!(!last.is_ready());
        ray::cancel(&cancelled).unwrap();
        assert_eq!(ray::get(last).unwrap(), 2);
        assert!(ray::get(cancelled).unwrap_err().is_cancelled());
        assert_eq!(ray::get(log.write.remote(1, &broken)).unwrap_err().kind(), ray::ErrorKind::Panic);
        assert_eq!(lines(&log), [(1, 2), (1, 4)]);
        never.open();
    });
}

/// With many concurrent callers, some of whose arguments are pending, the calls of each caller start in order.
#[test]
fn calls_of_many_callers_start_in_order() {
    const CALLERS: u64 = 8;
    const CALLS: u64 = 500;
    alone(|| {
        let log = Log::remote();
        std::thread::scope(|scope| {
            for who in 0..CALLERS {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..CALLS {
                        if n % 50 == who {
                            drop(log.write.remote(who, crate::stage::give_u64.remote(n)));
                        } else if n % 2 == 0 {
                            drop(log.write.remote(who, n));
                        } else {
                            log.amend.tell(who, n);
                        }
                    }
                    // This call returns after all earlier calls of this caller have run.
                    ray::get(log.write.remote(who, CALLS)).unwrap();
                });
            }
        });
        let lines = lines(&log);
        assert_eq!(lines.len() as u64, CALLERS * (CALLS + 1));
        for who in 0..CALLERS {
            let own: Vec<u64> = lines.iter().filter(|line| line.0 == who).map(|line| line.1).collect();
            assert_eq!(own, (0..=CALLS).collect::<Vec<_>>(), "caller {who}");
        }
    });
}

/// An actor without handles does not end before its calls with pending arguments have run.
#[test]
fn calls_with_pending_arguments_keep_the_actor_alive() {
    alone(|| {
        let log = Log::remote();
        let gate = Gate::new();
        let first = log.write.remote(1, late(gate, 1));
        let all = log.lines.remote();
        drop(log);
        gate.open();
        assert_eq!(ray::get(first).unwrap(), 1);
        assert_eq!(ray::get(all).unwrap(), [(1, 1)]);
    });
}

#[remote]
struct Board;

#[remote]
impl Board {
    pub fn new() -> Self {
        Board
    }
    pub async fn pin(&self, n: u64) -> u64 {
        n
    }
}

#[remote(max_concurrency = 2)]
struct Pool;

#[remote]
impl Pool {
    pub fn new() -> Self {
        Pool
    }
    pub fn serve(&self, n: u64) -> u64 {
        n
    }
    pub fn change(&mut self, n: u64, done: Tally) -> u64 {
        done.add();
        n
    }
}

/// Async and threaded actors start calls as they become ready: a pending argument delays no other call.
#[test]
fn concurrent_actors_do_not_wait_for_pending_arguments() {
    alone(|| {
        let gate = Gate::new();
        let (board, pool) = (Board::remote(), Pool::remote());
        let waiting = (board.pin.remote(late(gate, 1)), pool.serve.remote(late(gate, 2)));
        assert_eq!(ray::get((board.pin.remote(3), pool.serve.remote(4))).unwrap(), (3, 4));
        let done = Tally::new();
        assert_eq!(ray::get(pool.change.remote(5, done)).unwrap(), 5);
        assert!(!waiting.0.is_ready() && !waiting.1.is_ready());
        gate.open();
        assert_eq!(ray::get(waiting).unwrap(), (1, 2));
    });
}

#[remote(allow_out_of_order_execution)]
struct Unordered {
    lines: Vec<u64>,
}

#[remote]
impl Unordered {
    pub fn new() -> Self {
        Unordered { lines: Vec::new() }
    }
    pub fn write(&mut self, n: u64) -> Vec<u64> {
        self.lines.push(n);
        self.lines.clone()
    }
    pub fn note(&mut self, n: u64) {
        self.lines.push(n);
    }
}

/// With `allow_out_of_order_execution` a call whose arguments are ready overtakes an earlier one of the same caller. The calls
/// still run one after the other, and those without pending arguments in order.
#[test]
fn calls_out_of_order() {
    alone(|| {
        let actor = Unordered::remote();
        let (first, second) = (Gate::new(), Gate::new());
        let one = actor.write.remote(late(first, 1_u64));
        let two = actor.write.remote(late(second, 2_u64));
        actor.note.tell(3);
        assert_eq!(ray::get(actor.write.remote(4)).unwrap(), [3, 4]);
        second.open();
        assert_eq!(ray::get(two).unwrap(), [3, 4, 2]);
        assert!(!one.is_ready());
        first.open();
        assert_eq!(ray::get(one).unwrap(), [3, 4, 2, 1]);
    });
}

/// The option of a creation overrides that of the attribute.
#[test]
fn calls_out_of_order_by_options() {
    alone(|| {
        for allow in [true, false] {
            let actor = Unordered::options().allow_out_of_order_execution(allow).remote();
            let gate = Gate::new();
            let one = actor.write.remote(late(gate, 1_u64));
            let two = actor.write.remote(2);
            if allow {
                assert_eq!(ray::get(&two).unwrap(), [2]);
            } else {
                assert_eq!(ray::get(crate::stage::give.remote(1)).unwrap(), 1);
                assert!(!two.is_ready());
            }
            gate.open();
            let lines = ray::get((one, two)).unwrap();
            assert_eq!(lines, if allow { (vec![2, 1], vec![2]) } else { (vec![1], vec![1, 2]) });
        }
    });
}

/// The cause of a failed argument fails its own call only, and a kill fails the calls that wait for arguments.
#[test]
fn failures_of_calls_out_of_order() {
    alone(|| {
        let actor = Unordered::remote();
        let gate = Gate::new();
        let fails = actor.write.remote(breaks.remote(gate));
        assert_eq!(ray::get(actor.write.remote(1)).unwrap(), [1]);
        gate.open();
        assert!(ray::get(fails).unwrap_err().to_string().contains("broken"));
        assert_eq!(ray::get(actor.write.remote(2)).unwrap(), [1, 2]);
        let waits = actor.write.remote(late(Gate::new(), 3_u64));
        ray::kill(&actor).unwrap();
        assert!(ray::get(waits).unwrap_err().is_actor_died());
    });
}
