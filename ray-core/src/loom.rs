//! Models of the engine's protocols, tried in every order of steps up to two preemptions, or as many as are asked for:
//! `LOOM_MAX_PREEMPTIONS=2 RUSTFLAGS="--cfg loom" cargo test --release -p ray-core --lib --target-dir target/loom -- loom`.
//! They run the engine's own code over the model checker's atomics (`crate::base::sync`); what is around it is made up here.

mod actor;
mod alarm;
mod arrivals;
mod board;
mod cell;
mod children;
mod dependency;
mod depot;
mod lease;
mod monitor_state;
mod pool;
mod retry;

/// Tries a model in every order; two preemptions unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn check(model: impl Fn() + Sync + Send + 'static) {
    check_within(usize::MAX, model);
}

/// As [`check`], with at most so many preemptions.
fn check_within(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = ::loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2)).map(|bound| bound.min(preemptions));
    builder.check(model);
}
