//! The trace context that the running code has, and that its calls get.

use std::cell::RefCell;

use crate::base::call_options::CallSettings;
use crate::base::trace::{self, TraceContext};
use crate::engine::thread;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::remote;
use crate::task::head::Extra;

thread_local! {
    /// The contexts of [`TraceContext::run`] on this thread, and the frame in which each of them began. Another body that this thread
    /// runs meanwhile, for a getter, does not have them.
    static SCOPES: RefCell<Vec<(TraceContext, *const Frame)>> = const { RefCell::new(Vec::new()) };
}

/// Leaves a scope, also by a panic.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}

impl TraceContext {
    /// Runs the closure on this thread; the tasks, the calls and the actors that it submits have this context.
    pub fn run<T>(&self, calls: impl FnOnce() -> T) -> T {
        let frame = thread::existing().map_or(std::ptr::null(), |state| state.frame.get());
        SCOPES.with_borrow_mut(|scopes| scopes.push((self.clone(), frame)));
        let _scope = Scope;
        calls()
    }
}

/// The context that a call gets which this thread makes now.
pub(crate) fn current(state: Option<&ThreadState>) -> Option<TraceContext> {
    if trace::is_used() { find(state) } else { None }
}

#[cold]
fn find(state: Option<&ThreadState>) -> Option<TraceContext> {
    let frame = state.map_or(std::ptr::null(), |state| state.frame.get());
    let of_scope =
        SCOPES.with_borrow(|scopes| scopes.last().filter(|(_, began)| *began == frame).map(|(context, _)| context.clone()));
    of_scope.or_else(|| {
        let task = state?.frame()?.header()?;
        if let Some(body) = remote::body_of(task) {
            return body.trace.clone();
        }
        task.task()?.extra()?.settings.trace.clone()
    })
}

/// The settings of a call with the context that it gets. `settings` makes those of a call that has none.
#[inline(always)]
pub(crate) fn attach(
    state: &ThreadState,
    extra: Option<Box<Extra>>,
    settings: impl FnOnce() -> CallSettings,
) -> Option<Box<Extra>> {
    if trace::is_used() { attach_found(state, extra, settings) } else { extra }
}

#[cold]
fn attach_found(state: &ThreadState, extra: Option<Box<Extra>>, settings: impl FnOnce() -> CallSettings) -> Option<Box<Extra>> {
    let Some(context) = find(Some(state)) else { return extra };
    let mut extra = extra.unwrap_or_else(|| Extra::new(settings()));
    extra.settings.trace = Some(context);
    Some(extra)
}
