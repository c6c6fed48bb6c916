//! One request at the miniport: MiniportOidRequest, its completion and its cancellation.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_LOW_POWER_STATE,
    NDIS_STATUS_PENDING, NDIS_STATUS_REQUEST_ABORTED, NDIS_STATUS_RESOURCES,
};

use super::contents;
use super::copy::Copy;
use super::judge::{self, Path};
use super::queue::{Current, Turn};
use super::request_ref::OidRequestRef;
use crate::ndis::adapter::{self, Adapter, AdapterState, Operation};
use crate::ndis::call::{self, Callback, Level, callback, import};
use crate::ndis::{handles, offload, power};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Longest time of a request (table of rule 308).
const OID_LIMIT_NS: u64 = 12 * SECOND_NS;
/// Time in which MiniportOidRequest should return (rule 157).
const CALL_ADVICE_NS: u64 = SECOND_NS;
/// Time in which a cancelled request has to be complete: "as soon as possible" (rule 166).
const CANCEL_LIMIT_NS: u64 = 5 * SECOND_NS;

/// Whether the table of section 1.D admits OID requests now.
pub(super) fn is_ready(adapter: &'static Adapter) -> bool {
    matches!(
        adapter.phase(),
        AdapterState::Paused
            | AdapterState::Restarting
            | AdapterState::Running
            | AdapterState::Pausing
    )
}

/// Has the miniport do a request; returns its final status. IRQL = PASSIVE_LEVEL.
pub(crate) fn request(
    adapter: &'static Adapter,
    _turn: &Turn,
    original: OidRequestRef,
) -> NDIS_STATUS {
    if !power::admits(adapter, original.oid()) {
        return NDIS_STATUS_LOW_POWER_STATE;
    }
    if !is_ready(adapter) {
        return NDIS_STATUS_FAILURE;
    }
    let Some(copy) = Copy::of(original) else {
        return NDIS_STATUS_RESOURCES;
    };
    contents::begin(adapter);
    let before = offload::config::current(adapter);
    let status = call_miniport(adapter, copy.request());
    judge::answer(adapter, Path::Regular, &copy, status);
    offload::observe(adapter, original, before, status);
    copy.copy_back(original, status);
    copy.release();
    status
}

fn call_miniport(adapter: &'static Adapter, request: OidRequestRef) -> NDIS_STATUS {
    let (address, oid) = (request.0.addr(), request.oid());
    adapter.oids.with(|queue| {
        queue.current = Some(Current {
            address,
            request_id: request.request_id(),
            outcome: Operation::Called,
            cancelled: false,
        });
    });
    let name = &adapter.name;
    let watchdog = Watchdog::on(157, OID_LIMIT_NS, name, move || {
        format!("OID {oid:#010x} on {name} is not complete")
    });
    let begun = sched::now();
    let returned = callback(Callback::OidRequest, adapter.handle, || {
        adapter.miniport.oid_request(request)
    });
    if sched::now() - begun > CALL_ADVICE_NS {
        let what = format!("MiniportOidRequest of {name} takes long over OID {oid:#010x}");
        verifier::advice(157, what);
    }
    let status = final_status(adapter, oid, returned);
    drop(watchdog);
    let cancel_watchdog = adapter.oids.with(|queue| {
        queue.current = None;
        queue.cancel_watchdog.take()
    });
    drop(cancel_watchdog);
    // A cancel may come too late; the miniport ignores what it does not know (rule 166).
    if sched::chance(32) {
        callback(Callback::CancelOid, adapter.handle, || {
            adapter.miniport.cancel_oid(address ^ 0x5a5a);
        });
    }
    status
}

fn final_status(adapter: &'static Adapter, oid: u32, returned: NDIS_STATUS) -> NDIS_STATUS {
    let outcome = || {
        adapter.oids.with(|queue| {
            queue
                .current
                .map_or(Operation::Idle, |current| current.outcome)
        })
    };
    if returned != NDIS_STATUS_PENDING {
        verifier::insist(156, outcome() == Operation::Called, || {
            format!(
                "MiniportOidRequest returned {returned:#x} for OID {oid:#010x} after completing it"
            )
        });
        return returned;
    }
    sched::wait(
        "NdisMOidRequestComplete",
        || outcome() != Operation::Called,
        None,
    );
    match outcome() {
        Operation::Completed(status) => status,
        Operation::Idle | Operation::Called => NDIS_STATUS_FAILURE,
    }
}

/// MiniportCancelOidRequest, if the miniport has a request with this identifier.
/// IRQL <= DISPATCH_LEVEL.
pub(super) fn cancel(adapter: &'static Adapter, request_id: usize) {
    let at_miniport = adapter.oids.with(|queue| {
        let current = queue.current.as_mut();
        let matching = current.filter(|current| current.request_id == request_id);
        matching.is_some_and(|current| {
            let waits = current.outcome == Operation::Called;
            current.cancelled |= waits;
            waits
        })
    });
    if !at_miniport {
        return;
    }
    let name = &adapter.name;
    let watchdog = Watchdog::start(166, CANCEL_LIMIT_NS, move || {
        format!("a cancelled OID request on {name} is not complete")
    });
    let old = adapter.oids.with(|queue| {
        let waits = queue.current.is_some_and(|current| current.cancelled);
        if waits {
            queue.cancel_watchdog.replace(watchdog)
        } else {
            Some(watchdog)
        }
    });
    drop(old);
    callback(Callback::CancelOid, adapter.handle, || {
        adapter.miniport.cancel_oid(request_id)
    });
}

/// Microsoft Learn, NdisMOidRequestComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete(
    adapter_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    const CALL: &str = "NdisMOidRequestComplete";
    import(CALL, Level::UpToDispatch);
    call::check_no_lock(CALL);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::insist(156, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} by {} with PENDING (0xC4/91001)", adapter.name)
    });
    // Whoever cancels aborts; a request that is done at that moment ends as it would have.
    let cancels = call::is_inside(Callback::CancelOid, adapter.handle);
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
    let first = adapter.oids.with(|queue| {
        let current = queue
            .current
            .as_mut()
            .filter(|current| current.address == request.addr());
        current.is_some_and(|current| {
            let first = current.outcome == Operation::Called;
            current.outcome = Operation::Completed(status);
            first
        })
    });
    verifier::insist(156, first, || {
        format!(
            "{CALL} by {}: request {:#x} is not pending (7C/26)",
            adapter.name,
            handles::number(request.cast())
        )
    });
}
