//! Power: system sleep and resume, and selective suspend, as NDIS does them.
//!
//! ```text
//!             power aware miniport            any other
//!   sleep     OID_PNP_SET_POWER(D3)           MiniportHaltEx(PoweredDown)
//!   resume    OID_PNP_SET_POWER(D0)           MiniportInitializeEx
//! ```
//!
//! Either way the bindings stay open; the device below loses its power in between. Microsoft
//! Learn, "Handling a Set Power Request" and "Device Power States for Network Adapters".

pub(crate) mod idle;
mod judge;
mod requests;
mod sleep;

use ndis_sys::{OID_PM_PARAMETERS, OID_PNP_QUERY_POWER, OID_PNP_SET_POWER};

use super::adapter::Adapter;

pub(crate) use idle::Idle;
pub(crate) use judge::{check_capabilities, check_indication, check_send_status};
pub(crate) use sleep::{resume, sleep};

/// Power of an adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PowerState {
    /// D0.
    #[default]
    On,
    /// The miniport was told, and has said that it is in low power.
    Low,
    /// The miniport was halted for it.
    Halted,
}

impl Adapter {
    /// Whether the adapter is in low power.
    pub(crate) fn is_asleep(&'static self) -> bool {
        self.state.with(|state| state.power != PowerState::On)
    }
}

/// Whether a miniport can be given a request: in low power it gets those about power only.
pub(crate) fn admits(adapter: &'static Adapter, oid: u32) -> bool {
    let about_power = [OID_PM_PARAMETERS, OID_PNP_QUERY_POWER, OID_PNP_SET_POWER].contains(&oid);
    match adapter.state.with(|state| state.power) {
        PowerState::On => true,
        PowerState::Low => about_power,
        PowerState::Halted => false,
    }
}

/// The exports of ndis.sys that are about power.
pub(super) fn exports() -> Vec<(&'static str, usize)> {
    vec![
        (
            "NdisMIdleNotificationConfirm",
            idle::confirm as *const () as usize,
        ),
        (
            "NdisMIdleNotificationComplete",
            idle::complete as *const () as usize,
        ),
    ]
}
