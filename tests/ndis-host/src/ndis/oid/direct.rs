//! Direct and synchronous OID requests: neither is serialised with anything.
//!
//! Microsoft Learn, "Miniport Adapter Direct OID Requests" and "Synchronous OID request interface
//! in NDIS 6.80". NDIS calls the miniport at the originator's level or above it; a direct request
//! may be put off by NDIS itself, a synchronous one has ended when the call returns.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_PENDING, NDIS_STATUS_REQUEST_ABORTED, NDIS_STATUS_RESOURCES,
    OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES, OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA_EX, OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA,
};

use super::copy::Copy;
use super::judge::{self, Path};
use super::miniport::is_ready;
use super::request_ref::OidRequestRef;
use super::submit;
use crate::ndis::adapter::{self, Adapter};
use crate::ndis::bindings::Binding;
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::handles;
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Longest time of a request; direct ones are watched as regular ones are (rule 157).
const LIMIT_NS: u64 = 12 * SECOND_NS;
/// How long NDIS puts a direct request off.
const PUT_OFF_NS: u64 = 50_000;

/// OIDs whose pages say that they are direct requests.
const DIRECT_OIDS: [u32; 4] = [
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA_EX,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA,
];
/// OIDs whose pages say that they are synchronous requests.
const SYNCHRONOUS_OIDS: [u32; 1] = [OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES];

/// A direct request that the miniport has.
pub(crate) struct Direct {
    address: usize,
    request_id: usize,
    copy: Copy,
    original: OidRequestRef,
    /// Told when it is complete; `None` while MiniportDirectOidRequest has not returned.
    returned: bool,
    completed: Option<NDIS_STATUS>,
    binding: &'static Binding,
    _watchdog: Watchdog,
}

/// Microsoft Learn, NdisDirectOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `request` and its buffers are valid until the request is complete.
pub(crate) unsafe extern "efiapi" fn request(
    binding_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    const CALL: &str = "NdisDirectOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let request = OidRequestRef(request);
    submit::check(CALL, binding, request);
    let oid = request.oid();
    verifier::require(167, DIRECT_OIDS.contains(&oid), || {
        format!(
            "{CALL} on {}: OID {oid:#010x} is none for it",
            binding.describe()
        )
    });
    let handlers =
        binding.protocol.protocol.has_direct_oids() && binding.adapter.miniport.has_direct_oids();
    if !handlers {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    submit::begin(binding, request);
    if sched::chance(4) {
        put_off(binding, request);
        return NDIS_STATUS_PENDING;
    }
    let status = pass_down(binding, request);
    if status != NDIS_STATUS_PENDING {
        submit::end(binding, request);
    }
    status
}

/// NDIS itself lets the request wait; it goes on in a DPC.
fn put_off(binding: &'static Binding, request: OidRequestRef) {
    let cpu = sched::random_below(sched::cpu_count() as u64) as usize;
    let id = crate::ndis::dpc::id(
        crate::ndis::dpc::Source::Deferred,
        request.0.addr() as u64 >> 3,
    );
    sched::after(sched::random_below(PUT_OFF_NS), move || {
        sched::queue_dpc(cpu, id, move || {
            let aborted = binding
                .adapter
                .oids
                .with(|queue| queue.is_cancelled(request.0.addr()));
            let status = if aborted {
                NDIS_STATUS_REQUEST_ABORTED
            } else {
                pass_down(binding, request)
            };
            if status != NDIS_STATUS_PENDING {
                tell(binding, request, status);
            }
        });
    });
}

/// Calls the miniport. PENDING: the originator will be told.
fn pass_down(binding: &'static Binding, original: OidRequestRef) -> NDIS_STATUS {
    let adapter = binding.adapter;
    if !is_ready(adapter) {
        return NDIS_STATUS_FAILURE;
    }
    let Some(copy) = Copy::of(original) else {
        return NDIS_STATUS_RESOURCES;
    };
    let request = copy.request();
    let address = request.0.addr();
    let (oid, name) = (request.oid(), &adapter.name);
    let watchdog = Watchdog::start(157, LIMIT_NS, move || {
        format!("direct OID {oid:#010x} on {name} is not complete")
    });
    let direct = Direct {
        address,
        request_id: request.request_id(),
        copy,
        original,
        returned: false,
        completed: None,
        binding,
        _watchdog: watchdog,
    };
    adapter.oids.with(|queue| queue.direct.push(direct));
    let returned = callback(Callback::DirectOidRequest, adapter.handle, || {
        adapter.miniport.direct_oid_request(request)
    });
    let completed = adapter.oids.with(|queue| {
        let direct = queue.direct.iter_mut().find(|d| d.address == address);
        direct.and_then(|direct| {
            direct.returned = true;
            direct.completed
        })
    });
    if returned == NDIS_STATUS_PENDING {
        // Completed inside of the call: told when the call is over, as the originator expects.
        if let Some(status) = completed {
            finish(adapter, address, status);
        }
        return NDIS_STATUS_PENDING;
    }
    verifier::insist(167, completed.is_none(), || {
        format!("MiniportDirectOidRequest returned {returned:#x} after completing the request")
    });
    if let Some(direct) = take(adapter, address) {
        end(adapter, direct, returned);
    }
    returned
}

fn take(adapter: &'static Adapter, address: usize) -> Option<Direct> {
    adapter.oids.with(|queue| {
        let index = queue.direct.iter().position(|d| d.address == address)?;
        Some(queue.direct.swap_remove(index))
    })
}

fn end(adapter: &'static Adapter, direct: Direct, status: NDIS_STATUS) {
    judge::answer(adapter, Path::Direct, &direct.copy, status);
    direct.copy.copy_back(direct.original, status);
    direct.copy.release();
}

fn finish(adapter: &'static Adapter, address: usize, status: NDIS_STATUS) {
    if let Some(direct) = take(adapter, address) {
        let (binding, original) = (direct.binding, direct.original);
        end(adapter, direct, status);
        tell(binding, original, status);
    }
}

/// ProtocolDirectOidRequestComplete.
fn tell(binding: &'static Binding, request: OidRequestRef, status: NDIS_STATUS) {
    submit::end(binding, request);
    binding.state.with(|state| state.in_callback += 1);
    callback(Callback::DirectOidComplete, binding.handle, || {
        let protocol = &binding.protocol.protocol;
        protocol.direct_oid_complete(binding.context, request, status);
    });
    binding.state.with(|state| state.in_callback -= 1);
}

/// Microsoft Learn, NdisMDirectOidRequestComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete(
    adapter_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    const CALL: &str = "NdisMDirectOidRequestComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::insist(167, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} by {} with PENDING", adapter.name)
    });
    let cancels = call::is_inside(Callback::CancelDirectOid, adapter.handle);
    verifier::require(
        166,
        !cancels || status == NDIS_STATUS_REQUEST_ABORTED,
        || {
            format!(
                "{CALL} by {}: a cancelled request ends with {status:#x}",
                adapter.name
            )
        },
    );
    let address = request.addr();
    let first = adapter.oids.with(|queue| {
        let direct = queue.direct.iter_mut().find(|d| d.address == address);
        direct.map(|direct| {
            let first = direct.completed.is_none();
            direct.completed = Some(status);
            (first, direct.returned)
        })
    });
    verifier::insist(167, first.is_some_and(|(first, _)| first), || {
        format!(
            "{CALL} by {}: request {address:#x} is not pending",
            adapter.name
        )
    });
    if first.is_some_and(|(_, returned)| returned) {
        finish(adapter, address, status);
    }
}

/// Microsoft Learn, NdisCancelDirectOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn cancel(
    binding_handle: NDIS_HANDLE,
    request_id: *mut core::ffi::c_void,
) {
    const CALL: &str = "NdisCancelDirectOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let (adapter, id) = (binding.adapter, request_id.addr());
    submit::mark_cancelled(CALL, binding, id);
    let at_miniport = adapter
        .oids
        .with(|queue| queue.direct.iter().any(|d| d.request_id == id));
    if at_miniport {
        callback(Callback::CancelDirectOid, adapter.handle, || {
            adapter.miniport.cancel_direct_oid(id)
        });
    }
}

/// Microsoft Learn, NdisSynchronousOidRequest function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `request` and its buffers are valid.
pub(crate) unsafe extern "efiapi" fn request_synchronous(
    binding_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    const CALL: &str = "NdisSynchronousOidRequest";
    import(CALL, Level::UpToDispatch);
    let binding: &'static Binding = handles::resolve(binding_handle, CALL);
    let original = OidRequestRef(request);
    submit::check(CALL, binding, original);
    let (oid, adapter) = (original.oid(), binding.adapter);
    verifier::require(168, SYNCHRONOUS_OIDS.contains(&oid), || {
        format!(
            "{CALL} on {}: OID {oid:#010x} is none for it",
            binding.describe()
        )
    });
    if !adapter.miniport.has_synchronous_oids() {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    if !is_ready(adapter) {
        return NDIS_STATUS_FAILURE;
    }
    let Some(copy) = Copy::of(original) else {
        return NDIS_STATUS_RESOURCES;
    };
    submit::begin(binding, original);
    let status = callback(Callback::SynchronousOidRequest, adapter.handle, || {
        adapter.miniport.synchronous_oid_request(copy.request())
    });
    judge::answer(adapter, Path::Synchronous, &copy, status);
    copy.copy_back(original, status);
    copy.release();
    submit::end(binding, original);
    status
}
