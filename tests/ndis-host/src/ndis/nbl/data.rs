//! Where the data of a NET_BUFFER is, and contiguous views of it.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{MDL, NET_BUFFER};

use super::raw;
use crate::ndis::call::{Level, import};
use crate::verifier;

/// Describes the data of a NET_BUFFER: `length` bytes, `offset` bytes into `chain`.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that the caller may write; `chain` is null or a valid MDL chain.
pub(crate) unsafe fn describe(nb: *mut NET_BUFFER, chain: *mut MDL, offset: u32, length: u32) {
    let mut before = 0u32;
    let (mut current, mut inside) = (chain, offset);
    // SAFETY: the caller's contract.
    for mdl in unsafe { raw::mdls(chain) } {
        // SAFETY: as above.
        let count = unsafe { (*mdl).ByteCount };
        (current, inside) = (mdl, offset.wrapping_sub(before));
        if offset < before.saturating_add(count) {
            break;
        }
        before = before.saturating_add(count);
    }
    // SAFETY: as above.
    unsafe {
        (*nb).MdlChain = chain;
        (*nb).DataOffset = offset;
        (*nb).DataLength = length;
        (*nb).CurrentMdl = current;
        (*nb).CurrentMdlOffset = inside;
    }
}

/// Microsoft Learn, NdisAdjustNetBufferCurrentMdl function (nblapi.h): finds CurrentMdl and
/// CurrentMdlOffset for a DataOffset that the driver has set. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that the caller owns.
pub(crate) unsafe extern "efiapi" fn adjust_current_mdl(nb: *mut NET_BUFFER) {
    import("NdisAdjustNetBufferCurrentMdl", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe {
        let value = *nb;
        describe(nb, value.MdlChain, value.DataOffset, value.DataLength);
    }
}

/// Microsoft Learn, NdisGetDataBuffer function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that the caller owns; `storage` is null or `needed` bytes long.
pub(crate) unsafe extern "efiapi" fn get_buffer(
    nb: *mut NET_BUFFER,
    needed: u32,
    storage: *mut c_void,
    align_multiple: u32,
    align_offset: u32,
) -> *mut c_void {
    const CALL: &str = "NdisGetDataBuffer";
    import(CALL, Level::UpToDispatch);
    verifier::require(112, align_multiple.is_power_of_two(), || {
        format!("{CALL}: AlignMultiple {align_multiple} is no power of two")
    });
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    if needed > value.DataLength || value.CurrentMdl.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: as above.
    let (start, length) = unsafe { raw::mdl_bytes(value.CurrentMdl) };
    let inside = value.CurrentMdlOffset as usize;
    let here = start.wrapping_add(inside);
    let mask = align_multiple.max(1) as usize - 1;
    let aligned = (here.addr().wrapping_sub(align_offset as usize)) & mask == 0;
    if aligned && length.saturating_sub(inside) >= needed as usize {
        return here.cast();
    }
    if storage.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: as above; `read` returns exactly `needed` bytes, which is at most DataLength.
    unsafe {
        let bytes = raw::read(nb, needed as usize);
        storage
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
    storage
}
