//! The cases, in the order in which they run. Each submodule has the contenders of the
//! [`workload`](crate::workload) with its name.

use crate::measure::Case;

pub(crate) mod allreduce;
pub(crate) mod ask;
pub(crate) mod ask_async;
pub(crate) mod async_fn;
pub(crate) mod async_fn_get;
pub(crate) mod axum;
pub(crate) mod chain1000;
pub(crate) mod fib25;
pub(crate) mod idle;
pub(crate) mod many;
pub(crate) mod map;
pub(crate) mod mem;
pub(crate) mod nest10k;
pub(crate) mod par20;
pub(crate) mod pipe;
pub(crate) mod pool;
pub(crate) mod putget;
pub(crate) mod queue;
pub(crate) mod rt;
pub(crate) mod rt_async;
pub(crate) mod spawnstop;
pub(crate) mod start;
pub(crate) mod stream;
pub(crate) mod tasks;
pub(crate) mod tell;
pub(crate) mod ticker;
#[cfg(feature = "train")]
pub(crate) mod train;
pub(crate) mod wait1000;
pub(crate) mod window;

/// Every case of this build.
pub(crate) const ALL: &[Case] = &[
    rt::CASE,
    tasks::CASE,
    ask::CASE,
    pipe::CASE,
    tell::CASE,
    many::CASE,
    spawnstop::CASE,
    mem::CASE,
    fib25::CASE,
    putget::CASE,
    wait1000::CASE,
    chain1000::CASE,
    start::CASE,
    idle::CASE,
    par20::CASE,
    nest10k::CASE,
    map::CASE,
    window::CASE,
    stream::CASE,
    queue::CASE,
    pool::CASE,
    rt_async::CASE,
    ask_async::CASE,
    async_fn::CASE,
    async_fn_get::CASE,
    ticker::CASE,
    axum::CASE,
    allreduce::CASE,
    #[cfg(feature = "train")]
    train::CASE,
];

/// The case of that name.
pub(crate) fn find(name: &str) -> Option<&'static Case> {
    ALL.iter().find(|case| case.definition.name == name)
}
