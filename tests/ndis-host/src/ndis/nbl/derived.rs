//! NBLs derived from others: clones, fragments and what is reassembled from fragments.
//!
//! They share the data of the original. The driver keeps the relationship (ParentNetBufferList,
//! ChildRefCount; Microsoft Learn, "Relationships Between NET_BUFFER_LIST Generations"); NDIS
//! keeps a count of its own to judge it by (rule 105).

use std::ptr;

use ndis_sys::{
    MDL, NDIS_CLONE_FLAGS_RESERVED, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS, NDIS_HANDLE,
    NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST,
};

use super::net_buffer::NbPool;
use super::piece::Piece;
use super::pool::{self, NblPool};
use super::shadow::{self, Origin};
use super::{data, list, mdl, net_buffer, raw, retreat};
use crate::ndis::call::{Level, import};
use crate::ndis::{faults, handles};
use crate::verifier;

/// Where the parts of a derived NBL come from.
struct Source {
    original: *mut NET_BUFFER_LIST,
    lists: &'static NblPool,
    /// Handle of the pool of its NET_BUFFERs, of either kind.
    net_buffers: u64,
}

/// Space in front of the data of a derived NBL.
#[derive(Clone, Copy)]
struct Front {
    delta: u32,
    back_fill: u32,
}

impl Source {
    fn new(
        call: &'static str,
        original: *mut NET_BUFFER_LIST,
        lists: NDIS_HANDLE,
        net_buffers: NDIS_HANDLE,
    ) -> Self {
        shadow::insist_at_hand(original, call);
        let lists = if lists.is_null() {
            pool::internal()
        } else {
            handles::resolve(lists, call)
        };
        let net_buffers = if net_buffers.is_null() {
            lists.handle
        } else {
            let pool: &NbPool = handles::resolve(net_buffers, call);
            pool.handle
        };
        Self {
            original,
            lists,
            net_buffers,
        }
    }

    /// Begins a derived NBL, without NET_BUFFERs.
    fn begin(&self, call: &'static str, origin: Origin) -> Option<*mut NET_BUFFER_LIST> {
        if faults::allocation_fails(call) {
            return None;
        }
        let nbl = list::build(self.lists, origin, 0, 0)?;
        shadow::with(self.original, call, |record| record.children += 1);
        Some(nbl)
    }

    /// Appends a NET_BUFFER to a derived NBL.
    ///
    /// # Safety
    ///
    /// `nbl` is a derived NBL that nobody else has yet; `chain` holds the data described.
    unsafe fn append(
        &self,
        nbl: *mut NET_BUFFER_LIST,
        chain: *mut MDL,
        offset: u32,
        length: u32,
    ) -> Option<*mut NET_BUFFER> {
        let (body, nb) = net_buffer::build_bare(self.net_buffers)?;
        net_buffer::count(self.net_buffers, 1);
        keep(nbl, vec![body], nb);
        // SAFETY: the caller's contract.
        unsafe {
            data::describe(nb, chain, offset, length);
            match raw::net_buffers(nbl).last() {
                None => (*nbl).FirstNetBuffer = nb,
                Some(last) => (**last).Next = nb,
            }
        }
        Some(nb)
    }
}

fn keep(nbl: *mut NET_BUFFER_LIST, mut pieces: Vec<Piece>, part: *mut NET_BUFFER) {
    shadow::try_with(nbl, |record| {
        record.pieces.append(&mut pieces);
        if !part.is_null() {
            record.parts.push(part.addr());
        }
    });
}

/// Microsoft Learn, NdisAllocateCloneNetBufferList function (nblapi.h): the used data space of
/// each NET_BUFFER, in MDLs of its own or in the original's. No information, no context space.
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns `original`.
pub(crate) unsafe extern "efiapi" fn allocate_clone(
    original: *mut NET_BUFFER_LIST,
    lists: NDIS_HANDLE,
    net_buffers: NDIS_HANDLE,
    flags: u32,
) -> *mut NET_BUFFER_LIST {
    const CALL: &str = "NdisAllocateCloneNetBufferList";
    import(CALL, Level::UpToDispatch);
    let known = NDIS_CLONE_FLAGS_RESERVED | NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS;
    verifier::require(106, flags & !known == 0, || {
        format!("{CALL}: AllocateCloneFlags {flags:#x}")
    });
    let source = Source::new(CALL, original, lists, net_buffers);
    let origin = Origin::Clone {
        original: original.addr(),
        flags,
    };
    let Some(nbl) = source.begin(CALL, origin) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's contract, for this block and the one below.
    for nb in unsafe { raw::net_buffers(original) } {
        // SAFETY: as above.
        if unsafe { source.clone_net_buffer(nbl, nb, flags) }.is_none() {
            discard(nbl, CALL);
            return ptr::null_mut();
        }
    }
    nbl
}

impl Source {
    /// # Safety
    ///
    /// `nb` is one of the original's, `nbl` a derived NBL that nobody else has yet.
    unsafe fn clone_net_buffer(
        &self,
        nbl: *mut NET_BUFFER_LIST,
        nb: *mut NET_BUFFER,
        flags: u32,
    ) -> Option<*mut NET_BUFFER> {
        // SAFETY: the caller's contract, for all blocks of this function.
        let value = unsafe { *nb };
        if flags & NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS != 0 {
            let (chain, offset) = (value.MdlChain, value.DataOffset);
            // SAFETY: as above.
            return unsafe { self.append(nbl, chain, offset, value.DataLength) };
        }
        let mut pieces = Vec::new();
        // SAFETY: as above.
        let chain = unsafe { mdl::build_window(nb, 0, value.DataLength, &mut pieces) };
        keep(nbl, pieces, ptr::null_mut());
        // SAFETY: as above.
        unsafe { self.append(nbl, chain?, 0, value.DataLength) }
    }
}

/// Microsoft Learn, NdisFreeCloneNetBufferList function (nblapi.h): with the flags of the
/// allocation. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the clone.
pub(crate) unsafe extern "efiapi" fn free_clone(nbl: *mut NET_BUFFER_LIST, flags: u32) {
    const CALL: &str = "NdisFreeCloneNetBufferList";
    import(CALL, Level::UpToDispatch);
    let origin = shadow::with(nbl, CALL, |record| record.origin);
    let Origin::Clone { flags: then, .. } = origin else {
        verifier::fatal(106, format!("{CALL}: NBL {nbl:p} is no clone: {origin:?}"));
    };
    verifier::require(106, flags == then, || {
        format!("{CALL}: FreeCloneFlags {flags:#x}, allocated with {then:#x}")
    });
    list::insist_free_to_go(nbl, CALL);
    discard(nbl, CALL);
}

/// Microsoft Learn, NdisAllocateFragmentNetBufferList function (nblapi.h).
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns `original`.
pub(crate) unsafe extern "efiapi" fn allocate_fragment(
    original: *mut NET_BUFFER_LIST,
    lists: NDIS_HANDLE,
    net_buffers: NDIS_HANDLE,
    start: u32,
    most: u32,
    delta: u32,
    back_fill: u32,
    flags: u32,
) -> *mut NET_BUFFER_LIST {
    const CALL: &str = "NdisAllocateFragmentNetBufferList";
    import(CALL, Level::UpToDispatch);
    verifier::require(106, flags == 0, || format!("{CALL}: flags {flags:#x}"));
    verifier::insist(106, most > 0, || format!("{CALL}: MaximumLength 0"));
    let source = Source::new(CALL, original, lists, net_buffers);
    let origin = Origin::Fragment {
        original: original.addr(),
        delta,
    };
    let Some(nbl) = source.begin(CALL, origin) else {
        return ptr::null_mut();
    };
    let front = Front { delta, back_fill };
    // SAFETY: the caller's contract, for this block and those below.
    for nb in unsafe { raw::net_buffers(original) } {
        // SAFETY: as above.
        let end = unsafe { (*nb).DataLength };
        let mut at = start;
        while at < end {
            let length = most.min(end - at);
            // SAFETY: as above.
            if unsafe { source.cut(CALL, nbl, nb, at, length, front) }.is_none() {
                discard(nbl, CALL);
                return ptr::null_mut();
            }
            at += length;
        }
    }
    nbl
}

impl Source {
    /// Appends a fragment: `length` bytes of `nb`, from `at` on.
    ///
    /// # Safety
    ///
    /// As for [`Source::clone_net_buffer`].
    unsafe fn cut(
        &self,
        call: &'static str,
        nbl: *mut NET_BUFFER_LIST,
        nb: *mut NET_BUFFER,
        at: u32,
        length: u32,
        front: Front,
    ) -> Option<()> {
        let mut pieces = Vec::new();
        // SAFETY: the caller's contract, for all blocks of this function.
        let chain = unsafe { mdl::build_window(nb, at, length, &mut pieces) };
        keep(nbl, pieces, ptr::null_mut());
        // SAFETY: as above.
        let made = unsafe { self.append(nbl, chain?, 0, length)? };
        // SAFETY: as above.
        unsafe { front.open(call, made) }
    }
}

impl Front {
    /// Makes the space; `None` without memory.
    ///
    /// # Safety
    ///
    /// `nb` is a NET_BUFFER of a derived NBL that nobody else has yet.
    unsafe fn open(self, call: &'static str, nb: *mut NET_BUFFER) -> Option<()> {
        // SAFETY: the caller's contract.
        let status = unsafe { retreat::move_back(call, nb, self.delta, self.back_fill, None) };
        (status == NDIS_STATUS_SUCCESS).then_some(())
    }
}

/// Microsoft Learn, NdisFreeFragmentNetBufferList function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the fragments.
pub(crate) unsafe extern "efiapi" fn free_fragment(
    nbl: *mut NET_BUFFER_LIST,
    delta: u32,
    flags: u32,
) {
    const CALL: &str = "NdisFreeFragmentNetBufferList";
    import(CALL, Level::UpToDispatch);
    let origin = shadow::with(nbl, CALL, |record| record.origin);
    let Origin::Fragment { delta: then, .. } = origin else {
        verifier::fatal(
            106,
            format!("{CALL}: NBL {nbl:p} is no fragment: {origin:?}"),
        );
    };
    free_with_front(CALL, nbl, (delta, then), flags);
}

/// Microsoft Learn, NdisAllocateReassembledNetBufferList function (nblapi.h): one NET_BUFFER for
/// the data of all. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns `fragments`.
pub(crate) unsafe extern "efiapi" fn allocate_reassembled(
    fragments: *mut NET_BUFFER_LIST,
    lists: NDIS_HANDLE,
    start: u32,
    delta: u32,
    back_fill: u32,
    flags: u32,
) -> *mut NET_BUFFER_LIST {
    const CALL: &str = "NdisAllocateReassembledNetBufferList";
    import(CALL, Level::UpToDispatch);
    verifier::require(106, flags == 0, || format!("{CALL}: flags {flags:#x}"));
    let source = Source::new(CALL, fragments, lists, ptr::null_mut());
    let fit = source.lists.with_net_buffer && source.lists.data_size == 0;
    verifier::require(89, lists.is_null() || fit, || {
        format!("{CALL}: the pool needs fAllocateNetBuffer and DataSize 0")
    });
    let origin = Origin::Reassembled {
        original: fragments.addr(),
        delta,
    };
    let Some(nbl) = source.begin(CALL, origin) else {
        return ptr::null_mut();
    };
    let mut windows = Vec::new();
    // SAFETY: the caller's contract, for this block and those below.
    for nb in unsafe { raw::net_buffers(fragments) } {
        // SAFETY: as above.
        windows.append(&mut unsafe { raw::windows(nb, start as usize, usize::MAX) });
    }
    let length: usize = windows.iter().map(|(_, length)| length).sum();
    let mut pieces = Vec::new();
    let chain = mdl::build_chain(&windows, &mut pieces);
    keep(nbl, pieces, ptr::null_mut());
    let built = chain.and_then(|chain| {
        // SAFETY: as above; the NBL is new.
        unsafe {
            let nb = source.append(nbl, chain, 0, length as u32)?;
            Front { delta, back_fill }.open(CALL, nb)
        }
    });
    if built.is_none() {
        discard(nbl, CALL);
        return ptr::null_mut();
    }
    nbl
}

/// Microsoft Learn, NdisFreeReassembledNetBufferList function (nblapi.h).
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the NBL.
pub(crate) unsafe extern "efiapi" fn free_reassembled(
    nbl: *mut NET_BUFFER_LIST,
    delta: u32,
    flags: u32,
) {
    const CALL: &str = "NdisFreeReassembledNetBufferList";
    import(CALL, Level::UpToDispatch);
    let origin = shadow::with(nbl, CALL, |record| record.origin);
    let Origin::Reassembled { delta: then, .. } = origin else {
        verifier::fatal(
            106,
            format!("{CALL}: NBL {nbl:p} was not reassembled: {origin:?}"),
        );
    };
    free_with_front(CALL, nbl, (delta, then), flags);
}

/// Frees a derived NBL that was allocated with space in front; `deltas` are that of the release
/// and that of the allocation.
fn free_with_front(call: &'static str, nbl: *mut NET_BUFFER_LIST, deltas: (u32, u32), flags: u32) {
    let (delta, then) = deltas;
    verifier::require(106, flags == 0, || format!("{call}: flags {flags:#x}"));
    verifier::require(106, delta == then, || {
        format!("{call}: DataOffsetDelta {delta}, allocated with {then}")
    });
    list::insist_free_to_go(nbl, call);
    discard(nbl, call);
}

/// Frees a derived NBL with its NET_BUFFERs.
fn discard(nbl: *mut NET_BUFFER_LIST, call: &'static str) {
    let original = shadow::with(nbl, call, |record| record.origin.parent());
    // SAFETY: the NBL is with its allocator; its chains are NDIS's own.
    for nb in unsafe { raw::net_buffers(nbl) } {
        // SAFETY: as above.
        unsafe {
            net_buffer::count(handles::number((*nb).NdisPoolHandle), -1);
            retreat::drop_fronts(call, nb);
        }
    }
    shadow::try_with(ptr::with_exposed_provenance_mut(original), |record| {
        record.children = record.children.saturating_sub(1);
    });
    list::release(nbl, call);
}
