//! Interlocked singly linked lists: `SLIST_HEADER`.
//!
//! The header has the form of 64-bit Windows: depth and a count of changes in one half, the address
//! of the first entry in the other.

use ndis_sys::{SINGLE_LIST_ENTRY, SLIST_HEADER};

use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter};
use crate::sched::HIGH_LEVEL;
use crate::verifier;

/// Entries and headers are aligned to this.
const ALIGNMENT: usize = 16;
/// Bits of the depth.
const DEPTH: u64 = 0xFFFF;

pub(super) fn exports() -> Table {
    exports! {
        "InitializeSListHead" => initialize_slist_head,
        "ExpInterlockedPushEntrySList" => push,
        "ExpInterlockedPopEntrySList" => pop,
        "ExpInterlockedFlushSList" => flush,
        "ExQueryDepthSList" => ex_query_depth_slist,
    }
}

type Header = *mut SLIST_HEADER;
type Entry = *mut SINGLE_LIST_ENTRY;

/// `InitializeSListHead`: makes an empty list. Any level.
///
/// # Safety
///
/// `header` must be writable.
pub(super) unsafe extern "efiapi" fn initialize_slist_head(header: Header) {
    enter("InitializeSListHead", HIGH_LEVEL);
    require_aligned("InitializeSListHead", header.addr());
    // SAFETY: as the caller promises.
    unsafe { write(header, 0, std::ptr::null_mut()) };
}

/// `ExpInterlockedPushEntrySList`: inserts in front; returns what was first. Any level.
///
/// # Safety
///
/// `header` must be the head of a list, `entry` writable.
unsafe extern "efiapi" fn push(header: Header, entry: Entry) -> Entry {
    const CALL: &str = "ExpInterlockedPushEntrySList";
    enter(CALL, HIGH_LEVEL);
    require_aligned(CALL, header.addr());
    require_aligned(CALL, entry.addr());
    // SAFETY: as the caller promises.
    let (depth, first) = unsafe { read(header) };
    verifier::insist(214, first != entry, || {
        let place = describe(entry.addr());
        format!("{CALL}: the entry at {place} is the first of the list already")
    });
    // SAFETY: as the caller promises.
    unsafe { (*entry).Next = first };
    // SAFETY: as the caller promises.
    unsafe { write(header, depth + 1, entry) };
    first
}

/// `ExpInterlockedPopEntrySList`: takes the first entry out; null when there is none. Any level.
///
/// # Safety
///
/// `header` must be the head of a list.
pub(super) unsafe extern "efiapi" fn pop(header: Header) -> Entry {
    const CALL: &str = "ExpInterlockedPopEntrySList";
    enter(CALL, HIGH_LEVEL);
    require_aligned(CALL, header.addr());
    // SAFETY: as the caller promises.
    let (depth, first) = unsafe { read(header) };
    if !first.is_null() {
        // SAFETY: entries of the list are readable.
        let second = unsafe { (*first).Next };
        // SAFETY: as the caller promises.
        unsafe { write(header, depth.wrapping_sub(1), second) };
    }
    first
}

/// `ExpInterlockedFlushSList`: empties the list; returns what was first, with all behind it. Any
/// level.
///
/// # Safety
///
/// `header` must be the head of a list.
unsafe extern "efiapi" fn flush(header: Header) -> Entry {
    const CALL: &str = "ExpInterlockedFlushSList";
    enter(CALL, HIGH_LEVEL);
    require_aligned(CALL, header.addr());
    // SAFETY: as the caller promises.
    let (_, first) = unsafe { read(header) };
    // SAFETY: as the caller promises.
    unsafe { write(header, 0, std::ptr::null_mut()) };
    first
}

/// `ExQueryDepthSList`: how many entries there are. Any level.
///
/// # Safety
///
/// `header` must be the head of a list.
unsafe extern "efiapi" fn ex_query_depth_slist(header: Header) -> u16 {
    enter("ExQueryDepthSList", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let (depth, _) = unsafe { read(header) };
    depth as u16
}

fn require_aligned(routine: &str, address: usize) {
    verifier::insist(214, address.is_multiple_of(ALIGNMENT), || {
        let place = describe(address);
        format!("{routine}: {place} is not aligned to {ALIGNMENT} bytes")
    });
}

/// Depth and first entry.
///
/// # Safety
///
/// `header` must be readable.
unsafe fn read(header: Header) -> (u64, Entry) {
    // SAFETY: as the caller promises.
    let value = unsafe { header.read_volatile() };
    let first = (value.Region & !(ALIGNMENT as u64 - 1)) as usize;
    (
        value.Alignment & DEPTH,
        std::ptr::with_exposed_provenance_mut(first),
    )
}

/// # Safety
///
/// `header` must be writable.
unsafe fn write(header: Header, depth: u64, first: Entry) {
    // SAFETY: as the caller promises.
    let old = unsafe { (&raw mut (*header).Alignment).read_volatile() };
    let changes = if depth == 0 && first.is_null() {
        0
    } else {
        (old & !DEPTH).wrapping_add(DEPTH + 1)
    };
    let value = SLIST_HEADER {
        Alignment: changes | (depth & DEPTH),
        Region: first.expose_provenance() as u64,
    };
    // SAFETY: as the caller promises.
    unsafe { header.write_volatile(value) };
}
