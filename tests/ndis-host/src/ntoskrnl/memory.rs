//! Addresses in words, and the routines that compilers call.

use std::ffi::c_void;

use super::Table;
use crate::image;
use crate::memory::pool;

/// An address in words: the pool block or the image that it is in.
pub(super) fn describe(address: usize) -> String {
    match pool::block_at(address as *const u8) {
        Some(block) => format!("{address:#x} (+{:#x} in {block})", address - block.address),
        None => image::describe(address),
    }
}

pub(super) fn exports() -> Table {
    exports! {
        "memcmp" => memcmp,
        "memcpy" => memcpy,
        "memmove" => memmove,
        "memset" => memset,
    }
}

/// The routines that leave the host's state alone, so that drivers may call them without a gate.
pub(crate) fn plain_routines() -> Vec<&'static str> {
    exports().into_iter().map(|(name, _)| name).collect()
}

/// `memcpy`. Any level.
///
/// # Safety
///
/// As in C: `count` bytes are readable at `source`, writable at `destination`, and apart.
unsafe extern "efiapi" fn memcpy(
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
unsafe extern "efiapi" fn memmove(
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
unsafe extern "efiapi" fn memset(
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
unsafe extern "efiapi" fn memcmp(left: *const c_void, right: *const c_void, count: usize) -> i32 {
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
