//! The data start of a NET_BUFFER, and contiguous views of its data.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    BOOLEAN, MDL, NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER,
    NET_BUFFER_ALLOCATE_MDL_HANDLER, NET_BUFFER_FREE_MDL_HANDLER,
};

use super::pool::Piece;
use super::{mdl, raw};
use crate::ndis::call::{Level, import};
use crate::ndis::faults;
use crate::sched::BatonCell;
use crate::verifier;

/// MDLs that a retreat put in front of a chain; the pieces are NDIS's own, if it allocated them.
static RETREATS: BatonCell<BTreeMap<usize, Vec<Piece>>> = BatonCell::new(BTreeMap::new());

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

/// Microsoft Learn, NdisAdvanceNetBufferDataStart function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that the caller owns.
pub(crate) unsafe extern "efiapi" fn advance(
    nb: *mut NET_BUFFER,
    delta: u32,
    free_mdl: BOOLEAN,
    free_handler: NET_BUFFER_FREE_MDL_HANDLER,
) {
    const CALL: &str = "NdisAdvanceNetBufferDataStart";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    verifier::insist(108, delta <= value.DataLength, || {
        format!(
            "{CALL}: by {delta}, but the NET_BUFFER has {} bytes",
            value.DataLength
        )
    });
    let (mut chain, mut offset) = (value.MdlChain, value.DataOffset + delta);
    // SAFETY: as above; only MDLs that a retreat put there are taken out.
    unsafe {
        while free_mdl != 0 && !chain.is_null() && offset >= (*chain).ByteCount {
            let Some(pieces) = RETREATS.with(|retreats| retreats.remove(&chain.addr())) else {
                break;
            };
            let (unused, count) = (chain, (*chain).ByteCount);
            chain = (*unused).Next;
            offset -= count;
            free_retreat(unused, pieces, free_handler);
        }
        describe(nb, chain, offset, value.DataLength - delta);
    }
}

/// # Safety
///
/// `mdl` was put in front of a chain by a retreat and has been taken out.
unsafe fn free_retreat(mdl: *mut MDL, pieces: Vec<Piece>, handler: NET_BUFFER_FREE_MDL_HANDLER) {
    const CALL: &str = "NdisAdvanceNetBufferDataStart";
    if pieces.is_empty() {
        match handler {
            // SAFETY: the driver's handler frees what the driver's handler allocated.
            Some(free) => unsafe { free(mdl) },
            None => verifier::breach(
                108,
                format!("{CALL}: MDL {mdl:p} came from a NetAllocateMdl, no NetFreeMdl given"),
            ),
        }
    }
    for piece in pieces {
        piece.release(CALL);
    }
}

/// Microsoft Learn, NdisRetreatNetBufferDataStart function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER that the caller owns.
pub(crate) unsafe extern "efiapi" fn retreat(
    nb: *mut NET_BUFFER,
    delta: u32,
    back_fill: u32,
    allocate_handler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
) -> NDIS_STATUS {
    const CALL: &str = "NdisRetreatNetBufferDataStart";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    let length = value.DataLength.saturating_add(delta);
    if delta <= value.DataOffset {
        // SAFETY: as above.
        unsafe { describe(nb, value.MdlChain, value.DataOffset - delta, length) };
        return NDIS_STATUS_SUCCESS;
    }
    let missing = delta - value.DataOffset;
    let Some(mdl) = new_front(missing.saturating_add(back_fill), allocate_handler) else {
        return NDIS_STATUS_RESOURCES;
    };
    // SAFETY: the MDL is new; what is longer than asked for becomes backfill.
    unsafe {
        (*mdl).Next = value.MdlChain;
        let front = (*mdl).ByteCount.saturating_sub(missing);
        describe(nb, mdl, front, length);
    }
    NDIS_STATUS_SUCCESS
}

/// An MDL with memory of `size` bytes, from the driver's handler or from NDIS.
fn new_front(size: u32, handler: NET_BUFFER_ALLOCATE_MDL_HANDLER) -> Option<*mut MDL> {
    if faults::allocation_fails("NdisRetreatNetBufferDataStart") {
        return None;
    }
    let (mdl, pieces) = match handler {
        Some(allocate) => {
            let mut wanted = size;
            // SAFETY: the driver's handler, called as documented.
            let mdl = unsafe { allocate(&raw mut wanted) };
            (mdl, Vec::new())
        }
        None => {
            let data = Piece::allocate(size as usize, "data of a retreat")?;
            let (piece, mdl) = mdl::build(data.pointer(), size)?;
            (mdl, vec![data, piece])
        }
    };
    if mdl.is_null() {
        return None;
    }
    RETREATS.with(|retreats| retreats.insert(mdl.addr(), pieces));
    Some(mdl)
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
