//! CPUs and claims: a claim is granted, even if another thread gives a CPU back at the same time.

use std::time::Instant;

use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::base::resources::{Resources, UNITS};
use crate::base::sync::Mutex;
use crate::sched::claims::{Key, Shape, Term};
use crate::sched::cpu_pool::CpuPool;
use crate::sched::node;

struct Node {
    cpu: CpuPool,
    claims: Mutex<node::Node<(), ()>>,
    /// The time does not advance in a model: on a slow machine a start would become urgent in some runs, and not in others.
    now: Instant,
    /// The number of granted claims.
    granted: AtomicUsize,
}

impl Node {
    fn new(cpus: u64) -> Arc<Self> {
        let claims = Mutex::new(node::Node::new(&Resources::NONE));
        Arc::new(Self { cpu: CpuPool::new(cpus * UNITS), claims, now: Instant::now(), granted: AtomicUsize::new(0) })
    }

    /// As `Engine::count_claims`.
    fn count(&self, claims: &mut node::Node<(), ()>) {
        let (all, urgent) = claims.counts(self.now, &self.cpu);
        self.cpu.set_claims(all, urgent);
    }

    /// As `Engine::serve_claims`, with its second pass.
    fn serve(&self) {
        let mut claims = self.claims.lock();
        for _ in 0..2 {
            while claims.next(self.now, &self.cpu).is_some() {
                self.granted.fetch_add(1, Ordering::Relaxed);
            }
            self.count(&mut claims);
        }
    }

    /// As `Engine::give_cpu`.
    fn give(&self) {
        if self.cpu.give(UNITS) {
            self.serve();
        }
    }

    /// A getter claims its CPU.
    fn claim_return(&self) {
        {
            let mut claims = self.claims.lock();
            claims.claims.claim_return(0, UNITS, ());
            self.count(&mut claims);
        }
        self.serve();
    }

    /// A task claims `cpus` CPUs.
    fn claim_start(&self, cpus: u64) {
        {
            let mut claims = self.claims.lock();
            let demand = Resources::of_cpu(cpus * UNITS);
            claims.claims.claim_start(Key(1), Shape::of(demand, Term::Body), None, (), self.now);
            self.count(&mut claims);
        }
        self.serve();
    }
}

#[test]
fn a_return_beside_a_giver() {
    check(|| {
        let node = Node::new(1);
        assert!(node.cpu.take(UNITS));
        let other = node.clone();
        let giver = thread::spawn(move || other.give());
        node.claim_return();
        giver.join().unwrap();
        assert_eq!(node.granted.load(Ordering::Relaxed), 1);
        assert_eq!(node.cpu.free(), 0);
        assert!(!node.cpu.is_claimed());
    });
}

/// A task for two CPUs gets them when each of two threads has given one back.
#[test]
fn a_start_beside_two_givers() {
    check(|| {
        let node = Node::new(2);
        assert!(node.cpu.take(2 * UNITS));
        let givers: Vec<_> = (0..2)
            .map(|_| {
                let node = node.clone();
                thread::spawn(move || node.give())
            })
            .collect();
        node.claim_start(2);
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        assert_eq!(node.granted.load(Ordering::Relaxed), 1);
        assert_eq!(node.cpu.free(), 0);
    });
}

/// One CPU for two getters and a new task: only one has it at a time, and both getters get it in the end.
#[test]
fn two_returns_beside_a_fresh_task() {
    check(|| {
        let node = Node::new(1);
        let getters: Vec<_> = (0..2)
            .map(|_| {
                let node = node.clone();
                thread::spawn(move || node.claim_return())
            })
            .collect();
        let mut given = 0;
        if node.cpu.take(UNITS) {
            node.give();
        }
        getters.into_iter().for_each(|getter| getter.join().unwrap());
        // The getter that was granted the CPU ends, and gives it to the other one.
        while node.granted.load(Ordering::Relaxed) > given {
            assert_eq!((node.granted.load(Ordering::Relaxed), node.cpu.free()), (given + 1, 0));
            given += 1;
            node.give();
        }
        assert_eq!((given, node.cpu.free()), (2, UNITS));
    });
}
