//! What `ray` does, through its public surface. One binary: the tests share one engine (`support::engine`), and what
//! configures, shuts down or measures an engine runs in a child process of its own (`support::in_child`).
#![allow(missing_docs, reason = "what a test shows is in its name")]

mod support;
mod stage;

mod actors;
mod handles;
