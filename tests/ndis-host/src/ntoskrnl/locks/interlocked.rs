//! Lists and sums under a spin lock: the ExInterlocked routines. Any level.
//!
//! On Windows they turn interrupts off, so a lock of theirs must be used by them only: whoever
//! holds it by an ordinary routine and is interrupted by one of these waits for itself.

use ndis_sys::{KSPIN_LOCK, LIST_ENTRY, SINGLE_LIST_ENTRY};

use super::mine;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter};
use crate::sched::{self, HIGH_LEVEL};
use crate::verifier;

pub(super) fn exports() -> Table {
    exports! {
        "ExInterlockedAddLargeInteger" => add_large_integer,
        "ExInterlockedAddUlong" => add_ulong,
        "ExInterlockedInsertHeadList" => insert_head,
        "ExInterlockedInsertTailList" => insert_tail,
        "ExInterlockedRemoveHeadList" => remove_head,
        "ExInterlockedPushEntryList" => push_entry,
        "ExInterlockedPopEntryList" => pop_entry,
    }
}

/// Waits until nobody holds the lock; from then on nothing happens until the routine is done.
fn begin(routine: &str, lock: *mut KSPIN_LOCK) {
    enter(routine, HIGH_LEVEL);
    if mine(lock.addr()).is_some() {
        let lock = describe(lock.addr());
        verifier::fatal(
            210,
            format!("{routine} with spin lock {lock}, which its caller holds"),
        );
    }
    if super::holders(lock.addr()) > 0 {
        let old = sched::irql();
        sched::raise(old.max(sched::DISPATCH_LEVEL));
        sched::spin("an interlocked list", || super::holders(lock.addr()) == 0);
        sched::lower(old);
    }
}

/// `ExInterlockedAddLargeInteger`: adds; returns the sum before.
///
/// # Safety
///
/// `addend` must be readable and writable.
pub(crate) unsafe extern "efiapi" fn add_large_integer(
    addend: *mut i64,
    increment: i64,
    lock: *mut KSPIN_LOCK,
) -> i64 {
    begin("ExInterlockedAddLargeInteger", lock);
    // SAFETY: as the caller promises.
    let old = unsafe { addend.read_volatile() };
    // SAFETY: as the caller promises.
    unsafe { addend.write_volatile(old.wrapping_add(increment)) };
    old
}

/// `ExInterlockedAddUlong`: adds; returns the sum before.
///
/// # Safety
///
/// `addend` must be readable and writable.
pub(crate) unsafe extern "efiapi" fn add_ulong(
    addend: *mut u32,
    increment: u32,
    lock: *mut KSPIN_LOCK,
) -> u32 {
    begin("ExInterlockedAddUlong", lock);
    // SAFETY: as the caller promises.
    let old = unsafe { addend.read_volatile() };
    // SAFETY: as the caller promises.
    unsafe { addend.write_volatile(old.wrapping_add(increment)) };
    old
}

/// `ExInterlockedInsertHeadList`: inserts in front; returns what was first, null when nothing was.
///
/// # Safety
///
/// `head` must be the head of a list, `entry` writable and in no list.
pub(crate) unsafe extern "efiapi" fn insert_head(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    begin("ExInterlockedInsertHeadList", lock);
    // SAFETY: as the caller promises.
    let first = unsafe { (*head).Flink };
    // SAFETY: both are in the list, next to each other.
    unsafe { insert_between(head, entry, first) };
    unless_head(first, head)
}

/// `ExInterlockedInsertTailList`: inserts at the end; returns what was last, null when nothing was.
///
/// # Safety
///
/// As above.
pub(crate) unsafe extern "efiapi" fn insert_tail(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    begin("ExInterlockedInsertTailList", lock);
    // SAFETY: as the caller promises.
    let last = unsafe { (*head).Blink };
    // SAFETY: both are in the list, next to each other.
    unsafe { insert_between(last, entry, head) };
    unless_head(last, head)
}

/// # Safety
///
/// `before` and `after` must follow each other in one list, `entry` be writable.
unsafe fn insert_between(before: *mut LIST_ENTRY, entry: *mut LIST_ENTRY, after: *mut LIST_ENTRY) {
    // SAFETY: as the caller promises, for the three of them.
    unsafe {
        check_links(before, after);
        entry.write(LIST_ENTRY {
            Flink: after,
            Blink: before,
        });
        (*before).Flink = entry;
        (*after).Blink = entry;
    }
}

/// `ExInterlockedRemoveHeadList`: takes the first entry out; null when there is none.
///
/// # Safety
///
/// `head` must be the head of a list.
pub(crate) unsafe extern "efiapi" fn remove_head(
    head: *mut LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut LIST_ENTRY {
    begin("ExInterlockedRemoveHeadList", lock);
    // SAFETY: as the caller promises.
    let first = unsafe { (*head).Flink };
    if first != head {
        // SAFETY: the entries are in the list, next to each other.
        unsafe {
            let second = (*first).Flink;
            check_links(head, first);
            check_links(first, second);
            (*head).Flink = second;
            (*second).Blink = head;
        }
    }
    unless_head(first, head)
}

fn unless_head(entry: *mut LIST_ENTRY, head: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    if entry == head {
        std::ptr::null_mut()
    } else {
        entry
    }
}

/// A damaged list stops Windows (bug check 0x139, code 3).
///
/// # Safety
///
/// Both must be readable.
unsafe fn check_links(before: *mut LIST_ENTRY, after: *mut LIST_ENTRY) {
    // SAFETY: as the caller promises.
    let agree = unsafe { (*before).Flink == after && (*after).Blink == before };
    if !agree {
        let place = describe(before.addr());
        verifier::fatal(214, format!("list at {place} is damaged (0x139/3)"));
    }
}

/// `ExInterlockedPushEntryList`: inserts in front; returns what was first.
///
/// # Safety
///
/// `head` must be the head of a list, `entry` writable and in no list.
pub(crate) unsafe extern "efiapi" fn push_entry(
    head: *mut SINGLE_LIST_ENTRY,
    entry: *mut SINGLE_LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut SINGLE_LIST_ENTRY {
    begin("ExInterlockedPushEntryList", lock);
    // SAFETY: as the caller promises.
    let first = unsafe { (*head).Next };
    // SAFETY: as the caller promises.
    unsafe { (*entry).Next = first };
    // SAFETY: as the caller promises.
    unsafe { (*head).Next = entry };
    first
}

/// `ExInterlockedPopEntryList`: takes the first entry out; null when there is none.
///
/// # Safety
///
/// `head` must be the head of a list.
pub(crate) unsafe extern "efiapi" fn pop_entry(
    head: *mut SINGLE_LIST_ENTRY,
    lock: *mut KSPIN_LOCK,
) -> *mut SINGLE_LIST_ENTRY {
    begin("ExInterlockedPopEntryList", lock);
    // SAFETY: as the caller promises.
    let first = unsafe { (*head).Next };
    if !first.is_null() {
        // SAFETY: the first entry is in the list.
        let second = unsafe { (*first).Next };
        // SAFETY: as the caller promises.
        unsafe { (*head).Next = second };
    }
    first
}
