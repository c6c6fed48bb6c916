//! Selective suspend: an idle adapter goes to low power while the system works.
//!
//! ```text
//!   NDIS                              miniport
//!   MiniportIdleNotification    --->  PENDING; may ask its bus first
//!   OID_PNP_SET_POWER(Dx)       <---  NdisMIdleNotificationConfirm
//!   MiniportCancelIdleNotification ->
//!   OID_PNP_SET_POWER(D0)       <---  NdisMIdleNotificationComplete
//! ```
//!
//! Microsoft Learn, "Overview of NDIS Selective Suspend".

use ndis_sys::{
    NDIS_DEVICE_POWER_STATE, NDIS_HANDLE, NDIS_STATUS_BUSY, NDIS_STATUS_FAILURE,
    NDIS_STATUS_PENDING, NdisDeviceStateD0, NdisDeviceStateD3,
};

use super::{PowerState, requests};
use crate::ndis::adapter::{self, Adapter};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// NDIS's watchdog for idle notifications (7C/25, kinds 25 and 26).
const IDLE_LIMIT_NS: u64 = 10 * SECOND_NS;

/// An idle notification, as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Idle {
    /// The adapter is in use.
    #[default]
    Active,
    /// MiniportIdleNotification was called.
    Notified,
    /// The miniport has confirmed: it is in low power.
    Confirmed,
    /// The miniport has completed the notification; D0 is due.
    Completed,
}

fn idle(adapter: &'static Adapter) -> Idle {
    adapter.state.with(|state| state.idle)
}

fn set(adapter: &'static Adapter, idle: Idle) {
    adapter.state.with(|state| state.idle = idle);
}

/// NDIS finds an adapter idle. True: it is suspended. IRQL = PASSIVE_LEVEL.
pub(crate) fn suspend(adapter: &'static Adapter, force: bool) -> bool {
    let _stack = adapter.own_stack();
    if idle(adapter) != Idle::Active || adapter.is_asleep() || !adapter.miniport.can_idle() {
        return false;
    }
    set(adapter, Idle::Notified);
    let status = callback(Callback::IdleNotification, adapter.handle, || {
        adapter.miniport.idle_notification(force)
    });
    let known = [NDIS_STATUS_PENDING, NDIS_STATUS_BUSY, NDIS_STATUS_FAILURE].contains(&status);
    let known = known && !(force && status == NDIS_STATUS_BUSY);
    verifier::require(264, known, || {
        format!(
            "MiniportIdleNotification of {} returned {status:#x}",
            adapter.name
        )
    });
    if status != NDIS_STATUS_PENDING {
        verifier::require(264, idle(adapter) == Idle::Notified, || {
            format!("{} refuses to idle after it has confirmed", adapter.name)
        });
        set(adapter, Idle::Active);
        return false;
    }
    let name = adapter.name.clone();
    let watchdog = Watchdog::on(308, IDLE_LIMIT_NS, &adapter.name, move || {
        format!("{name}: the idle notification is not confirmed (7C/25, 25)")
    });
    let moved = || idle(adapter) != Idle::Notified;
    sched::wait("NdisMIdleNotificationConfirm", moved, None);
    drop(watchdog);
    if idle(adapter) == Idle::Completed {
        finish(adapter);
        return false;
    }
    true
}

/// Microsoft Learn, NdisMIdleNotificationConfirm function (ndis.h). IRQL = PASSIVE_LEVEL.
///
/// The miniport is in low power when it returns.
pub(crate) unsafe extern "efiapi" fn confirm(
    adapter_handle: NDIS_HANDLE,
    power: NDIS_DEVICE_POWER_STATE,
) {
    const CALL: &str = "NdisMIdleNotificationConfirm";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let due = verifier::require(264, idle(adapter) == Idle::Notified, || {
        format!(
            "{CALL}: {} has no idle notification to confirm",
            adapter.name
        )
    });
    let low = verifier::require(
        264,
        power > NdisDeviceStateD0 && power <= NdisDeviceStateD3,
        || format!("{CALL} by {}: power state {power}", adapter.name),
    );
    if due && low {
        requests::set_low_power_to(adapter, power);
        set(adapter, Idle::Confirmed);
    }
}

/// Microsoft Learn, NdisMIdleNotificationComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// The miniport goes back to D0 afterwards, in a system thread.
pub(crate) unsafe extern "efiapi" fn complete(adapter_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisMIdleNotificationComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let idle = idle(adapter);
    let due = verifier::require(
        264,
        matches!(idle, Idle::Notified | Idle::Confirmed),
        || format!("{CALL}: {} has no idle notification", adapter.name),
    );
    if !due {
        return;
    }
    set(adapter, Idle::Completed);
    if idle == Idle::Confirmed {
        sched::spawn("the end of an idle time", move || finish(adapter));
    }
}

/// The adapter is needed again, or the system sleeps: cancels an idle notification and waits
/// until the miniport is in D0. IRQL = PASSIVE_LEVEL.
pub(crate) fn wake(adapter: &'static Adapter) {
    if idle(adapter) == Idle::Active {
        return;
    }
    if idle(adapter) == Idle::Confirmed {
        callback(Callback::CancelIdleNotification, adapter.handle, || {
            adapter.miniport.cancel_idle_notification();
        });
    }
    let name = adapter.name.clone();
    let _watchdog = Watchdog::on(308, IDLE_LIMIT_NS, &adapter.name, move || {
        format!("{name}: the idle notification is not completed (7C/25, 26)")
    });
    sched::wait(
        "NdisMIdleNotificationComplete",
        || idle(adapter) == Idle::Active,
        None,
    );
}

/// Back to D0 after [`complete`].
fn finish(adapter: &'static Adapter) {
    if adapter.state.with(|state| state.power) == PowerState::Low {
        // A failure has been reported; the adapter goes on as it is.
        let _ = requests::set_full_power(adapter);
    }
    set(adapter, Idle::Active);
}
