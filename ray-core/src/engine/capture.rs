//! Placement groups that capture the calls of the bodies that run in them.

use std::sync::Arc;

use crate::base::inherited;
use crate::base::placement::Placement;
use crate::engine::thread_state::{Frame, Host, ThreadState};

/// The placement of the running body, if it is in a placement group.
pub(crate) fn of_body(frame: &Frame) -> Option<Arc<Placement>> {
    let placement = match frame.host() {
        Some(actor) => Host::placement(actor),
        None => frame.header()?.task()?.extra()?.settings.placement.clone(),
    };
    placement.filter(|placement| placement.in_group().is_some())
}

/// Puts a call that this thread makes into the placement group of the running body, if the group captures it and the call has no strategy
/// of its own. `true`: it is in the group now.
pub(crate) fn capture(state: &ThreadState, placement: &mut Option<Arc<Placement>>) -> bool {
    if !inherited::uses(inherited::PLACEMENT_GROUP) {
        return false;
    }
    let captured = state.frame().and_then(of_body).and_then(|body| body.captured(placement.as_deref()));
    let is_captured = captured.is_some();
    if is_captured {
        *placement = captured;
    }
    is_captured
}

/// Whether a call without a strategy that this thread makes is captured.
pub(crate) fn is_captured(state: &ThreadState) -> bool {
    capture(state, &mut None)
}
