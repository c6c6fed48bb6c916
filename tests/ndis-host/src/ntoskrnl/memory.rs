//! Memory: MDL mappings, and the routines that compilers call.

use std::ffi::c_void;

use ndis_sys::{
    KPROCESSOR_MODE, KernelMode, MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL,
    MEMORY_CACHING_TYPE, MdlMappingNoExecute,
};

use super::enter;
use crate::memory::pool;
use crate::sched::DISPATCH_LEVEL;
use crate::{image, verifier};

/// An address in words: the pool block or the image that it is in.
pub(super) fn describe(address: usize) -> String {
    match pool::block_at(address as *const u8) {
        Some(block) => format!("{address:#x} (+{:#x} in {block})", address - block.address),
        None => image::describe(address),
    }
}

/// `MmMapLockedPagesSpecifyCache`: the system address of an MDL's pages. All of the host's memory
/// is mapped, so there is nothing to be done but to check. At DISPATCH or below.
///
/// # Safety
///
/// `mdl` must point to an MDL.
pub(super) unsafe extern "efiapi" fn mm_map_locked_pages_specify_cache(
    mdl: *mut MDL,
    access_mode: KPROCESSOR_MODE,
    _cache_type: MEMORY_CACHING_TYPE,
    _requested_address: *mut c_void,
    _bug_check_on_failure: u32,
    priority: u32,
) -> *mut c_void {
    enter("MmMapLockedPagesSpecifyCache", DISPATCH_LEVEL);
    if access_mode != KernelMode {
        verifier::breach(217, "an MDL is mapped for user mode by a network driver");
    }
    if priority & MdlMappingNoExecute == 0 {
        verifier::breach(217, "an MDL is mapped without MdlMappingNoExecute (HVCI)");
    }
    // SAFETY: the caller promises that it is an MDL.
    let mdl = unsafe { &*mdl };
    if mdl.MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) == 0 {
        // The host's own MDLs are of mapped memory; an MDL of the driver's making is not locked.
        verifier::fatal(
            215,
            format!("MDL {:p} describes no locked pages (0xC4/7C)", mdl),
        );
    }
    mdl.MappedSystemVa
}

/// `memcpy`. Any level.
///
/// # Safety
///
/// As in C: `count` bytes are readable at `source`, writable at `destination`, and apart.
pub(super) unsafe extern "efiapi" fn memcpy(
    destination: *mut c_void,
    source: *const c_void,
    count: usize,
) -> *mut c_void {
    // SAFETY: as the caller promises; an overlap, which it should not have, does no harm here.
    unsafe { std::ptr::copy(source.cast::<u8>(), destination.cast::<u8>(), count) };
    destination
}

/// `memmove`. Any level.
///
/// # Safety
///
/// As in C: `count` bytes are readable at `source` and writable at `destination`.
pub(super) unsafe extern "efiapi" fn memmove(
    destination: *mut c_void,
    source: *const c_void,
    count: usize,
) -> *mut c_void {
    // SAFETY: as the caller promises.
    unsafe { std::ptr::copy(source.cast::<u8>(), destination.cast::<u8>(), count) };
    destination
}

/// `memset`. Any level.
///
/// # Safety
///
/// As in C: `count` bytes are writable at `destination`.
pub(super) unsafe extern "efiapi" fn memset(
    destination: *mut c_void,
    value: i32,
    count: usize,
) -> *mut c_void {
    // SAFETY: as the caller promises.
    unsafe { destination.cast::<u8>().write_bytes(value as u8, count) };
    destination
}

/// `memcmp`: below, at or above zero as `left` is before, equal to or behind `right`. Any level.
///
/// # Safety
///
/// As in C: `count` bytes are readable at both places.
pub(super) unsafe extern "efiapi" fn memcmp(
    left: *const c_void,
    right: *const c_void,
    count: usize,
) -> i32 {
    // SAFETY: as the caller promises.
    let left = unsafe { bytes(left, count) };
    // SAFETY: as the caller promises.
    let right = unsafe { bytes(right, count) };
    left.cmp(right) as i32
}

/// # Safety
///
/// `count` bytes must be readable at `start`, unless it is zero.
unsafe fn bytes<'a>(start: *const c_void, count: usize) -> &'a [u8] {
    if count == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start.cast(), count) }
}
