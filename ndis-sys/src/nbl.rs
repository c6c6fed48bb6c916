//! Network data: NET_BUFFER_LIST, NET_BUFFER, their pools and out-of-band information.
//!
//! A driver that is handed a chain of lists owns it until it hands it on or back; every list goes
//! back exactly once. The anonymous unions of the header are flattened to the reading that drivers
//! use.

use core::ffi::c_void;

use crate::{
    BOOLEAN, MDL, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_PHYSICAL_ADDRESS, NDIS_STATUS,
    SCATTER_GATHER_LIST, impl_zeroed,
};

/// Unit of ownership of network data: one or more `NET_BUFFER`s that share out-of-band information
/// (Microsoft Learn, NET_BUFFER_LIST). Whoever is handed one gives it back exactly once.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct NET_BUFFER_LIST {
    /// The next list of the chain, null at the end.
    pub Next: *mut NET_BUFFER_LIST,
    /// Chain of the frames.
    pub FirstNetBuffer: *mut NET_BUFFER,
    /// Stack of driver context areas.
    pub Context: *mut NET_BUFFER_LIST_CONTEXT,
    /// The list that this one was cloned from, or null.
    pub ParentNetBufferList: *mut NET_BUFFER_LIST,
    /// Pool that it was allocated from.
    pub NdisPoolHandle: NDIS_HANDLE,
    _align: [u8; 8],
    /// Belongs to NDIS.
    pub NdisReserved: [*mut c_void; 2],
    /// Belongs to the protocol that allocated it.
    pub ProtocolReserved: [*mut c_void; 4],
    /// Belongs to the miniport while it holds the list.
    pub MiniportReserved: [*mut c_void; 2],
    /// Free for whoever holds the list.
    pub Scratch: *mut c_void,
    /// Binding or adapter that gets it back; must be unchanged on return.
    pub SourceHandle: NDIS_HANDLE,
    /// `NDIS_NBL_FLAGS_`.
    pub NblFlags: u32,
    /// Clones that still exist.
    pub ChildRefCount: i32,
    /// Belongs to NDIS.
    pub Flags: u32,
    /// Result of a send, set by the miniport before it completes the list.
    pub Status: NDIS_STATUS,
    /// Out-of-band information, indexed by
    /// [`NDIS_NET_BUFFER_LIST_INFO`](crate::NDIS_NET_BUFFER_LIST_INFO).
    pub NetBufferListInfo: [*mut c_void; 27],
}

/// One frame: a window of `DataLength` bytes into a chain of MDLs (Microsoft Learn, NET_BUFFER).
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct NET_BUFFER {
    /// The next frame of the list, null at the end.
    pub Next: *mut NET_BUFFER,
    /// MDL in which the data begin.
    pub CurrentMdl: *mut MDL,
    /// Bytes of `CurrentMdl` before the data.
    pub CurrentMdlOffset: u32,
    _before_length: u32,
    /// Bytes of data.
    #[doc(alias = "NetBufferHeader.DataLength")]
    pub DataLength: u32,
    /// First MDL, unused space included.
    pub MdlChain: *mut MDL,
    /// Bytes from the start of `MdlChain` to the data.
    pub DataOffset: u32,
    _after_header: u32,
    /// Bytes to leave out of a checksum.
    pub ChecksumBias: u16,
    /// Reserved.
    pub Reserved: u16,
    /// Pool that it was allocated from.
    pub NdisPoolHandle: NDIS_HANDLE,
    /// Belongs to NDIS.
    pub NdisReserved: [*mut c_void; 2],
    /// Belongs to the protocol that allocated it.
    pub ProtocolReserved: [*mut c_void; 6],
    /// Belongs to the miniport while it holds the frame.
    pub MiniportReserved: [*mut c_void; 4],
    /// Bus address of the data in shared memory, if that is known.
    pub DataPhysicalAddress: NDIS_PHYSICAL_ADDRESS,
    /// Scatter/gather list, once NDIS has built one.
    pub ScatterGatherList: *mut SCATTER_GATHER_LIST,
}

/// Context area of a driver, on the list's stack of them.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct NET_BUFFER_LIST_CONTEXT {
    /// The area below.
    pub Next: *mut NET_BUFFER_LIST_CONTEXT,
    /// Bytes of `ContextData`.
    pub Size: u16,
    /// Bytes of `ContextData` that are not in use.
    pub Offset: u16,
    _before_data: [u8; 4],
    /// The data, `Size` bytes, aligned to 16.
    pub ContextData: [u8; 0],
}

/// What a pool of lists is for. Type DEFAULT, revision 1.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_BUFFER_LIST_POOL_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_PROTOCOL_ID_`.
    pub ProtocolId: u8,
    /// Whether each list comes with one `NET_BUFFER`.
    pub fAllocateNetBuffer: BOOLEAN,
    /// Bytes of context in each list, a multiple of 16.
    pub ContextSize: u16,
    /// Tag of the pool's memory.
    pub PoolTag: u32,
    /// Bytes of data buffer that come with each list, or 0.
    pub DataSize: u32,
}

/// What a pool of `NET_BUFFER`s is for. Type DEFAULT, revision 1.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_BUFFER_POOL_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Tag of the pool's memory.
    pub PoolTag: u32,
    /// Bytes of data buffer that come with each, or 0.
    pub DataSize: u32,
}

/// Shared memory that a received frame lies in.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_BUFFER_SHARED_MEMORY {
    /// The next part of the frame, or null.
    pub NextSharedMemorySegment: *mut NET_BUFFER_SHARED_MEMORY,
    /// Reserved.
    pub SharedMemoryFlags: u32,
    /// The shared memory.
    pub SharedMemoryHandle: NDIS_HANDLE,
    /// Where the frame begins in it, in bytes.
    pub SharedMemoryOffset: u32,
    /// Bytes of the frame in it.
    pub SharedMemoryLength: u32,
}

/// Nullable [`NET_BUFFER_ALLOCATE_MDL`].
pub type NET_BUFFER_ALLOCATE_MDL_HANDLER = Option<NET_BUFFER_ALLOCATE_MDL>;

/// Nullable [`NET_BUFFER_FREE_MDL`].
pub type NET_BUFFER_FREE_MDL_HANDLER = Option<NET_BUFFER_FREE_MDL>;

/// Allocates an MDL of at least `buffer_size` bytes, writes how many there are. Called at up to
/// `DISPATCH_LEVEL`.
pub type NET_BUFFER_ALLOCATE_MDL = unsafe extern "efiapi" fn(buffer_size: *mut u32) -> *mut MDL;

/// Frees such an MDL. Called at up to `DISPATCH_LEVEL`.
pub type NET_BUFFER_FREE_MDL = unsafe extern "efiapi" fn(mdl: *mut MDL);

/// Sent data must not be changed.
pub const NDIS_NBL_FLAGS_SEND_READ_ONLY: u32 = 1;

/// Received data must not be changed.
pub const NDIS_NBL_FLAGS_RECV_READ_ONLY: u32 = 2;

/// Header and data are in separate buffers.
pub const NDIS_NBL_FLAGS_HD_SPLIT: u32 = 0x100;

/// Received frame is IPv4.
pub const NDIS_NBL_FLAGS_IS_IPV4: u32 = 0x200;

/// Received frame is IPv6.
pub const NDIS_NBL_FLAGS_IS_IPV6: u32 = 0x400;

/// Received frame is TCP.
pub const NDIS_NBL_FLAGS_IS_TCP: u32 = 0x800;

/// Received frame is UDP.
pub const NDIS_NBL_FLAGS_IS_UDP: u32 = 0x1000;

/// Frame that NDIS looped back.
pub const NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET: u32 = 0x8000;

/// Header and data were split at the beginning of the upper-layer protocol's header.
pub const NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_HEADER: u32 = 0x2000;

/// Header and data were split at the beginning of the upper-layer protocol's payload.
pub const NDIS_NBL_FLAGS_SPLIT_AT_UPPER_LAYER_PROTOCOL_PAYLOAD: u32 = 0x4000;

/// Bits of `Flags` for protocols.
pub const NBL_FLAGS_PROTOCOL_RESERVED: u32 = 0xfff0_0003;

/// Bits of `Flags` for NDIS.
pub const NBL_FLAGS_NDIS_RESERVED: u32 = 0xffc;

/// Bits of `Flags` for miniports.
pub const NBL_FLAGS_MINIPORT_RESERVED: u32 = 0xf000;

/// Bits of `Flags` for whoever holds the list.
pub const NBL_FLAGS_SCRATCH: u32 = 0xf_0000;

/// Reserved for NDIS.
pub const NDIS_CLONE_FLAGS_RESERVED: u32 = 1;

/// A clone uses the MDLs of its original.
pub const NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS: u32 = 2;

/// The caller is at `DISPATCH_LEVEL`.
pub const NDIS_SEND_FLAGS_DISPATCH_LEVEL: u32 = 1;

/// NDIS is to loop the frames back if the filter says so.
pub const NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK: u32 = 2;

/// All frames go to one queue.
pub const NDIS_SEND_FLAGS_SINGLE_QUEUE: u32 = 4;

/// The caller is at `DISPATCH_LEVEL`.
pub const NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL: u32 = 1;

/// All frames came from one queue.
pub const NDIS_SEND_COMPLETE_FLAGS_SINGLE_QUEUE: u32 = 2;

/// The caller is at `DISPATCH_LEVEL`.
pub const NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL: u32 = 1;

/// The lists are only shown: the caller has them back when the call returns.
pub const NDIS_RECEIVE_FLAGS_RESOURCES: u32 = 2;

/// All frames have the same EtherType.
pub const NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE: u32 = 0x100;

/// All frames are of one VLAN.
pub const NDIS_RECEIVE_FLAGS_SINGLE_VLAN: u32 = 0x200;

/// All frames match the packet filter and the multicast list.
pub const NDIS_RECEIVE_FLAGS_PERFECT_FILTERED: u32 = 0x400;

/// All frames are of one queue.
pub const NDIS_RECEIVE_FLAGS_SINGLE_QUEUE: u32 = 0x800;

/// The frames tell their shared memory.
pub const NDIS_RECEIVE_FLAGS_SHARED_MEMORY_INFO_VALID: u32 = 0x1000;

/// More frames follow soon.
pub const NDIS_RECEIVE_FLAGS_MORE_NBLS: u32 = 0x2000;

/// The caller is at `DISPATCH_LEVEL`.
pub const NDIS_RETURN_FLAGS_DISPATCH_LEVEL: u32 = 1;

/// All frames are of one queue.
pub const NDIS_RETURN_FLAGS_SINGLE_QUEUE: u32 = 2;

/// Revision 1 of [`NET_BUFFER_LIST_POOL_PARAMETERS`](crate::NET_BUFFER_LIST_POOL_PARAMETERS).
pub const NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NET_BUFFER_POOL_PARAMETERS`](crate::NET_BUFFER_POOL_PARAMETERS).
pub const NET_BUFFER_POOL_PARAMETERS_REVISION_1: u8 = 1;

/// No particular protocol.
pub const NDIS_PROTOCOL_ID_DEFAULT: u8 = 0;

/// TCP/IP, version 4.
pub const NDIS_PROTOCOL_ID_TCP_IP: u8 = 2;

/// TCP/IP, version 6.
pub const NDIS_PROTOCOL_ID_IP6: u8 = 3;

/// IPX.
pub const NDIS_PROTOCOL_ID_IPX: u8 = 6;

/// NetBIOS frames.
pub const NDIS_PROTOCOL_ID_NBF: u8 = 7;

/// Greatest identifier of a protocol.
pub const NDIS_PROTOCOL_ID_MAX: u8 = 0xf;

/// Bytes of [`NET_BUFFER_LIST_POOL_PARAMETERS`](crate::NET_BUFFER_LIST_POOL_PARAMETERS) that belong
/// to revision 1.
pub const NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1: u16 = 0x10;

/// Bytes of [`NET_BUFFER_POOL_PARAMETERS`](crate::NET_BUFFER_POOL_PARAMETERS) that belong to
/// revision 1.
pub const NDIS_SIZEOF_NET_BUFFER_POOL_PARAMETERS_REVISION_1: u16 = 0xc;

/// EtherType of IPv4.
pub const NDIS_ETH_TYPE_IPV4: u16 = 0x800;

/// EtherType of ARP.
pub const NDIS_ETH_TYPE_ARP: u16 = 0x806;

/// EtherType of IPv6.
pub const NDIS_ETH_TYPE_IPV6: u16 = 0x86dd;

/// EtherType of a VLAN tag.
pub const NDIS_ETH_TYPE_802_1Q: u16 = 0x8100;

impl_zeroed! {
    NET_BUFFER_LIST,
    NET_BUFFER,
    NET_BUFFER_LIST_CONTEXT,
    NET_BUFFER_LIST_POOL_PARAMETERS,
    NET_BUFFER_POOL_PARAMETERS,
    NET_BUFFER_SHARED_MEMORY,
}
