//! MDLs: pages that are locked, mapped, or allocated for an MDL.
//!
//! All memory of the machine is mapped, so a mapping of locked pages is their own address. Pages
//! that were allocated for an MDL have no access until they are mapped.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::NonNull;

use ndis_sys::{
    KPROCESSOR_MODE, KernelMode, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_PARTIAL,
    MDL_PARTIAL_HAS_BEEN_MAPPED, MDL_SOURCE_IS_NONPAGED_POOL, MDL_WRITE_OPERATION,
    MEMORY_CACHING_TYPE, MdlMappingNoExecute, PHYSICAL_ADDRESS, Zeroed,
};

use super::mdl::{pages, write_frames};
use crate::image;
use crate::memory::{self, PAGE_SIZE, paging, pool};
use crate::ndis::faults;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter, require_at_most};
use crate::sched::{APC_LEVEL, BatonCell, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

/// `MM_ALLOCATE_FULLY_REQUIRED`: all pages or none.
const KNOWN_FLAGS: u32 = 0x7F;
/// `IoReadAccess`; the others write.
const READ_ACCESS: i32 = 0;

/// Pages that were allocated for an MDL.
#[derive(Clone, Copy)]
struct Pages {
    start: usize,
    len: usize,
    is_mapped: bool,
}

static PAGES: BatonCell<BTreeMap<usize, Pages>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "MmAllocatePagesForMdlEx" => mm_allocate_pages_for_mdl_ex,
        "MmFreePagesFromMdl" => mm_free_pages_from_mdl,
        "MmGetPhysicalAddress" => mm_get_physical_address,
        "MmIsAddressValid" => mm_is_address_valid,
        "MmMapLockedPagesSpecifyCache" => mm_map_locked_pages_specify_cache,
        "MmProbeAndLockPages" => mm_probe_and_lock_pages,
        "MmUnlockPages" => mm_unlock_pages,
        "MmUnmapLockedPages" => mm_unmap_locked_pages,
    }
}

/// `MmProbeAndLockPages`: keeps a buffer in memory. At DISPATCH or below, at APC or below for a
/// buffer that is pageable. A buffer that is not there raises an exception, which ends the run.
///
/// # Safety
///
/// `mdl` must be an MDL with room for its pages.
unsafe extern "efiapi" fn mm_probe_and_lock_pages(
    mdl: *mut MDL,
    access_mode: KPROCESSOR_MODE,
    operation: i32,
) {
    const CALL: &str = "MmProbeAndLockPages";
    const USED: i16 =
        MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mdl };
    verifier::insist(111, value.MdlFlags & USED == 0, || {
        let flags = value.MdlFlags;
        format!("{CALL}: MDL {mdl:p} is in use already, its flags are {flags:#x} (0xC4/B0)")
    });
    let start = value.StartVa.wrapping_byte_add(value.ByteOffset as usize);
    let is_there = memory::contains(start.cast(), value.ByteCount as usize)
        || image::owner_of(start.addr()).is_some();
    verifier::insist(111, is_there && access_mode == KernelMode, || {
        format!("{CALL}: no kernel memory at {start:p}: the exception that it raises")
    });
    if paging::is_pageable(start.addr()) {
        require_at_most("MmProbeAndLockPages of pageable memory", APC_LEVEL, 79);
        paging::lock(start.addr());
    }
    value.MdlFlags |= MDL_PAGES_LOCKED;
    if operation != READ_ACCESS {
        value.MdlFlags |= MDL_WRITE_OPERATION;
    }
    // SAFETY: as the caller promises.
    unsafe { write_frames(mdl) };
}

/// `MmUnlockPages`: lets locked pages go, and their mapping. At DISPATCH or below.
///
/// # Safety
///
/// `mdl` must be an MDL.
unsafe extern "efiapi" fn mm_unlock_pages(mdl: *mut MDL) {
    const CALL: &str = "MmUnlockPages";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mdl };
    let flags = value.MdlFlags;
    verifier::insist(111, flags & MDL_SOURCE_IS_NONPAGED_POOL == 0, || {
        format!("{CALL}: MDL {mdl:p} is of nonpaged pool (0xC4/7D)")
    });
    verifier::insist(111, flags & MDL_PAGES_LOCKED != 0, || {
        format!("{CALL}: the pages of MDL {mdl:p} are not locked (0xC4/7C)")
    });
    verifier::insist(111, !is_allocated(mdl), || {
        format!("{CALL}: the pages of MDL {mdl:p} are of MmAllocatePagesForMdlEx (0xC4/7E)")
    });
    let start = value.StartVa.wrapping_byte_add(value.ByteOffset as usize);
    paging::unlock(start.addr());
    value.MdlFlags &= !(MDL_PAGES_LOCKED | MDL_MAPPED_TO_SYSTEM_VA | MDL_WRITE_OPERATION);
}

fn is_allocated(mdl: *mut MDL) -> bool {
    PAGES.with(|pages| pages.contains_key(&mdl.addr()))
}

/// `MmMapLockedPagesSpecifyCache`: the system address of an MDL's pages; null when mappings are
/// scarce, which a fault setting decides (rule 113). At DISPATCH or below.
///
/// # Safety
///
/// `mdl` must point to an MDL.
unsafe extern "efiapi" fn mm_map_locked_pages_specify_cache(
    mdl: *mut MDL,
    access_mode: KPROCESSOR_MODE,
    _cache_type: MEMORY_CACHING_TYPE,
    _requested_address: *mut c_void,
    bug_check_on_failure: u32,
    priority: u32,
) -> *mut c_void {
    const CALL: &str = "MmMapLockedPagesSpecifyCache";
    const LOCKED: i16 = MDL_PAGES_LOCKED | MDL_PARTIAL;
    enter(CALL, DISPATCH_LEVEL);
    verifier::require(217, access_mode == KernelMode, || {
        format!("{CALL} for user mode by a network driver")
    });
    verifier::require(217, priority & MdlMappingNoExecute != 0, || {
        format!("{CALL} without MdlMappingNoExecute: an executable mapping (HVCI)")
    });
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mdl };
    let flags = value.MdlFlags;
    // The inline of the headers calls this for MDLs only that are not mapped; the others are mapped
    // where they are.
    if flags & MDL_SOURCE_IS_NONPAGED_POOL != 0 {
        return value.MappedSystemVa;
    }
    verifier::insist(111, flags & MDL_MAPPED_TO_SYSTEM_VA == 0, || {
        format!("{CALL}: MDL {mdl:p} is mapped already (0xC4/B2)")
    });
    verifier::insist(111, flags & LOCKED != 0, || {
        format!("{CALL}: MDL {mdl:p} describes no locked pages (0xC4/B3)")
    });
    if bug_check_on_failure != 0 {
        verifier::advice(111, format!("{CALL}: BugCheckOnFailure is TRUE (0xC4/81)"));
    } else if faults::allocation_fails(CALL) {
        return std::ptr::null_mut();
    }
    let start = value.StartVa.wrapping_byte_add(value.ByteOffset as usize);
    open_pages(mdl, true);
    value.MappedSystemVa = start;
    value.MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    if flags & MDL_PARTIAL != 0 {
        value.MdlFlags |= MDL_PARTIAL_HAS_BEEN_MAPPED;
    }
    start
}

/// Gives pages that were allocated for an MDL their access, or takes it away.
fn open_pages(mdl: *mut MDL, open: bool) {
    let found = PAGES.with(|pages| {
        let pages = pages.get_mut(&mdl.addr())?;
        pages.is_mapped = open;
        Some(*pages)
    });
    if let Some(Pages { start, len, .. }) = found {
        let access = if open {
            libc::PROT_READ | libc::PROT_WRITE
        } else {
            libc::PROT_NONE
        };
        memory::set_access(start, len, access);
    }
}

/// `MmUnmapLockedPages`: ends a mapping. At DISPATCH or below.
///
/// # Safety
///
/// `mdl` must point to an MDL.
unsafe extern "efiapi" fn mm_unmap_locked_pages(base: *mut c_void, mdl: *mut MDL) {
    const CALL: &str = "MmUnmapLockedPages";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mdl };
    verifier::insist(111, value.MdlFlags & MDL_MAPPED_TO_SYSTEM_VA != 0, || {
        format!("{CALL}: MDL {mdl:p} is not mapped (0xC4/B6)")
    });
    verifier::insist(111, value.MappedSystemVa == base, || {
        let mapped = value.MappedSystemVa;
        format!("{CALL}: MDL {mdl:p} is mapped at {mapped:p}, not at {base:p} (0xC4/B7)")
    });
    open_pages(mdl, false);
    value.MappedSystemVa = std::ptr::null_mut();
    value.MdlFlags &= !(MDL_MAPPED_TO_SYSTEM_VA | MDL_PARTIAL_HAS_BEEN_MAPPED);
}

/// `MmAllocatePagesForMdlEx`: pages, and an MDL that describes them; null when there are none in
/// the range. The pages are zeroed and contiguous here. At APC or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn mm_allocate_pages_for_mdl_ex(
    low: PHYSICAL_ADDRESS,
    high: PHYSICAL_ADDRESS,
    skip: PHYSICAL_ADDRESS,
    bytes: usize,
    _cache_type: MEMORY_CACHING_TYPE,
    flags: u32,
) -> *mut MDL {
    const CALL: &str = "MmAllocatePagesForMdlEx";
    enter(CALL, APC_LEVEL);
    verifier::require(111, flags & !KNOWN_FLAGS == 0, || {
        format!("{CALL}: flags {flags:#x}")
    });
    let skips = (skip as u64).is_multiple_of(PAGE_SIZE as u64);
    verifier::require(111, skips, || format!("{CALL}: SkipBytes {skip:#x}"));
    let len = bytes.next_multiple_of(PAGE_SIZE);
    if len == 0 || len > u32::MAX as usize || faults::allocation_fails(CALL) {
        return std::ptr::null_mut();
    }
    let Some(start) = memory::allocate(len, PAGE_SIZE) else {
        return std::ptr::null_mut();
    };
    let physical = memory::physical(start.as_ptr()).expect("it is memory");
    if physical < low as u64 || physical + len as u64 - 1 > high as u64 {
        memory::free(start, len, PAGE_SIZE);
        return std::ptr::null_mut();
    }
    new_mdl(start, len).unwrap_or_else(|| {
        memory::free(start, len, PAGE_SIZE);
        std::ptr::null_mut()
    })
}

fn new_mdl(start: NonNull<u8>, len: usize) -> Option<*mut MDL> {
    let size = size_of::<MDL>() + pages(0, len) * size_of::<u64>();
    // The driver frees this MDL with ExFreePool, so it is a block of pool.
    let mdl = pool::allocate(&pool::Request {
        size,
        tag: pool::Tag(u32::from_le_bytes(*b"Mdl ")),
        kind: pool::Kind::NonPagedNx,
        zeroed: true,
        owner: "host",
        site: 0,
    })?;
    let mdl = mdl.as_ptr().cast::<MDL>();
    let mut value = MDL::zeroed();
    value.Size = i16::try_from(size).unwrap_or(i16::MAX);
    value.MdlFlags = MDL_PAGES_LOCKED;
    value.StartVa = start.as_ptr().cast();
    value.ByteCount = len as u32;
    // SAFETY: fresh memory that holds an MDL with its pages.
    unsafe { mdl.write(value) };
    // SAFETY: as above.
    unsafe { write_frames(mdl) };
    // SAFETY: fresh memory of that length.
    unsafe { start.as_ptr().write_bytes(0, len) };
    let address = start.as_ptr().expose_provenance();
    memory::set_access(address, len, libc::PROT_NONE);
    let new = Pages {
        start: address,
        len,
        is_mapped: false,
    };
    PAGES.with(|pages| pages.insert(mdl.addr(), new));
    Some(mdl)
}

/// `MmFreePagesFromMdl`: frees the pages; the MDL itself is freed by `ExFreePool`. At APC or below.
///
/// # Safety
///
/// `mdl` must point to an MDL.
unsafe extern "efiapi" fn mm_free_pages_from_mdl(mdl: *mut MDL) {
    const CALL: &str = "MmFreePagesFromMdl";
    enter(CALL, APC_LEVEL);
    let Some(Pages { start, len, .. }) = PAGES.with(|pages| pages.remove(&mdl.addr())) else {
        verifier::fatal(
            111,
            format!("{CALL}: {mdl:p} has no pages of MmAllocatePagesForMdlEx"),
        );
    };
    // SAFETY: the MDL was made with the pages.
    let value = unsafe { &mut *mdl };
    verifier::insist(111, value.MdlFlags & MDL_MAPPED_TO_SYSTEM_VA == 0, || {
        format!("{CALL}: the pages of MDL {mdl:p} are mapped (0xC4/B8)")
    });
    value.MdlFlags = 0;
    memory::set_access(start, len, libc::PROT_READ | libc::PROT_WRITE);
    let start = NonNull::new(std::ptr::with_exposed_provenance_mut(start));
    memory::free(start.expect("it is memory"), len, PAGE_SIZE);
}

/// `MmGetPhysicalAddress`: the physical address of nonpaged memory; 0 for memory that devices
/// cannot reach. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn mm_get_physical_address(address: *mut c_void) -> PHYSICAL_ADDRESS {
    const CALL: &str = "MmGetPhysicalAddress";
    enter(CALL, HIGH_LEVEL);
    verifier::require(83, !paging::is_pageable(address.addr()), || {
        format!("{CALL} of pageable memory: {}", describe(address.addr()))
    });
    memory::physical(address.cast()).unwrap_or(0) as PHYSICAL_ADDRESS
}

/// `MmIsAddressValid`: whether a touch of an address would not fault now. At DISPATCH or below.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn mm_is_address_valid(address: *mut c_void) -> u8 {
    enter("MmIsAddressValid", DISPATCH_LEVEL);
    let page = address.wrapping_byte_sub(address.addr() % PAGE_SIZE);
    let mut answer = 0_u8;
    // SAFETY: the call asks about one page, and has room for one answer.
    let is_mapped = unsafe { libc::mincore(page, PAGE_SIZE, &raw mut answer) } == 0;
    let is_closed = pool::describe_fault(address.addr()).is_some()
        || paging::is_out(address.addr())
        || PAGES.with(|pages| {
            let mut unmapped = pages.values().filter(|pages| !pages.is_mapped);
            unmapped.any(|pages| (pages.start..pages.start + pages.len).contains(&address.addr()))
        });
    u8::from(is_mapped && !is_closed)
}
