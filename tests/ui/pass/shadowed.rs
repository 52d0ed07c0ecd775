//! The user may define the names of the prelude, and the names that the expansion uses.

#![deny(warnings)]
#![allow(dead_code, non_camel_case_types, reason = "the test is about these names")]

/// A module with the names of the prelude and of the expansion.
mod hostile {
    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Vec;
    pub(super) struct String;
    pub(super) struct Box;
    pub(super) struct Some;
    pub(super) struct None;
    pub(super) struct Ok;
    pub(super) struct Err;
    pub(super) struct Arg;
    pub(super) struct Function;
    pub(super) trait Send {}
    pub(super) trait Sync {}
    pub(super) trait Clone {}
    pub(super) trait Copy {}
    pub(super) trait Debug {}
    pub(super) trait Fn {}
    pub(super) mod std {}
    pub(super) mod core {}
    pub(super) mod ray {}
    pub(super) mod __private {}
}

#[allow(unused_imports, reason = "the imports shadow names of the prelude")]
mod functions {
    use super::hostile::*;
    use super::renamed::remote;

    #[remote(crate = super::renamed)]
    pub(super) fn value(x: i64) -> i64 {
        x
    }
    #[remote(crate = "super::renamed")]
    pub(super) fn error(x: i64) -> ::core::result::Result<i64, ::std::string::String> {
        ::core::result::Result::Ok(value(x))
    }
    #[remote(crate = super::renamed)]
    pub(super) fn state(args: i64, this: &str) -> i64 {
        args + this.len() as i64
    }
    #[remote(crate = super::renamed)]
    pub(super) async fn source(future: i64, link: &[u8]) -> i64 {
        future + link.len() as i64
    }
    #[remote(crate = super::renamed)]
    pub(super) fn options(body: i64) -> i64 {
        body
    }
    #[remote(crate = super::renamed)]
    pub(super) fn remote_(call: i64) -> i64 {
        call
    }
    #[remote(crate = super::renamed)]
    pub(super) fn submit(tell: i64) -> i64 {
        tell
    }
    #[remote(crate = super::renamed)]
    pub(super) fn carrier(arg0: i64, (a, b): (i64, i64), [c, d]: [i64; 2]) -> i64 {
        arg0 + a + b + c + d
    }
    #[remote(crate = super::renamed)]
    pub(super) fn r#match(r#type: i64, __bound: i64) -> i64 {
        r#type + __bound
    }
    #[remote(crate = super::renamed, local)]
    pub(super) fn generic<Self_, A: ::core::clone::Clone, F>(a: A, f: F, s: Self_) -> (A, F, Self_) {
        (a, f, s)
    }

    #[remote(crate = super::renamed)]
    pub(super) struct Actor {
        value: i64,
    }
    #[remote(crate = super::renamed)]
    impl Actor {
        pub(super) fn new(start: i64) -> ::core::result::Result<Self, ::std::string::String> {
            ::core::result::Result::Ok(Actor { value: start })
        }
        pub(super) fn link(&self) -> i64 {
            self.value
        }
        pub(super) fn state(&mut self, more: i64) -> ::core::result::Result<i64, ::std::string::String> {
            ::core::result::Result::Ok(self.value + more)
        }
        pub(super) async fn error(&mut self, why: &str) -> ::core::result::Result<i64, ::std::string::String> {
            ::core::result::Result::Err(why.into())
        }
        pub(super) async fn value(&self) -> i64 {
            self.value
        }
        pub(super) fn methods(&self) {}
        pub(super) fn source(&self) {}
        pub(super) fn carrier(&self) {}
        pub(super) fn ready(&self) {}
        pub(super) fn id(&self) -> i64 {
            1
        }
        pub(super) fn r#type(&self) {}
    }
}

/// The crate under another name, like a renamed dependency.
mod renamed {
    pub(super) use ray::{__private, remote};
}

/// Calls all items of this module.
///
/// # Errors
/// If a call fails.
pub fn run() -> ray::Result<()> {
    use functions::{Actor, carrier, error, generic, r#match, options, remote_, source, state, submit, value};
    let all = [
        value.remote(1),
        error.remote(1),
        state.remote(1, "x"),
        source.remote(1, vec![1]),
        options.options().remote(1),
        remote_.remote(1),
        submit.remote(1),
        carrier.remote(1, (1, 1), [1, 1]),
        r#match.remote(1, 1),
    ];
    assert_eq!(ray::get(all)?, [1, 1, 2, 2, 1, 1, 1, 5, 2]);
    assert_eq!(ray::get(generic.remote(1, "2", 3.0))?, (1, "2", 3.0));
    let actor = Actor::remote(1);
    assert_eq!(ray::get((actor.link.remote(), actor.state.remote(1), actor.value.remote(), actor.id.remote()))?, (1, 2, 1, 1));
    assert_eq!(ray::get(actor.error.remote("no")).unwrap_err().downcast_ref::<String>(), Some(&"no".to_owned()));
    ray::get(actor.ready.remote())?;
    ray::get(actor.r#type.remote())?;
    ray::get((actor.source.remote(), actor.carrier.remote(), actor.methods.remote()))?;
    Ok(())
}
