//! Pools of NET_BUFFERs, and what is allocated from them.

use std::collections::BTreeMap;
use std::ptr;

use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1,
    NET_BUFFER, NET_BUFFER_POOL_PARAMETERS, NET_BUFFER_POOL_PARAMETERS_REVISION_1, Zeroed,
};

use super::piece::{self, Piece};
use super::{data, mdl, retreat, shadow};
use crate::ndis::call::{Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::{dma, faults, header};
use crate::sched::BatonCell;
use crate::verifier;

/// A pool.
pub(crate) struct NbPool {
    pub(super) handle: u64,
    owner: u64,
    module: ModuleId,
    tag: u32,
    data_size: u32,
    live: BatonCell<usize>,
}

impl Object for NbPool {
    const KIND: Kind = Kind::NbPool;
}

static POOLS: BatonCell<Vec<&'static NbPool>> = BatonCell::new(Vec::new());
/// NET_BUFFERs that drivers have allocated: pool and memory.
static NET_BUFFERS: BatonCell<BTreeMap<usize, (u64, Vec<Piece>)>> = BatonCell::new(BTreeMap::new());

/// Microsoft Learn, NdisAllocateNetBufferPool function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `parameters` points to valid pool parameters.
pub(crate) unsafe extern "efiapi" fn allocate_pool(
    ndis_handle: NDIS_HANDLE,
    parameters: *mut NET_BUFFER_POOL_PARAMETERS,
) -> NDIS_HANDLE {
    const CALL: &str = "NdisAllocateNetBufferPool";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let parameters = unsafe { *parameters };
    header::check(
        CALL,
        parameters.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(
            NET_BUFFER_POOL_PARAMETERS_REVISION_1,
            NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1,
        )],
    );
    let tagged = parameters.PoolTag != 0;
    verifier::require(88, tagged, || format!("{CALL}: PoolTag is zero"));
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let owner = handles::number(ndis_handle);
    let pool = handles::create(|handle| NbPool {
        handle,
        owner,
        module: modules::of_handle(owner),
        tag: parameters.PoolTag,
        data_size: parameters.DataSize,
        live: BatonCell::new(0),
    });
    POOLS.with(|pools| pools.push(pool));
    handles::raw(pool.handle)
}

/// Microsoft Learn, NdisFreeNetBufferPool function (nblapi.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free_pool(pool_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeNetBufferPool";
    import(CALL, Level::UpToDispatch);
    let pool: &NbPool = handles::resolve(pool_handle, CALL);
    let live = pool.live.with(|live| *live);
    verifier::insist(92, live == 0, || {
        format!(
            "{CALL}: {live} NET_BUFFERs of the pool (tag {:#x}) are not free",
            pool.tag
        )
    });
    POOLS.with(|pools| pools.retain(|other| other.handle != pool.handle));
    handles::close(pool.handle, CALL);
    piece::check_resting();
}

/// Microsoft Learn, NdisAllocateNetBuffer function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `mdl_chain` is null or a valid MDL chain that holds the data described.
pub(crate) unsafe extern "efiapi" fn allocate(
    pool_handle: NDIS_HANDLE,
    mdl_chain: *mut MDL,
    data_offset: u32,
    data_length: usize,
) -> *mut NET_BUFFER {
    const CALL: &str = "NdisAllocateNetBuffer";
    import(CALL, Level::UpToDispatch);
    let pool: &NbPool = handles::resolve(pool_handle, CALL);
    verifier::require(
        107,
        !mdl_chain.is_null() || (data_offset == 0 && data_length == 0),
        || format!("{CALL}: no MDL chain, but offset {data_offset} and length {data_length}"),
    );
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let Some((body, nb)) = build_bare(pool.handle) else {
        return ptr::null_mut();
    };
    let length = u32::try_from(data_length).unwrap_or(u32::MAX);
    // SAFETY: the NET_BUFFER is fresh; the chain is the caller's contract.
    unsafe { data::describe(nb, mdl_chain, data_offset, length) };
    keep(pool, nb, vec![body]);
    nb
}

/// Microsoft Learn, NdisAllocateNetBufferMdlAndData function (nblapi.h): a NET_BUFFER with an MDL
/// and as much data as the pool's DataSize. IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate_with_data(
    pool_handle: NDIS_HANDLE,
) -> *mut NET_BUFFER {
    const CALL: &str = "NdisAllocateNetBufferMdlAndData";
    import(CALL, Level::UpToDispatch);
    let pool: &NbPool = handles::resolve(pool_handle, CALL);
    verifier::require(88, pool.data_size > 0, || {
        format!("{CALL}: DataSize of the pool is 0")
    });
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let built = || {
        let (body, nb) = build_bare(pool.handle)?;
        let data = Piece::allocate(pool.data_size.max(1) as usize, "data of a pool")?;
        let (piece, mdl) = mdl::build(data.pointer(), pool.data_size)?;
        // SAFETY: both are fresh.
        unsafe { data::describe(nb, mdl, 0, 0) };
        keep(pool, nb, vec![body, data, piece]);
        Some(nb)
    };
    built().unwrap_or(ptr::null_mut())
}

fn keep(pool: &NbPool, nb: *mut NET_BUFFER, pieces: Vec<Piece>) {
    NET_BUFFERS.with(|all| all.insert(nb.addr(), (pool.handle, pieces)));
    count(pool.handle, 1);
}

/// Counts NET_BUFFERs of a pool in, or out; a handle of no such pool is that of an NBL pool.
pub(crate) fn count(pool: u64, more: isize) {
    if let Some(pool) = handles::lookup::<NbPool>(pool) {
        pool.live
            .with(|live| *live = live.saturating_add_signed(more));
    }
}

/// A NET_BUFFER without data, and its memory.
pub(crate) fn build_bare(pool: u64) -> Option<(Piece, *mut NET_BUFFER)> {
    let body = Piece::allocate(size_of::<NET_BUFFER>(), "a NET_BUFFER")?;
    let nb: *mut NET_BUFFER = body.pointer().cast();
    let mut value = NET_BUFFER::zeroed();
    value.NdisPoolHandle = handles::raw(pool);
    // SAFETY: `body` is fresh, aligned and as long as a NET_BUFFER.
    unsafe { nb.write(value) };
    Some((body, nb))
}

/// Microsoft Learn, NdisFreeNetBuffer function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the NET_BUFFER, and no NBL holds it.
pub(crate) unsafe extern "efiapi" fn free(nb: *mut NET_BUFFER) {
    const CALL: &str = "NdisFreeNetBuffer";
    import(CALL, Level::UpToDispatch);
    let Some((pool, pieces)) = NET_BUFFERS.with(|all| all.remove(&nb.addr())) else {
        refuse_to_free(CALL, nb);
    };
    verifier::require(148, !dma::has_list(nb.addr()), || {
        format!("{CALL}: NET_BUFFER {nb:p} is freed before its scatter/gather list")
    });
    // SAFETY: the table says that the NET_BUFFER is allocated.
    let first = unsafe { (*nb).MdlChain };
    verifier::require(108, !retreat::is_front(first), || {
        format!("{CALL}: NET_BUFFER {nb:p} is freed with an MDL of a retreat, {first:p}")
    });
    count(pool, -1);
    for piece in pieces {
        piece.release(CALL);
    }
}

/// Ends the run: a NET_BUFFER that was not allocated by itself is freed.
fn refuse_to_free(call: &str, nb: *mut NET_BUFFER) -> ! {
    if let Some(nbl) = shadow::owner_of_part(nb.addr()) {
        verifier::fatal(
            90,
            format!("{call}: NET_BUFFER {nb:p} came with NBL {nbl:#x} and goes with it"),
        );
    }
    verifier::fatal(
        92,
        format!("{call}: {nb:p} is no NET_BUFFER that is allocated (freed before?)"),
    );
}

/// Whether a NET_BUFFER was allocated by itself.
pub(crate) fn is_allocated(nb: *mut NET_BUFFER) -> bool {
    NET_BUFFERS.with(|all| all.contains_key(&nb.addr()))
}

/// Microsoft Learn, NdisGetPoolFromNetBuffer function (ndis.h): the pool of NET_BUFFERs, or of
/// NBLs if it came with one. IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the NET_BUFFER.
pub(crate) unsafe extern "efiapi" fn pool_of(nb: *mut NET_BUFFER) -> NDIS_HANDLE {
    import("NdisGetPoolFromNetBuffer", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe { (*nb).NdisPoolHandle }
}

/// Pools that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|pool| pool.module == module)
}

/// Pools allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|pool| pool.owner == owner)
}

fn leaks(of: impl Fn(&NbPool) -> bool) -> Vec<String> {
    let pools = POOLS.with(|pools| pools.clone());
    let describe = |pool: &&'static NbPool| {
        let live = pool.live.with(|live| *live);
        format!("NET_BUFFER pool {:#x} ({live} NET_BUFFERs)", pool.handle)
    };
    pools.iter().filter(|pool| of(pool)).map(describe).collect()
}
