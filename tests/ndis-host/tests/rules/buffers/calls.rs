//! The routines for buffers as drivers call them.

use std::ffi::c_void;
use std::ptr;

use ndis_sys::{
    BOOLEAN, MDL, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
    NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1, NDIS_STATUS, NET_BUFFER,
    NET_BUFFER_ALLOCATE_MDL_HANDLER, NET_BUFFER_FREE_MDL_HANDLER, NET_BUFFER_LIST,
    NET_BUFFER_LIST_POOL_PARAMETERS, NET_BUFFER_POOL_PARAMETERS, Zeroed,
};

/// Tag of what the tests allocate.
pub(crate) const TAG: u32 = u32::from_le_bytes(*b"tseT");

/// Declares safe functions for routines of ndis.sys: the judge checks what they are given.
macro_rules! routines {
    ($($(#[$doc:meta])* $name:ident = $routine:ident($($argument:ident: $ty:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name($($argument: $ty),*) $(-> $result)? {
                let routine = $crate::native::linked::import!($routine: fn($($ty),*) $(-> $result)?);
                // SAFETY: the tests pass what the routine's page asks for, save for the one fault
                // that the judge has to find.
                unsafe { routine($($argument),*) }
            }
        )*
    };
}
pub(crate) use routines;

routines! {
    /// NdisFreeNetBufferListPool.
    free_pool = NdisFreeNetBufferListPool(pool: NDIS_HANDLE);
    /// NdisAllocateNetBufferList.
    allocate_nbl = NdisAllocateNetBufferList(pool: NDIS_HANDLE, context: u16, back_fill: u16) -> *mut NET_BUFFER_LIST;
    /// NdisAllocateNetBufferAndNetBufferList.
    allocate_with = NdisAllocateNetBufferAndNetBufferList(pool: NDIS_HANDLE, context: u16, back_fill: u16, mdl: *mut MDL, offset: u32, length: usize) -> *mut NET_BUFFER_LIST;
    /// NdisFreeNetBufferList.
    free_nbl = NdisFreeNetBufferList(nbl: *mut NET_BUFFER_LIST);
    /// NdisGetPoolFromNetBufferList.
    pool_of = NdisGetPoolFromNetBufferList(nbl: *mut NET_BUFFER_LIST) -> NDIS_HANDLE;
    /// NdisGetNetBufferListProtocolId.
    protocol_of = NdisGetNetBufferListProtocolId(nbl: *mut NET_BUFFER_LIST) -> u8;
    /// NdisAllocateNetBufferListContext.
    take_context = NdisAllocateNetBufferListContext(nbl: *mut NET_BUFFER_LIST, size: u16, back_fill: u16, tag: u32) -> NDIS_STATUS;
    /// NdisFreeNetBufferListContext.
    give_context = NdisFreeNetBufferListContext(nbl: *mut NET_BUFFER_LIST, size: u16);
    /// NdisFreeNetBufferPool.
    free_nb_pool = NdisFreeNetBufferPool(pool: NDIS_HANDLE);
    /// NdisAllocateNetBuffer.
    allocate_nb = NdisAllocateNetBuffer(pool: NDIS_HANDLE, mdl: *mut MDL, offset: u32, length: usize) -> *mut NET_BUFFER;
    /// NdisAllocateNetBufferMdlAndData.
    allocate_nb_and_data = NdisAllocateNetBufferMdlAndData(pool: NDIS_HANDLE) -> *mut NET_BUFFER;
    /// NdisFreeNetBuffer.
    free_nb = NdisFreeNetBuffer(nb: *mut NET_BUFFER);
    /// NdisGetPoolFromNetBuffer.
    pool_of_nb = NdisGetPoolFromNetBuffer(nb: *mut NET_BUFFER) -> NDIS_HANDLE;
    /// NdisAllocateMdl.
    allocate_mdl = NdisAllocateMdl(handle: NDIS_HANDLE, start: *mut c_void, length: u32) -> *mut MDL;
    /// NdisFreeMdl.
    free_mdl = NdisFreeMdl(mdl: *mut MDL);
    /// NdisAllocateMemoryWithTagPriority.
    allocate_memory = NdisAllocateMemoryWithTagPriority(handle: NDIS_HANDLE, length: u32, tag: u32, priority: i32) -> *mut c_void;
    /// NdisFreeMemory.
    free_memory = NdisFreeMemory(start: *mut c_void, length: u32, flags: u32);
    /// NdisGetDataBuffer.
    data_buffer = NdisGetDataBuffer(nb: *mut NET_BUFFER, bytes: u32, storage: *mut c_void, multiple: u32, offset: u32) -> *mut c_void;
    /// NdisAdvanceNetBufferDataStart.
    advance = NdisAdvanceNetBufferDataStart(nb: *mut NET_BUFFER, delta: u32, free: BOOLEAN, handler: NET_BUFFER_FREE_MDL_HANDLER);
    /// NdisRetreatNetBufferDataStart.
    retreat = NdisRetreatNetBufferDataStart(nb: *mut NET_BUFFER, delta: u32, back_fill: u32, handler: NET_BUFFER_ALLOCATE_MDL_HANDLER) -> NDIS_STATUS;
    /// NdisAdvanceNetBufferListDataStart.
    advance_list = NdisAdvanceNetBufferListDataStart(nbl: *mut NET_BUFFER_LIST, delta: u32, free: BOOLEAN, handler: NET_BUFFER_FREE_MDL_HANDLER);
    /// NdisRetreatNetBufferListDataStart.
    retreat_list = NdisRetreatNetBufferListDataStart(nbl: *mut NET_BUFFER_LIST, delta: u32, back_fill: u32, allocate: NET_BUFFER_ALLOCATE_MDL_HANDLER, free: NET_BUFFER_FREE_MDL_HANDLER) -> NDIS_STATUS;
    /// NdisAdjustNetBufferCurrentMdl.
    adjust = NdisAdjustNetBufferCurrentMdl(nb: *mut NET_BUFFER);
    /// NdisCopyFromNetBufferToNetBuffer.
    copy_data = NdisCopyFromNetBufferToNetBuffer(to: *mut NET_BUFFER, to_offset: u32, bytes: u32, from: *mut NET_BUFFER, from_offset: u32, copied: *mut u32) -> NDIS_STATUS;
    /// NdisQueryNetBufferPhysicalCount.
    physical_count = NdisQueryNetBufferPhysicalCount(nb: *mut NET_BUFFER) -> u32;
    /// NdisCopySendNetBufferListInfo.
    copy_send_info = NdisCopySendNetBufferListInfo(to: *mut NET_BUFFER_LIST, from: *mut NET_BUFFER_LIST);
    /// NdisAllocateCloneNetBufferList.
    clone = NdisAllocateCloneNetBufferList(nbl: *mut NET_BUFFER_LIST, lists: NDIS_HANDLE, buffers: NDIS_HANDLE, flags: u32) -> *mut NET_BUFFER_LIST;
    /// NdisFreeCloneNetBufferList.
    free_clone = NdisFreeCloneNetBufferList(nbl: *mut NET_BUFFER_LIST, flags: u32);
    /// NdisAllocateFragmentNetBufferList.
    fragment = NdisAllocateFragmentNetBufferList(nbl: *mut NET_BUFFER_LIST, lists: NDIS_HANDLE, buffers: NDIS_HANDLE, start: u32, most: u32, delta: u32, back_fill: u32, flags: u32) -> *mut NET_BUFFER_LIST;
    /// NdisFreeFragmentNetBufferList.
    free_fragment = NdisFreeFragmentNetBufferList(nbl: *mut NET_BUFFER_LIST, delta: u32, flags: u32);
    /// NdisAllocateReassembledNetBufferList.
    reassemble = NdisAllocateReassembledNetBufferList(nbl: *mut NET_BUFFER_LIST, lists: NDIS_HANDLE, start: u32, delta: u32, back_fill: u32, flags: u32) -> *mut NET_BUFFER_LIST;
    /// NdisFreeReassembledNetBufferList.
    free_reassembled = NdisFreeReassembledNetBufferList(nbl: *mut NET_BUFFER_LIST, delta: u32, flags: u32);
}

/// Parameters of an NBL pool whose NBLs come with a NET_BUFFER.
pub(crate) fn pool_parameters() -> NET_BUFFER_LIST_POOL_PARAMETERS {
    let mut parameters = NET_BUFFER_LIST_POOL_PARAMETERS::zeroed();
    parameters.Header = header(NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1);
    parameters.fAllocateNetBuffer = 1;
    parameters.PoolTag = TAG;
    parameters
}

/// NdisAllocateNetBufferListPool.
pub(crate) fn allocate_pool(
    handle: NDIS_HANDLE,
    mut parameters: NET_BUFFER_LIST_POOL_PARAMETERS,
) -> NDIS_HANDLE {
    routines! {
        /// The routine itself.
        raw = NdisAllocateNetBufferListPool(handle: NDIS_HANDLE, parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS) -> NDIS_HANDLE;
    }
    raw(handle, &raw mut parameters)
}

/// A pool with a NET_BUFFER in each NBL.
pub(crate) fn new_pool() -> NDIS_HANDLE {
    allocate_pool(ptr::null_mut(), pool_parameters())
}

/// A pool with a NET_BUFFER, an MDL and data in each NBL.
pub(crate) fn new_data_pool(bytes: u32) -> NDIS_HANDLE {
    let mut parameters = pool_parameters();
    parameters.DataSize = bytes;
    allocate_pool(ptr::null_mut(), parameters)
}

/// A pool of NET_BUFFERs.
pub(crate) fn new_nb_pool(tag: u32, bytes: u32) -> NDIS_HANDLE {
    routines! {
        /// The routine itself.
        raw = NdisAllocateNetBufferPool(handle: NDIS_HANDLE, parameters: *mut NET_BUFFER_POOL_PARAMETERS) -> NDIS_HANDLE;
    }
    let mut parameters = NET_BUFFER_POOL_PARAMETERS::zeroed();
    parameters.Header = header(NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1);
    parameters.PoolTag = tag;
    parameters.DataSize = bytes;
    raw(ptr::null_mut(), &raw mut parameters)
}

fn header(size: u16) -> NDIS_OBJECT_HEADER {
    NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_DEFAULT,
        Revision: 1,
        Size: size,
    }
}

/// Memory with an MDL for it.
pub(crate) fn new_mdl(bytes: u32) -> *mut MDL {
    let memory = allocate_memory(ptr::null_mut(), bytes, TAG, 0);
    allocate_mdl(ptr::null_mut(), memory, bytes)
}

/// Frees what [`new_mdl`] made.
pub(crate) fn free_mdl_and_memory(mdl: *mut MDL) {
    // SAFETY: the MDL is allocated.
    let memory = unsafe { (*mdl).MappedSystemVa };
    free_mdl(mdl);
    free_memory(memory, 0, 0);
}

/// The first NET_BUFFER of an NBL.
pub(crate) fn first(nbl: *mut NET_BUFFER_LIST) -> *mut NET_BUFFER {
    // SAFETY: the tests pass NBLs that are allocated.
    unsafe { (*nbl).FirstNetBuffer }
}
