//! Moving the data start of a NET_BUFFER: retreat makes room in front, advance gives it up.

use std::collections::BTreeMap;

use ndis_sys::{
    BOOLEAN, MDL, NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER,
    NET_BUFFER_ALLOCATE_MDL_HANDLER, NET_BUFFER_FREE_MDL_HANDLER, NET_BUFFER_LIST,
};

use super::data::describe;
use super::piece::Piece;
use super::{mdl, raw, shadow};
use crate::ndis::call::{Callback, Level, callback, import};
use crate::ndis::faults;
use crate::sched::{self, BatonCell};
use crate::verifier;

/// MDLs that a retreat put in front of a chain; the pieces are NDIS's own, if it allocated them.
static RETREATS: BatonCell<BTreeMap<usize, Vec<Piece>>> = BatonCell::new(BTreeMap::new());

/// Whether an MDL was put in front of a chain by a retreat.
pub(crate) fn is_front(mdl: *mut MDL) -> bool {
    RETREATS.with(|retreats| retreats.contains_key(&mdl.addr()))
}

/// Frees the MDLs of retreats that NDIS allocated in front of a NET_BUFFER that goes away.
///
/// # Safety
///
/// `nb` points to a NET_BUFFER with a valid MDL chain, which nobody uses any more.
pub(super) unsafe fn drop_fronts(call: &'static str, nb: *mut NET_BUFFER) {
    // SAFETY: the caller's contract.
    let chain = unsafe { raw::mdls((*nb).MdlChain) };
    for mdl in chain {
        let pieces = RETREATS.with(|retreats| retreats.remove(&mdl.addr()));
        for piece in pieces.unwrap_or_default() {
            piece.release(call);
        }
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
    unsafe { move_forward(CALL, nb, delta, free_mdl != 0, free_handler) }
}

/// Microsoft Learn, NdisAdvanceNetBufferListDataStart function (nblapi.h): every NET_BUFFER of
/// the NBL. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbl` points to an NBL that the caller owns.
pub(crate) unsafe extern "efiapi" fn advance_list(
    nbl: *mut NET_BUFFER_LIST,
    delta: u32,
    free_mdl: BOOLEAN,
    free_handler: NET_BUFFER_FREE_MDL_HANDLER,
) {
    const CALL: &str = "NdisAdvanceNetBufferListDataStart";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    // SAFETY: the caller's contract.
    for nb in unsafe { raw::net_buffers(nbl) } {
        // SAFETY: as above.
        unsafe { move_forward(CALL, nb, delta, free_mdl != 0, free_handler) };
    }
}

/// # Safety
///
/// As for [`advance`].
unsafe fn move_forward(
    call: &'static str,
    nb: *mut NET_BUFFER,
    delta: u32,
    free_mdl: bool,
    free_handler: NET_BUFFER_FREE_MDL_HANDLER,
) {
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    verifier::insist(108, delta <= value.DataLength, || {
        format!(
            "{call}: by {delta}, but the NET_BUFFER has {} bytes",
            value.DataLength
        )
    });
    let (mut chain, mut offset) = (value.MdlChain, value.DataOffset + delta);
    let mut unused = Vec::new();
    // SAFETY: as above; only MDLs that a retreat put there are taken out.
    unsafe {
        while free_mdl && !chain.is_null() && offset >= (*chain).ByteCount {
            let Some(pieces) = RETREATS.with(|retreats| retreats.remove(&chain.addr())) else {
                break;
            };
            unused.push((chain, pieces));
            offset -= (*chain).ByteCount;
            chain = (*chain).Next;
        }
        describe(nb, chain, offset, value.DataLength - delta);
    }
    for (mdl, pieces) in unused {
        // SAFETY: the MDL has been taken out.
        unsafe { free_front(call, mdl, pieces, free_handler) };
    }
}

/// # Safety
///
/// `mdl` was put in front of a chain by a retreat and has been taken out.
unsafe fn free_front(
    call: &'static str,
    mdl: *mut MDL,
    pieces: Vec<Piece>,
    handler: NET_BUFFER_FREE_MDL_HANDLER,
) {
    if pieces.is_empty() {
        match handler {
            Some(free) => callback(Callback::FreeMdl, mdl.addr() as u64, || {
                // SAFETY: the driver's handler frees what the driver's handler allocated.
                sched::in_driver(|| unsafe { free(mdl) })
            }),
            None => verifier::breach(
                108,
                format!("{call}: MDL {mdl:p} came from a NetAllocateMdl, no NetFreeMdl given"),
            ),
        }
    }
    for piece in pieces {
        piece.release(call);
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
    unsafe { move_back(CALL, nb, delta, back_fill, allocate_handler) }
}

/// Microsoft Learn, NdisRetreatNetBufferListDataStart function (nblapi.h): every NET_BUFFER of
/// the NBL, or none. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbl` points to an NBL that the caller owns.
pub(crate) unsafe extern "efiapi" fn retreat_list(
    nbl: *mut NET_BUFFER_LIST,
    delta: u32,
    back_fill: u32,
    allocate_handler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
    free_handler: NET_BUFFER_FREE_MDL_HANDLER,
) -> NDIS_STATUS {
    const CALL: &str = "NdisRetreatNetBufferListDataStart";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    let pair = allocate_handler.is_some() == free_handler.is_some();
    verifier::require(108, pair, || {
        format!("{CALL}: a NetAllocateMdl and a NetFreeMdl come together")
    });
    // SAFETY: the caller's contract, for this block and those below.
    let net_buffers = unsafe { raw::net_buffers(nbl) };
    for (index, nb) in net_buffers.iter().enumerate() {
        // SAFETY: as above.
        let status = unsafe { move_back(CALL, *nb, delta, back_fill, allocate_handler) };
        if status != NDIS_STATUS_SUCCESS {
            for nb in &net_buffers[..index] {
                // SAFETY: as above.
                unsafe { move_forward(CALL, *nb, delta, true, free_handler) };
            }
            return status;
        }
    }
    NDIS_STATUS_SUCCESS
}

/// # Safety
///
/// As for [`retreat`].
pub(super) unsafe fn move_back(
    call: &'static str,
    nb: *mut NET_BUFFER,
    delta: u32,
    back_fill: u32,
    allocate_handler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
) -> NDIS_STATUS {
    // SAFETY: the caller's contract.
    let value = unsafe { *nb };
    let length = value.DataLength.saturating_add(delta);
    if delta <= value.DataOffset {
        // SAFETY: as above.
        unsafe { describe(nb, value.MdlChain, value.DataOffset - delta, length) };
        return NDIS_STATUS_SUCCESS;
    }
    let missing = delta - value.DataOffset;
    let size = missing.saturating_add(back_fill);
    let Some(mdl) = new_front(call, size, allocate_handler) else {
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
fn new_front(
    call: &'static str,
    size: u32,
    handler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
) -> Option<*mut MDL> {
    if faults::allocation_fails(call) {
        return None;
    }
    let (mdl, pieces) = match handler {
        Some(allocate) => (ask_driver(call, size, allocate)?, Vec::new()),
        None => {
            let data = Piece::allocate(size as usize, "data of a retreat")?;
            let (piece, mdl) = mdl::build(data.pointer(), size)?;
            (mdl, vec![data, piece])
        }
    };
    RETREATS.with(|retreats| retreats.insert(mdl.addr(), pieces));
    Some(mdl)
}

/// Calls a driver's NetAllocateMdl; what it returns is as long as it says, and long enough.
fn ask_driver(
    call: &'static str,
    size: u32,
    allocate: ndis_sys::NET_BUFFER_ALLOCATE_MDL,
) -> Option<*mut MDL> {
    let mut wanted = size;
    let mdl = callback(Callback::AllocateMdl, u64::from(size), || {
        // SAFETY: the driver's handler, called as documented.
        sched::in_driver(|| unsafe { allocate(&raw mut wanted) })
    });
    if mdl.is_null() {
        return None;
    }
    // SAFETY: the driver says that it is an MDL.
    let count = unsafe { (*mdl).ByteCount };
    verifier::insist(108, count >= size, || {
        format!("{call}: NetAllocateMdl gives {count} bytes, asked for were {size}")
    });
    Some(mdl)
}
