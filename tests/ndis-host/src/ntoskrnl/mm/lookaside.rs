//! Lookaside lists. Taking an entry and giving it back are inlines of the headers, which use the
//! list's fields and its `SLIST_HEADER`; the kernel makes and deletes the lists.
//!
//! The depth is zero in half of the runs, as Driver Verifier makes it: then every entry is a pool
//! block of its own, with guards around it and poison behind it.

use std::ffi::c_void;

use ndis_sys::{
    ALLOCATE_FUNCTION, ALLOCATE_FUNCTION_EX, FREE_FUNCTION, FREE_FUNCTION_EX, GENERAL_LOOKASIDE,
    LIST_ENTRY, NTSTATUS, NonPagedPoolNx, POOL_TYPE, PagedPool, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};

use super::{pool, slist};
use crate::ndis::call::{Callback, callback};
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{KernelCallback, Table, enter, objects};
use crate::sched::{self, APC_LEVEL, DISPATCH_LEVEL};
use crate::verifier;

/// Flag of a pool type or of a list: the memory is not executable.
const NX: u32 = 512;
/// Depth of a list at the start.
const DEPTH: u16 = 4;
/// Upper bound of the depth.
const MAXIMUM_DEPTH: u16 = 256;

pub(super) fn exports() -> Table {
    exports! {
        "ExInitializeNPagedLookasideList" => initialize_nonpaged,
        "ExInitializePagedLookasideList" => initialize_paged,
        "ExDeleteNPagedLookasideList" => delete_nonpaged,
        "ExDeletePagedLookasideList" => delete_paged,
        "ExInitializeLookasideListEx" => initialize_ex,
        "ExDeleteLookasideListEx" => delete_ex,
        "ExFlushLookasideListEx" => flush_ex,
    }
}

type List = *mut GENERAL_LOOKASIDE;

/// `ExInitializeNPagedLookasideList`: a list of nonpaged entries. At DISPATCH or below. Depth must
/// be zero.
///
/// # Safety
///
/// `list` must be writable; the functions must be of their types.
unsafe extern "efiapi" fn initialize_nonpaged(
    list: List,
    allocate: Option<ALLOCATE_FUNCTION>,
    free: Option<FREE_FUNCTION>,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    enter("ExInitializeNPagedLookasideList", DISPATCH_LEVEL);
    if allocate.is_none() && flags & NX == 0 {
        verifier::breach(
            217,
            "a nonpaged lookaside list without POOL_NX_ALLOCATION has executable entries",
        );
    }
    // SAFETY: as the caller promises.
    unsafe { initialize(list, NonPagedPoolNx, size, tag, functions(allocate, free)) };
}

/// `ExInitializePagedLookasideList`: a list of paged entries. At APC or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn initialize_paged(
    list: List,
    allocate: Option<ALLOCATE_FUNCTION>,
    free: Option<FREE_FUNCTION>,
    _flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) {
    enter("ExInitializePagedLookasideList", APC_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { initialize(list, PagedPool, size, tag, functions(allocate, free)) };
}

/// The functions of a list, those of the pool where a driver gives none.
fn functions(
    allocate: Option<ALLOCATE_FUNCTION>,
    free: Option<FREE_FUNCTION>,
) -> (*const c_void, *const c_void) {
    let allocate = allocate.unwrap_or(pool::ex_allocate_pool_with_tag);
    let free = free.unwrap_or(pool::ex_free_pool);
    for_drivers(allocate as *const c_void, free as *const c_void)
}

/// The functions as inlined code of drivers calls them.
fn for_drivers(allocate: *const c_void, free: *const c_void) -> (*const c_void, *const c_void) {
    let gated = |routine: *const c_void| {
        std::ptr::with_exposed_provenance(sched::gate(routine.expose_provenance()))
    };
    (gated(allocate), gated(free))
}

/// `ExInitializeLookasideListEx`: a list of either kind. At DISPATCH or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn initialize_ex(
    list: List,
    allocate: Option<ALLOCATE_FUNCTION_EX>,
    free: Option<FREE_FUNCTION_EX>,
    kind: POOL_TYPE,
    flags: u32,
    size: usize,
    tag: u32,
    _depth: u16,
) -> NTSTATUS {
    /// `EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL` and `..._FAIL_NO_RAISE`, of which one at most.
    const RAISE_AND_FAIL: u32 = 3;
    enter("ExInitializeLookasideListEx", DISPATCH_LEVEL);
    if flags & !RAISE_AND_FAIL != 0 || flags == RAISE_AND_FAIL || size == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let allocate = allocate.unwrap_or(default_allocate_ex);
    let free = free.unwrap_or(default_free_ex);
    let functions = for_drivers(allocate as *const c_void, free as *const c_void);
    // SAFETY: as the caller promises.
    unsafe { initialize(list, kind, size, tag, functions) };
    STATUS_SUCCESS
}

/// Makes an entry of pool. A tail call, so that the driver is known as the caller.
#[unsafe(naked)]
unsafe extern "efiapi" fn default_allocate_ex(
    _kind: POOL_TYPE,
    _bytes: usize,
    _tag: u32,
    _list: List,
) -> *mut c_void {
    std::arch::naked_asm!("jmp {}", sym pool::ex_allocate_pool_with_tag)
}

unsafe extern "efiapi" fn default_free_ex(buffer: *mut c_void, _list: List) {
    // SAFETY: entries of such a list are pool blocks.
    unsafe { pool::ex_free_pool(buffer) };
}

/// # Safety
///
/// As above.
unsafe fn initialize(
    list: List,
    kind: POOL_TYPE,
    size: usize,
    tag: u32,
    (allocate, free): (*const c_void, *const c_void),
) {
    objects::require_none(list.addr(), size_of::<GENERAL_LOOKASIDE>(), || {
        format!("a lookaside list is made at {}", describe(list.addr()))
    });
    // SAFETY: as the caller promises.
    unsafe { slist::initialize_slist_head((&raw mut (*list).ListHead).cast()) };
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *list };
    value.Depth = if sched::chance(2) { 0 } else { DEPTH };
    value.MaximumDepth = MAXIMUM_DEPTH;
    value.TotalAllocates = 0;
    value.AllocateMisses = 0;
    value.TotalFrees = 0;
    value.FreeMisses = 0;
    value.Type = kind;
    value.Tag = tag;
    // An entry waits in the list, so it holds a link.
    value.Size = size.max(size_of::<LIST_ENTRY>()) as u32;
    value.Allocate = allocate;
    value.Free = free;
    let link: *mut LIST_ENTRY = &raw mut value.ListEntry;
    value.ListEntry = LIST_ENTRY {
        Flink: link,
        Blink: link,
    };
    value.LastTotalAllocates = 0;
    value.LastAllocateMisses = 0;
    objects::hold(
        list.addr(),
        size_of::<GENERAL_LOOKASIDE>(),
        "a lookaside list that was not deleted",
    );
}

/// `ExDeleteNPagedLookasideList`: frees the entries that wait. At DISPATCH or below.
///
/// # Safety
///
/// `list` must be such a list, which nobody uses any more.
unsafe extern "efiapi" fn delete_nonpaged(list: List) {
    enter("ExDeleteNPagedLookasideList", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { delete(list, false) };
}

/// `ExDeletePagedLookasideList`: the same. At APC or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn delete_paged(list: List) {
    enter("ExDeletePagedLookasideList", APC_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { delete(list, false) };
}

/// `ExDeleteLookasideListEx`: the same. At DISPATCH or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn delete_ex(list: List) {
    enter("ExDeleteLookasideListEx", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { delete(list, true) };
}

/// `ExFlushLookasideListEx`: frees the entries that wait; the list goes on. At DISPATCH or below.
///
/// # Safety
///
/// `list` must be such a list.
unsafe extern "efiapi" fn flush_ex(list: List) {
    enter("ExFlushLookasideListEx", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { free_entries(list, true) };
}

/// # Safety
///
/// As above.
unsafe fn delete(list: List, is_ex: bool) {
    verifier::insist(215, objects::is_held(list.addr()), || {
        format!("no lookaside list at {}", describe(list.addr()))
    });
    // SAFETY: as the caller promises.
    unsafe { free_entries(list, is_ex) };
    objects::let_go(list.addr());
}

/// # Safety
///
/// As above.
unsafe fn free_entries(list: List, is_ex: bool) {
    loop {
        // SAFETY: as the caller promises.
        let entry = unsafe { slist::pop((&raw mut (*list).ListHead).cast()) };
        if entry.is_null() {
            return;
        }
        // SAFETY: as the caller promises.
        let free = unsafe { (*list).Free };
        callback(
            Callback::Kernel(KernelCallback::Lookaside),
            list.addr() as u64,
            || {
                if is_ex {
                    // SAFETY: the list was made with a function of this type.
                    let free: FREE_FUNCTION_EX = unsafe { std::mem::transmute(free) };
                    // SAFETY: the entry is free.
                    sched::in_driver(|| unsafe { free(entry.cast(), list) });
                } else {
                    // SAFETY: the list was made with a function of this type.
                    let free: FREE_FUNCTION = unsafe { std::mem::transmute(free) };
                    // SAFETY: the entry is free.
                    sched::in_driver(|| unsafe { free(entry.cast()) });
                }
            },
        );
    }
}
