//! Power management and wake-up of an adapter.

use crate::{NDIS_OBJECT_HEADER, impl_zeroed};

/// Power capabilities of NDIS 6.1 and older; data of `OID_PNP_CAPABILITIES`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PNP_CAPABILITIES {
    /// `NDIS_DEVICE_WAKE_` flags.
    pub Flags: u32,
    /// Deepest states that the adapter can wake from.
    pub WakeUpCapabilities: NDIS_PM_WAKE_UP_CAPABILITIES,
}

/// Deepest power states from which the adapter can wake the system.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PM_WAKE_UP_CAPABILITIES {
    /// By a magic packet.
    pub MinMagicPacketWakeUp: NDIS_DEVICE_POWER_STATE,
    /// By a frame that matches a pattern.
    pub MinPatternWakeUp: NDIS_DEVICE_POWER_STATE,
    /// By a change of the link.
    pub MinLinkChangeWakeUp: NDIS_DEVICE_POWER_STATE,
}

/// Power capabilities since NDIS 6.20. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PM_CAPABILITIES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_PM_` capability flags. Reserved in revision 1.
    pub Flags: u32,
    /// `NDIS_PM_WOL_..._SUPPORTED` flags.
    pub SupportedWoLPacketPatterns: u32,
    /// Patterns in all.
    pub NumTotalWoLPatterns: u32,
    /// Longest pattern in bytes.
    pub MaxWoLPatternSize: u32,
    /// Furthest byte of a frame that a pattern reaches.
    pub MaxWoLPatternOffset: u32,
    /// Bytes of the waking frame that the adapter keeps.
    pub MaxWoLPacketSaveBuffer: u32,
    /// Protocols that the adapter answers while the system sleeps.
    pub SupportedProtocolOffloads: u32,
    /// IPv4 addresses that it answers ARP for.
    pub NumArpOffloadIPv4Addresses: u32,
    /// IPv6 addresses that it answers neighbor solicitations for.
    pub NumNSOffloadIPv6Addresses: u32,
    /// By a magic packet.
    pub MinMagicPacketWakeUp: NDIS_DEVICE_POWER_STATE,
    /// By a frame that matches a pattern.
    pub MinPatternWakeUp: NDIS_DEVICE_POWER_STATE,
    /// By a change of the link.
    pub MinLinkChangeWakeUp: NDIS_DEVICE_POWER_STATE,
    /// Further events that wake the system. Revision 2.
    pub SupportedWakeUpEvents: u32,
    /// Events of the medium that wake the system. Revision 2.
    pub MediaSpecificWakeUpEvents: u32,
}

/// What of it is switched on; data of `OID_PM_PARAMETERS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PM_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_PM_WOL_..._ENABLED` flags.
    pub EnabledWoLPacketPatterns: u32,
    /// Protocols to answer.
    pub EnabledProtocolOffloads: u32,
    /// `NDIS_PM_..._ENABLED` flags.
    pub WakeUpFlags: u32,
    /// Events of the medium. Revision 2.
    pub MediaSpecificWakeUpEvents: u32,
}

/// Power state of an adapter; data of `OID_PNP_SET_POWER`.
pub type NDIS_DEVICE_POWER_STATE = i32;

/// Not told, or cannot.
pub const NdisDeviceStateUnspecified: NDIS_DEVICE_POWER_STATE = 0;

/// On.
pub const NdisDeviceStateD0: NDIS_DEVICE_POWER_STATE = 1;

/// Light sleep.
pub const NdisDeviceStateD1: NDIS_DEVICE_POWER_STATE = 2;

/// Sleep.
pub const NdisDeviceStateD2: NDIS_DEVICE_POWER_STATE = 3;

/// Off.
pub const NdisDeviceStateD3: NDIS_DEVICE_POWER_STATE = 4;

/// Upper bound of the states.
pub const NdisDeviceStateMaximum: NDIS_DEVICE_POWER_STATE = 5;

/// Wake-up is possible.
pub const NDIS_DEVICE_WAKE_UP_ENABLE: u32 = 1;

/// Wake-up by pattern.
pub const NDIS_DEVICE_WAKE_ON_PATTERN_MATCH_ENABLE: u32 = 2;

/// Wake-up by magic packet.
pub const NDIS_DEVICE_WAKE_ON_MAGIC_PACKET_ENABLE: u32 = 4;

/// Can match bitmap patterns.
pub const NDIS_PM_WOL_BITMAP_PATTERN_SUPPORTED: u32 = 1;

/// Can recognize magic packets.
pub const NDIS_PM_WOL_MAGIC_PACKET_SUPPORTED: u32 = 2;

/// Match bitmap patterns.
pub const NDIS_PM_WOL_BITMAP_PATTERN_ENABLED: u32 = 1;

/// Recognize magic packets.
pub const NDIS_PM_WOL_MAGIC_PACKET_ENABLED: u32 = 2;

/// Keeps the waking frame.
pub const NDIS_PM_WAKE_PACKET_INDICATION_SUPPORTED: u32 = 1;

/// Can suspend when idle.
pub const NDIS_PM_SELECTIVE_SUSPEND_SUPPORTED: u32 = 2;

/// Wake when the link comes up.
pub const NDIS_PM_WAKE_ON_LINK_CHANGE_ENABLED: u32 = 1;

/// Wake when the link goes down.
pub const NDIS_PM_WAKE_ON_MEDIA_DISCONNECT_ENABLED: u32 = 2;

/// Suspend when idle.
pub const NDIS_PM_SELECTIVE_SUSPEND_ENABLED: u32 = 0x10;

/// Revision 1 of [`NDIS_PM_CAPABILITIES`](crate::NDIS_PM_CAPABILITIES).
pub const NDIS_PM_CAPABILITIES_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_PM_CAPABILITIES`](crate::NDIS_PM_CAPABILITIES).
pub const NDIS_PM_CAPABILITIES_REVISION_2: u8 = 2;

/// Revision 1 of [`NDIS_PM_PARAMETERS`](crate::NDIS_PM_PARAMETERS).
pub const NDIS_PM_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_PM_PARAMETERS`](crate::NDIS_PM_PARAMETERS).
pub const NDIS_PM_PARAMETERS_REVISION_2: u8 = 2;

/// Bytes of [`NDIS_PM_CAPABILITIES`](crate::NDIS_PM_CAPABILITIES) that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_1: u16 = 0x34;

/// Bytes of [`NDIS_PM_CAPABILITIES`](crate::NDIS_PM_CAPABILITIES) that belong to revision 2.
pub const NDIS_SIZEOF_NDIS_PM_CAPABILITIES_REVISION_2: u16 = 0x3c;

/// Bytes of [`NDIS_PM_PARAMETERS`](crate::NDIS_PM_PARAMETERS) that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_1: u16 = 0x10;

/// Bytes of [`NDIS_PM_PARAMETERS`](crate::NDIS_PM_PARAMETERS) that belong to revision 2.
pub const NDIS_SIZEOF_NDIS_PM_PARAMETERS_REVISION_2: u16 = 0x14;

impl_zeroed! {
    NDIS_PNP_CAPABILITIES,
    NDIS_PM_WAKE_UP_CAPABILITIES,
    NDIS_PM_CAPABILITIES,
    NDIS_PM_PARAMETERS,
}
