//! Gates: bodies of tasks wait at a closed gate, and the driver can wait until a number of bodies have reached it. A gate
//! has a number, so that it can be passed in serialised form.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Gate {
    open: bool,
    arrived: usize,
}

static GATES: Mutex<Option<HashMap<u64, Gate>>> = Mutex::new(None);
static MOVED: Condvar = Condvar::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The driver's handle of a gate. The drop of the key opens the gate.
#[derive(Debug)]
pub struct Key(u64);

impl Key {
    /// Creates a closed gate.
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        GATES.lock().get_or_insert_with(HashMap::new).insert(number, Gate::default());
        Key(number)
    }

    /// The number of the gate, for a body.
    pub fn number(&self) -> u64 {
        self.0
    }

    /// Opens the gate: all bodies that wait at it continue.
    pub fn open(&self) {
        if let Some(gate) = GATES.lock().as_mut().and_then(|gates| gates.get_mut(&self.0)) {
            gate.open = true;
        }
        MOVED.notify_all();
    }

    /// Waits until `many` bodies have reached the gate. Returns false if they do not reach it within the time.
    pub fn reached_by(&self, many: usize, within: Duration) -> bool {
        let end = Instant::now() + within;
        let mut gates = GATES.lock();
        loop {
            if gates.as_ref().is_some_and(|gates| gates.get(&self.0).is_some_and(|gate| gate.arrived >= many)) {
                return true;
            }
            if MOVED.wait_until(&mut gates, end).timed_out() {
                return false;
            }
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.open();
        GATES.lock().as_mut().and_then(|gates| gates.remove(&self.0));
        MOVED.notify_all();
    }
}

/// Waits until the gate is open or its key was dropped.
pub fn pass(number: u64) {
    let mut gates = GATES.lock();
    if let Some(gate) = gates.as_mut().and_then(|gates| gates.get_mut(&number)) {
        gate.arrived += 1;
        MOVED.notify_all();
    }
    while gates.as_ref().is_some_and(|gates| gates.get(&number).is_some_and(|gate| !gate.open)) {
        MOVED.wait(&mut gates);
    }
}
