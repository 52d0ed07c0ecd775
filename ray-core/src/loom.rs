//! Models of the engine's protocols. The model checker loom tries every order of their steps with at most two preemptions, or as
//! many as the variable says:
//! `LOOM_MAX_PREEMPTIONS=2 RUSTFLAGS="--cfg loom" cargo test --release -p ray-core --lib --target-dir target/loom -- loom`.
//! The models run the engine's own code over loom's atomics (`crate::base::sync`), in surroundings that are made here.

mod actor;
mod arrivals;
mod cell;
mod children;
mod cpu_pool;
mod dependency;
mod depot;
mod future_waiter;
mod monitor_state;
mod pool;
mod rendezvous;
mod retry;
mod room;

/// Tries a model in every order, with at most two preemptions unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn check(model: impl Fn() + Sync + Send + 'static) {
    check_within(usize::MAX, model);
}

/// As [`check`], with a limit on the number of preemptions.
fn check_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2)).map(|bound| bound.min(preemptions));
    builder.check(model);
}
