//! What NDIS tells an adapter on its way through life: initialization, pause, restart, PnP events,
//! halt and shutdown.

use core::ffi::c_void;

use crate::{
    NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_PORT_AUTHENTICATION_PARAMETERS,
    NDIS_PORT_NUMBER, NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_RESOURCE_LIST, NET_IF_ACCESS_TYPE,
    NET_IF_CONNECTION_TYPE, NET_IFINDEX, NET_LUID, impl_zeroed,
};

/// What `MiniportInitializeEx` is told. Valid during the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_INIT_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Translated hardware resources, null for a virtual device.
    pub AllocatedResources: *mut NDIS_RESOURCE_LIST,
    /// Context of an intermediate driver's virtual adapter.
    pub IMDeviceInstanceContext: NDIS_HANDLE,
    /// What `MiniportAddDevice` registered.
    pub MiniportAddDeviceContext: NDIS_HANDLE,
    /// Interface index of the adapter.
    pub IfIndex: NET_IFINDEX,
    /// Interface identifier that lasts over restarts.
    pub NetLuid: NET_LUID,
    /// Authentication state of the default port.
    pub DefaultPortAuthStates: *mut NDIS_PORT_AUTHENTICATION_PARAMETERS,
    /// PCI Express properties, null for other buses.
    pub PciDeviceCustomProperties: *mut NDIS_PCI_DEVICE_CUSTOM_PROPERTIES,
}

/// PCI Express properties of the adapter.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PCI_DEVICE_CUSTOM_PROPERTIES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Kind of PCI device.
    pub DeviceType: u32,
    /// Speed and mode, for PCI and PCI-X.
    pub CurrentSpeedAndMode: u32,
    /// Payload size in use.
    pub CurrentPayloadSize: u32,
    /// Largest payload size.
    pub MaxPayloadSize: u32,
    /// Largest read request.
    pub MaxReadRequestSize: u32,
    /// Link speed in use.
    pub CurrentLinkSpeed: u32,
    /// Lanes in use.
    pub CurrentLinkWidth: u32,
    /// Highest link speed.
    pub MaxLinkSpeed: u32,
    /// Most lanes.
    pub MaxLinkWidth: u32,
    /// PCI Express version. Revision 2.
    pub PciExpressVersion: u32,
    /// Kinds of interrupt that the device has. Revision 2.
    pub InterruptType: u32,
    /// Most interrupt messages. Revision 2.
    pub MaxInterruptMessages: u32,
}

/// Why the miniport is paused.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_PAUSE_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// `NDIS_PAUSE_` reasons.
    pub PauseReason: u32,
}

/// What a restarting miniport is told.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_MINIPORT_RESTART_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// List of attributes, or null; the miniport may change the general ones.
    pub RestartAttributes: *mut NDIS_RESTART_ATTRIBUTES,
    /// Reserved.
    pub Flags: u32,
}

/// Element of a list of restart attributes.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub struct NDIS_RESTART_ATTRIBUTES {
    /// The next element, null at the end.
    pub Next: *mut NDIS_RESTART_ATTRIBUTES,
    /// Tells what `Data` is; `OID_GEN_MINIPORT_RESTART_ATTRIBUTES` for
    /// [`NDIS_RESTART_GENERAL_ATTRIBUTES`].
    pub Oid: NDIS_OID,
    /// Bytes of `Data`.
    pub DataLength: u32,
    /// The attributes, `DataLength` bytes, of which C declares one.
    pub Data: [u8; 1],
}

/// Attributes of the adapter that may change at a restart.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RESTART_GENERAL_ATTRIBUTES {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Largest payload of a frame, without the Ethernet header, in bytes.
    pub MtuSize: u32,
    /// Highest send speed, in bits per second.
    pub MaxXmitLinkSpeed: u64,
    /// Highest receive speed, in bits per second.
    pub MaxRcvLinkSpeed: u64,
    /// Bytes of a frame that are contiguous at its start.
    pub LookaheadSize: u32,
    /// `NDIS_MAC_OPTION_` flags.
    pub MacOptions: u32,
    /// `NDIS_PACKET_TYPE_` flags that the adapter can honor.
    pub SupportedPacketFilters: u32,
    /// Multicast addresses that the adapter can filter.
    pub MaxMulticastListSize: u32,
    /// Receive-side scaling, or null.
    pub RecvScaleCapabilities: *mut NDIS_RECEIVE_SCALE_CAPABILITIES,
    /// How stations share the medium.
    pub AccessType: NET_IF_ACCESS_TYPE,
    /// `NDIS_RESTART_GENERAL_ATTRIBUTES_MAX_LOOKAHEAD_ACCESSED_DEFINED` or 0. Revision 2.
    pub Flags: u32,
    /// Whether the connection is always there.
    pub ConnectionType: NET_IF_CONNECTION_TYPE,
    /// `NDIS_STATISTICS_..._SUPPORTED` flags.
    pub SupportedStatistics: u32,
    /// Bytes that senders should leave free before the data.
    pub DataBackFillSize: u32,
    /// Bytes that senders should leave free in the context area.
    pub ContextBackFillSize: u32,
    /// OIDs that the adapter answers; belongs to the miniport and must stay valid.
    pub SupportedOidList: *mut NDIS_OID,
    /// Bytes of that list.
    pub SupportedOidListLength: u32,
    /// Most bytes of a received frame that drivers above look at. Revision 2.
    pub MaxLookaheadSizeAccessed: u32,
}

/// PnP or power event of an adapter's device.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_DEVICE_PNP_EVENT {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Number of the port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// The event.
    pub DevicePnPEvent: NDIS_DEVICE_PNP_EVENT,
    /// Data of the event, or null.
    pub InformationBuffer: *mut c_void,
    /// Bytes of `InformationBuffer`.
    pub InformationBufferLength: u32,
    /// Belongs to NDIS.
    pub NdisReserved: [u8; 16],
}

/// Why an adapter is halted.
pub type NDIS_HALT_ACTION = i32;

/// The device was disabled or removed.
pub const NdisHaltDeviceDisabled: NDIS_HALT_ACTION = 0;

/// An intermediate driver asked for it.
pub const NdisHaltDeviceInstanceDeInitialized: NDIS_HALT_ACTION = 1;

/// The system goes to sleep.
pub const NdisHaltDevicePoweredDown: NDIS_HALT_ACTION = 2;

/// The device is gone; registers read all ones.
pub const NdisHaltDeviceSurpriseRemoved: NDIS_HALT_ACTION = 3;

/// The device failed.
pub const NdisHaltDeviceFailed: NDIS_HALT_ACTION = 4;

/// NDIS could not finish the initialization.
pub const NdisHaltDeviceInitializationFailed: NDIS_HALT_ACTION = 5;

/// Resources are rebalanced.
pub const NdisHaltDeviceStopped: NDIS_HALT_ACTION = 6;

/// Why the system goes down.
pub type NDIS_SHUTDOWN_ACTION = i32;

/// Ordered shutdown, at `PASSIVE_LEVEL`.
pub const NdisShutdownPowerOff: NDIS_SHUTDOWN_ACTION = 0;

/// Crash, at `HIGH_LEVEL`.
pub const NdisShutdownBugCheck: NDIS_SHUTDOWN_ACTION = 1;

/// PnP and power events of a device.
pub type NDIS_DEVICE_PNP_EVENT = i32;

/// May the device be removed?
pub const NdisDevicePnPEventQueryRemoved: NDIS_DEVICE_PNP_EVENT = 0;

/// The device is removed.
pub const NdisDevicePnPEventRemoved: NDIS_DEVICE_PNP_EVENT = 1;

/// The device is gone already.
pub const NdisDevicePnPEventSurpriseRemoved: NDIS_DEVICE_PNP_EVENT = 2;

/// May the device be stopped?
pub const NdisDevicePnPEventQueryStopped: NDIS_DEVICE_PNP_EVENT = 3;

/// The device is stopped.
pub const NdisDevicePnPEventStopped: NDIS_DEVICE_PNP_EVENT = 4;

/// Mains or battery.
pub const NdisDevicePnPEventPowerProfileChanged: NDIS_DEVICE_PNP_EVENT = 5;

/// Filter modules came or went.
pub const NdisDevicePnPEventFilterListChanged: NDIS_DEVICE_PNP_EVENT = 6;

/// Number of events.
pub const NdisDevicePnPEventMaximum: NDIS_DEVICE_PNP_EVENT = 7;

/// NDIS needs it.
pub const NDIS_PAUSE_NDIS_INTERNAL: u32 = 1;

/// The adapter goes to low power.
pub const NDIS_PAUSE_LOW_POWER: u32 = 2;

/// A protocol binds.
pub const NDIS_PAUSE_BIND_PROTOCOL: u32 = 4;

/// A protocol unbinds.
pub const NDIS_PAUSE_UNBIND_PROTOCOL: u32 = 8;

/// A filter attaches.
pub const NDIS_PAUSE_ATTACH_FILTER: u32 = 0x10;

/// A filter detaches.
pub const NDIS_PAUSE_DETACH_FILTER: u32 = 0x20;

/// A filter restarts the stack.
pub const NDIS_PAUSE_FILTER_RESTART_STACK: u32 = 0x40;

/// The device is being removed.
pub const NDIS_PAUSE_MINIPORT_DEVICE_REMOVE: u32 = 0x80;

/// Revision 1 of [`NDIS_MINIPORT_INIT_PARAMETERS`](crate::NDIS_MINIPORT_INIT_PARAMETERS).
pub const NDIS_MINIPORT_INIT_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_MINIPORT_PAUSE_PARAMETERS`](crate::NDIS_MINIPORT_PAUSE_PARAMETERS).
pub const NDIS_MINIPORT_PAUSE_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_MINIPORT_RESTART_PARAMETERS`](crate::NDIS_MINIPORT_RESTART_PARAMETERS).
pub const NDIS_MINIPORT_RESTART_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES).
pub const NDIS_RESTART_GENERAL_ATTRIBUTES_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES).
pub const NDIS_RESTART_GENERAL_ATTRIBUTES_REVISION_2: u8 = 2;

/// Revision 1 of [`NET_DEVICE_PNP_EVENT`](crate::NET_DEVICE_PNP_EVENT).
pub const NET_DEVICE_PNP_EVENT_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_MINIPORT_INIT_PARAMETERS`](crate::NDIS_MINIPORT_INIT_PARAMETERS) that belong to
/// revision 1.
pub const NDIS_SIZEOF_MINIPORT_INIT_PARAMETER_REVISION_1: u16 = 0x40;

/// Bytes of [`NDIS_MINIPORT_PAUSE_PARAMETERS`](crate::NDIS_MINIPORT_PAUSE_PARAMETERS) that belong
/// to revision 1.
pub const NDIS_SIZEOF_MINIPORT_PAUSE_PARAMETERS_REVISION_1: u16 = 0xc;

/// Bytes of [`NDIS_MINIPORT_RESTART_PARAMETERS`](crate::NDIS_MINIPORT_RESTART_PARAMETERS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_MINIPORT_RESTART_PARAMETERS_REVISION_1: u16 = 0x14;

/// Bytes of [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES) that belong
/// to revision 1.
pub const NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_1: u16 = 0x54;

/// Bytes of [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES) that belong
/// to revision 2.
pub const NDIS_SIZEOF_RESTART_GENERAL_ATTRIBUTES_REVISION_2: u16 = 0x58;

/// Bytes of [`NET_DEVICE_PNP_EVENT`](crate::NET_DEVICE_PNP_EVENT) that belong to revision 1.
pub const NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1: u16 = 0x2c;

/// Bytes of [`NDIS_PCI_DEVICE_CUSTOM_PROPERTIES`](crate::NDIS_PCI_DEVICE_CUSTOM_PROPERTIES) that
/// belong to revision 1.
pub const NDIS_SIZEOF_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_1: u16 = 0x28;

/// Bytes of [`NDIS_PCI_DEVICE_CUSTOM_PROPERTIES`](crate::NDIS_PCI_DEVICE_CUSTOM_PROPERTIES) that
/// belong to revision 2.
pub const NDIS_SIZEOF_PCI_DEVICE_CUSTOM_PROPERTIES_REVISION_2: u16 = 0x34;

impl_zeroed! {
    NDIS_MINIPORT_INIT_PARAMETERS,
    NDIS_PCI_DEVICE_CUSTOM_PROPERTIES,
    NDIS_MINIPORT_PAUSE_PARAMETERS,
    NDIS_MINIPORT_RESTART_PARAMETERS,
    NDIS_RESTART_ATTRIBUTES,
    NDIS_RESTART_GENERAL_ATTRIBUTES,
    NET_DEVICE_PNP_EVENT,
}
