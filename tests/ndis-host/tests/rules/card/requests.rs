//! The card's OID requests: filters, and power.

use ndis_host::ndis::OidKind;
use ndis_host::ndis::api;
use ndis_host::ndis::native::OidRequestRef;
use ndis_sys::{
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PM_CAPABILITIES,
    NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1, NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2,
    NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_LOW_POWER_STATE, NDIS_STATUS_NOT_ACCEPTED,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_SUCCESS, NdisDeviceStateD0, OID_802_3_MULTICAST_LIST,
    OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER, OID_PM_PARAMETERS,
    OID_PNP_QUERY_POWER, OID_PNP_SET_POWER, Zeroed,
};

use super::{Card, Fault, Power};
use crate::bench::frame;
use crate::native::nic::MAC;

const SPEED: u64 = 10_000_000_000;

impl Card {
    pub(super) fn capabilities(&self) -> Option<NDIS_PM_CAPABILITIES> {
        let (revision, size) = if self.fault == Fault::OldCapabilities {
            (1, NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1)
        } else {
            (2, NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2)
        };
        let mut none = NDIS_PM_CAPABILITIES::zeroed();
        none.Header = NDIS_OBJECT_HEADER {
            Type: NDIS_OBJECT_TYPE_DEFAULT,
            Revision: revision,
            Size: size,
        };
        matches!(self.power, Power::Paused | Power::Running).then_some(none)
    }

    pub(super) fn answer(&self, request: OidRequestRef) -> NDIS_STATUS {
        match (request.oid(), request.kind()) {
            (OID_GEN_CURRENT_PACKET_FILTER, OidKind::Set) => {
                let filter = word(request);
                self.with(|state| state.log.filters.push(filter as u32));
                NDIS_STATUS_SUCCESS
            }
            (
                OID_802_3_MULTICAST_LIST | OID_GEN_CURRENT_LOOKAHEAD | OID_PM_PARAMETERS,
                OidKind::Set,
            ) => {
                request.set_read(request.input().len() as u32);
                NDIS_STATUS_SUCCESS
            }
            (OID_PNP_QUERY_POWER, OidKind::Query) => {
                if self.fault == Fault::QueryPowerFails {
                    NDIS_STATUS_FAILURE
                } else {
                    NDIS_STATUS_SUCCESS
                }
            }
            (OID_PNP_SET_POWER, OidKind::Set) => self.set_power(word(request)),
            _ => NDIS_STATUS_NOT_SUPPORTED,
        }
    }

    fn set_power(&self, power: i32) -> NDIS_STATUS {
        self.with(|state| state.log.powers.push(power));
        if power == NdisDeviceStateD0 {
            return self.wake();
        }
        self.with(|state| {
            state.asleep = true;
            state.slept = true;
        });
        if self.fault != Fault::KeepsSends {
            self.complete_all(NDIS_STATUS_LOW_POWER_STATE);
        }
        if self.fault != Fault::KeepsLink {
            api::indicate_link_unknown(self.adapter());
        }
        if self.fault == Fault::LowPowerFails {
            // The one failure that rule 159 lets through.
            NDIS_STATUS_NOT_ACCEPTED
        } else {
            NDIS_STATUS_SUCCESS
        }
    }

    fn wake(&self) -> NDIS_STATUS {
        self.with(|state| state.asleep = false);
        if self.fault != Fault::HidesLink {
            api::indicate_link(self.adapter(), true, SPEED);
        }
        if self.fault == Fault::FullPowerFails {
            NDIS_STATUS_NOT_ACCEPTED
        } else {
            NDIS_STATUS_SUCCESS
        }
    }

    /// Does while it sleeps what it must not.
    pub(crate) fn misbehave(&self) {
        match self.fault {
            Fault::IndicatesAsleep | Fault::IndicatesAfterShutdown => self.receive(&frame(MAC)),
            Fault::TellsStatusAsleep => api::indicate_link(self.adapter(), true, SPEED),
            Fault::KeepsSends => self.complete_all(NDIS_STATUS_SUCCESS),
            _ => {}
        }
    }
}

fn word(request: OidRequestRef) -> i32 {
    let bytes = request.input().first_chunk::<4>();
    request.set_read(4);
    i32::from_le_bytes(*bytes.expect("NDIS checks the length"))
}
