//! 1.J: OID requests.

mod contents;
mod forwarder;
mod miniport;
mod ndis;
mod originator;

use ndis_host::ndis::api::OidRequest;
use ndis_host::ndis::native::BindingHandle;
use ndis_sys::NDIS_STATUS;

/// Queries an OID with room for an answer.
fn query(binding: BindingHandle, oid: u32, room: usize) -> NDIS_STATUS {
    OidRequest::query(oid, room).run(binding)
}

/// Sets an OID.
fn set(binding: BindingHandle, oid: u32, data: &[u8]) -> NDIS_STATUS {
    OidRequest::set(oid, data).run(binding)
}
