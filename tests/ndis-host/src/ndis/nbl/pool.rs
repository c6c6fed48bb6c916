//! Pools of NBLs: NdisAllocateNetBufferListPool and NdisFreeNetBufferListPool.

use std::ptr;

use ndis_sys::{
    NDIS_HANDLE, NDIS_OBJECT_TYPE_DEFAULT, NDIS_PROTOCOL_ID_DEFAULT, NDIS_PROTOCOL_ID_MAX,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1, NET_BUFFER_LIST_POOL_PARAMETERS,
    NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
};

pub(crate) use super::piece::Piece;
use super::piece::{self, ALIGNMENT};
use super::shadow;
use crate::ndis::call::{Level, import};
use crate::ndis::handles::{self, Kind, Object};
use crate::ndis::modules::{self, ModuleId};
use crate::ndis::{faults, header};
use crate::sched::BatonCell;
use crate::verifier;

/// A pool.
pub(crate) struct NblPool {
    pub(crate) handle: u64,
    owner: u64,
    module: ModuleId,
    tag: u32,
    pub(crate) protocol: u8,
    pub(crate) with_net_buffer: bool,
    pub(crate) context_size: u16,
    pub(crate) data_size: u32,
    pub(crate) live: BatonCell<usize>,
}

impl Object for NblPool {
    const KIND: Kind = Kind::NblPool;
}

static POOLS: BatonCell<Vec<&'static NblPool>> = BatonCell::new(Vec::new());
/// NDIS's own pool, for what is derived without a pool.
static INTERNAL: BatonCell<Option<&'static NblPool>> = BatonCell::new(None);

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
    let owner = handles::number(ndis_handle);
    check_parameters(CALL, owner, &parameters);
    if faults::allocation_fails(CALL) {
        return ptr::null_mut();
    }
    let module = modules::of_handle(owner);
    let pool = handles::create(|handle| NblPool {
        handle,
        owner,
        module,
        tag: parameters.PoolTag,
        protocol: parameters.ProtocolId,
        with_net_buffer: parameters.fAllocateNetBuffer != 0,
        context_size: parameters.ContextSize,
        data_size: parameters.DataSize,
        live: BatonCell::new(0),
    });
    POOLS.with(|pools| pools.push(pool));
    handles::raw(pool.handle)
}

/// NDIS's own pool.
pub(crate) fn internal() -> &'static NblPool {
    if let Some(pool) = INTERNAL.with(|pool| *pool) {
        return pool;
    }
    let pool = handles::create(|handle| NblPool {
        handle,
        owner: 0,
        module: modules::UNKNOWN,
        tag: u32::from_le_bytes(*b"sidN"),
        protocol: NDIS_PROTOCOL_ID_DEFAULT,
        with_net_buffer: false,
        context_size: 0,
        data_size: 0,
        live: BatonCell::new(0),
    });
    INTERNAL.with(|internal| *internal = Some(pool));
    pool
}

fn check_parameters(call: &str, owner: u64, parameters: &NET_BUFFER_LIST_POOL_PARAMETERS) {
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
    let protocol = parameters.ProtocolId;
    verifier::require(88, protocol <= NDIS_PROTOCOL_ID_MAX, || {
        format!("{call}: ProtocolId {protocol:#x}")
    });
    let below = matches!(
        handles::kind_of(owner),
        Some(Kind::Adapter | Kind::MiniportDriver)
    );
    verifier::require(88, !below || protocol == NDIS_PROTOCOL_ID_DEFAULT, || {
        format!("{call}: ProtocolId {protocol:#x} in a pool of a miniport")
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
    piece::check_resting();
}

/// Pools that a module has not freed, in words.
pub(crate) fn leaks_of_module(module: ModuleId) -> Vec<String> {
    leaks(|pool| pool.module == module)
}

/// Pools allocated with `owner` (an adapter or driver handle), in words.
pub(crate) fn leaks_of(owner: u64) -> Vec<String> {
    leaks(|pool| pool.owner == owner)
}

/// NBLs of a module's pools that are not freed, in words (rule 93).
pub(crate) fn live_of_module(module: ModuleId) -> Vec<String> {
    let pools = POOLS.with(|pools| pools.clone());
    let of_module = pools.iter().filter(|pool| pool.module == module);
    let nbls = of_module.flat_map(|pool| shadow::of_pool(pool.handle));
    nbls.map(|(address, hands)| format!("NBL {address:#x}, {hands}"))
        .collect()
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
