//! Routines that the headers of NDIS 6 make macros, and that ndis.sys exports all the same.
//!
//! Only a driver that was built with other headers imports them, and it is told so when it is
//! loaded: the headers' forms call the kernel, or nothing at all. Each does what its macro does.

use ndis_sys::{
    KIRQL, KSPIN_LOCK, LARGE_INTEGER, LIST_ENTRY, NDIS_SPIN_LOCK, NDIS_STRING, SINGLE_LIST_ENTRY,
};

use crate::ndis::call::{Level, import};
use crate::ntoskrnl::compat as kernel;

type Lock = *mut NDIS_SPIN_LOCK;
type Table = Vec<(&'static str, usize)>;

/// The exports: name and address.
pub(super) fn exports() -> Table {
    let at = |name, address: *const ()| (name, address as usize);
    vec![
        at("NdisAllocateSpinLock", allocate_spin_lock as *const ()),
        at("NdisFreeSpinLock", free_spin_lock as *const ()),
        at("NdisAcquireSpinLock", acquire_spin_lock as *const ()),
        at("NdisReleaseSpinLock", release_spin_lock as *const ()),
        at("NdisDprAcquireSpinLock", dpr_acquire_spin_lock as *const ()),
        at("NdisDprReleaseSpinLock", dpr_release_spin_lock as *const ()),
        at(
            "NdisGetCurrentSystemTime",
            get_current_system_time as *const (),
        ),
        at("NdisInitUnicodeString", init_unicode_string as *const ()),
        at(
            "NdisInterlockedAddUlong",
            interlocked_add_ulong as *const (),
        ),
        at(
            "NdisInterlockedAddLargeInteger",
            interlocked_add_large_integer as *const (),
        ),
        at(
            "NdisInterlockedDecrement",
            interlocked_decrement as *const (),
        ),
        at(
            "NdisInterlockedIncrement",
            interlocked_increment as *const (),
        ),
        at(
            "NdisInterlockedInsertHeadList",
            interlocked_insert_head as *const (),
        ),
        at(
            "NdisInterlockedInsertTailList",
            interlocked_insert_tail as *const (),
        ),
        at(
            "NdisInterlockedRemoveHeadList",
            interlocked_remove_head as *const (),
        ),
        at(
            "NdisInterlockedPushEntryList",
            interlocked_push as *const (),
        ),
        at("NdisInterlockedPopEntryList", interlocked_pop as *const ()),
        at("NdisStallExecution", stall_execution as *const ()),
    ]
}

/// The names of these exports.
pub(crate) fn compatibility_bodies() -> Vec<&'static str> {
    exports().into_iter().map(|(name, _)| name).collect()
}

/// Microsoft Learn, NdisAllocateSpinLock macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// `lock` must be writable.
unsafe extern "efiapi" fn allocate_spin_lock(lock: Lock) {
    // SAFETY: the caller's contract.
    unsafe { kernel::initialize_spin_lock(&raw mut (*lock).SpinLock) };
}

/// Microsoft Learn, NdisFreeSpinLock macro (ndis.h): nothing is to be freed. Any IRQL.
unsafe extern "efiapi" fn free_spin_lock(_lock: Lock) {
    import("NdisFreeSpinLock", Level::Any);
}

/// Microsoft Learn, NdisAcquireSpinLock macro (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `lock` points to a lock.
unsafe extern "efiapi" fn acquire_spin_lock(lock: Lock) {
    // SAFETY: the caller's contract.
    let old: KIRQL = unsafe { kernel::acquire_raising(&raw mut (*lock).SpinLock) };
    // SAFETY: the caller's contract.
    unsafe { (*lock).OldIrql = old };
}

/// Microsoft Learn, NdisReleaseSpinLock macro (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `lock` points to a lock.
unsafe extern "efiapi" fn release_spin_lock(lock: Lock) {
    // SAFETY: the caller's contract.
    unsafe { kernel::release_lowering(&raw mut (*lock).SpinLock, (*lock).OldIrql) };
}

/// Microsoft Learn, NdisDprAcquireSpinLock macro (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `lock` points to a lock.
unsafe extern "efiapi" fn dpr_acquire_spin_lock(lock: Lock) {
    // SAFETY: the caller's contract.
    unsafe { kernel::acquire_at_dpc_level(&raw mut (*lock).SpinLock) };
}

/// Microsoft Learn, NdisDprReleaseSpinLock macro (ndis.h). IRQL = DISPATCH_LEVEL.
///
/// # Safety
///
/// `lock` points to a lock.
unsafe extern "efiapi" fn dpr_release_spin_lock(lock: Lock) {
    // SAFETY: the caller's contract.
    unsafe { kernel::release_from_dpc_level(&raw mut (*lock).SpinLock) };
}

/// Microsoft Learn, NdisGetCurrentSystemTime macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// `time` must be writable.
unsafe extern "efiapi" fn get_current_system_time(time: *mut LARGE_INTEGER) {
    import("NdisGetCurrentSystemTime", Level::Any);
    // SAFETY: the caller's contract.
    unsafe { time.write(crate::ntoskrnl::time::system_time() as LARGE_INTEGER) };
}

/// Microsoft Learn, NdisInitUnicodeString macro (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `destination` must be writable, `source` null or zero-terminated.
unsafe extern "efiapi" fn init_unicode_string(destination: *mut NDIS_STRING, source: *const u16) {
    // SAFETY: the caller's contract.
    unsafe { kernel::init_unicode_string(destination, source) };
}

/// Microsoft Learn, NdisInterlockedAddUlong macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// `addend` is readable and writable, `lock` points to a lock.
unsafe extern "efiapi" fn interlocked_add_ulong(addend: *mut u32, by: u32, lock: Lock) -> u32 {
    // SAFETY: the caller's contract.
    unsafe { kernel::add_ulong(addend, by, word_of(lock)) }
}

/// `NdisInterlockedAddLargeInteger` (ndis.h). Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_add_large_integer(
    addend: *mut i64,
    by: i64,
    lock: Lock,
) -> i64 {
    // SAFETY: the caller's contract.
    unsafe { kernel::add_large_integer(addend, by, word_of(lock)) }
}

fn word_of(lock: Lock) -> *mut KSPIN_LOCK {
    // The word is the first field.
    lock.cast()
}

/// Microsoft Learn, NdisInterlockedIncrement macro (ndis.h): the sum. Any IRQL.
///
/// # Safety
///
/// `addend` is readable and writable.
unsafe extern "efiapi" fn interlocked_increment(addend: *mut i32) -> i32 {
    import("NdisInterlockedIncrement", Level::Any);
    // SAFETY: the caller's contract.
    unsafe { add(addend, 1) }
}

/// Microsoft Learn, NdisInterlockedDecrement macro (ndis.h): the sum. Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_decrement(addend: *mut i32) -> i32 {
    import("NdisInterlockedDecrement", Level::Any);
    // SAFETY: the caller's contract.
    unsafe { add(addend, -1) }
}

/// # Safety
///
/// As above.
unsafe fn add(addend: *mut i32, by: i32) -> i32 {
    // SAFETY: the caller's contract; the place is aligned, as an i32 is.
    let addend = unsafe { std::sync::atomic::AtomicI32::from_ptr(addend) };
    addend
        .fetch_add(by, std::sync::atomic::Ordering::SeqCst)
        .wrapping_add(by)
}

/// Microsoft Learn, NdisInterlockedInsertHeadList macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// `head` is the head of a list, `entry` writable and in none, `lock` points to a lock.
unsafe extern "efiapi" fn interlocked_insert_head(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: Lock,
) -> *mut LIST_ENTRY {
    // SAFETY: the caller's contract.
    unsafe { kernel::insert_head(head, entry, word_of(lock)) }
}

/// Microsoft Learn, NdisInterlockedInsertTailList macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_insert_tail(
    head: *mut LIST_ENTRY,
    entry: *mut LIST_ENTRY,
    lock: Lock,
) -> *mut LIST_ENTRY {
    // SAFETY: the caller's contract.
    unsafe { kernel::insert_tail(head, entry, word_of(lock)) }
}

/// Microsoft Learn, NdisInterlockedRemoveHeadList macro (ndis.h). Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_remove_head(
    head: *mut LIST_ENTRY,
    lock: Lock,
) -> *mut LIST_ENTRY {
    // SAFETY: the caller's contract.
    unsafe { kernel::remove_head(head, word_of(lock)) }
}

/// `NdisInterlockedPushEntryList` (ndis.h). Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_push(
    head: *mut SINGLE_LIST_ENTRY,
    entry: *mut SINGLE_LIST_ENTRY,
    lock: Lock,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the caller's contract.
    unsafe { kernel::push_entry(head, entry, word_of(lock)) }
}

/// `NdisInterlockedPopEntryList` (ndis.h). Any IRQL.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn interlocked_pop(
    head: *mut SINGLE_LIST_ENTRY,
    lock: Lock,
) -> *mut SINGLE_LIST_ENTRY {
    // SAFETY: the caller's contract.
    unsafe { kernel::pop_entry(head, word_of(lock)) }
}

/// Microsoft Learn, NdisStallExecution macro (ndis.h). Any IRQL.
unsafe extern "efiapi" fn stall_execution(microseconds: u32) {
    // SAFETY: it needs nothing.
    unsafe { kernel::stall(microseconds) };
}
