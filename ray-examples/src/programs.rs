//! The list of the programs, in the article's order.

mod counter;
mod delay_get;
mod image_batch;
mod pipeline_get;
mod pipeline_wait;
mod promise_actor;
mod promise_task;
mod promise_thread;
mod put_by_value;
mod put_once;
mod tasks;
mod web_service;

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
    program("image_batch", image_batch::main, "not in the article: three tasks process images"),
    program("web_service", web_service::main, "not in the article: a web service awaits tasks and an actor"),
];
