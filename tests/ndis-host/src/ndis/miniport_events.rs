//! What a miniport asks NDIS to tell others, and what it asks about itself.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1,
    NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NDIS_STRING,
    NET_PNP_EVENT_NOTIFICATION,
};

use crate::ndis::adapter;
use crate::ndis::bindings::events;
use crate::ndis::call::{self, Callback, Level, import};
use crate::ndis::{config, faults, header, memory_calls};
use crate::registry::Value;
use crate::verifier;

/// Microsoft Learn, NdisMNetPnPEvent function (ndis.h): every binding hears of the event; the
/// first failure is the result. IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `notification` points to the structure that its header says, with a valid buffer.
pub(crate) unsafe extern "efiapi" fn net_pnp_event(
    adapter_handle: NDIS_HANDLE,
    notification: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMNetPnPEvent";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::require(
        157,
        !call::is_inside(Callback::OidRequest, adapter.handle),
        || format!("{CALL} called in MiniportOidRequest"),
    );
    // SAFETY: the caller's contract.
    let given = unsafe { *notification };
    let least = NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1;
    header::check(
        CALL,
        given.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(1, least), (2, least)],
    );
    let event = given.NetPnPEvent;
    let mut result = NDIS_STATUS_SUCCESS;
    for binding in adapter.bindings() {
        let (buffer, length) = (event.Buffer, event.BufferLength);
        let protocol = binding.protocol;
        let status = events::deliver(protocol, Some(binding), event.NetEvent, buffer, length);
        if result == NDIS_STATUS_SUCCESS {
            result = status;
        }
    }
    result
}

/// Tag of names that drivers free.
const NAME_TAG: u32 = u32::from_le_bytes(*b"NDnm");

/// Microsoft Learn, NdisMQueryAdapterInstanceName function (ndis.h): the name that users see. The
/// caller frees its buffer with NdisFreeMemory. IRQL = PASSIVE_LEVEL.
///
/// # Safety
///
/// `name` points to a string structure.
pub(crate) unsafe extern "efiapi" fn instance_name(
    name: *mut NDIS_STRING,
    adapter_handle: NDIS_HANDLE,
) -> NDIS_STATUS {
    const CALL: &str = "NdisMQueryAdapterInstanceName";
    import(CALL, Level::Passive);
    let adapter = adapter::resolve(adapter_handle, CALL);
    let text = match config::value(&adapter.node.driver_key(), "DriverDesc") {
        Some(Value::Sz(text) | Value::ExpandSz(text)) => text,
        _ => adapter.name.clone(),
    };
    let units: Vec<u16> = text.encode_utf16().collect();
    let bytes = units.len() * 2;
    let place = if faults::allocation_fails(CALL) {
        None
    } else {
        memory_calls::give(adapter.handle, bytes as u32 + 2, NAME_TAG)
    };
    let Some(place) = place else {
        return NDIS_STATUS_RESOURCES;
    };
    // SAFETY: the memory has room for the text and a zero; the caller's contract for the name.
    unsafe {
        let buffer: *mut u16 = place.cast();
        buffer.copy_from_nonoverlapping(units.as_ptr(), units.len());
        buffer.add(units.len()).write(0);
        (*name).Length = bytes as u16;
        (*name).MaximumLength = bytes as u16 + 2;
        (*name).Buffer = buffer;
    }
    NDIS_STATUS_SUCCESS
}
