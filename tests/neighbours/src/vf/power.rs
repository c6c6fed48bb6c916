//! Low power, for a miniport that knows of it: OID_PNP_SET_POWER and its kin.

use devices::vf_port::ReceiveFilter;
use ndis_host::ndis::OidKind;
use ndis_host::ndis::api;
use ndis_host::ndis::native::OidRequestRef;
use ndis_host::sched;
use ndis_sys::{
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_CAPABILITIES,
    NDIS_PM_CAPABILITIES_REVISION_2, NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2, NDIS_STATUS,
    NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_PENDING,
    NDIS_STATUS_SUCCESS, NdisDeviceStateD0, OID_PM_PARAMETERS, OID_PNP_QUERY_POWER,
    OID_PNP_SET_POWER, Zeroed,
};

use super::{SPEED, Vf, VfPower};
use crate::nbl::{grouped, lock};

impl VfPower {
    /// NDIS_MINIPORT_ATTRIBUTES_ bits.
    pub(super) fn flags(self) -> u32 {
        let no_halt = NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND;
        match self {
            Self::Unaware => 0,
            Self::Paused => no_halt,
            Self::Running => no_halt | NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
        }
    }

    /// No wake-up of any kind.
    pub(super) fn capabilities(self) -> Option<NDIS_PM_CAPABILITIES> {
        let mut none = NDIS_PM_CAPABILITIES::zeroed();
        none.Header = NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: NDIS_PM_CAPABILITIES_REVISION_2,
            Size: NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2,
        };
        (self != Self::Unaware).then_some(none)
    }
}

impl Vf {
    /// Serves a request about power; `None`: it is about something else.
    pub(super) fn serve_power(&self, request: OidRequestRef) -> Option<NDIS_STATUS> {
        match (request.oid(), request.kind()) {
            (OID_PNP_QUERY_POWER, OidKind::Query) => Some(NDIS_STATUS_SUCCESS),
            (OID_PM_PARAMETERS, OidKind::Set) => {
                request.set_read(request.input().len() as u32);
                Some(NDIS_STATUS_SUCCESS)
            }
            (OID_PNP_SET_POWER, OidKind::Set) => Some(self.set_power(request)),
            _ => None,
        }
    }

    fn set_power(&self, request: OidRequestRef) -> NDIS_STATUS {
        let Some(power) = request.input().first_chunk::<4>() else {
            return NDIS_STATUS_INVALID_LENGTH;
        };
        let power = i32::from_le_bytes(*power);
        request.set_read(4);
        let Some(this) = self.this.upgrade() else {
            return NDIS_STATUS_SUCCESS;
        };
        if power == NdisDeviceStateD0 {
            self.wake_up();
            return NDIS_STATUS_SUCCESS;
        }
        lock(&self.state).asleep = true;
        sched::spawn("the VF goes to sleep", move || this.fall_asleep(request));
        NDIS_STATUS_PENDING
    }

    /// Ends what it does, and then the request.
    fn fall_asleep(&self, request: OidRequestRef) {
        self.control.hardware().set_filter(ReceiveFilter::default());
        let unsent = lock(&self.state).sends.take_unstarted();
        self.complete(grouped(unsent, 4), NDIS_STATUS_LOW_POWER_STATE);
        let at_rest = || {
            let state = lock(&self.state);
            state.sends.open.is_empty() && state.completing == 0 && !state.in_dpc
        };
        sched::wait("the VF's sends and indications", at_rest, None);
        while self.control.hardware().receive().is_some() {}
        let Some(adapter) = lock(&self.state).adapter else {
            return;
        };
        api::indicate_link_unknown(adapter);
        api::oid_complete(adapter, request, NDIS_STATUS_SUCCESS);
    }

    /// The hardware has lost everything; NDIS sets nothing again.
    fn wake_up(&self) {
        lock(&self.state).asleep = false;
        self.program_filter();
        let adapter = lock(&self.state).adapter;
        if let Some(adapter) = adapter {
            api::indicate_link(adapter, self.control.hardware().link_up(), SPEED);
        }
        self.ask_dpc();
    }
}
