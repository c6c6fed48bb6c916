//! The stack above a miniport as a whole: pause top-down, restart bottom-up.
//!
//! Microsoft Learn, "Pausing a Driver Stack" and "Restarting a Driver Stack". The caller owns the
//! stack of the adapter (rule 296).

use ndis_sys::NDIS_STATUS_SUCCESS;

use crate::ndis::adapter::{Adapter, AdapterState};

/// Brings the bindings and then the miniport to rest. IRQL = PASSIVE_LEVEL.
pub(crate) fn pause(adapter: &'static Adapter, reason: u32) {
    for binding in adapter.bindings().into_iter().rev() {
        binding.pause(reason);
    }
    if adapter.phase() == AdapterState::Running {
        adapter.pause(reason);
    }
}

/// Starts the miniport, if it is at rest, and then the bindings. IRQL = PASSIVE_LEVEL.
///
/// A miniport whose restart fails stays at rest, and its bindings with it.
pub(crate) fn restart(adapter: &'static Adapter) {
    if adapter.is_surprise_removed() || adapter.is_asleep() {
        return;
    }
    if adapter.phase() == AdapterState::Paused && adapter.restart() != NDIS_STATUS_SUCCESS {
        return;
    }
    if adapter.phase() != AdapterState::Running {
        return;
    }
    for binding in adapter.bindings() {
        binding.restart();
    }
}
