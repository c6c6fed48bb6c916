//! NBLs: what is allocated from a pool of them, and how it is freed.

use std::ptr;

use ndis_sys::{MDL, NDIS_HANDLE, NET_BUFFER, NET_BUFFER_LIST, Zeroed};

use super::piece::{self, ALIGNMENT, Piece};
use super::pool::NblPool;
use super::shadow::{self, Origin, Record};
use super::{contexts, data, invariants, mdl, net_buffer, raw, retreat};
use crate::ndis::call::{Level, import};
use crate::ndis::{faults, handles};
use crate::{sched, verifier};

/// What nobody may count on in an NBL that is new in somebody's hands.
pub(crate) const GARBAGE: usize = 0x5c5c_5c5c_5c5c_5c5c;

/// Microsoft Learn, NdisAllocateNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate(
    pool_handle: NDIS_HANDLE,
    context_size: u16,
    back_fill: u16,
) -> *mut NET_BUFFER_LIST {
    const CALL: &str = "NdisAllocateNetBufferList";
    import(CALL, Level::UpToDispatch);
    let pool: &NblPool = handles::resolve(pool_handle, CALL);
    allocate_from(pool, CALL, context_size, back_fill)
}

/// Microsoft Learn, NdisAllocateNetBufferAndNetBufferList function (ndis.h).
/// IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `mdl_chain` is null or a valid MDL chain that holds the data described.
pub(crate) unsafe extern "efiapi" fn allocate_with_net_buffer(
    pool_handle: NDIS_HANDLE,
    context_size: u16,
    back_fill: u16,
    mdl_chain: *mut MDL,
    data_offset: u32,
    data_length: usize,
) -> *mut NET_BUFFER_LIST {
    const CALL: &str = "NdisAllocateNetBufferAndNetBufferList";
    import(CALL, Level::UpToDispatch);
    let pool: &NblPool = handles::resolve(pool_handle, CALL);
    verifier::require(89, pool.with_net_buffer && pool.data_size == 0, || {
        format!("{CALL}: the pool needs fAllocateNetBuffer and DataSize 0")
    });
    verifier::require(
        89,
        !mdl_chain.is_null() || (data_offset == 0 && data_length == 0),
        || format!("{CALL}: no MDL chain, but offset {data_offset} and length {data_length}"),
    );
    let nbl = allocate_from(pool, CALL, context_size, back_fill);
    if nbl.is_null() {
        return nbl;
    }
    // SAFETY: the NBL is fresh, and so is its NET_BUFFER; the chain is the caller's contract.
    unsafe {
        let nb = (*nbl).FirstNetBuffer;
        if !nb.is_null() {
            let length = u32::try_from(data_length).unwrap_or(u32::MAX);
            data::describe(nb, mdl_chain, data_offset, length);
        }
        invariants::check_net_buffers(nbl, CALL);
    }
    nbl
}

fn allocate_from(
    pool: &'static NblPool,
    call: &'static str,
    context_size: u16,
    back_fill: u16,
) -> *mut NET_BUFFER_LIST {
    let aligned = context_size.is_multiple_of(ALIGNMENT) && back_fill.is_multiple_of(ALIGNMENT);
    verifier::require(88, aligned, || {
        format!("{call}: {context_size} and {back_fill} are no multiples of {ALIGNMENT}")
    });
    if faults::allocation_fails(call) {
        return ptr::null_mut();
    }
    let context = pool.context_size.saturating_add(context_size);
    build(pool, Origin::Pool, context, back_fill).unwrap_or(ptr::null_mut())
}

/// Builds an NBL: from a driver's pool with everything that the pool preallocates, else bare.
pub(crate) fn build(
    pool: &'static NblPool,
    origin: Origin,
    context: u16,
    back_fill: u16,
) -> Option<*mut NET_BUFFER_LIST> {
    let body = Piece::allocate(size_of::<NET_BUFFER_LIST>(), "an NBL")?;
    let nbl: *mut NET_BUFFER_LIST = body.pointer().cast();
    let mut pieces = vec![body];
    let mut parts = Vec::new();
    let canary = 0xca4a_0000_0000_0000_usize | (sched::random_below(1 << 32) as usize);

    let mut value = NET_BUFFER_LIST::zeroed();
    value.NdisPoolHandle = handles::raw(pool.handle);
    value.NdisReserved = [ptr::without_provenance_mut(canary); 2];
    value.Scratch = ptr::without_provenance_mut(GARBAGE);
    if context > 0 || back_fill > 0 {
        let (piece, block) = contexts::new_block(context, back_fill, ptr::null_mut())?;
        pieces.push(piece);
        value.Context = block;
    }
    if origin == Origin::Pool && pool.with_net_buffer {
        value.FirstNetBuffer = build_net_buffer(pool, &mut pieces, &mut parts)?;
    }
    // SAFETY: `body` is fresh, aligned and as long as an NBL.
    unsafe { nbl.write(value) };
    pool.live.with(|live| *live += 1);
    let record = Record {
        pool: pool.handle,
        origin,
        custody: Vec::new(),
        contexts: Vec::new(),
        pieces,
        parts,
        canary,
        children: 0,
        mdls_out: Vec::new(),
        hidden: None,
    };
    shadow::insert(nbl, record);
    Some(nbl)
}

/// The NET_BUFFER, and perhaps MDL and data, that a pool preallocates.
fn build_net_buffer(
    pool: &NblPool,
    pieces: &mut Vec<Piece>,
    parts: &mut Vec<usize>,
) -> Option<*mut NET_BUFFER> {
    let (body, nb) = net_buffer::build_bare(pool.handle)?;
    pieces.push(body);
    parts.push(nb.addr());
    if pool.data_size > 0 {
        let data = Piece::allocate(pool.data_size as usize, "data of a pool")?;
        let (piece, mdl) = mdl::build(data.pointer(), pool.data_size)?;
        // SAFETY: the NET_BUFFER and the MDL are fresh.
        unsafe { data::describe(nb, mdl, 0, 0) };
        parts.push(mdl.addr());
        pieces.push(data);
        pieces.push(piece);
    }
    Some(nb)
}

/// Microsoft Learn, NdisFreeNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the NBL.
pub(crate) unsafe extern "efiapi" fn free(nbl: *mut NET_BUFFER_LIST) {
    const CALL: &str = "NdisFreeNetBufferList";
    import(CALL, Level::UpToDispatch);
    verifier::insist(92, !piece::was_freed(nbl.addr()), || {
        format!("{CALL}: NBL {nbl:p} is freed twice")
    });
    let origin = shadow::with(nbl, CALL, |record| record.origin);
    verifier::insist(106, origin == Origin::Pool, || {
        format!("{CALL}: NBL {nbl:p} was derived ({origin:?}), and has a routine of its own for it")
    });
    insist_free_to_go(nbl, CALL);
    // SAFETY: the caller's contract; the record says that the NBL is with its allocator.
    unsafe { check_chains(nbl, CALL) };
    release(nbl, CALL);
}

/// Rules 91, 92, 105: the NBL is with its allocator, and nothing hangs from it.
pub(crate) fn insist_free_to_go(nbl: *mut NET_BUFFER_LIST, call: &str) {
    let (in_hands, contexts, children) = shadow::with(nbl, call, |record| {
        let hands = shadow::describe(record);
        let in_hands = (!record.custody.is_empty()).then_some(hands);
        (in_hands, record.contexts.len(), record.children)
    });
    if let Some(hands) = in_hands {
        verifier::fatal(
            92,
            format!("{call}: NBL {nbl:p} is freed while it is {hands}"),
        );
    }
    verifier::require(91, contexts == 0, || {
        format!("{call}: NBL {nbl:p} is freed with {contexts} pieces of context space taken")
    });
    verifier::require(105, children == 0, || {
        format!("{call}: NBL {nbl:p} is freed with {children} NBLs derived from it")
    });
}

/// Rules 90, 108: NET_BUFFERs of a pool of their own are unlinked, and MDLs of retreats taken
/// out.
///
/// # Safety
///
/// `nbl` is an NBL that its allocator has, with valid chains.
unsafe fn check_chains(nbl: *mut NET_BUFFER_LIST, call: &str) {
    // SAFETY: the caller's contract, for this block and the one below.
    for nb in unsafe { raw::net_buffers(nbl) } {
        verifier::require(90, !net_buffer::is_allocated(nb), || {
            format!("{call}: NET_BUFFER {nb:p} of a pool of its own is in NBL {nbl:p}")
        });
        // SAFETY: as above.
        let first = unsafe { (*nb).MdlChain };
        verifier::require(108, !retreat::is_front(first), || {
            format!("{call}: NBL {nbl:p} is freed with an MDL of a retreat, {first:p}")
        });
    }
}

/// Frees an NBL with everything that was allocated with it.
pub(crate) fn release(nbl: *mut NET_BUFFER_LIST, call: &'static str) {
    let Some(record) = shadow::remove(nbl) else {
        return;
    };
    // SAFETY: the record was there, so the NBL is allocated.
    let reserved = unsafe { (*nbl).NdisReserved };
    verifier::require(
        96,
        reserved.iter().all(|word| word.addr() == record.canary),
        || format!("{call}: NdisReserved of NBL {nbl:p} was written"),
    );
    if let Some(pool) = handles::lookup::<NblPool>(record.pool) {
        pool.live.with(|live| *live -= 1);
    }
    for piece in record.pieces {
        piece.release(call);
    }
    for grant in record.contexts {
        grant.release(call);
    }
}

/// Microsoft Learn, NdisGetPoolFromNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn pool_of(nbl: *mut NET_BUFFER_LIST) -> NDIS_HANDLE {
    const CALL: &str = "NdisGetPoolFromNetBufferList";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    handles::raw(shadow::with(nbl, CALL, |record| record.pool))
}

/// Microsoft Learn, NdisGetNetBufferListProtocolId function (ndis.h): the ProtocolId of the
/// NBL's pool. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn protocol_id(nbl: *mut NET_BUFFER_LIST) -> u8 {
    const CALL: &str = "NdisGetNetBufferListProtocolId";
    import(CALL, Level::UpToDispatch);
    shadow::insist_at_hand(nbl, CALL);
    let pool = shadow::with(nbl, CALL, |record| record.pool);
    handles::lookup::<NblPool>(pool).map_or(0, |pool| pool.protocol)
}
