//! Scatter/gather DMA and shared memory.

use core::ffi::c_void;

use crate::{
    DEVICE_OBJECT, LARGE_INTEGER, MDL, NDIS_HANDLE, NDIS_NIC_SWITCH_VPORT_ID, NDIS_OBJECT_HEADER,
    NDIS_PHYSICAL_ADDRESS, NDIS_RECEIVE_QUEUE_ID, NODE_REQUIREMENT, impl_zeroed,
};

/// Contiguous piece of a buffer, as the device sees it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SCATTER_GATHER_ELEMENT {
    /// Logical bus address.
    pub Address: LARGE_INTEGER,
    /// Bytes.
    pub Length: u32,
    /// Reserved.
    pub Reserved: usize,
}

/// Pieces of a buffer, as the device sees it. Belongs to NDIS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SCATTER_GATHER_LIST {
    /// Elements that follow.
    pub NumberOfElements: u32,
    /// Reserved.
    pub Reserved: usize,
    /// `NumberOfElements` elements.
    pub Elements: [SCATTER_GATHER_ELEMENT; 0],
}

/// How the adapter does DMA. Type SG_DMA_DESCRIPTION.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SG_DMA_DESCRIPTION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_SG_DMA_` flags.
    pub Flags: u32,
    /// Largest buffer to map, in bytes.
    pub MaximumPhysicalMapping: u32,
    /// Takes a finished list.
    pub ProcessSGListHandler: Option<MINIPORT_PROCESS_SG_LIST>,
    /// Takes asynchronously allocated shared memory; optional.
    pub SharedMemAllocateCompleteHandler: Option<MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE>,
    /// Set by NDIS: bytes that a list of `MaximumPhysicalMapping` bytes needs.
    pub ScatterGatherListSize: u32,
}

/// A scatter/gather list to build, by `NdisBuildScatterGatherList`. Type DEFAULT, revision 1.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SCATTER_GATHER_LIST_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Receive queue that it is for.
    pub QueueId: NDIS_RECEIVE_QUEUE_ID,
    /// What the memory is used for.
    pub SharedMemoryUsage: NDIS_SHARED_MEMORY_USAGE,
    /// First MDL of the buffer.
    pub Mdl: *mut MDL,
    /// Where in `Mdl` the buffer begins.
    pub CurrentVa: *mut c_void,
    /// Bytes of the buffer.
    pub Length: u32,
    /// Takes the finished list.
    pub ProcessSGListHandler: NDIS_PROCESS_SG_LIST_HANDLER,
    /// Its context.
    pub Context: *mut c_void,
    /// Memory for the list.
    pub ScatterGatherListBuffer: *mut SCATTER_GATHER_LIST,
    /// Bytes of it.
    pub ScatterGatherListBufferSize: u32,
    /// Set by NDIS when it is too small.
    pub ScatterGatherListBufferSizeNeeded: u32,
}

/// Shared memory to allocate, by the extended interface.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SHARED_MEMORY_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_SHARED_MEM_PARAMETERS_CONTIGUOUS` or 0.
    pub Flags: u32,
    /// Receive queue that it is for.
    pub QueueId: NDIS_RECEIVE_QUEUE_ID,
    /// Set by the provider.
    pub SharedMemoryHandle: NDIS_HANDLE,
    /// NUMA node.
    pub PreferredNode: NODE_REQUIREMENT,
    /// What it is for.
    pub Usage: NDIS_SHARED_MEMORY_USAGE,
    /// Bytes.
    pub Length: u32,
    /// Set by the provider.
    pub VirtualAddress: *mut c_void,
    /// Bytes at `SGListBuffer`.
    pub SGListBufferLength: u32,
    /// Where the provider writes the logical addresses.
    pub SGListBuffer: *mut SCATTER_GATHER_LIST,
    /// Virtual port of a NIC switch.
    pub VPortId: NDIS_NIC_SWITCH_VPORT_ID,
}

/// Takes a finished scatter/gather list. Called at `DISPATCH_LEVEL`, possibly before
/// `NdisMAllocateNetBufferSGList` returns.
pub type MINIPORT_PROCESS_SG_LIST = unsafe extern "efiapi" fn(
    device_object: *mut DEVICE_OBJECT,
    reserved: *mut c_void,
    scatter_gather_list: *mut SCATTER_GATHER_LIST,
    context: *mut c_void,
);

/// Takes asynchronously allocated shared memory; null addresses on failure. Called at
/// `PASSIVE_LEVEL`.
pub type MINIPORT_ALLOCATE_SHARED_MEM_COMPLETE = unsafe extern "efiapi" fn(
    miniport_adapter_context: NDIS_HANDLE,
    virtual_address: *mut c_void,
    physical_address: *mut NDIS_PHYSICAL_ADDRESS,
    length: u32,
    context: *mut c_void,
);

/// What shared memory is for.
pub type NDIS_SHARED_MEMORY_USAGE = i32;

/// Not told.
pub const NdisSharedMemoryUsageUndefined: NDIS_SHARED_MEMORY_USAGE = 0;

/// Sends.
pub const NdisSharedMemoryUsageXmit: NDIS_SHARED_MEMORY_USAGE = 1;

/// Headers of sends.
pub const NdisSharedMemoryUsageXmitHeader: NDIS_SHARED_MEMORY_USAGE = 2;

/// Data of sends.
pub const NdisSharedMemoryUsageXmitData: NDIS_SHARED_MEMORY_USAGE = 3;

/// Receives.
pub const NdisSharedMemoryUsageReceive: NDIS_SHARED_MEMORY_USAGE = 4;

/// First part of receives.
pub const NdisSharedMemoryUsageReceiveLookahead: NDIS_SHARED_MEMORY_USAGE = 5;

/// Rest of receives.
pub const NdisSharedMemoryUsageReceivePostLookahead: NDIS_SHARED_MEMORY_USAGE = 6;

/// Headers of receives.
pub const NdisSharedMemoryUsageReceiveHeader: NDIS_SHARED_MEMORY_USAGE = 7;

/// Data of receives.
pub const NdisSharedMemoryUsageReceiveData: NDIS_SHARED_MEMORY_USAGE = 8;

/// Something else.
pub const NdisSharedMemoryUsageOther: NDIS_SHARED_MEMORY_USAGE = 9;

/// Upper bound of the usages.
pub const NdisSharedMemoryUsageMax: NDIS_SHARED_MEMORY_USAGE = 10;

/// The device can address 64 bits.
pub const NDIS_SG_DMA_64_BIT_ADDRESS: u32 = 1;

/// The driver uses version 3 of the DMA interface.
pub const NDIS_SG_DMA_V3_HAL_API: u32 = 2;

/// The device will read the buffer.
pub const NDIS_SG_LIST_WRITE_TO_DEVICE: u32 = 1;

/// The memory must be contiguous.
pub const NDIS_SHARED_MEM_PARAMETERS_CONTIGUOUS: u32 = 1;

/// Revision 1 of [`NDIS_SG_DMA_DESCRIPTION`](crate::NDIS_SG_DMA_DESCRIPTION).
pub const NDIS_SG_DMA_DESCRIPTION_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_SHARED_MEMORY_PARAMETERS`](crate::NDIS_SHARED_MEMORY_PARAMETERS).
pub const NDIS_SHARED_MEMORY_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_SHARED_MEMORY_PARAMETERS`](crate::NDIS_SHARED_MEMORY_PARAMETERS).
pub const NDIS_SHARED_MEMORY_PARAMETERS_REVISION_2: u8 = 2;

/// Bytes of [`NDIS_SG_DMA_DESCRIPTION`](crate::NDIS_SG_DMA_DESCRIPTION) that belong to revision 1.
pub const NDIS_SIZEOF_SG_DMA_DESCRIPTION_REVISION_1: u16 = 0x24;

/// Bytes of [`NDIS_SHARED_MEMORY_PARAMETERS`](crate::NDIS_SHARED_MEMORY_PARAMETERS) that belong to
/// revision 1.
pub const NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_1: u16 = 0x40;

/// Bytes of [`NDIS_SHARED_MEMORY_PARAMETERS`](crate::NDIS_SHARED_MEMORY_PARAMETERS) that belong to
/// revision 2.
pub const NDIS_SIZEOF_SHARED_MEMORY_PARAMETERS_REVISION_2: u16 = 0x44;

/// Takes a scatter/gather list that `NdisBuildScatterGatherList` built. Called at
/// `DISPATCH_LEVEL`.
pub type NDIS_PROCESS_SG_LIST = unsafe extern "efiapi" fn(
    device_object: *mut DEVICE_OBJECT,
    reserved: *mut c_void,
    scatter_gather_list: *mut SCATTER_GATHER_LIST,
    context: *mut c_void,
);

/// Nullable [`NDIS_PROCESS_SG_LIST`].
pub type NDIS_PROCESS_SG_LIST_HANDLER = Option<NDIS_PROCESS_SG_LIST>;

/// Revision 1 of
/// [`NDIS_SCATTER_GATHER_LIST_PARAMETERS`](crate::NDIS_SCATTER_GATHER_LIST_PARAMETERS).
pub const NDIS_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_SCATTER_GATHER_LIST_PARAMETERS`](crate::NDIS_SCATTER_GATHER_LIST_PARAMETERS)
/// that belong to revision 1.
pub const NDIS_SIZEOF_SCATTER_GATHER_LIST_PARAMETERS_REVISION_1: u16 = 0x48;

impl_zeroed! {
    NDIS_SCATTER_GATHER_LIST_PARAMETERS,
    SCATTER_GATHER_ELEMENT,
    SCATTER_GATHER_LIST,
    NDIS_SG_DMA_DESCRIPTION,
    NDIS_SHARED_MEMORY_PARAMETERS,
}
