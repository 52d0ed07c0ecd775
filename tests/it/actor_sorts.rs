//! Actors of three kinds, whose calls run one after the other, side by side, or interleaved: for the tests of `actor_faults`.

use ray::{ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{Token, on_cluster};
use crate::support::{Gate, Tally};

/// Counts that a body runs, and blocks the body until the gate opens.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Stop {
    pub(crate) running: Tally,
    pub(crate) gate: Gate,
}

impl Stop {
    pub(crate) fn new() -> Self {
        Stop { running: Tally::new(), gate: Gate::new() }
    }

    pub(crate) fn meet(self) {
        self.running.add();
        self.gate.wait();
    }
}

macro_rules! class {
    ($name:ident, [$($options:tt)*], [$($asyncness:tt)*]) => {
        #[remote($($options)*)]
        pub(crate) struct $name {
            number: u64,
            #[allow(dead_code, reason = "the test observes its drop")]
            token: Token,
        }

        #[remote]
        impl $name {
            pub fn new(made: Tally, dropped: Tally) -> Self {
                $name { number: made.add(), token: Token(dropped) }
            }
            /// Returns the number of the instance; blocks its thread at `stop` first, also in an async actor.
            pub $($asyncness)* fn pass(&self, stop: Option<Stop>) -> u64 {
                if let Some(stop) = stop {
                    stop.meet();
                }
                self.number
            }
            pub $($asyncness)* fn change(&mut self) -> u64 {
                self.number
            }
            pub $($asyncness)* fn leave(&self, stop: Option<Stop>) -> u64 {
                if let Some(stop) = stop {
                    stop.meet();
                }
                ray::exit_actor().unwrap();
                5
            }
            pub $($asyncness)* fn crash(&self) {
                panic!("crashes");
            }
            /// The first attempt panics if `crashes`, and otherwise waits until it is cancelled.
            #[method(max_task_retries = -1)]
            pub $($asyncness)* fn attempt(&self, inside: Tally, count: u64, crashes: bool) -> (u64, u32) {
                // Ray does not count the attempts of async methods, and an actor of these tests restarts once.
                let is_first = if on_cluster() { self.number == 1 } else { ray::context().attempt() == 0 };
                if is_first {
                    inside.add();
                    inside.wait_for(count);
                    assert!(!crashes, "crashes at the first attempt");
                    while !ray::context().is_cancelled() {
                        std::thread::yield_now();
                    }
                }
                (self.number, ray::context().attempt())
            }
        }
    };
}

class!(Serial, [max_restarts = 1], []);
class!(Side, [max_restarts = 1, max_concurrency = 4], []);
class!(Woven, [max_restarts = 1], [async]);

/// Runs the block for each of the three kinds of actors.
macro_rules! for_each_sort {
    ($actor:ident of ($made:ident, $dropped:ident) $body:block) => {
        for_each_sort!($actor of ($made, $dropped) with 0 retries $body)
    };
    ($actor:ident of ($made:ident, $dropped:ident) with $retries:tt retries $body:block) => {
        for_each_sort!(@ Serial, $actor, $made, $dropped, $retries, $body);
        for_each_sort!(@ Side, $actor, $made, $dropped, $retries, $body);
        for_each_sort!(@ Woven, $actor, $made, $dropped, $retries, $body);
    };
    (@ $class:ident, $actor:ident, $made:ident, $dropped:ident, $retries:tt, $body:block) => {{
        let ($made, $dropped) = (Tally::new(), Tally::new());
        let $actor = $crate::actor_sorts::$class::options().max_task_retries($retries).remote($made, $dropped);
        $body
    }};
}
pub(crate) use for_each_sort;

#[track_caller]
pub(crate) fn all_died<T: Clone + Send + Sync + 'static>(calls: Vec<ObjectRef<T>>) {
    for call in calls {
        assert!(ray::get(call).map(drop).unwrap_err().is_actor_died());
    }
}
