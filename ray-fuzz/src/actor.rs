//! The target of constructors and methods.

use ray::__private::{EncodedArg, Instance, Registration, lookup};
use ray::{ObjectRef, remote};

use crate::calls::{Shape, argument};

#[remote]
struct Ledger {
    total: i64,
    shape: Shape,
}

#[remote]
#[allow(dead_code, reason = "the methods are called by their names")]
#[allow(unreachable_pub, reason = "`pub` is how the methods of an actor are exported")]
impl Ledger {
    pub fn new(total: i64, name: &str, first: Option<ObjectRef<i64>>) -> Result<Self, String> {
        let name = Some(name).filter(|name| !name.is_empty()).ok_or("a ledger has a name")?;
        let shape = if first.is_some() { Shape::Nothing } else { Shape::One(name.into()) };
        Ok(Ledger { total, shape })
    }

    pub fn total(&self) -> i64 {
        self.total
    }

    pub fn add(&mut self, amounts: &[i64]) -> Result<i64, String> {
        let sum = amounts.iter().try_fold(self.total, |sum, amount| sum.checked_add(*amount));
        self.total = sum.ok_or("the total is too large")?;
        Ok(self.total)
    }

    pub async fn same(&self, references: Vec<ObjectRef<i64>>) -> Vec<ObjectRef<i64>> {
        references
    }

    pub async fn swap(&mut self, shape: Shape, deep: Option<Box<Shape>>) -> (Shape, Option<Box<Shape>>) {
        (std::mem::replace(&mut self.shape, shape), deep)
    }
}

fn class(name: &str) -> &'static Registration {
    lookup(name).expect("a class of this crate")
}

/// The next arguments, behind a byte with their number.
fn arguments(rest: &mut &[u8]) -> Option<Vec<EncodedArg>> {
    let (count, behind) = rest.split_first()?;
    *rest = behind;
    Some((0..*count).map_while(|_| argument(rest)).collect())
}

/// The arguments of a constructor, then calls: a byte for the method, and its arguments.
pub fn actor(bytes: &[u8]) {
    let mut rest = bytes;
    let ledger = class(concat!(module_path!(), "::Ledger"));
    let Some(Ok(instance)) = arguments(&mut rest).map(|args| ledger.construct(args)) else { return };
    let other = class("ray_fuzz::calls::Idle").construct(Vec::new()).expect("it takes nothing");
    while let Some((method, behind)) = rest.split_first() {
        rest = behind;
        let Some(args) = arguments(&mut rest) else { return };
        call(ledger, &instance, &other, *method, args);
    }
}

fn call(ledger: &Registration, instance: &Instance, other: &Instance, method: u8, args: Vec<EncodedArg>) {
    let methods = ledger.methods();
    let method = &methods[usize::from(method) % methods.len()];
    let refused = method.invoke(other, args.clone()).expect_err("the instance is of another class");
    assert!(refused.is_invalid_argument(), "{refused}");
    let Ok(result) = method.invoke(instance, args) else { return };
    assert!(!result.bytes.is_empty(), "a value has bytes");
    if method.name() == "same" {
        let again = method.invoke(instance, vec![result.into()]).expect("what was encoded can be decoded");
        assert!(!again.bytes.is_empty(), "a value has bytes");
    }
}
