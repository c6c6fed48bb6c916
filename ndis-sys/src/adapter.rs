//! What a miniport tells NDIS about an adapter: registration, general, offload and hardware-assist attributes.

use core::ffi::c_void;

use crate::{
    BOOLEAN, NDIS_HANDLE, NDIS_MEDIA_CONNECT_STATE, NDIS_MEDIA_DUPLEX_STATE, NDIS_MEDIUM,
    NDIS_OBJECT_HEADER, NDIS_OFFLOAD, NDIS_OID, NDIS_PHYSICAL_MEDIUM, NDIS_PM_CAPABILITIES,
    NDIS_PNP_CAPABILITIES, NDIS_RECEIVE_SCALE_CAPABILITIES, NET_IF_ACCESS_TYPE,
    NET_IF_CONNECTION_TYPE, NET_IF_DIRECTION_TYPE, NET_IFTYPE, impl_zeroed,
};

/// What `NdisMSetMiniportAttributes` takes: one of these, told apart by the header's type.
#[derive(Clone, Copy)]
#[repr(C)]
pub union NDIS_MINIPORT_ADAPTER_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// From `MiniportAddDevice`.
    pub AddDeviceRegistrationAttributes: NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES,
    /// First of all.
    pub RegistrationAttributes: NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    /// After the registration attributes.
    pub GeneralAttributes: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    /// Offloads, if there are any.
    pub OffloadAttributes: NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    /// Header-data split, queues, SR-IOV, if there are any.
    pub HardwareAssistAttributes: NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
}

/// Context of a device between `MiniportAddDevice` and `MiniportRemoveDevice`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// The driver's context.
    pub MiniportAddDeviceContext: NDIS_HANDLE,
    /// Reserved.
    pub Flags: u32,
}

/// First attributes: the context that NDIS passes to every adapter handler.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// The driver's context.
    pub MiniportAdapterContext: NDIS_HANDLE,
    /// `NDIS_MINIPORT_ATTRIBUTES_`.
    pub AttributeFlags: u32,
    /// How often to ask `MiniportCheckForHangEx`; 0 for NDIS's choice.
    pub CheckForHangTimeInSeconds: u32,
    /// Bus of the adapter.
    pub InterfaceType: NDIS_INTERFACE_TYPE,
}

/// What the adapter is and can do (Microsoft Learn, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Medium as protocols see it.
    pub MediaType: NDIS_MEDIUM,
    /// Medium underneath.
    pub PhysicalMediumType: NDIS_PHYSICAL_MEDIUM,
    /// Largest payload of a frame, without the Ethernet header, in bytes.
    pub MtuSize: u32,
    /// Highest send speed, in bits per second.
    pub MaxXmitLinkSpeed: u64,
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Highest receive speed, in bits per second.
    pub MaxRcvLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
    /// Whether the link is up.
    pub MediaConnectState: NDIS_MEDIA_CONNECT_STATE,
    /// Half or full duplex.
    pub MediaDuplexState: NDIS_MEDIA_DUPLEX_STATE,
    /// Bytes of a frame that are contiguous at its start.
    pub LookaheadSize: u32,
    /// Power management of NDIS 6.1 and older, or null.
    pub PowerManagementCapabilities: *mut NDIS_PNP_CAPABILITIES,
    /// `NDIS_MAC_OPTION_` flags.
    pub MacOptions: u32,
    /// `NDIS_PACKET_TYPE_` flags that the adapter can honor.
    pub SupportedPacketFilters: u32,
    /// Multicast addresses that the adapter can filter.
    pub MaxMulticastListSize: u32,
    /// Bytes of a MAC address, 6 for Ethernet.
    pub MacAddressLength: u16,
    /// Address of the hardware.
    pub PermanentMacAddress: [u8; 32],
    /// Address in use.
    pub CurrentMacAddress: [u8; 32],
    /// Receive-side scaling, or null.
    pub RecvScaleCapabilities: *mut NDIS_RECEIVE_SCALE_CAPABILITIES,
    /// How stations share the medium.
    pub AccessType: NET_IF_ACCESS_TYPE,
    /// Whether the interface sends, receives or both.
    pub DirectionType: NET_IF_DIRECTION_TYPE,
    /// Whether the connection is always there.
    pub ConnectionType: NET_IF_CONNECTION_TYPE,
    /// `IF_TYPE_` of the interface.
    pub IfType: NET_IFTYPE,
    /// Whether there is a physical connector.
    pub IfConnectorPresent: BOOLEAN,
    /// `NDIS_STATISTICS_..._SUPPORTED` flags.
    pub SupportedStatistics: u32,
    /// Flow control that the adapter can do.
    pub SupportedPauseFunctions: u32,
    /// Bytes that senders should leave free before the data.
    pub DataBackFillSize: u32,
    /// Bytes that senders should leave free in the context area.
    pub ContextBackFillSize: u32,
    /// OIDs that the adapter answers; belongs to the miniport and must stay valid.
    pub SupportedOidList: *mut NDIS_OID,
    /// Bytes of that list.
    pub SupportedOidListLength: u32,
    /// `NDIS_LINK_STATE_..._AUTO_NEGOTIATED` flags.
    pub AutoNegotiationFlags: u32,
    /// Power management since NDIS 6.20, or null.
    pub PowerManagementCapabilitiesEx: *mut NDIS_PM_CAPABILITIES,
}

/// Task offload of the adapter.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// What is switched on.
    pub DefaultOffloadConfiguration: *mut NDIS_OFFLOAD,
    /// What the hardware can do.
    pub HardwareOffloadCapabilities: *mut NDIS_OFFLOAD,
    /// Connection offload, or null.
    pub DefaultTcpConnectionOffloadConfiguration: *mut c_void,
    /// Connection offload, or null.
    pub TcpConnectionOffloadHardwareCapabilities: *mut c_void,
}

/// Further abilities of the hardware; each null if absent.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Header-data split.
    pub HDSplitAttributes: *mut c_void,
    /// Receive filters of the hardware. Revision 2.
    pub HardwareReceiveFilterCapabilities: *mut c_void,
    /// Receive filters in use. Revision 2.
    pub CurrentReceiveFilterCapabilities: *mut c_void,
    /// NIC switch of the hardware. Revision 2.
    pub HardwareNicSwitchCapabilities: *mut c_void,
    /// NIC switch in use. Revision 2.
    pub CurrentNicSwitchCapabilities: *mut c_void,
    /// SR-IOV of the hardware. Revision 3.
    pub HardwareSriovCapabilities: *mut c_void,
    /// SR-IOV in use. Revision 3.
    pub CurrentSriovCapabilities: *mut c_void,
    /// Traffic classes of the hardware. Revision 3.
    pub HardwareQosCapabilities: *mut c_void,
    /// Traffic classes in use. Revision 3.
    pub CurrentQosCapabilities: *mut c_void,
    /// Flow tables of the hardware. Revision 4.
    pub HardwareGftOffloadCapabilities: *mut c_void,
    /// Flow tables in use. Revision 4.
    pub CurrentGftOffloadCapabilities: *mut c_void,
}

/// Bus of an adapter.
pub type NDIS_INTERFACE_TYPE = i32;

/// Internal bus; for virtual devices.
pub const NdisInterfaceInternal: NDIS_INTERFACE_TYPE = 0;

/// PCI or PCI Express.
pub const NdisInterfacePci: NDIS_INTERFACE_TYPE = 5;

/// Another PnP bus.
pub const NdisInterfacePNPBus: NDIS_INTERFACE_TYPE = 15;

/// The adapter is hardware.
pub const NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE: u32 = 1;

/// The miniport has a WDM lower edge.
pub const NDIS_MINIPORT_ATTRIBUTES_NDIS_WDM: u32 = 2;

/// Surprise removal is handled; no warning to the user.
pub const NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK: u32 = 4;

/// Not connection-oriented.
pub const NDIS_MINIPORT_ATTRIBUTES_NOT_CO_NDIS: u32 = 8;

/// Stays initialized when the system sleeps.
pub const NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND: u32 = 0x20;

/// The device moves data by itself.
pub const NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER: u32 = 0x40;

/// The miniport activates the default port.
pub const NDIS_MINIPORT_ATTRIBUTES_CONTROLS_DEFAULT_PORT: u32 = 0x80;

/// Is not paused before the system sleeps.
pub const NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND: u32 = 0x100;

/// `MiniportShutdownEx` is to be called in a crash.
pub const NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK: u32 = 0x400;

/// Revision 1 of
/// [`NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES).
pub const NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1: u8 = 1;

/// Revision 1 of
/// [`NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1: u8 = 1;

/// Revision 2 of
/// [`NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2: u8 = 2;

/// Revision 1 of
/// [`NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1: u8 = 1;

/// Revision 2 of
/// [`NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2: u8 = 2;

/// Revision 1 of
/// [`NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1: u8 = 1;

/// Revision 1 of
/// [`NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES).
pub const NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1: u8 = 1;

/// Bytes of
/// [`NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES_REVISION_1: u16 = 0x14;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_1: u16 = 0x1c;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES)
/// that belong to revision 2.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2: u16 = 0x1c;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_1: u16 = 0xd8;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES)
/// that belong to revision 2.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2: u16 = 0xe0;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1: u16 = 0x28;

/// Bytes of
/// [`NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES)
/// that belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES_REVISION_1: u16 = 0x10;

impl_zeroed! {
    NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
    NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES,
}
