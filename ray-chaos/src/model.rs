//! The model: for each object the value it has if it has one, and the kinds of errors that it may have instead.

use ray::{Error, ErrorKind};

/// A set of kinds.
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
    /// None: it fails for certain.
    value: Option<i64>,
    kinds: Kinds,
    /// Made from it.
    users: Vec<usize>,
    /// What depends on it fails with `ActorDied`, not with its own error.
    birth: bool,
    /// A call of this actor.
    actor: Option<usize>,
    whole: Option<usize>,
}

/// Everything that a driver has made.
#[derive(Debug, Default)]
pub struct Model {
    nodes: Vec<Node>,
    /// Actors whose count of calls is no longer certain.
    pub uncertain: Vec<bool>,
}

impl Model {
    /// An object that is made of others: its value from theirs, its kinds from theirs and its own.
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

    /// The making of an actor.
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

    /// From now on it may fail so, and with it what was made of it.
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

    /// It may have been cancelled: of several returns, all.
    pub fn widen_cancel(&mut self, node: usize) {
        let cancelled = Kinds::of(ErrorKind::Cancelled);
        match self.nodes[node].whole {
            Some(whole) => self.widen(whole, cancelled),
            None => self.widen(node, cancelled),
        }
    }

    /// It is one of several returns.
    pub fn set_whole(&mut self, part: usize, whole: usize) {
        self.nodes[part].whole = Some(whole);
    }

    /// The calls of an actor may fail so.
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

    /// Whether that may be; afterwards only that may be.
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
