//! Receive-side scaling capabilities.

use crate::{NDIS_OBJECT_HEADER, PROCESSOR_NUMBER, impl_zeroed};

/// Receive-side scaling of the adapter. Type RSS_CAPABILITIES.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RECEIVE_SCALE_CAPABILITIES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_RSS_CAPS_` flags.
    pub CapabilitiesFlags: NDIS_RSS_CAPS_FLAGS,
    /// Interrupt messages of the adapter.
    pub NumberOfInterruptMessages: u32,
    /// Receive queues.
    pub NumberOfReceiveQueues: u32,
    /// Entries of the indirection table. Revision 2.
    pub NumberOfIndirectionTableEntries: u16,
}

/// Settings of receive-side scaling; data of `OID_GEN_RECEIVE_SCALE_PARAMETERS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RECEIVE_SCALE_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_RSS_PARAM_FLAG_` flags.
    pub Flags: u16,
    /// Lowest processor to use.
    pub BaseCpuNumber: u16,
    /// Hash function and types.
    pub HashInformation: u32,
    /// Bytes of the indirection table.
    pub IndirectionTableSize: u16,
    /// Where it is, from the start of this structure.
    pub IndirectionTableOffset: u32,
    /// Bytes of the key.
    pub HashSecretKeySize: u16,
    /// Where it is, from the start of this structure.
    pub HashSecretKeyOffset: u32,
    /// Where the processor masks are. Revision 2.
    pub ProcessorMasksOffset: u32,
    /// How many there are. Revision 2.
    pub NumberOfProcessorMasks: u32,
    /// Bytes of each. Revision 2.
    pub ProcessorMasksEntrySize: u32,
    /// Processor for frames without a hash. Revision 3.
    pub DefaultProcessorNumber: PROCESSOR_NUMBER,
}

/// `NDIS_RSS_CAPS_` flags.
pub type NDIS_RSS_CAPS_FLAGS = u32;

/// Hashes TCP over IPv4.
pub const NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV4: NDIS_RSS_CAPS_FLAGS = 0x100;

/// Hashes TCP over IPv6.
pub const NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6: NDIS_RSS_CAPS_FLAGS = 0x200;

/// Hashes TCP over IPv6 with extension headers.
pub const NDIS_RSS_CAPS_HASH_TYPE_TCP_IPV6_EX: NDIS_RSS_CAPS_FLAGS = 0x400;

/// Hashes UDP over IPv4.
pub const NDIS_RSS_CAPS_HASH_TYPE_UDP_IPV4: NDIS_RSS_CAPS_FLAGS = 0x800;

/// Hashes UDP over IPv6.
pub const NDIS_RSS_CAPS_HASH_TYPE_UDP_IPV6: NDIS_RSS_CAPS_FLAGS = 0x1000;

/// Hashes UDP over IPv6 with extension headers.
pub const NDIS_RSS_CAPS_HASH_TYPE_UDP_IPV6_EX: NDIS_RSS_CAPS_FLAGS = 0x2000;

/// Has message-signaled interrupts.
pub const NDIS_RSS_CAPS_MESSAGE_SIGNALED_INTERRUPTS: NDIS_RSS_CAPS_FLAGS = 0x0100_0000;

/// Knows the queue in the interrupt routine.
pub const NDIS_RSS_CAPS_CLASSIFICATION_AT_ISR: NDIS_RSS_CAPS_FLAGS = 0x0200_0000;

/// Knows the queue in the DPC.
pub const NDIS_RSS_CAPS_CLASSIFICATION_AT_DPC: NDIS_RSS_CAPS_FLAGS = 0x0400_0000;

/// Uses MSI-X.
pub const NDIS_RSS_CAPS_USING_MSI_X: NDIS_RSS_CAPS_FLAGS = 0x0800_0000;

/// Available on ports other than the default.
pub const NDIS_RSS_CAPS_RSS_AVAILABLE_ON_PORTS: NDIS_RSS_CAPS_FLAGS = 0x1000_0000;

/// Has MSI-X.
pub const NDIS_RSS_CAPS_SUPPORTS_MSI_X: NDIS_RSS_CAPS_FLAGS = 0x2000_0000;

/// Entries of the indirection table move one by one (RSSv2).
pub const NDIS_RSS_CAPS_SUPPORTS_INDEPENDENT_ENTRY_MOVE: NDIS_RSS_CAPS_FLAGS = 0x4000_0000;

/// Bytes of [`NDIS_RECEIVE_SCALE_CAPABILITIES`](crate::NDIS_RECEIVE_SCALE_CAPABILITIES) that belong
/// to revision 1.
pub const NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_1: u16 = 0x10;

/// Bytes of [`NDIS_RECEIVE_SCALE_CAPABILITIES`](crate::NDIS_RECEIVE_SCALE_CAPABILITIES) that belong
/// to revision 2.
pub const NDIS_SIZEOF_RECEIVE_SCALE_CAPABILITIES_REVISION_2: u16 = 0x12;

impl_zeroed! {
    NDIS_RECEIVE_SCALE_CAPABILITIES,
    NDIS_RECEIVE_SCALE_PARAMETERS,
}
