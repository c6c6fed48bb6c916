//! Hardware resources as the PnP manager assigns them, message interrupts, PCI configuration space.

use core::ffi::c_void;
use core::mem::offset_of;

use static_assertions::const_assert_eq;

use crate::{KAFFINITY, KIRQL, LARGE_INTEGER, PHYSICAL_ADDRESS, impl_zeroed};

/// Hardware resources of a device: usually one full descriptor.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CM_RESOURCE_LIST {
    /// Elements in `List`.
    pub Count: u32,
    /// Full descriptors; the next one begins where the one before ends.
    pub List: [CM_FULL_RESOURCE_DESCRIPTOR; 1],
}

/// Resources on one bus.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CM_FULL_RESOURCE_DESCRIPTOR {
    /// Kind of bus.
    pub InterfaceType: INTERFACE_TYPE,
    /// Number of the bus.
    pub BusNumber: u32,
    /// The resources.
    pub PartialResourceList: CM_PARTIAL_RESOURCE_LIST,
}

/// List of resources on one bus.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct CM_PARTIAL_RESOURCE_LIST {
    /// Version of the format.
    pub Version: u16,
    /// Revision of the format.
    pub Revision: u16,
    /// Elements in `PartialDescriptors`.
    pub Count: u32,
    /// `Count` descriptors, of which C declares one.
    pub PartialDescriptors: [CM_PARTIAL_RESOURCE_DESCRIPTOR; 1],
}

/// One resource. Packed to 4 bytes: read fields by copy, take no references.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_PARTIAL_RESOURCE_DESCRIPTOR {
    /// `CmResourceType...`, which tells how to read `u`.
    pub Type: u8,
    /// `CmResourceShare...`.
    pub ShareDisposition: u8,
    /// `CM_RESOURCE_` flags of this type.
    pub Flags: u16,
    /// The resource.
    pub u: CM_PARTIAL_RESOURCE_DATA,
}

/// The readings of a resource that a PCI network adapter meets.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
#[doc(alias = "CM_PARTIAL_RESOURCE_DESCRIPTOR.u")]
pub union CM_PARTIAL_RESOURCE_DATA {
    /// Any range.
    pub Generic: CM_RESOURCE_RANGE,
    /// Range of I/O ports.
    pub Port: CM_RESOURCE_RANGE,
    /// Line-based interrupt.
    pub Interrupt: CM_RESOURCE_INTERRUPT,
    /// Message interrupt, with `CM_RESOURCE_INTERRUPT_MESSAGE`.
    pub MessageInterrupt: CM_RESOURCE_MESSAGE_INTERRUPT,
    /// Range of memory.
    pub Memory: CM_RESOURCE_RANGE,
    /// Private to the bus driver.
    pub DevicePrivate: [u32; 3],
    /// Large range; `Length` counts units of 256 bytes.
    pub Memory40: CM_RESOURCE_RANGE,
    /// Large range; `Length` counts units of 64 KiB.
    pub Memory48: CM_RESOURCE_RANGE,
    /// Large range; `Length` counts units of 4 GiB.
    pub Memory64: CM_RESOURCE_RANGE,
}

/// Range of ports or memory.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
#[doc(alias = "CM_PARTIAL_RESOURCE_DESCRIPTOR.u.Generic")]
pub struct CM_RESOURCE_RANGE {
    /// First address: raw on the bus, or translated for the processor.
    pub Start: LARGE_INTEGER,
    /// Length in bytes, or in the units of the large ranges.
    pub Length: u32,
}

/// An interrupt by level and vector.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
#[doc(alias = "CM_PARTIAL_RESOURCE_DESCRIPTOR.u.Interrupt")]
pub struct CM_RESOURCE_INTERRUPT {
    /// Level, translated an IRQL.
    pub Level: u32,
    /// Vector.
    pub Vector: u32,
    /// Processors that may take it.
    pub Affinity: KAFFINITY,
}

/// The message reading of an interrupt resource.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub union CM_RESOURCE_MESSAGE_INTERRUPT {
    /// In raw resources: how many messages were granted.
    pub Raw: CM_RESOURCE_RAW_MESSAGES,
    /// In translated resources: one message.
    pub Translated: CM_RESOURCE_INTERRUPT,
}
const_assert_eq!(size_of::<CM_RESOURCE_MESSAGE_INTERRUPT>(), 16);

/// Messages granted to a device.
#[derive(Clone, Copy)]
#[repr(C, packed(4))]
pub struct CM_RESOURCE_RAW_MESSAGES {
    /// Reserved, or the processor group.
    pub Reserved: u16,
    /// Messages granted.
    pub MessageCount: u16,
    /// Vector of the first one.
    pub Vector: u32,
    /// Processors that may take them.
    pub Affinity: KAFFINITY,
}
const_assert_eq!(size_of::<CM_RESOURCE_RAW_MESSAGES>(), 16);
const_assert_eq!(offset_of!(CM_RESOURCE_RAW_MESSAGES, MessageCount), 2);

/// One message of a message-signaled interrupt (Microsoft Learn,
/// IO_INTERRUPT_MESSAGE_INFO_ENTRY).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_INTERRUPT_MESSAGE_INFO_ENTRY {
    /// Address that the device writes to.
    pub MessageAddress: PHYSICAL_ADDRESS,
    /// Processors that take the message.
    pub TargetProcessorSet: KAFFINITY,
    /// Internal to the kernel.
    pub InterruptObject: *mut c_void,
    /// Data that the device writes.
    pub MessageData: u32,
    /// Vector.
    pub Vector: u32,
    /// Level of its handler.
    pub Irql: KIRQL,
    /// `Latched`.
    pub Mode: KINTERRUPT_MODE,
    /// Of no meaning for messages.
    pub Polarity: KINTERRUPT_POLARITY,
}
const_assert_eq!(size_of::<IO_INTERRUPT_MESSAGE_INFO_ENTRY>(), 48);
const_assert_eq!(offset_of!(IO_INTERRUPT_MESSAGE_INFO_ENTRY, MessageData), 24);
const_assert_eq!(offset_of!(IO_INTERRUPT_MESSAGE_INFO_ENTRY, Irql), 32);
const_assert_eq!(offset_of!(IO_INTERRUPT_MESSAGE_INFO_ENTRY, Polarity), 40);

/// The messages granted to a device (Microsoft Learn, IO_INTERRUPT_MESSAGE_INFO).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct IO_INTERRUPT_MESSAGE_INFO {
    /// Highest level of them.
    pub UnifiedIrql: KIRQL,
    /// Elements of `MessageInfo`.
    pub MessageCount: u32,
    /// `MessageCount` elements, of which C declares one.
    pub MessageInfo: [IO_INTERRUPT_MESSAGE_INFO_ENTRY; 1],
}
const_assert_eq!(size_of::<IO_INTERRUPT_MESSAGE_INFO>(), 56);
const_assert_eq!(offset_of!(IO_INTERRUPT_MESSAGE_INFO, MessageInfo), 8);

/// Resources of an adapter.
pub type NDIS_RESOURCE_LIST = CM_PARTIAL_RESOURCE_LIST;

/// Kind of bus.
pub type INTERFACE_TYPE = i32;

/// Not known.
pub const InterfaceTypeUndefined: INTERFACE_TYPE = -1;

/// Bus of the processor.
pub const Internal: INTERFACE_TYPE = 0;

/// PCI or PCI Express.
pub const PCIBus: INTERFACE_TYPE = 5;

/// ACPI.
pub const ACPIBus: INTERFACE_TYPE = 17;

/// How an interrupt is requested.
pub type KINTERRUPT_MODE = i32;

/// Requested as long as the line is held.
pub const LevelSensitive: KINTERRUPT_MODE = 0;

/// Requested once per edge or message.
pub const Latched: KINTERRUPT_MODE = 1;

/// Which level or edge of a line requests the interrupt.
pub type KINTERRUPT_POLARITY = i32;

/// Not known.
pub const InterruptPolarityUnknown: KINTERRUPT_POLARITY = 0;

/// High level.
pub const InterruptActiveHigh: KINTERRUPT_POLARITY = 1;

/// Rising edge.
pub const InterruptRisingEdge: KINTERRUPT_POLARITY = 1;

/// Low level.
pub const InterruptActiveLow: KINTERRUPT_POLARITY = 2;

/// Falling edge.
pub const InterruptFallingEdge: KINTERRUPT_POLARITY = 2;

/// Both edges.
pub const InterruptActiveBoth: KINTERRUPT_POLARITY = 3;

/// Both edges, low first.
pub const InterruptActiveBothTriggerLow: KINTERRUPT_POLARITY = 3;

/// Both edges, high first.
pub const InterruptActiveBothTriggerHigh: KINTERRUPT_POLARITY = 4;

/// Nothing.
pub const CmResourceTypeNull: u8 = 0;
/// Range of I/O ports.
pub const CmResourceTypePort: u8 = 1;
/// Interrupt, by line or message.
pub const CmResourceTypeInterrupt: u8 = 2;
/// Range of memory.
pub const CmResourceTypeMemory: u8 = 3;
/// DMA channel.
pub const CmResourceTypeDma: u8 = 4;
/// Data of the device.
pub const CmResourceTypeDeviceSpecific: u8 = 5;
/// Range of bus numbers.
pub const CmResourceTypeBusNumber: u8 = 6;
/// Range of memory of 4 GiB or more.
pub const CmResourceTypeMemoryLarge: u8 = 7;

/// Level-sensitive line.
pub const CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE: u16 = 0;

/// Edge or message.
pub const CM_RESOURCE_INTERRUPT_LATCHED: u16 = 1;

/// Message-signaled.
pub const CM_RESOURCE_INTERRUPT_MESSAGE: u16 = 2;

/// Readable and writable.
pub const CM_RESOURCE_MEMORY_READ_WRITE: u16 = 0;

/// Reads have no side effects.
pub const CM_RESOURCE_MEMORY_PREFETCHABLE: u16 = 4;

/// Behind a base address register.
pub const CM_RESOURCE_MEMORY_BAR: u16 = 0x80;

/// Read as `Memory40`.
pub const CM_RESOURCE_MEMORY_LARGE_40: u16 = 0x200;

/// Read as `Memory48`.
pub const CM_RESOURCE_MEMORY_LARGE_48: u16 = 0x400;

/// Read as `Memory64`.
pub const CM_RESOURCE_MEMORY_LARGE_64: u16 = 0x800;

/// I/O ports, not memory.
pub const CM_RESOURCE_PORT_IO: u16 = 1;

/// Behind a base address register.
pub const CM_RESOURCE_PORT_BAR: u16 = 0x100;

/// Level and vector of a message interrupt before translation.
pub const CM_RESOURCE_INTERRUPT_MESSAGE_TOKEN: u32 = 0xffff_fffe;

/// Configuration space, for `NdisMGetBusData`.
pub const PCI_WHICHSPACE_CONFIG: u32 = 0;

/// Not known.
pub const CmResourceShareUndetermined: u8 = 0;

/// Belongs to one device.
pub const CmResourceShareDeviceExclusive: u8 = 1;

/// Belongs to one driver.
pub const CmResourceShareDriverExclusive: u8 = 2;

/// May be shared.
pub const CmResourceShareShared: u8 = 3;

/// Bytes 16 to 63 of a PCI function's configuration space.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PCI_HEADER_TYPE_0 {
    /// Base address registers.
    pub BaseAddresses: [u32; 6],
    /// CardBus information.
    pub CIS: u32,
    /// Subsystem vendor.
    pub SubVendorID: u16,
    /// Subsystem.
    pub SubSystemID: u16,
    /// Base address of the option ROM.
    pub ROMBaseAddress: u32,
    /// Offset of the first capability, 0 if there is none.
    pub CapabilitiesPtr: u8,
    /// Reserved.
    pub Reserved1: [u8; 3],
    /// Reserved.
    pub Reserved2: u32,
    /// Interrupt line as firmware set it.
    pub InterruptLine: u8,
    /// 0 for none, 1 to 4 for INTA to INTD.
    pub InterruptPin: u8,
    /// Burst length of old devices.
    pub MinimumGrant: u8,
    /// Latency of old devices.
    pub MaximumLatency: u8,
}

/// Beginning of each PCI capability.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PCI_CAPABILITIES_HEADER {
    /// `PCI_CAPABILITY_ID_`.
    pub CapabilityID: u8,
    /// Offset of the next capability, 0 at the end.
    pub Next: u8,
}

/// Vendor read where no function is.
pub const PCI_INVALID_VENDORID: u16 = 0xffff;

/// Command: answer to I/O ports.
pub const PCI_ENABLE_IO_SPACE: u16 = 1;

/// Command: answer to memory.
pub const PCI_ENABLE_MEMORY_SPACE: u16 = 2;

/// Command: may start transfers, messages included.
pub const PCI_ENABLE_BUS_MASTER: u16 = 4;

/// Command: no line-based interrupts.
pub const PCI_DISABLE_LEVEL_INTERRUPT: u16 = 0x400;

/// Status: there is a list of capabilities.
pub const PCI_STATUS_CAPABILITIES_LIST: u16 = 0x10;

/// Message-signaled interrupts.
pub const PCI_CAPABILITY_ID_MSI: u8 = 5;

/// Vendor specific; virtio's structures are announced by it.
pub const PCI_CAPABILITY_ID_VENDOR_SPECIFIC: u8 = 9;

/// PCI Express.
pub const PCI_CAPABILITY_ID_PCI_EXPRESS: u8 = 0x10;

/// MSI-X.
pub const PCI_CAPABILITY_ID_MSIX: u8 = 0x11;

impl_zeroed! {
    CM_RESOURCE_LIST,
    CM_FULL_RESOURCE_DESCRIPTOR,
    CM_PARTIAL_RESOURCE_LIST,
    CM_PARTIAL_RESOURCE_DESCRIPTOR,
    CM_PARTIAL_RESOURCE_DATA,
    CM_RESOURCE_RANGE,
    CM_RESOURCE_INTERRUPT,
    CM_RESOURCE_MESSAGE_INTERRUPT,
    CM_RESOURCE_RAW_MESSAGES,
    IO_INTERRUPT_MESSAGE_INFO,
    IO_INTERRUPT_MESSAGE_INFO_ENTRY,
    PCI_HEADER_TYPE_0,
    PCI_CAPABILITIES_HEADER,
}
