//! What NDIS tells about the processors of the system.

use crate::{NDIS_OBJECT_HEADER, PROCESSOR_NUMBER, impl_zeroed};

/// Who made the processors.
pub type NDIS_PROCESSOR_VENDOR = i32;

/// Somebody else.
pub const NdisProcessorVendorUnknown: NDIS_PROCESSOR_VENDOR = 0;

/// How NDIS distributes receive-side scaling over processors.
pub type NDIS_RSS_PROFILE = i32;

/// Close to the adapter first, and left where it is.
pub const NdisRssProfileNumaStatic: NDIS_RSS_PROFILE = 4;

/// A processor of a system with one group.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PROCESSOR_INFO {
    /// Its number.
    pub CpuNumber: u32,
    /// The package that it is in.
    pub PhysicalPackageId: u32,
    /// The core that it belongs to.
    pub CoreId: u32,
    /// Its number within the core.
    pub HyperThreadID: u32,
}

/// A processor.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PROCESSOR_INFO_EX {
    /// Its group, and its number there.
    pub ProcNum: PROCESSOR_NUMBER,
    /// The socket that it is in.
    pub SocketId: u32,
    /// The core that it belongs to.
    pub CoreId: u32,
    /// Its number within the core.
    pub HyperThreadId: u32,
    /// The node that it belongs to.
    pub NodeId: u16,
    /// How far that is from the node that was asked for.
    pub NodeDistance: u16,
}

/// The processors of a system with one group. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SYSTEM_PROCESSOR_INFO {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Who made them.
    pub ProcessorVendor: NDIS_PROCESSOR_VENDOR,
    /// Packages.
    pub NumPhysicalPackages: u32,
    /// Cores of all packages.
    pub NumCores: u32,
    /// Cores of a package.
    pub NumCoresPerPhysicalPackage: u32,
    /// Most processors of a core.
    pub MaxHyperThreadingCpusPerCore: u32,
    /// Lowest processor of receive-side scaling.
    pub RssBaseCpu: u32,
    /// How many processors receive-side scaling uses.
    pub RssCpuCount: u32,
    /// Their numbers.
    pub RssProcessors: *mut u8,
    /// The processors.
    pub CpuInfo: [NDIS_PROCESSOR_INFO; 64],
}

/// The processors of a system, followed by an array of [`NDIS_PROCESSOR_INFO_EX`]. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_SYSTEM_PROCESSOR_INFO_EX {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Who made them.
    pub ProcessorVendor: NDIS_PROCESSOR_VENDOR,
    /// Sockets.
    pub NumSockets: u32,
    /// Cores of all sockets.
    pub NumCores: u32,
    /// Cores of a socket.
    pub NumCoresPerSocket: u32,
    /// Most processors of a core.
    pub MaxHyperThreadingProcsPerCore: u32,
    /// Where the array begins, from the start of this structure.
    pub ProcessorInfoOffset: u32,
    /// Elements of the array.
    pub NumberOfProcessors: u32,
    /// Bytes of an element.
    pub ProcessorInfoEntrySize: u32,
}

/// A processor of receive-side scaling.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RSS_PROCESSOR {
    /// Its group, and its number there.
    pub ProcNum: PROCESSOR_NUMBER,
    /// How much it is preferred; zero is the most.
    pub PreferenceIndex: u16,
    /// Reserved.
    pub Reserved: u16,
}

/// The processors of receive-side scaling, followed by an array of [`NDIS_RSS_PROCESSOR`]. Type
/// RSS_PROCESSOR_INFO.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RSS_PROCESSOR_INFO {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// The lowest.
    pub RssBaseProcessor: PROCESSOR_NUMBER,
    /// Most processors to use.
    pub MaxNumRssProcessors: u32,
    /// The node closest to the adapter.
    pub PreferredNumaNode: u16,
    /// Where the array begins, from the start of this structure.
    pub RssProcessorArrayOffset: u32,
    /// Elements of the array.
    pub RssProcessorCount: u32,
    /// Bytes of an element.
    pub RssProcessorEntrySize: u32,
    /// The highest. Revision 2.
    pub RssMaxProcessor: PROCESSOR_NUMBER,
    /// How the processors were chosen. Revision 2.
    pub RssProfile: NDIS_RSS_PROFILE,
}

impl_zeroed! {
    NDIS_PROCESSOR_INFO,
    NDIS_PROCESSOR_INFO_EX,
    NDIS_SYSTEM_PROCESSOR_INFO,
    NDIS_SYSTEM_PROCESSOR_INFO_EX,
    NDIS_RSS_PROCESSOR,
    NDIS_RSS_PROCESSOR_INFO,
}

/// Type of [`NDIS_RSS_PROCESSOR_INFO`].
pub const NDIS_OBJECT_TYPE_RSS_PROCESSOR_INFO: u8 = 0xb1;

/// Revision of [`NDIS_RSS_PROCESSOR_INFO`] with all fields.
pub const NDIS_RSS_PROCESSOR_INFO_REVISION_2: u8 = 2;

/// Bytes of [`NDIS_RSS_PROCESSOR_INFO`], revision 2.
pub const NDIS_SIZEOF_RSS_PROCESSOR_INFO_REVISION_2: u16 = 0x28;

/// Revision of [`NDIS_SYSTEM_PROCESSOR_INFO`].
pub const NDIS_SYSTEM_PROCESSOR_INFO_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_SYSTEM_PROCESSOR_INFO`], revision 1.
pub const NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_REVISION_1: u16 = 0x430;

/// Revision of [`NDIS_SYSTEM_PROCESSOR_INFO_EX`].
pub const NDIS_SYSTEM_PROCESSOR_INFO_EX_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_SYSTEM_PROCESSOR_INFO_EX`], revision 1.
pub const NDIS_SIZEOF_SYSTEM_PROCESSOR_INFO_EX_REVISION_1: u16 = 0x28;
