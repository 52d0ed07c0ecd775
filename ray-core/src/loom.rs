//! Models of the engine's protocols, tried in every order of steps up to two preemptions:
//! `LOOM_MAX_PREEMPTIONS=2 RUSTFLAGS="--cfg loom" cargo test --release -p ray-core --lib --target-dir target/loom -- loom`.
//! They run the engine's own code over the model checker's atomics (`crate::sync`); what is around it is made up here.

mod actor;
mod alarm;
mod arrivals;
mod board;
mod cell;
mod pool;
mod rest;

/// Tries a model in every order; two preemptions unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    // With three preemptions a thread may look at a lock more often than loom's default of 1000 steps allows.
    builder.max_branches = builder.max_branches.max(10_000);
    builder.check(model);
}
