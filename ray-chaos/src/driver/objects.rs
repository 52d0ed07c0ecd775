//! Operations on tasks and objects.

use ray::{ErrorKind, ObjectRef};

use super::{Driver, Errors};
use crate::program::{Thing, add, burst, dawdle, halves, later, look, make, nest, refuse, stumble, total_of};
use crate::state::{ending, give_up};

impl Driver {
    pub(super) fn make(&mut self) {
        let value = self.chance.below(1000) as i64;
        let object = match self.chance.below(4) {
            0 => ray::put(Thing::new(value)),
            1 => ObjectRef::from(std::sync::Arc::new(Thing::new(value))),
            2 => ray::task(move || Thing::new(value)).remote(),
            _ => make.remote(value),
        };
        self.enter_value("make", value, object);
    }

    pub(super) fn combine(&mut self) {
        let ((a, first), (b, second)) = (self.pick(), self.pick());
        let node = self.model.add(&[a, b], Errors::NONE, None, |values| Some(values[0] + values[1]));
        let object = if self.chance.one_in(4) { look.remote(&first, &second) } else { add.remote(first, second) };
        self.enter_sum("combine", node, object);
    }

    /// Enters a sum, unless it is so large that sums of sums could overflow.
    fn enter_sum(&mut self, what: &'static str, node: usize, object: ObjectRef<Thing>) {
        if self.model.value(node).is_none_or(|value| value.abs() < 1 << 40) {
            self.enter(what, node, object);
        }
    }

    pub(super) fn dawdle(&mut self) {
        let ((a, object), turns) = (self.pick(), self.chance.below(100) as u32);
        let node = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
        self.enter("dawdle", node, dawdle.remote(object, turns));
    }

    pub(super) fn retry(&mut self) {
        let ((a, object), times) = (self.pick(), self.chance.below(4) as u32);
        let node = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
        self.enter("retry", node, stumble.remote(object, times));
    }

    pub(super) fn fan_in(&mut self) {
        let many: Vec<_> = (0..self.chance.below(20)).map(|_| self.pick()).collect();
        let deps: Vec<usize> = many.iter().map(|(node, _)| *node).collect();
        let node = self.model.add(&deps, Errors::NONE, None, |values| Some(values.iter().sum()));
        let object = total_of.remote(many.into_iter().map(|(_, object)| object).collect::<Vec<_>>());
        self.enter_sum("fan-in", node, object);
    }

    /// Submits a task that requests other resources than one CPU. Sometimes it is cancelled while it waits for them.
    pub(super) fn claim(&mut self) {
        let ((a, first), (b, second)) = (self.pick(), self.pick());
        let node = self.model.add(&[a, b], Errors::NONE, None, |values| Some(values[0] + values[1]));
        let all = self.shared.era.cpus as f64;
        let cpus = [0.0, 0.5, 1.0, all.min(2.0), all][self.chance.below(5)];
        let slots = [0.0, 1.0, 2.0][self.chance.below(3)];
        let object = add.options().num_cpus(cpus).resource("slot", slots).remote(first, second);
        match self.chance.below(4) {
            0 => {
                self.cancel_now(node, &object);
            }
            1 => self.cancel_soon(node, &object),
            _ => {}
        }
        self.enter_sum("claim", node, object);
    }

    pub(super) fn fail(&mut self) {
        let (a, object) = self.pick();
        let (kind, object) = match self.chance.below(3) {
            0 => (ErrorKind::Task, refuse.remote(&object)),
            1 => (ErrorKind::Panic, burst.remote(&object)),
            _ => (ErrorKind::Task, stumble.remote(&object, 9)),
        };
        let node = self.model.add(&[a], Errors::of(kind), None, |_| None);
        self.enter("fail", node, object);
    }

    pub(super) fn nest(&mut self) {
        let (depth, value) = (self.chance.below(4) as u32, self.chance.below(10) as i64);
        let sum = value * (1 << depth) + i64::from(depth) * ((1 << depth) / 2);
        self.enter_value("nest", sum, nest.remote(depth, value));
    }

    pub(super) fn split(&mut self) {
        let (a, object) = self.pick();
        let whole = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
        let (one, other) = halves.remote(object);
        let node = self.model.add(&[whole], Errors::NONE, None, |values| Some(values[0] / 2));
        self.model.set_whole(node, whole);
        self.enter("split", node, one);
        let node = self.model.add(&[whole], Errors::NONE, None, |values| Some(values[0] - values[0] / 2));
        self.model.set_whole(node, whole);
        self.enter("split", node, other);
    }

    pub(super) fn asynchronous(&mut self) {
        let ((a, object), pauses) = (self.pick(), self.chance.below(4) as u32);
        let node = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
        self.enter("async", node, later.remote(&object, pauses));
    }

    pub(super) fn cancel(&mut self) {
        let (node, object) = self.pick();
        if !self.is_shared(&object) {
            self.cancel_now(node, &object);
        }
    }

    fn cancel_now(&mut self, node: usize, object: &ObjectRef<Thing>) {
        self.note("cancel", [node as i64]);
        if self.chance.one_in(3) {
            drop(object.clone().cancel_on_drop());
        } else if let Err(error) = ray::cancel(object)
            && !ending()
        {
            give_up(&format!("cancel {node}: {error}"));
        }
        self.model.widen_cancel(node);
    }

    pub(super) fn let_go(&mut self) {
        let at = self.chance.below(self.objects.len());
        let (node, object) = self.objects.swap_remove(at);
        if self.chance.one_in(2) {
            self.note("take", [node as i64]);
            let outcome = ray::get(object).map(|thing| thing.value());
            self.observe(node, outcome);
        } else {
            self.note("drop", [node as i64]);
        }
    }
}
