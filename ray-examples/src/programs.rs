//! The list of the programs, in the article's order.

mod actor_pool_inference;
// Those in `bin` have a binary each: two because they also run on a Ray cluster, whose workers start the program again, and
// `generator_stream` because it measures the memory of its process.
#[path = "bin/cartpole.rs"]
mod cartpole;
mod checkpointed_actor;
mod concurrency_groups;
mod counter;
mod delay_get;
#[path = "bin/generator_stream.rs"]
mod generator_stream;
mod image_batch;
mod limit_pending;
#[path = "bin/pi.rs"]
mod pi;
mod pipeline_get;
mod pipeline_wait;
mod placement_group;
mod primes_pool;
mod promise_actor;
mod promise_task;
mod promise_thread;
mod put_by_value;
mod put_once;
mod queue_pipeline;
mod supervisor_workers;
mod tasks;
mod web_service;

use std::time::Instant;

use crate::report::Report;

type Main = fn(&mut Report) -> ray::Result<()>;

/// A program of the tour.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) main: Main,
    /// The section of the article that has the program.
    pub(crate) about: &'static str,
}

const fn program(name: &'static str, main: Main, about: &'static str) -> Program {
    Program { name, main, about }
}

pub(crate) const PROGRAMS: &[Program] = &[
    program("promise_thread", promise_thread::main, "Promise and Future: a thread and a channel"),
    program("promise_task", promise_task::main, "Promise and Future: a task"),
    program("promise_actor", promise_actor::main, "Promise and Future: an actor"),
    program("tasks", tasks::main, "Introduction: Ray task example"),
    program("counter", counter::main, "Ray Actor"),
    program("delay_get", delay_get::main, "Delay ray.get()"),
    program("put_by_value", put_by_value::main, "Avoid passing same object repeatedly: by value"),
    program("put_once", put_once::main, "Avoid passing same object repeatedly: put once"),
    program("pipeline_get", pipeline_get::main, "Pipeline data processing: get, then process"),
    program("pipeline_wait", pipeline_wait::main, "Pipeline data processing: process each result when it is ready"),
    program("limit_pending", limit_pending::main, "not in the article: a window of 100 calls moves over a million items"),
    program("image_batch", image_batch::main, "not in the article: three tasks process images"),
    program(
        "generator_stream",
        |report| timed(report, generator_stream::main),
        "not in the article: a million records as a stream, in little memory",
    ),
    program("pi", |report| timed(report, pi::main), "not in the article: estimates pi; also runs on a Ray cluster"),
    program(
        "cartpole",
        |report| timed(report, cartpole::main),
        "not in the article: learns to balance; also runs on a Ray cluster",
    ),
    program("web_service", web_service::main, "not in the article: a web service awaits tasks and an actor"),
    program("actor_pool_inference", actor_pool_inference::main, "not in the article: a pool of actors, one of which dies"),
    program("queue_pipeline", queue_pipeline::main, "not in the article: three stages with queues between them"),
    program("primes_pool", primes_pool::main, "not in the article: a pool of workers counts primes"),
    program("concurrency_groups", concurrency_groups::main, "not in the article: groups of methods have slots of their own"),
    program("checkpointed_actor", checkpointed_actor::main, "not in the article: an actor restarts from a checkpoint"),
    program("supervisor_workers", supervisor_workers::main, "not in the article: workers end with their supervisor"),
    program("placement_group", placement_group::main, "not in the article: a gang of four gets all of its CPUs or none"),
];

/// Runs a program that does not know the report.
fn timed(report: &mut Report, main: fn() -> ray::Result<()>) -> ray::Result<()> {
    let begin = Instant::now();
    main()?;
    report.took("", begin.elapsed());
    Ok(())
}
