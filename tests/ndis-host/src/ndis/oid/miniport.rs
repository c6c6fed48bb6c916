//! One request at the miniport: MiniportOidRequest, its completion, and the judge of both.
//!
//! The miniport gets a copy of the request with buffers of NDIS's own, guarded at their end and
//! at alignments of the seed's choice, so that whatever it writes too much is seen.

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_2,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT,
    NDIS_STATUS_FAILURE, NDIS_STATUS_INDICATION_REQUIRED, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS,
};

use super::queue::{Current, Turn};
use super::request_ref::{OidKind, OidRequestRef};
use crate::ndis::adapter::{self, Adapter, AdapterState, Operation};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::nbl::pool::Piece;
use crate::ndis::{handles, header};
use crate::sched;
use crate::verifier::{self, SECOND_NS, Watchdog};

/// Longest time of a request (table of rule 308).
const OID_LIMIT_NS: u64 = 12 * SECOND_NS;
/// What NDIS's reserved bytes are filled with.
const RESERVED_BYTE: u8 = 0x6e;

/// NDIS's own copy of a request.
struct Copy {
    body: Piece,
    buffer: Piece,
    /// Alignments differ: the data begins here.
    skew: usize,
    length: usize,
}

impl Copy {
    fn of(original: OidRequestRef) -> Option<Self> {
        let input = original.input();
        let (_, room) = original.output_room();
        let length = input.len().max(room);
        let skew = if sched::chance(4) {
            sched::random_below(8) as usize
        } else {
            0
        };
        let buffer = Piece::allocate(skew + length, "the buffer of an OID request")?;
        let body = Piece::allocate(size_of::<NDIS_OID_REQUEST>(), "an OID request")?;
        let copy = Self {
            body,
            buffer,
            skew,
            length,
        };
        // SAFETY: the original is live; the copy's memory is ours and long enough.
        unsafe {
            let mut value = *original.0;
            copy.data()
                .copy_from_nonoverlapping(input.as_ptr(), input.len());
            value.Header = header::make(
                NDIS_OBJECT_TYPE_OID_REQUEST,
                NDIS_OID_REQUEST_REVISION_2,
                NDIS_SIZEOF_OID_REQUEST_REVISION_2,
            );
            value.NdisReserved = [RESERVED_BYTE; 128];
            value.MiniportReserved = [0; 16];
            value.RequestHandle = std::ptr::without_provenance_mut(copy.request().0.addr());
            // The field is at the same place in all members of the union.
            value.DATA.QUERY_INFORMATION.InformationBuffer = copy.data().cast();
            copy.request().0.write(value);
        }
        copy.request().set_written(0);
        copy.request().set_read(0);
        copy.request().set_needed(0);
        Some(copy)
    }

    fn request(&self) -> OidRequestRef {
        OidRequestRef(self.body.pointer().cast())
    }

    fn data(&self) -> *mut u8 {
        self.buffer.pointer().wrapping_add(self.skew)
    }

    /// Gives the answer to the originator.
    fn copy_back(&self, original: OidRequestRef, status: NDIS_STATUS) {
        let request = self.request();
        // SAFETY: both requests are live; the answer was checked to fit both buffers.
        unsafe {
            (*original.0).SupportedRevision = (*request.0).SupportedRevision;
            let (written, needed) = request.counts();
            match original.kind() {
                OidKind::Set => original.set_read(written),
                OidKind::Query | OidKind::Method => {
                    let (to, room) = original.output_room();
                    let count = (written as usize).min(room).min(self.length);
                    if status == NDIS_STATUS_SUCCESS {
                        to.copy_from_nonoverlapping(self.data(), count);
                    }
                    original.set_written(written);
                }
            }
            if original.kind() == OidKind::Method {
                let read = (*request.0).DATA.METHOD_INFORMATION.BytesRead;
                original.set_read(read);
            }
            original.set_needed(needed);
        }
    }

    fn release(self) {
        self.buffer.release("the completion of an OID request");
        self.body.release("the completion of an OID request");
    }
}

/// Has the miniport do a request; returns its final status. IRQL = PASSIVE_LEVEL.
pub(crate) fn request(
    adapter: &'static Adapter,
    _turn: &Turn,
    original: OidRequestRef,
) -> NDIS_STATUS {
    let ready = matches!(
        adapter.phase(),
        AdapterState::Paused
            | AdapterState::Restarting
            | AdapterState::Running
            | AdapterState::Pausing
    );
    if !ready {
        return NDIS_STATUS_FAILURE;
    }
    let Some(copy) = Copy::of(original) else {
        return NDIS_STATUS_RESOURCES;
    };
    let status = call_miniport(adapter, copy.request());
    judge_answer(adapter, &copy, status);
    copy.copy_back(original, status);
    copy.release();
    status
}

fn call_miniport(adapter: &'static Adapter, request: OidRequestRef) -> NDIS_STATUS {
    let (address, oid) = (request.0.addr(), request.oid());
    adapter.oids.with(|queue| {
        let request_id = request.request_id();
        let outcome = Operation::Called;
        queue.current = Some(Current {
            address,
            request_id,
            outcome,
        });
    });
    let name = &adapter.name;
    let watchdog = Watchdog::start(157, OID_LIMIT_NS, move || {
        format!("OID {oid:#010x} on {name} is not complete")
    });
    let returned = callback(Callback::OidRequest, adapter.handle, || {
        adapter.miniport.oid_request(request)
    });
    let outcome = || {
        adapter.oids.with(|queue| {
            queue
                .current
                .map_or(Operation::Idle, |current| current.outcome)
        })
    };
    let status = if returned == NDIS_STATUS_PENDING {
        sched::wait(
            "NdisMOidRequestComplete",
            || outcome() != Operation::Called,
            None,
        );
        match outcome() {
            Operation::Completed(status) => status,
            Operation::Idle | Operation::Called => NDIS_STATUS_FAILURE,
        }
    } else {
        verifier::insist(156, outcome() == Operation::Called, || {
            format!(
                "MiniportOidRequest returned {returned:#x} for OID {oid:#010x} after completing it"
            )
        });
        returned
    };
    drop(watchdog);
    adapter.oids.with(|queue| queue.current = None);
    // A cancel may come too late; the miniport ignores what it does not know (rule 166).
    if sched::chance(32) {
        callback(Callback::CancelOid, adapter.handle, || {
            adapter.miniport.cancel_oid(address ^ 0x5a5a);
        });
    }
    status
}

/// Rules 159 to 165 and 23: what a completed request has to look like.
fn judge_answer(adapter: &'static Adapter, copy: &Copy, status: NDIS_STATUS) {
    let request = copy.request();
    let oid = request.oid();
    let name = &adapter.name;
    verifier::insist(156, status != NDIS_STATUS_PENDING, || {
        format!("OID {oid:#010x} on {name} ends with PENDING")
    });
    // SAFETY: the copy is ours.
    let reserved = unsafe { (*request.0).NdisReserved };
    verifier::require(23, reserved == [RESERVED_BYTE; 128], || {
        format!("OID {oid:#010x} on {name}: NdisReserved was written")
    });
    let (done, needed) = request.counts();
    let kind = request.kind();
    let (_, room) = request.output_room();
    let room = if kind == OidKind::Set {
        request.input().len()
    } else {
        room
    };
    let rule = match kind {
        OidKind::Query => 161,
        OidKind::Set => 162,
        OidKind::Method => 163,
    };
    if status == NDIS_STATUS_SUCCESS {
        verifier::insist(rule, done as usize <= room, || {
            format!("OID {oid:#010x} on {name}: {done} bytes done, the buffer has {room} (7C/1D)")
        });
    }
    let short = [NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_BUFFER_TOO_SHORT].contains(&status);
    if short && kind == OidKind::Query {
        verifier::require(161, done == 0 && needed > 0, || {
            format!("OID {oid:#010x} on {name}: {status:#x} with {done} written, {needed} needed")
        });
    }
    if status == NDIS_STATUS_INDICATION_REQUIRED {
        // SAFETY: as above.
        let handle = unsafe { (*request.0).RequestHandle }.addr() as u64;
        adapter
            .oids
            .with(|queue| queue.awaiting_indication.push(handle));
    }
}

/// Microsoft Learn, NdisMOidRequestComplete function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn complete(
    adapter_handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    const CALL: &str = "NdisMOidRequestComplete";
    import(CALL, Level::UpToDispatch);
    let adapter = adapter::resolve(adapter_handle, CALL);
    verifier::insist(156, status != NDIS_STATUS_PENDING, || {
        format!("{CALL} by {} with PENDING (0xC4/91001)", adapter.name)
    });
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
