//! Context space of an NBL: NdisAllocateNetBufferListContext and NdisFreeNetBufferListContext.
//!
//! Context space is a stack: who takes some gives it back before whoever took some earlier does,
//! and before the NBL goes back (rule 91). When the current block has no room, NDIS puts a new
//! block in front of it.

use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_BUFFER_LIST_CONTEXT,
};

use super::piece::Piece;
use super::shadow;
use crate::ndis::call::{Level, import};
use crate::verifier;

/// Bytes of the header of a context block; the data follows at once.
pub(crate) const HEADER: usize = std::mem::offset_of!(NET_BUFFER_LIST_CONTEXT, ContextData);

/// One piece of context space that was taken.
pub(crate) struct Grant {
    size: u16,
    /// The block that had to be allocated for it, and the block it stands in front of.
    block: Option<(Piece, usize)>,
}

/// Microsoft Learn, NdisAllocateNetBufferListContext function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbl` is an NBL that the caller owns.
pub(crate) unsafe extern "efiapi" fn allocate(
    nbl: *mut NET_BUFFER_LIST,
    size: u16,
    back_fill: u16,
    tag: u32,
) -> NDIS_STATUS {
    const CALL: &str = "NdisAllocateNetBufferListContext";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    let word = size_of::<usize>() as u16;
    verifier::require(
        91,
        size.is_multiple_of(word) && back_fill.is_multiple_of(word),
        || format!("{CALL}: sizes {size} and {back_fill} are no multiples of {word}"),
    );
    verifier::require(91, tag != 0, || format!("{CALL}: the pool tag is zero"));

    // SAFETY: the shadow table knows the NBL, and its context blocks are ours.
    let current = unsafe { (*nbl).Context };
    // SAFETY: as above.
    if !current.is_null() && unsafe { (*current).Offset } >= size {
        // SAFETY: as above.
        unsafe { (*current).Offset -= size };
        shadow::with(nbl, CALL, |record| {
            record.contexts.push(Grant { size, block: None })
        });
        return NDIS_STATUS_SUCCESS;
    }
    let Some((piece, block)) = new_block(size, back_fill, current) else {
        return NDIS_STATUS_RESOURCES;
    };
    // SAFETY: as above; the new block becomes the current one.
    unsafe { (*nbl).Context = block };
    let grant = Grant {
        size,
        block: Some((piece, current.addr())),
    };
    shadow::with(nbl, CALL, |record| record.contexts.push(grant));
    NDIS_STATUS_SUCCESS
}

/// Makes a context block with `size` bytes in use at its end and `back_fill` bytes before them.
pub(crate) fn new_block(
    size: u16,
    back_fill: u16,
    next: *mut NET_BUFFER_LIST_CONTEXT,
) -> Option<(Piece, *mut NET_BUFFER_LIST_CONTEXT)> {
    let room = size.checked_add(back_fill)?;
    let piece = Piece::allocate(HEADER + usize::from(room), "context space")?;
    let block: *mut NET_BUFFER_LIST_CONTEXT = piece.pointer().cast();
    // SAFETY: the piece is fresh, aligned to 16 bytes and long enough for the header.
    unsafe {
        (*block).Next = next;
        (*block).Size = room;
        (*block).Offset = back_fill;
    }
    Some((piece, block))
}

/// Microsoft Learn, NdisFreeNetBufferListContext function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `nbl` is an NBL that the caller owns.
pub(crate) unsafe extern "efiapi" fn free(nbl: *mut NET_BUFFER_LIST, size: u16) {
    const CALL: &str = "NdisFreeNetBufferListContext";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    let Some(grant) = shadow::with(nbl, CALL, |record| record.contexts.pop()) else {
        verifier::fatal(
            91,
            format!("{CALL}: nobody took context space of NBL {nbl:p}"),
        );
    };
    verifier::insist(91, grant.size == size, || {
        format!(
            "{CALL}: {size} bytes given back on NBL {nbl:p}, the latest piece taken has {}",
            grant.size
        )
    });
    match grant.block {
        None => {
            // SAFETY: the shadow table knows the NBL; its current block lent `size` bytes.
            unsafe { (*(*nbl).Context).Offset += size };
        }
        Some((piece, next)) => {
            // SAFETY: as above; the block in front goes away.
            unsafe { (*nbl).Context = std::ptr::with_exposed_provenance_mut(next) };
            piece.release(CALL);
        }
    }
}

impl Grant {
    /// Frees the memory of a piece that nobody gave back.
    pub(crate) fn release(self, call: &'static str) {
        if let Some((piece, _)) = self.block {
            piece.release(call);
        }
    }
}
