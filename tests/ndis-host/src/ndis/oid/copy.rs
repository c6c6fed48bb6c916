//! NDIS's own copy of a request: what a miniport gets.
//!
//! The copy has buffers of NDIS's own, guarded at their end and at alignments of the seed's
//! choice, so that whatever a miniport writes too much is seen. After the completion the memory
//! stays where it is for a while, so that whatever it writes too late is seen as well.

use std::collections::VecDeque;

use ndis_sys::{
    NDIS_OBJECT_TYPE_OID_REQUEST, NDIS_OID_REQUEST, NDIS_OID_REQUEST_REVISION_2,
    NDIS_SIZEOF_OID_REQUEST_REVISION_2, NDIS_STATUS, NDIS_STATUS_SUCCESS,
};

use super::request_ref::{OidKind, OidRequestRef};
use crate::ndis::header;
use crate::ndis::nbl::pool::Piece;
use crate::sched::{self, BatonCell};
use crate::verifier;

/// What NDIS's reserved bytes are filled with.
const RESERVED_BYTE: u8 = 0x6e;
/// What the originator's reserved bytes are filled with.
const SOURCE_BYTE: u8 = 0x53;
/// Bytes behind a buffer that nobody may write.
const GUARD: usize = 16;
const GUARD_BYTE: u8 = 0xfd;
/// What memory is filled with when the request is over.
const GONE_BYTE: u8 = 0xdd;
/// How many pieces of memory are kept to be looked at again.
const GRAVES: usize = 16;

/// Memory of requests that are over, with its length.
static GONE: BatonCell<VecDeque<(Piece, usize)>> = BatonCell::new(VecDeque::new());

/// NDIS's own copy of a request.
pub(super) struct Copy {
    body: Piece,
    buffer: Piece,
    /// Alignments differ: the data begins here.
    skew: usize,
    length: usize,
    given: Given,
}

/// What whoever does not own a request leaves as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    request_type: i32,
    oid: u32,
    buffer: usize,
    lengths: (usize, usize),
    request_id: usize,
    request_handle: usize,
    port: u32,
    source_reserved: [u8; 16],
}

impl Given {
    /// Reads it out of a live request.
    pub(super) fn of(request: OidRequestRef) -> Self {
        // SAFETY: a request ref points to a live request.
        let value = unsafe { *request.0 };
        Self {
            request_type: value.RequestType,
            oid: request.oid(),
            buffer: request.information_buffer().addr(),
            lengths: (request.input_length(), request.output_room().1),
            request_id: value.RequestId.addr(),
            request_handle: value.RequestHandle.addr(),
            port: value.PortNumber,
            source_reserved: value.SourceReserved,
        }
    }
}

impl Copy {
    /// Copies a request; `None` when there is no memory.
    pub(super) fn of(original: OidRequestRef) -> Option<Self> {
        look_at_graves();
        let input = original.input();
        let (_, room) = original.output_room();
        let length = input.len().max(room);
        let skew = if sched::chance(4) {
            sched::random_below(8) as usize
        } else {
            0
        };
        let buffer = Piece::allocate(skew + length + GUARD, "the buffer of an OID request")?;
        let body = Piece::allocate(size_of::<NDIS_OID_REQUEST>(), "an OID request")?;
        let data = buffer.pointer().wrapping_add(skew);
        let request = OidRequestRef(body.pointer().cast());
        // SAFETY: the original is live; the copy's memory is ours and long enough.
        unsafe {
            data.copy_from_nonoverlapping(input.as_ptr(), input.len());
            data.add(length).write_bytes(GUARD_BYTE, GUARD);
            request.0.write(value_for(*original.0, request, data));
        }
        request.set_written(0);
        request.set_read(0);
        request.set_needed(0);
        Some(Self {
            body,
            buffer,
            skew,
            length,
            given: Given::of(request),
        })
    }

    /// The copy, as the miniport sees it.
    pub(super) fn request(&self) -> OidRequestRef {
        OidRequestRef(self.body.pointer().cast())
    }

    fn data(&self) -> *mut u8 {
        self.buffer.pointer().wrapping_add(self.skew)
    }

    /// Rules 23, 169 and 161 to 163: what is not the miniport's is as it was.
    pub(super) fn check(&self, name: &str) {
        let request = self.request();
        let oid = request.oid();
        // SAFETY: the copy is ours.
        let value = unsafe { *request.0 };
        verifier::require(23, value.NdisReserved == [RESERVED_BYTE; 128], || {
            format!("OID {oid:#010x} on {name}: NdisReserved was written")
        });
        verifier::insist(169, Given::of(request) == self.given, || {
            format!(
                "OID {oid:#010x} on {name}: the miniport changed what belongs to the originator"
            )
        });
        // SAFETY: the guard is part of the buffer.
        let guard = unsafe { std::slice::from_raw_parts(self.data().add(self.length), GUARD) };
        let intact = guard.iter().all(|byte| *byte == GUARD_BYTE);
        verifier::insist(byte_rule(request.kind()), intact, || {
            let length = self.length;
            format!("OID {oid:#010x} on {name}: written behind the {length} bytes of the buffer")
        });
    }

    /// Gives the answer to the originator.
    pub(super) fn copy_back(&self, original: OidRequestRef, status: NDIS_STATUS) {
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

    /// The request is over: its memory is nobody's.
    pub(super) fn release(self) {
        bury(self.buffer, self.skew + self.length + GUARD);
        bury(self.body, size_of::<NDIS_OID_REQUEST>());
    }
}

/// The copy's contents, made of those of the original.
fn value_for(mut value: NDIS_OID_REQUEST, copy: OidRequestRef, data: *mut u8) -> NDIS_OID_REQUEST {
    value.Header = header::make(
        NDIS_OBJECT_TYPE_OID_REQUEST,
        NDIS_OID_REQUEST_REVISION_2,
        NDIS_SIZEOF_OID_REQUEST_REVISION_2,
    );
    value.NdisReserved = [RESERVED_BYTE; 128];
    value.MiniportReserved = [0; 16];
    value.SourceReserved = [SOURCE_BYTE; 16];
    value.RequestHandle = std::ptr::without_provenance_mut(copy.0.addr());
    // The field is at the same place in all members of the union.
    value.DATA.QUERY_INFORMATION.InformationBuffer = data.cast();
    value
}

/// The rule about the byte counts of a kind of request.
pub(super) fn byte_rule(kind: OidKind) -> u16 {
    match kind {
        OidKind::Query => 161,
        OidKind::Set => 162,
        OidKind::Method => 163,
    }
}

fn bury(piece: Piece, length: usize) {
    // SAFETY: the piece has that many bytes, and is ours.
    unsafe { piece.pointer().write_bytes(GONE_BYTE, length) };
    let oldest = GONE.with(|graves| {
        graves.push_back((piece, length));
        if graves.len() > GRAVES {
            graves.pop_front()
        } else {
            None
        }
    });
    if let Some((piece, length)) = oldest {
        check_grave(piece.pointer(), length);
        piece.release("the completion of an OID request");
    }
}

/// Rule 169: nobody writes to a request that is over.
pub(crate) fn look_at_graves() {
    let graves: Vec<_> = GONE.with(|graves| {
        let place =
            |(piece, length): &(Piece, usize)| (piece.pointer().expose_provenance(), *length);
        graves.iter().map(place).collect()
    });
    for (start, length) in graves {
        check_grave(std::ptr::with_exposed_provenance_mut(start), length);
    }
}

fn check_grave(start: *mut u8, length: usize) {
    // SAFETY: a grave is memory of ours with that many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(start, length) };
    verifier::insist(169, bytes.iter().all(|byte| *byte == GONE_BYTE), || {
        format!("an OID request at {start:p}, or its buffer, was written after its completion")
    });
}
