//! NdisOidRequest and NdisCancelOidRequest: requests of protocols.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_1,
    NDIS_OID_REQUEST_REVISION_2, NDIS_SIZEOF_OID_REQUEST_REVISION_1,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_PENDING,
    NDIS_STATUS_REQUEST_ABORTED, OID_PNP_SET_POWER,
};

use super::copy::Given;
use super::queue::Submitted;
use super::request_ref::OidRequestRef;
use super::{answer, faults, miniport, sets};
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
    check_originator(CALL, binding, request);
    begin(binding, request);
    let inline =
        !faults::may_wait(binding.adapter) && sched::irql() == PASSIVE_LEVEL && sched::chance(2);
    if inline {
        return process(binding, request);
    }
    sched::spawn("OID request", move || {
        process_and_complete(binding, request)
    });
    sched::point();
    NDIS_STATUS_PENDING
}

/// A request of a binding begins.
pub(super) fn begin(binding: &'static Binding, request: OidRequestRef) {
    binding.state.with(|state| state.oids_out += 1);
    let submitted = Submitted {
        binding: binding.handle,
        address: request.0.addr(),
        request_id: request.request_id(),
        cancelled: false,
        given: Given::of(request),
    };
    binding
        .adapter
        .oids
        .with(|queue| queue.submitted.push(submitted));
}

/// A request of a binding is over; rule 179: nobody has touched it.
pub(super) fn end(binding: &'static Binding, request: OidRequestRef) {
    let address = request.0.addr();
    let submitted = binding.adapter.oids.with(|queue| {
        let index = queue
            .submitted
            .iter()
            .position(|submitted| submitted.address == address)?;
        Some(queue.submitted.swap_remove(index))
    });
    let same = submitted.is_none_or(|submitted| submitted.given == Given::of(request));
    verifier::insist(179, same, || {
        format!(
            "an OID request of {} was changed, or freed, before its completion",
            binding.describe()
        )
    });
    binding.state.with(|state| state.oids_out -= 1);
}

/// Rules 158, 178 and 179.
pub(super) fn check(call: &str, binding: &'static Binding, request: OidRequestRef) {
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
    // An unbind undoes settings wherever it comes; NDIS answers for the miniport.
    let asleep = binding.state.with(|state| state.asleep) && phase != BindingState::Closing;
    verifier::require(252, !asleep, || {
        format!("{call} on {}, which is in low power", binding.describe())
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

/// Rule 182: what a protocol must not ask for.
fn check_originator(call: &str, binding: &'static Binding, request: OidRequestRef) {
    verifier::require(182, request.oid() != OID_PNP_SET_POWER, || {
        format!(
            "{call} on {}: OID_PNP_SET_POWER is NDIS's to send, and never passed on",
            binding.describe()
        )
    });
}

fn process_and_complete(binding: &'static Binding, request: OidRequestRef) {
    let status = process(binding, request);
    binding.state.with(|state| state.in_callback += 1);
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
    let status = match answer::of_ndis(binding.adapter, Some(binding), request) {
        Some(status) => status,
        None => process_in_turn(binding, request),
    };
    binding.note_setting(request, status);
    end(binding, request);
    status
}

fn process_in_turn(binding: &'static Binding, request: OidRequestRef) -> NDIS_STATUS {
    let adapter = binding.adapter;
    let turn = adapter.take_oid_turn();
    let cancelled = adapter
        .oids
        .with(|queue| queue.is_cancelled(request.0.addr()));
    if cancelled {
        return NDIS_STATUS_REQUEST_ABORTED;
    }
    let fault = faults::next(adapter, request.oid());
    if let Some(status) = fault.and_then(|fault| faults::apply(adapter, request, fault)) {
        return status;
    }
    sets::merge(binding, &turn, request)
        .unwrap_or_else(|| miniport::request(adapter, &turn, request))
}

/// Microsoft Learn, NdisCancelOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn cancel(
    binding_handle: NDIS_HANDLE,
    request_id: *mut core::ffi::c_void,
) {
    const CALL: &str = "NdisCancelOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let id = request_id.addr();
    if mark_cancelled(CALL, binding, id) {
        miniport::cancel(binding.adapter, id);
    }
}

/// Marks the request with this identifier; false: there is none. Rule 179: there is only one.
pub(super) fn mark_cancelled(call: &str, binding: &'static Binding, id: usize) -> bool {
    let known = binding.adapter.oids.with(|queue| {
        let mut known = 0;
        for submitted in &mut queue.submitted {
            let matches = submitted.binding == binding.handle && submitted.request_id == id;
            submitted.cancelled |= matches;
            known += u32::from(matches);
        }
        known
    });
    verifier::require(179, known <= 1, || {
        format!(
            "{call} on {}: {known} requests have the RequestId {id:#x}",
            binding.describe()
        )
    });
    known > 0
}
