//! The OID requests about power, which NDIS itself originates.

use ndis_sys::{
    NDIS_OBJECT_TYPE_DEFAULT, NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST,
    NDIS_OID_REQUEST_REVISION_2, NDIS_PM_PARAMETERS, NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_SUCCESS, NdisDeviceStateD0,
    NdisDeviceStateD3, NdisRequestQueryInformation, OID_PM_PARAMETERS, OID_PNP_QUERY_POWER,
    OID_PNP_SET_POWER, Zeroed,
};

use super::{PowerState, judge, sleep};
use crate::ndis::adapter::Adapter;
use crate::ndis::native::OidRequestRef;
use crate::ndis::{header, oid};

/// Takes a power aware miniport to D3. IRQL = PASSIVE_LEVEL.
pub(super) fn set_low_power(adapter: &'static Adapter) {
    set_low_power_to(adapter, NdisDeviceStateD3);
}

/// Takes a power aware miniport to `power`, which is not D0. IRQL = PASSIVE_LEVEL.
pub(super) fn set_low_power_to(adapter: &'static Adapter, power: i32) {
    let turn = adapter.take_oid_turn();
    if adapter.state.with(|state| state.declared.power.is_some()) {
        let parameters = no_wake_up();
        oid::sets::set(adapter, &turn, OID_PM_PARAMETERS, &parameters);
    }
    let status = query_power(adapter, power, &turn);
    judge::query_answered(adapter, status);
    let status = oid::sets::set(adapter, &turn, OID_PNP_SET_POWER, &power.to_le_bytes());
    judge::low_power_set(adapter, status);
    sleep::set_power(adapter, PowerState::Low);
}

/// Takes a power aware miniport back to D0. IRQL = PASSIVE_LEVEL.
///
/// # Errors
///
/// Its failure, which no miniport may have (rule 255).
pub(super) fn set_full_power(adapter: &'static Adapter) -> Result<(), NDIS_STATUS> {
    let turn = adapter.take_oid_turn();
    let power = NdisDeviceStateD0.to_le_bytes();
    // It may use its hardware, and tell its link, from the request on.
    sleep::set_power(adapter, PowerState::On);
    let status = oid::sets::set(adapter, &turn, OID_PNP_SET_POWER, &power);
    judge::full_power_set(adapter, status);
    if status == NDIS_STATUS_SUCCESS {
        Ok(())
    } else {
        Err(status)
    }
}

fn query_power(adapter: &'static Adapter, mut power: i32, turn: &oid::queue::Turn) -> NDIS_STATUS {
    let mut request: NDIS_OID_REQUEST = ndis_sys::zeroed();
    request.Header = header::make(
        NDIS_OBJECT_TYPE_OID_REQUEST,
        NDIS_OID_REQUEST_REVISION_2,
        NDIS_SIZEOF_OID_REQUEST_REVISION_2,
    );
    request.RequestType = NdisRequestQueryInformation;
    request.DATA.QUERY_INFORMATION.Oid = OID_PNP_QUERY_POWER;
    request.DATA.QUERY_INFORMATION.InformationBuffer = (&raw mut power).cast();
    request.DATA.QUERY_INFORMATION.InformationBufferLength = size_of::<i32>() as u32;
    oid::miniport::request(adapter, turn, OidRequestRef(&raw mut request))
}

/// NDIS_PM_PARAMETERS that switch all wake-up off: nobody above asks for any.
fn no_wake_up() -> Vec<u8> {
    let mut parameters = NDIS_PM_PARAMETERS::zeroed();
    parameters.Header = header::make(
        NDIS_OBJECT_TYPE_DEFAULT,
        2,
        NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2,
    );
    // SAFETY: the record consists of whole numbers without gaps.
    let bytes = unsafe {
        std::slice::from_raw_parts(
            (&raw const parameters).cast::<u8>(),
            size_of::<NDIS_PM_PARAMETERS>(),
        )
    };
    bytes.to_vec()
}
