//! Pools of NBLs: NdisAllocateNetBufferListPool and what is allocated from a pool.

use std::ptr::{self, NonNull};

use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NET_BUFFER, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, Zeroed,
};

use super::{contexts, mdl, shadow};
use crate::ndis::call::{Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::{faults, header};
use crate::sched::{self, BatonCell};
use crate::{memory, verifier};

/// Context sizes are multiples of this: MEMORY_ALLOCATION_ALIGNMENT on a 64-bit system.
const ALIGNMENT: u16 = 16;
/// Bytes behind every piece that nobody may write.
const GUARD: usize = 32;
const GUARD_BYTE: u8 = 0xfd;
/// What freed memory is filled with.
const FREED_BYTE: u8 = 0xdd;
/// What fresh data is filled with: a driver must not count on zeros.
const FRESH_BYTE: u8 = 0xcd;

/// A pool.
pub(crate) struct NblPool {
    handle: u64,
    owner: u64,
    module: ModuleId,
    tag: u32,
    with_net_buffer: bool,
    context_size: u16,
    data_size: u32,
    live: BatonCell<usize>,
}

impl Object for NblPool {
    const KIND: Kind = Kind::NblPool;
}

/// Guarded memory of the guest.
pub(crate) struct Piece {
    start: NonNull<u8>,
    length: usize,
    what: &'static str,
}

// SAFETY: a piece is plain memory; the baton orders its users.
unsafe impl Send for Piece {}

impl Piece {
    /// Allocates `length` bytes, aligned to 16.
    pub(crate) fn allocate(length: usize, what: &'static str) -> Option<Self> {
        let start = memory::allocate(length + GUARD, usize::from(ALIGNMENT))?;
        // SAFETY: fresh memory of that length.
        unsafe {
            start.as_ptr().write_bytes(FRESH_BYTE, length);
            start.as_ptr().add(length).write_bytes(GUARD_BYTE, GUARD);
        }
        Some(Self {
            start,
            length,
            what,
        })
    }

    /// The first byte.
    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Frees it; a changed guard is a breach of rule 214.
    pub(crate) fn release(self, call: &str) {
        // SAFETY: the guard is part of the allocation.
        let guard =
            unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(self.length), GUARD) };
        verifier::insist(214, guard.iter().all(|byte| *byte == GUARD_BYTE), || {
            format!(
                "{call}: memory behind {} at {:p} was written",
                self.what, self.start
            )
        });
        // SAFETY: the memory is ours until the next line.
        unsafe {
            self.start
                .as_ptr()
                .write_bytes(FREED_BYTE, self.length + GUARD)
        };
        memory::free(self.start, self.length + GUARD, usize::from(ALIGNMENT));
    }
}

/// Microsoft Learn, NdisAllocateNetBufferListPool function (nblapi.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `parameters` points to valid pool parameters.
pub(crate) unsafe extern "efiapi" fn allocate_pool(
    ndis_handle: NDIS_HANDLE,
    parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
) -> NDIS_HANDLE {
    const CALL: &str = "NdisAllocateNetBufferListPool";
    import(CALL, Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let parameters = unsafe { *parameters };
    header::check(
        CALL,
        parameters.Header,
        NDIS_OBJECT_TYPE_DEFAULT,
        &[(
            NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
        )],
    );
    check_parameters(CALL, &parameters);
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let owner = handles::number(ndis_handle);
    let module = modules::of_handle(owner);
    let pool = handles::create(|handle| NblPool {
        handle,
        owner,
        module,
        tag: parameters.PoolTag,
        with_net_buffer: parameters.fAllocateNetBuffer != 0,
        context_size: parameters.ContextSize,
        data_size: parameters.DataSize,
        live: BatonCell::new(0),
    });
    POOLS.with(|pools| pools.push(pool));
    handles::raw(pool.handle)
}

static POOLS: BatonCell<Vec<&'static NblPool>> = BatonCell::new(Vec::new());

fn check_parameters(call: &str, parameters: &NET_BUFFER_LIST_POOL_PARAMETERS) {
    let size = parameters.ContextSize;
    verifier::require(88, size.is_multiple_of(ALIGNMENT), || {
        format!("{call}: ContextSize {size} is no multiple of {ALIGNMENT}")
    });
    verifier::require(88, parameters.PoolTag != 0, || {
        format!("{call}: PoolTag is zero")
    });
    let data = parameters.DataSize;
    verifier::require(88, data == 0 || parameters.fAllocateNetBuffer != 0, || {
        format!("{call}: DataSize {data} without fAllocateNetBuffer")
    });
}

/// Microsoft Learn, NdisFreeNetBufferListPool function (nblapi.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn free_pool(pool_handle: NDIS_HANDLE) {
    const CALL: &str = "NdisFreeNetBufferListPool";
    import(CALL, Level::UpToDispatch);
    let pool: &NblPool = handles::resolve(pool_handle, CALL);
    let left = shadow::of_pool(pool.handle);
    verifier::insist(92, left.is_empty(), || {
        let (address, hands) = &left[0];
        format!(
            "{CALL}: {} NBLs of the pool (tag {:#x}) are not free; one is {address:#x}, {hands}",
            left.len(),
            pool.tag
        )
    });
    POOLS.with(|pools| pools.retain(|other| other.handle != pool.handle));
    handles::close(pool.handle, CALL);
}

/// Pools that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|pool| pool.module == module)
}

/// Pools allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|pool| pool.owner == owner)
}

fn leaks(of: impl Fn(&NblPool) -> bool) -> Vec<String> {
    let pools = POOLS.with(|pools| pools.clone());
    let describe = |pool: &&'static NblPool| {
        let live = pool.live.with(|live| *live);
        format!(
            "NBL pool {:#x} (tag {:#x}, {live} NBLs)",
            pool.handle, pool.tag
        )
    };
    pools.iter().filter(|pool| of(pool)).map(describe).collect()
}

/// The module that a pool is charged to.
pub(crate) fn module_of(pool: u64) -> ModuleId {
    handles::lookup::<NblPool>(pool).map_or(modules::UNKNOWN, |pool| pool.module)
}

/// Microsoft Learn, NdisAllocateNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn allocate_nbl(
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
pub(crate) unsafe extern "efiapi" fn allocate_nbl_and_nb(
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
            super::data::describe(nb, mdl_chain, data_offset, length);
        }
        super::seal::check_net_buffers(nbl, CALL);
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
    build(
        pool,
        pool.context_size.saturating_add(context_size),
        back_fill,
    )
    .unwrap_or(ptr::null_mut())
}

/// Builds an NBL with everything that its pool preallocates.
fn build(pool: &'static NblPool, context: u16, back_fill: u16) -> Option<*mut NET_BUFFER_LIST> {
    let body = Piece::allocate(size_of::<NET_BUFFER_LIST>(), "an NBL")?;
    let nbl: *mut NET_BUFFER_LIST = body.pointer().cast();
    let mut pieces = vec![body];
    let canary = 0xca4a_0000_0000_0000_usize | (sched::random_below(1 << 32) as usize);

    let mut value = NET_BUFFER_LIST::zeroed();
    value.NdisPoolHandle = handles::raw(pool.handle);
    value.NdisReserved = [ptr::without_provenance_mut(canary); 2];
    value.Scratch = ptr::without_provenance_mut(0x5c5c_5c5c_5c5c_5c5c);
    if context > 0 || back_fill > 0 {
        let (piece, block) = contexts::new_block(context, back_fill, ptr::null_mut())?;
        pieces.push(piece);
        value.Context = block;
    }
    if pool.with_net_buffer {
        value.FirstNetBuffer = build_net_buffer(pool, &mut pieces)?;
    }
    // SAFETY: `body` is fresh, aligned and as long as an NBL.
    unsafe { nbl.write(value) };
    pool.live.with(|live| *live += 1);
    let record = shadow::Record {
        pool: pool.handle,
        custody: Vec::new(),
        contexts: Vec::new(),
        pieces,
        canary,
    };
    shadow::insert(nbl, record);
    Some(nbl)
}

fn build_net_buffer(pool: &NblPool, pieces: &mut Vec<Piece>) -> Option<*mut NET_BUFFER> {
    let body = Piece::allocate(size_of::<NET_BUFFER>(), "a NET_BUFFER")?;
    let nb: *mut NET_BUFFER = body.pointer().cast();
    let mut value = NET_BUFFER::zeroed();
    value.NdisPoolHandle = handles::raw(pool.handle);
    if pool.data_size > 0 {
        let data = Piece::allocate(pool.data_size as usize, "data of a pool")?;
        let (piece, mdl) = mdl::build(data.pointer(), pool.data_size)?;
        value.MdlChain = mdl;
        value.CurrentMdl = mdl;
        pieces.push(data);
        pieces.push(piece);
    }
    // SAFETY: `body` is fresh, aligned and as long as a NET_BUFFER.
    unsafe { nb.write(value) };
    pieces.push(body);
    Some(nb)
}

/// Microsoft Learn, NdisFreeNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// The caller owns the NBL.
pub(crate) unsafe extern "efiapi" fn free_nbl(nbl: *mut NET_BUFFER_LIST) {
    const CALL: &str = "NdisFreeNetBufferList";
    import(CALL, Level::UpToDispatch);
    let (in_hands, contexts) = shadow::with(nbl, CALL, |record| {
        let hands = shadow::describe(record);
        (
            (!record.custody.is_empty()).then_some(hands),
            record.contexts.len(),
        )
    });
    if let Some(hands) = in_hands {
        verifier::fatal(
            92,
            format!("{CALL}: NBL {nbl:p} is freed while it is {hands}"),
        );
    }
    verifier::require(91, contexts == 0, || {
        format!("{CALL}: NBL {nbl:p} is freed with {contexts} pieces of context space taken")
    });
    let Some(record) = shadow::remove(nbl) else {
        return;
    };
    // SAFETY: the record was there, so the NBL is allocated.
    let reserved = unsafe { (*nbl).NdisReserved };
    verifier::require(
        23,
        reserved.iter().all(|word| word.addr() == record.canary),
        || format!("{CALL}: NdisReserved of NBL {nbl:p} was written"),
    );
    if let Some(pool) = handles::lookup::<NblPool>(record.pool) {
        pool.live.with(|live| *live -= 1);
    }
    for piece in record.pieces {
        piece.release(CALL);
    }
    for grant in record.contexts {
        grant.release(CALL);
    }
}

/// Microsoft Learn, NdisGetPoolFromNetBufferList function (ndis.h). IRQL <= DISPATCH_LEVEL.
pub(crate) unsafe extern "efiapi" fn pool_of(nbl: *mut NET_BUFFER_LIST) -> NDIS_HANDLE {
    const CALL: &str = "NdisGetPoolFromNetBufferList";
    import(CALL, Level::UpToDispatch);
    handles::raw(shadow::with(nbl, CALL, |record| record.pool))
}
