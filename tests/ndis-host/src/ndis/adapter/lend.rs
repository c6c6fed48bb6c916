//! Parameters that are valid for one call only.
//!
//! NDIS owns the parameter structures of a callback; the driver may read them until it returns
//! (rules 49, 232). They lie in memory of their own, with garbage behind them as a later revision
//! would have members there (rule 21), and are overwritten afterwards, so that a driver that
//! keeps a pointer finds out.

use std::alloc::{Layout, alloc, dealloc};

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
    let result = body(place);
    // SAFETY: `place` holds a `T`, which the driver may have changed in its members.
    let after = unsafe { place.read() };
    // SAFETY: the memory is ours; the loan is over.
    unsafe {
        memory.write_bytes(GONE, layout.size());
        dealloc(memory, layout);
    }
    (result, after)
}

fn layout_of<T>() -> Layout {
    let layout = Layout::from_size_align(size_of::<T>() + TRAILER, align_of::<T>().max(16));
    layout.expect("a parameter structure is small")
}
