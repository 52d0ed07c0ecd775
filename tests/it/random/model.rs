//! The model: the value of each object if it succeeds, and the kinds of errors with which it may fail.

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
    /// `None` if the object fails in any case.
    value: Option<i64>,
    kinds: Kinds,
    /// The objects that depend on this one.
    users: Vec<usize>,
    /// The creation of an actor: its dependants fail with `ActorDied`, not with its own error.
    birth: bool,
    /// The actor whose call this is.
    actor: Option<usize>,
    /// The task of which this is one of several returns.
    whole: Option<usize>,
}

/// All objects and actors that a driver has made.
#[derive(Debug, Default)]
pub struct Model {
    nodes: Vec<Node>,
    /// Whether the number of calls that an actor has run is uncertain, by actor.
    pub uncertain: Vec<bool>,
}

impl Model {
    /// Adds an object that depends on `deps`: its value follows from theirs, its kinds of errors from theirs and `own`.
    pub fn add(&mut self, deps: &[usize], own: Kinds, actor: Option<usize>, value: impl FnOnce(&[i64]) -> Option<i64>) -> usize {
        let values: Option<Vec<i64>> =
            deps.iter().filter(|&&dep| !self.nodes[dep].birth).map(|&dep| self.nodes[dep].value).collect();
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
        self.nodes.push(Node { value, kinds, users: Vec::new(), birth: false, actor, whole: None });
        node
    }

    /// Adds the creation of an actor.
    pub fn add_birth(&mut self, argument: usize) -> usize {
        let birth = self.add(&[argument], Kinds::NONE, None, |values| Some(values[0]));
        self.nodes[birth].birth = true;
        birth
    }

    pub fn add_actor(&mut self) -> usize {
        self.uncertain.push(false);
        self.uncertain.len() - 1
    }

    fn passed_on(&self, dep: usize) -> Kinds {
        let node = &self.nodes[dep];
        if node.birth && !node.kinds.is_none() { Kinds::of(ErrorKind::ActorDied) } else { node.kinds }
    }

    /// Adds kinds of errors with which an object may fail, and passes them on to its dependants.
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

    /// Records that an object may have been cancelled, with all parts if it is one of several returns.
    pub fn widen_cancel(&mut self, node: usize) {
        let cancelled = Kinds::of(ErrorKind::Cancelled);
        match self.nodes[node].whole {
            Some(whole) => self.widen(whole, cancelled),
            None => self.widen(node, cancelled),
        }
    }

    /// Records that `part` is one of the several returns of `whole`.
    pub fn set_whole(&mut self, part: usize, whole: usize) {
        self.nodes[part].whole = Some(whole);
    }

    /// Adds kinds of errors with which all calls of an actor may fail.
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

    /// Checks an outcome against the model. Afterwards only this outcome is possible.
    pub fn observe(&mut self, node: usize, outcome: &Result<i64, Error>) -> Result<(), String> {
        let expected = &mut self.nodes[node];
        match outcome {
            Ok(value) if expected.value == Some(*value) => expected.kinds = Kinds::NONE,
            Err(error) if expected.kinds.has(error.kind()) => {
                expected.kinds = Kinds::of(error.kind());
                expected.value = None;
            }
            _ => return Err(format!("object {node}: {outcome:?}, not {expected:?}")),
        }
        Ok(())
    }
}
