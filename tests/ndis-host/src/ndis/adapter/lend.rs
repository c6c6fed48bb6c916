//! Parameters that are valid for one call only.
//!
//! NDIS owns the parameter structures of a callback; the driver may read them until it returns
//! (rules 49, 232). They lie in memory of their own, with garbage behind them as a later revision
//! would have members there; now and then the header says that it is such a revision (rule 21).
//! Afterwards they are overwritten, so that a driver that keeps a pointer finds out.

use std::alloc::{Layout, alloc, dealloc};

use ndis_sys::NDIS_OBJECT_HEADER;

use crate::sched;
use crate::verifier;

/// Bytes of garbage behind the structure.
const TRAILER: usize = 64;
const GARBAGE: u8 = 0xb6;
const GONE: u8 = 0xdd;

/// Puts `value` where a driver may see it for the time of `body`; returns what is there after it.
pub(crate) fn lend<T: Copy, R>(value: T, body: impl FnOnce(*mut T) -> R) -> (R, T) {
    let layout = layout_of::<T>();
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc(layout) };
    assert!(!memory.is_null(), "the host is out of memory");
    let place: *mut T = memory.cast();
    // SAFETY: the memory has the size and alignment of `T`, and a trailer.
    unsafe {
        memory.write_bytes(GARBAGE, layout.size());
        place.write(value);
    }
    let header = age(place);
    let result = body(place);
    if let Some(header) = header {
        // SAFETY: the structure begins with its header, which goes back to what it was.
        unsafe { place.cast::<NDIS_OBJECT_HEADER>().write(header) };
    }
    // SAFETY: `place` holds a `T`, which the driver may have changed in its members.
    let after = unsafe { place.read() };
    // SAFETY: the memory is ours; the loan is over.
    unsafe {
        memory.write_bytes(GONE, layout.size());
        dealloc(memory, layout);
    }
    (result, after)
}

/// As [`lend`], for a structure that is only to be read (rule 23).
pub(crate) fn lend_to_read<T: Copy, R>(value: T, what: &str, body: impl FnOnce(*mut T) -> R) -> R {
    let (result, after) = lend(value, body);
    verifier::require(23, bytes_of(&value) == bytes_of(&after), || {
        format!("{what}: the driver changed a structure that is NDIS's")
    });
    result
}

/// The bytes of a structure that was made from zeroes, padding included.
fn bytes_of<T>(value: &T) -> &[u8] {
    // SAFETY: the structures of NDIS begin as zeroed memory and are copied whole.
    unsafe { std::slice::from_raw_parts((&raw const *value).cast::<u8>(), size_of::<T>()) }
}

/// Lets a structure look like one of a later NDIS: a higher revision, more bytes. Returns the
/// header that it had.
fn age<T>(place: *mut T) -> Option<NDIS_OBJECT_HEADER> {
    const OLDEST_TYPE: u8 = 0x80;
    const NEWER: u64 = 3;
    if size_of::<T>() < size_of::<NDIS_OBJECT_HEADER>() || !sched::chance(4) {
        return None;
    }
    let place: *mut NDIS_OBJECT_HEADER = place.cast();
    // SAFETY: the structure is at least as long as a header.
    let header = unsafe { place.read() };
    let is_header = header.Type >= OLDEST_TYPE
        && header.Revision > 0
        && (4..=size_of::<T>()).contains(&usize::from(header.Size));
    if !is_header {
        return None;
    }
    let newer = NDIS_OBJECT_HEADER {
        Revision: header.Revision + 1 + sched::random_below(NEWER) as u8,
        Size: header.Size + TRAILER as u16 / 2,
        ..header
    };
    // SAFETY: as above.
    unsafe { place.write(newer) };
    Some(header)
}

fn layout_of<T>() -> Layout {
    let layout = Layout::from_size_align(size_of::<T>() + TRAILER, align_of::<T>().max(16));
    layout.expect("a parameter structure is small")
}
