//! NdisOidRequest and NdisCancelOidRequest: requests of protocols.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1,
    NDIS_OID_REQUEST_REVISION_2, NDIS_SIZEOF_OID_REQUEST_REVISION_1,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_PENDING,
    NDIS_STATUS_REQUEST_ABORTED,
};

use super::queue::Submitted;
use super::request_ref::OidRequestRef;
use super::{answer, miniport, sets};
use crate::ndis::bindings::{Binding, BindingState};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::{handles, header};
use crate::sched::{self, PASSIVE_LEVEL};
use crate::verifier;

/// Microsoft Learn, NdisOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `request` and its buffers are valid until the request is complete.
pub(crate) unsafe extern "efiapi" fn request(
    binding_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    const CALL: &str = "NdisOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let request = OidRequestRef(request);
    check(CALL, binding, request);
    binding.state.with(|state| state.oids_out += 1);
    let submitted = Submitted {
        binding: binding.handle,
        address: request.0.addr(),
        request_id: request.request_id(),
        cancelled: false,
    };
    binding
        .adapter
        .oids
        .with(|queue| queue.submitted.push(submitted));
    if sched::irql() == PASSIVE_LEVEL && sched::chance(2) {
        let status = process(binding, request);
        binding.state.with(|state| state.oids_out -= 1);
        return status;
    }
    sched::spawn("OID request", move || {
        process_and_complete(binding, request)
    });
    sched::point();
    NDIS_STATUS_PENDING
}

/// Rules 178 and 179.
fn check(call: &str, binding: &'static Binding, request: OidRequestRef) {
    // SAFETY: the contract of `request`.
    let object = unsafe { (*request.0).Header };
    let revisions = [
        (
            NDIS_OID_REQUEST_REVISION_1,
            NDIS_SIZEOF_OID_REQUEST_REVISION_1,
        ),
        (
            NDIS_OID_REQUEST_REVISION_2,
            NDIS_SIZEOF_OID_REQUEST_REVISION_2,
        ),
    ];
    header::check(call, object, NDIS_OBJECT_TYPE_OID_REQUEST, &revisions);
    let (opened, phase) = binding.state.with(|state| (state.opened, state.phase));
    verifier::require(178, opened && phase != BindingState::Closed, || {
        format!(
            "{call} on {}, whose open is not complete",
            binding.describe()
        )
    });
    let address = request.0.addr();
    let again = binding.adapter.oids.with(|queue| {
        queue
            .submitted
            .iter()
            .any(|submitted| submitted.address == address)
    });
    verifier::insist(158, !again, || {
        format!(
            "{call} on {}: the request is pending already",
            binding.describe()
        )
    });
}

fn process_and_complete(binding: &'static Binding, request: OidRequestRef) {
    let status = process(binding, request);
    binding.state.with(|state| {
        state.oids_out -= 1;
        state.in_callback += 1;
    });
    callback(Callback::OidComplete, binding.handle, || {
        binding
            .protocol
            .protocol
            .oid_complete(binding.context, request, status);
    });
    binding.state.with(|state| state.in_callback -= 1);
}

/// Does a request; returns its final status. IRQL = PASSIVE_LEVEL.
fn process(binding: &'static Binding, request: OidRequestRef) -> NDIS_STATUS {
    let adapter = binding.adapter;
    let status = match answer::of_ndis(binding, request) {
        Some(status) => status,
        None => {
            let turn = adapter.take_oid_turn();
            let cancelled = adapter
                .oids
                .with(|queue| queue.is_cancelled(request.0.addr()));
            if cancelled {
                NDIS_STATUS_REQUEST_ABORTED
            } else {
                sets::merge(binding, &turn, request)
                    .unwrap_or_else(|| miniport::request(adapter, &turn, request))
            }
        }
    };
    let address = request.0.addr();
    adapter.oids.with(|queue| {
        queue
            .submitted
            .retain(|submitted| submitted.address != address)
    });
    status
}

/// Microsoft Learn, NdisCancelOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn cancel(
    binding_handle: NDIS_HANDLE,
    request_id: *mut core::ffi::c_void,
) {
    const CALL: &str = "NdisCancelOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let adapter = binding.adapter;
    let id = request_id.addr();
    let at_miniport = adapter.oids.with(|queue| {
        let mut known = false;
        for submitted in &mut queue.submitted {
            let matches = submitted.binding == binding.handle && submitted.request_id == id;
            submitted.cancelled |= matches;
            known |= matches;
        }
        known
            && queue
                .current
                .is_some_and(|current| current.request_id == id)
    });
    if at_miniport {
        callback(Callback::CancelOid, adapter.handle, || {
            adapter.miniport.cancel_oid(id)
        });
    }
}
