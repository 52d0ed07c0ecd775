//! CPUs and claims: a claim is granted, whoever gives CPU back at the same time.

use std::time::Instant;

use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::base::resources::{Resources, UNITS};
use crate::base::sync::Mutex;
use crate::sched::available::Available;
use crate::sched::claims::{Claims, Grant, Key, Term};
use crate::sched::lease::CpuPool;

struct Node {
    cpu: CpuPool,
    claims: Mutex<Claims<(), ()>>,
    /// Claims that were granted; each must be once.
    granted: AtomicUsize,
}

impl Node {
    fn new(cpus: u64) -> Arc<Self> {
        let claims = Mutex::new(Claims::new(Available::new(Resources::NONE)));
        Arc::new(Self { cpu: CpuPool::new(cpus * UNITS), claims, granted: AtomicUsize::new(0) })
    }

    /// As `Engine::count_claims`.
    fn count(&self, claims: &Claims<(), ()>) {
        let (all, urgent) = claims.counts(Instant::now(), |units, term| self.cpu.has_room(units, term));
        self.cpu.set_claims(all, urgent);
    }

    /// As `Engine::serve_claims`, with its second pass.
    fn serve(&self) {
        let mut claims = self.claims.lock();
        for _ in 0..2 {
            while let Some(grant) = claims.next(|units, term| self.cpu.take_for(units, term)) {
                let (Grant::Return(()) | Grant::Start(())) = grant;
                self.granted.fetch_add(1, Ordering::Relaxed);
            }
            self.count(&claims);
        }
    }

    /// As `Engine::give_cpu`.
    fn give(&self) {
        if self.cpu.give(UNITS) {
            self.serve();
        }
    }

    /// A getter that wants its CPU back.
    fn claim_return(&self) {
        {
            let mut claims = self.claims.lock();
            claims.claim_return(UNITS, ());
            self.count(&claims);
        }
        self.serve();
    }

    /// A task for so many CPUs.
    fn claim_start(&self, cpus: u64) {
        {
            let mut claims = self.claims.lock();
            let demand = Resources::new(cpus * UNITS, 0, 0, []);
            claims.claim_start(Key(1), demand, Term::Body, (), Instant::now());
            self.count(&claims);
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

/// A task for two CPUs has them when the second of two threads gives its own back.
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

/// One CPU for two getters and a fresh task: nobody has more than there is, and both getters have theirs in the end.
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
        // The one that was granted ends, and gives its CPU to the other.
        while node.granted.load(Ordering::Relaxed) > given {
            assert_eq!((node.granted.load(Ordering::Relaxed), node.cpu.free()), (given + 1, 0));
            given += 1;
            node.give();
        }
        assert_eq!((given, node.cpu.free()), (2, UNITS));
    });
}
