//! Rules 255 to 261 and 263: what a power aware miniport has done when it says that it has.

use ndis_sys::{
    MediaConnectStateUnknown, NDIS_OBJECT_HEADER, NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2,
    NDIS_STATUS, NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_PM_WAKE_REASON, NDIS_STATUS_SUCCESS,
};

use super::PowerState;
use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::timers;
use crate::sched;
use crate::verifier::{self, SECOND_NS};

/// Time in which a miniport that is in D0 again says what its link is.
const LINK_LIMIT_NS: u64 = 10 * SECOND_NS;

/// OID_PNP_QUERY_POWER has been answered.
pub(super) fn query_answered(adapter: &'static Adapter, status: NDIS_STATUS) {
    verifier::require(255, status == NDIS_STATUS_SUCCESS, || {
        format!("OID_PNP_QUERY_POWER on {}: {status:#x}", adapter.name)
    });
}

/// OID_PNP_SET_POWER to a low power state has been answered: all is at rest.
pub(super) fn low_power_set(adapter: &'static Adapter, status: NDIS_STATUS) {
    let name = &adapter.name;
    let done = verifier::require(255, status == NDIS_STATUS_SUCCESS, || {
        format!("OID_PNP_SET_POWER to low power on {name}: {status:#x}")
    });
    verifier::require(263, done, || format!("{name}: low power failed (0x15E/75)"));
    let (sends, indicating) = (
        adapter.sends_out(),
        adapter.state.with(|state| state.indicating),
    );
    verifier::require(256, sends == 0, || {
        format!("{name} is in low power with {sends} sends out")
    });
    verifier::require(256, indicating == 0, || {
        format!("{name} is in low power while it indicates receives")
    });
    verifier::require(256, !timers::is_any_armed(adapter.handle), || {
        format!("{name} is in low power with a timer armed")
    });
    let link = adapter.state.with(|state| state.link.connect_state);
    let unknown = link == MediaConnectStateUnknown || !adapter.driver.is_at_least(6, 30);
    verifier::require(260, unknown, || {
        format!("{name} is in low power; its link is {link}, not unknown")
    });
}

/// OID_PNP_SET_POWER to D0 has been answered.
pub(super) fn full_power_set(adapter: &'static Adapter, status: NDIS_STATUS) {
    let name = &adapter.name;
    let done = verifier::require(255, status == NDIS_STATUS_SUCCESS, || {
        format!("OID_PNP_SET_POWER to D0 on {name}: {status:#x}")
    });
    verifier::require(263, done, || format!("{name}: D0 failed (0x15E/74)"));
    if done {
        sched::after(LINK_LIMIT_NS, move || check_link(adapter));
    }
}

/// Rule 260: the real state of the link is told after D0.
fn check_link(adapter: &'static Adapter) {
    let (power, link) = adapter
        .state
        .with(|state| (state.power, state.link.connect_state));
    let lives = power == PowerState::On && adapter.phase() != AdapterState::Halted;
    verifier::require(260, !lives || link != MediaConnectStateUnknown, || {
        format!("{} has not told its link since it is in D0", adapter.name)
    });
}

/// A stack that was paused for low power has been restarted.
pub(super) fn restarted(adapter: &'static Adapter) {
    let running = adapter.phase() == AdapterState::Running || adapter.is_surprise_removed();
    verifier::require(263, running, || {
        format!("{} does not restart after sleep (0x15E/73)", adapter.name)
    });
}

/// Rule 256: sends that reach a sleeping miniport come back as such.
pub(crate) fn check_send_status(call: &str, adapter: &'static Adapter, status: NDIS_STATUS) {
    let awake = adapter.state.with(|state| state.power != PowerState::Low);
    verifier::require(256, awake || status == NDIS_STATUS_LOW_POWER_STATE, || {
        format!(
            "{call}: {} is in low power; status {status:#x}",
            adapter.name
        )
    });
}

/// Rules 192 and 256: a sleeping miniport indicates nothing but why it woke the system.
pub(crate) fn check_indication(rule: u16, call: &str, adapter: &'static Adapter, code: i32) {
    let awake = adapter.state.with(|state| state.power != PowerState::Low);
    verifier::require(rule, awake || code == NDIS_STATUS_PM_WAKE_REASON, || {
        format!("{call}: {} is in low power", adapter.name)
    });
}

/// Rule 261: the power capabilities in the general attributes.
pub(crate) fn check_capabilities(adapter: &'static Adapter) {
    let Some(bytes) = adapter.state.with(|state| state.declared.power.clone()) else {
        return;
    };
    let least = usize::from(NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2);
    let revision = bytes.get(1).copied().unwrap_or(0);
    let due = !adapter.driver.is_at_least(6, 30)
        || (revision >= 2 && bytes.len() >= least.max(size_of::<NDIS_OBJECT_HEADER>()));
    verifier::require(261, due, || {
        format!(
            "power capabilities of {}: revision {revision}, {} bytes",
            adapter.name,
            bytes.len()
        )
    });
}
