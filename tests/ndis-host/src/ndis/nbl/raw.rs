//! Reading the NBL structures as they are in memory.
//!
//! The functions are `unsafe` because they follow pointers that drivers wrote. Their callers have
//! looked the NBL up in the shadow table first, so the NBL itself is ours; what hangs from it is
//! nonpaged memory by rule 110, and a wrong pointer ends the run in the fault handler.

use ndis_sys::{MDL, NET_BUFFER, NET_BUFFER_LIST};

use crate::verifier;

/// A chain longer than this is taken for a cycle.
const LONGEST_CHAIN: usize = 1 << 20;

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
/// # Safety
///
/// `mdl` points to an MDL for mapped memory.
pub(crate) unsafe fn mdl_bytes(mdl: *mut MDL) -> (*mut u8, usize) {
    // SAFETY: the caller's contract.
    unsafe { ((*mdl).MappedSystemVa.cast(), (*mdl).ByteCount as usize) }
}

/// Copies out the data of a NET_BUFFER.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that satisfies rule 107.
pub(crate) unsafe fn read(nb: *mut NET_BUFFER, limit: usize) -> Vec<u8> {
    // SAFETY: the caller's contract.
    let (wanted, first, mut skip) = unsafe {
        (
            ((*nb).DataLength as usize).min(limit),
            (*nb).CurrentMdl,
            (*nb).CurrentMdlOffset as usize,
        )
    };
    let mut bytes = Vec::with_capacity(wanted);
    // SAFETY: a valid NET_BUFFER has a valid MDL chain.
    for mdl in unsafe { mdls(first) } {
        if bytes.len() == wanted {
            break;
        }
        // SAFETY: as above.
        let (start, length) = unsafe { mdl_bytes(mdl) };
        let here = length.saturating_sub(skip).min(wanted - bytes.len());
        if here > 0 {
            // SAFETY: `skip + here` is within the memory that the MDL describes.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(start.add(skip), here) });
        }
        skip = skip.saturating_sub(length);
    }
    bytes
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
