//! The model: for each object its value, if it can have one, and the kinds of errors that it may have instead.

use ray::{Error, ErrorKind};

/// A set of kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u32);

impl Kinds {
    pub const NONE: Self = Kinds(0);

    pub fn of(kind: ErrorKind) -> Self {
        Kinds(1 << kind as u32)
    }

    pub fn and(self, other: Self) -> Self {
        Kinds(self.0 | other.0)
    }

    pub fn has(self, kind: ErrorKind) -> bool {
        self.0 & (1 << kind as u32) != 0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug)]
struct Node {
    /// The value; none if the object certainly fails.
    value: Option<i64>,
    /// The kinds of errors that the object may have.
    kinds: Kinds,
    /// The objects that depend on this one.
    users: Vec<usize>,
    /// Whether this is the creation of an actor. Its dependants fail with `ActorDied`, not with its own error.
    creation: bool,
    /// The actor, if this is one of its calls.
    actor: Option<usize>,
    /// The object that is split, if this is one of several returns.
    whole: Option<usize>,
}

/// All objects and actors that a driver has created.
#[derive(Debug, Default)]
pub struct Model {
    nodes: Vec<Node>,
    /// Actors whose count of calls is no longer certain.
    pub uncertain: Vec<bool>,
}

impl Model {
    /// Adds an object that depends on others. `value` computes its value from theirs; it may fail with their kinds of
    /// errors and with its own.
    pub fn add(&mut self, deps: &[usize], own: Kinds, actor: Option<usize>, value: impl FnOnce(&[i64]) -> Option<i64>) -> usize {
        let values: Option<Vec<i64>> =
            deps.iter().filter(|&&dep| !self.nodes[dep].creation).map(|&dep| self.nodes[dep].value).collect();
        let alive = deps.iter().all(|&dep| self.nodes[dep].value.is_some());
        let value = values.filter(|_| alive).and_then(|values| value(&values));
        let kinds = deps.iter().fold(own, |kinds, &dep| kinds.and(self.passed_on(dep)));
        let node = self.nodes.len();
        for &dep in deps {
            self.nodes[dep].users.push(node);
        }
        if let Some(actor) = actor
            && (!kinds.is_none() || value.is_none())
        {
            self.uncertain[actor] = true;
        }
        self.nodes.push(Node { value, kinds, users: Vec::new(), creation: false, actor, whole: None });
        node
    }

    /// Adds the creation of an actor with this argument.
    pub fn add_creation(&mut self, argument: usize) -> usize {
        let creation = self.add(&[argument], Kinds::NONE, None, |values| Some(values[0]));
        self.nodes[creation].creation = true;
        creation
    }

    pub fn add_actor(&mut self) -> usize {
        self.uncertain.push(false);
        self.uncertain.len() - 1
    }

    fn passed_on(&self, dep: usize) -> Kinds {
        let node = &self.nodes[dep];
        if node.creation && !node.kinds.is_none() { Kinds::of(ErrorKind::ActorDied) } else { node.kinds }
    }

    /// Allows these kinds of errors for the object and for all objects that depend on it.
    pub fn widen(&mut self, node: usize, kinds: Kinds) {
        let mut todo = vec![(node, kinds)];
        while let Some((node, kinds)) = todo.pop() {
            let now = &mut self.nodes[node];
            let wider = now.kinds.and(kinds);
            if wider == now.kinds {
                continue;
            }
            now.kinds = wider;
            if let Some(actor) = now.actor {
                self.uncertain[actor] = true;
            }
            let passed = self.passed_on(node);
            todo.extend(self.nodes[node].users.iter().map(|&user| (user, passed)));
        }
    }

    /// Allows a cancelled object, because its task was cancelled. If it is one of several returns, all of them may be
    /// cancelled.
    pub fn widen_cancel(&mut self, node: usize) {
        let cancelled = Kinds::of(ErrorKind::Cancelled);
        match self.nodes[node].whole {
            Some(whole) => self.widen(whole, cancelled),
            None => self.widen(node, cancelled),
        }
    }

    /// Records that `part` is one of several returns.
    pub fn set_whole(&mut self, part: usize, whole: usize) {
        self.nodes[part].whole = Some(whole);
    }

    /// Allows these kinds of errors for all calls of an actor.
    pub fn widen_calls(&mut self, actor: usize, kinds: Kinds) {
        self.uncertain[actor] = true;
        for node in 0..self.nodes.len() {
            if self.nodes[node].actor == Some(actor) {
                self.widen(node, kinds);
            }
        }
    }

    pub fn value(&self, node: usize) -> Option<i64> {
        self.nodes[node].value
    }

    pub fn may_fail(&self, node: usize) -> bool {
        !self.nodes[node].kinds.is_none()
    }

    /// Checks that the outcome is allowed. After that only the same outcome is allowed.
    pub fn observe(&mut self, node: usize, outcome: &Result<i64, Error>) -> Result<(), String> {
        let expected = &mut self.nodes[node];
        match outcome {
            Ok(value) if expected.value == Some(*value) => expected.kinds = Kinds::NONE,
            Err(error) if expected.kinds.has(error.kind()) => {
                expected.kinds = Kinds::of(error.kind());
                expected.value = None;
            }
            _ => return Err(format!("object {node}: {outcome:?}, expected {expected:?}")),
        }
        Ok(())
    }
}
