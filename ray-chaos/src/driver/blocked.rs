//! Operations whose bodies block their thread until other work has run.

use super::Driver;
use crate::program::{blocking_on, initialise, on_threads, under_lock};

impl Driver {
    pub(super) fn lock(&mut self) {
        let (lock, how) = (self.chance.below(2), self.chance.below(7) as u8);
        for _ in 0..1 + self.chance.below(4) {
            let object = under_lock.remote(lock, how, &self.shared.ledger, &self.shared.desk);
            self.enter_value("under a lock", 3, object);
        }
    }

    pub(super) fn once(&mut self) {
        let (cell, how) = (self.chance.next(), self.chance.below(7) as u8);
        for _ in 0..2 + self.chance.below(3) {
            let object = initialise.remote(cell, how, &self.shared.ledger, &self.shared.desk);
            self.enter_value("in an initialiser", 3, object);
        }
    }

    pub(super) fn threads(&mut self) {
        let many = 1 + self.chance.below(3);
        self.enter_value("on threads", (0..many as i64).sum(), on_threads.remote(many));
    }

    pub(super) fn block_on(&mut self) {
        let many = 1 + self.chance.below(3);
        self.enter_value("blocking on", (0..many as i64).sum(), blocking_on.remote(many));
    }
}
