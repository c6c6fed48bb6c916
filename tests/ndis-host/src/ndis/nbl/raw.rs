//! Reading the NBL structures as they are in memory.
//!
//! The functions are `unsafe` because they follow pointers that drivers wrote. Their callers have
//! looked the NBL up in the shadow table first, so the NBL itself is ours; what hangs from it is
//! nonpaged memory by rule 110, and a wrong pointer ends the run in the fault handler.

use ndis_sys::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL, NET_BUFFER, NET_BUFFER_LIST,
};

use crate::verifier;

/// A chain longer than this is taken for a cycle.
const LONGEST_CHAIN: usize = 1 << 20;
/// Flags of which one says that MappedSystemVa is valid.
const MAPPED: i16 = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;

/// The NET_BUFFERs of an NBL, in order.
///
/// # Safety
///
/// `nbl` points to an NBL whose NET_BUFFER chain is valid.
pub(crate) unsafe fn net_buffers(nbl: *mut NET_BUFFER_LIST) -> Vec<*mut NET_BUFFER> {
    let mut found = Vec::with_capacity(1);
    // SAFETY: the caller's contract.
    let mut next = unsafe { (*nbl).FirstNetBuffer };
    while !next.is_null() {
        found.push(next);
        insist_finite(found.len(), "the NET_BUFFER chain of an NBL");
        // SAFETY: the caller's contract covers every element.
        next = unsafe { (*next).Next };
    }
    found
}

/// The MDLs from `first` on, in order.
///
/// # Safety
///
/// `first` is null or begins a valid MDL chain.
pub(crate) unsafe fn mdls(first: *mut MDL) -> Vec<*mut MDL> {
    let mut found = Vec::with_capacity(2);
    let mut next = first;
    while !next.is_null() {
        found.push(next);
        insist_finite(found.len(), "an MDL chain");
        // SAFETY: the caller's contract covers every element.
        next = unsafe { (*next).Next };
    }
    found
}

fn insist_finite(length: usize, what: &str) {
    verifier::insist(95, length < LONGEST_CHAIN, || format!("{what} has no end"));
}

/// The bytes that an MDL describes, as a pointer and a length.
///
/// An MDL whose pages are locked but not mapped is read where its pages are.
///
/// # Safety
///
/// `mdl` points to an MDL.
pub(crate) unsafe fn mdl_bytes(mdl: *mut MDL) -> (*mut u8, usize) {
    // SAFETY: the caller's contract.
    let value = unsafe { *mdl };
    let start: *mut u8 = if value.MdlFlags & MAPPED != 0 {
        value.MappedSystemVa.cast()
    } else {
        value
            .StartVa
            .cast::<u8>()
            .wrapping_add(value.ByteOffset as usize)
    };
    (start, value.ByteCount as usize)
}

/// Copies out the data of a NET_BUFFER.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that satisfies rule 107.
pub(crate) unsafe fn read(nb: *mut NET_BUFFER, limit: usize) -> Vec<u8> {
    // SAFETY: the caller's contract.
    let windows = unsafe { windows(nb, 0, limit) };
    let mut bytes = Vec::with_capacity(windows.iter().map(|(_, length)| length).sum());
    for (start, length) in windows {
        // SAFETY: the window is within the memory that an MDL describes.
        bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(start, length) });
    }
    bytes
}

/// The memory of a NET_BUFFER's data, from `skip` bytes into it on, `limit` bytes at most: a
/// window for each MDL.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that satisfies rule 107.
pub(crate) unsafe fn windows(
    nb: *mut NET_BUFFER,
    skip: usize,
    limit: usize,
) -> Vec<(*mut u8, usize)> {
    // SAFETY: the caller's contract, for this block and those below.
    let value = unsafe { *nb };
    let mut left = (value.DataLength as usize).saturating_sub(skip).min(limit);
    let mut skip = value.CurrentMdlOffset as usize + skip;
    let mut found = Vec::with_capacity(1);
    // SAFETY: as above.
    for mdl in unsafe { mdls(value.CurrentMdl) } {
        if left == 0 {
            break;
        }
        // SAFETY: as above.
        let (start, length) = unsafe { mdl_bytes(mdl) };
        let here = length.saturating_sub(skip).min(left);
        if here > 0 {
            found.push((start.wrapping_add(skip), here));
        }
        skip = skip.saturating_sub(length);
        left -= here;
    }
    found
}

/// Writes into the memory of a NET_BUFFER, from `offset` bytes behind its data start to the end
/// of its MDLs; how many bytes there was room for.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that satisfies rule 107.
pub(crate) unsafe fn write(nb: *mut NET_BUFFER, offset: usize, bytes: &[u8]) -> usize {
    // SAFETY: the caller's contract, for this block and those below.
    let (first, mut skip) = unsafe {
        let value = *nb;
        (value.CurrentMdl, value.CurrentMdlOffset as usize + offset)
    };
    let mut left = bytes;
    // SAFETY: as above.
    for mdl in unsafe { mdls(first) } {
        // SAFETY: as above.
        let (start, length) = unsafe { mdl_bytes(mdl) };
        let (here, rest) = left.split_at(length.saturating_sub(skip).min(left.len()));
        if !here.is_empty() {
            // SAFETY: `skip + here.len()` is within the memory that the MDL describes.
            unsafe {
                start
                    .add(skip)
                    .copy_from_nonoverlapping(here.as_ptr(), here.len())
            };
        }
        skip = skip.saturating_sub(length);
        left = rest;
    }
    bytes.len() - left.len()
}

/// Links NBLs into one chain and returns its head.
///
/// # Safety
///
/// The pointers are to NBLs that the caller may write.
pub(crate) unsafe fn link(nbls: &[*mut NET_BUFFER_LIST]) -> *mut NET_BUFFER_LIST {
    for (index, nbl) in nbls.iter().enumerate() {
        let next = nbls.get(index + 1).copied().unwrap_or(std::ptr::null_mut());
        // SAFETY: the caller's contract.
        unsafe { (**nbl).Next = next };
    }
    nbls.first().copied().unwrap_or(std::ptr::null_mut())
}
