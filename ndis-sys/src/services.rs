//! What NDIS tells of a hypervisor, and the event log.

use crate::{NDIS_OBJECT_HEADER, impl_zeroed};

/// Whether the system runs on a hypervisor. Type DEFAULT, revision 1.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_HYPERVISOR_INFO {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_HYPERVISOR_INFO_FLAG_HYPERVISOR_PRESENT` or 0.
    pub Flags: u32,
    /// Which part of the machine this is.
    pub PartitionType: NDIS_HYPERVISOR_PARTITION_TYPE,
}

/// Kind of a partition of a hypervisor.
pub type NDIS_HYPERVISOR_PARTITION_TYPE = i32;
/// Not one of Microsoft's hypervisor.
pub const NdisHypervisorPartitionTypeUnknown: NDIS_HYPERVISOR_PARTITION_TYPE = 0;
/// The parent partition of Hyper-V.
pub const NdisHypervisorPartitionTypeMsHvParent: NDIS_HYPERVISOR_PARTITION_TYPE = 1;
/// A guest of Hyper-V.
pub const NdisHypervisorPartitionMsHvChild: NDIS_HYPERVISOR_PARTITION_TYPE = 2;

/// A hypervisor is there.
pub const NDIS_HYPERVISOR_INFO_FLAG_HYPERVISOR_PRESENT: u32 = 1;

/// Revision 1 of [`NDIS_HYPERVISOR_INFO`](crate::NDIS_HYPERVISOR_INFO).
pub const NDIS_HYPERVISOR_INFO_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_HYPERVISOR_INFO`](crate::NDIS_HYPERVISOR_INFO) that belong to revision 1.
pub const NDIS_SIZEOF_HYPERVISOR_INFO_REVISION_1: u16 = 0xc;

/// Most bytes of strings and data that `NdisWriteEventLogEntry` takes.
pub const NDIS_MAX_EVENT_LOG_DATA_SIZE: u32 = 0xc4;

impl_zeroed! {
    NDIS_HYPERVISOR_INFO,
}
