//! Network PnP events, by which a binding is paused, restarted and powered.

use core::ffi::c_void;

use crate::{
    NDIS_NIC_SWITCH_ID, NDIS_NIC_SWITCH_VPORT_ID, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER,
    NDIS_RESTART_ATTRIBUTES, NET_IFINDEX, NET_LUID, impl_zeroed,
};

/// Why the binding is paused; data of `NetEventPause`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PROTOCOL_PAUSE_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// `NDIS_PAUSE_` reasons.
    pub PauseReason: u32,
}

/// What changed under the binding; data of `NetEventRestart`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PROTOCOL_RESTART_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Names of the filter modules.
    pub FilterModuleNameBuffer: *mut u8,
    /// Bytes of those names.
    pub FilterModuleNameBufferLength: u32,
    /// List of attributes, or null.
    pub RestartAttributes: *mut NDIS_RESTART_ATTRIBUTES,
    /// Index of the interface that is bound now.
    pub BoundIfIndex: NET_IFINDEX,
    /// Interface that is bound now.
    pub BoundIfNetluid: NET_LUID,
    /// Reserved.
    pub Flags: u32,
}

/// A network PnP event and its data.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_PNP_EVENT {
    /// The event.
    pub NetEvent: NET_PNP_EVENT_CODE,
    /// Data of the event.
    pub Buffer: *mut c_void,
    /// Bytes of `Buffer`.
    pub BufferLength: u32,
    /// Belongs to NDIS.
    pub NdisReserved: [usize; 4],
    /// Belongs to the transport.
    pub TransportReserved: [usize; 4],
    /// Belongs to TDI.
    pub TdiReserved: [usize; 4],
    /// Belongs to TDI's clients.
    pub TdiClientReserved: [usize; 4],
}

/// Network PnP event for a binding or a protocol. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_PNP_EVENT_NOTIFICATION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Number of the port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// The event.
    pub NetPnPEvent: NET_PNP_EVENT,
    /// `NET_EVENT_` flags. Revision 2.
    pub Flags: u32,
    /// NIC switch.
    pub SwitchId: NDIS_NIC_SWITCH_ID,
    /// Virtual port of a NIC switch.
    pub VPortId: NDIS_NIC_SWITCH_VPORT_ID,
}

/// Network PnP events.
pub type NET_PNP_EVENT_CODE = i32;

/// The power state changes; data is a [`NET_DEVICE_POWER_STATE`].
pub const NetEventSetPower: NET_PNP_EVENT_CODE = 0;

/// May the power state change?
pub const NetEventQueryPower: NET_PNP_EVENT_CODE = 1;

/// May the adapter be removed?
pub const NetEventQueryRemoveDevice: NET_PNP_EVENT_CODE = 2;

/// It stays after all.
pub const NetEventCancelRemoveDevice: NET_PNP_EVENT_CODE = 3;

/// Settings changed.
pub const NetEventReconfigure: NET_PNP_EVENT_CODE = 4;

/// The order of bindings changed.
pub const NetEventBindList: NET_PNP_EVENT_CODE = 5;

/// All adapters present have been offered.
pub const NetEventBindsComplete: NET_PNP_EVENT_CODE = 6;

/// Power capabilities changed.
pub const NetEventPnPCapabilities: NET_PNP_EVENT_CODE = 7;

/// The binding is to pause.
pub const NetEventPause: NET_PNP_EVENT_CODE = 8;

/// The binding may restart.
pub const NetEventRestart: NET_PNP_EVENT_CODE = 9;

/// Ports became active.
pub const NetEventPortActivation: NET_PNP_EVENT_CODE = 10;

/// Ports became inactive.
pub const NetEventPortDeactivation: NET_PNP_EVENT_CODE = 11;

/// A virtual adapter is re-enabled.
pub const NetEventIMReEnableDevice: NET_PNP_EVENT_CODE = 12;

/// Remote DMA is on.
pub const NetEventNDKEnable: NET_PNP_EVENT_CODE = 13;

/// Remote DMA is off.
pub const NetEventNDKDisable: NET_PNP_EVENT_CODE = 14;

/// A filter is about to detach.
pub const NetEventFilterPreDetach: NET_PNP_EVENT_CODE = 15;

/// A binding failed.
pub const NetEventBindFailed: NET_PNP_EVENT_CODE = 16;

/// The Hyper-V switch is active.
pub const NetEventSwitchActivate: NET_PNP_EVENT_CODE = 17;

/// Bindings to the miniport's upper edge are allowed.
pub const NetEventAllowBindsAbove: NET_PNP_EVENT_CODE = 18;

/// Bindings to the miniport's upper edge are not wanted.
pub const NetEventInhibitBindsAbove: NET_PNP_EVENT_CODE = 19;

/// The data path may start.
pub const NetEventAllowStart: NET_PNP_EVENT_CODE = 20;

/// The data path must pause.
pub const NetEventRequirePause: NET_PNP_EVENT_CODE = 21;

/// Flow entries are to be uploaded.
pub const NetEventUploadGftFlowEntries: NET_PNP_EVENT_CODE = 22;

/// Number of events.
pub const NetEventMaximum: NET_PNP_EVENT_CODE = 23;

/// Power state of an adapter, as protocols see it.
pub type NET_DEVICE_POWER_STATE = i32;

/// Not told.
pub const NetDeviceStateUnspecified: NET_DEVICE_POWER_STATE = 0;

/// On.
pub const NetDeviceStateD0: NET_DEVICE_POWER_STATE = 1;

/// Light sleep.
pub const NetDeviceStateD1: NET_DEVICE_POWER_STATE = 2;

/// Sleep.
pub const NetDeviceStateD2: NET_DEVICE_POWER_STATE = 3;

/// Off.
pub const NetDeviceStateD3: NET_DEVICE_POWER_STATE = 4;

/// Upper bound of the states.
pub const NetDeviceStateMaximum: NET_DEVICE_POWER_STATE = 5;

/// The miniport is halted in low power.
pub const NET_EVENT_HALT_MINIPORT_ON_LOW_POWER: u32 = 1;

/// Switch and port numbers are set.
pub const NET_EVENT_FLAGS_VPORT_ID_VALID: u32 = 2;

/// Revision 1 of [`NDIS_PROTOCOL_PAUSE_PARAMETERS`](crate::NDIS_PROTOCOL_PAUSE_PARAMETERS).
pub const NDIS_PROTOCOL_PAUSE_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_PROTOCOL_RESTART_PARAMETERS`](crate::NDIS_PROTOCOL_RESTART_PARAMETERS).
pub const NDIS_PROTOCOL_RESTART_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NET_PNP_EVENT_NOTIFICATION`](crate::NET_PNP_EVENT_NOTIFICATION).
pub const NET_PNP_EVENT_NOTIFICATION_REVISION_1: u8 = 1;

/// Revision 2 of [`NET_PNP_EVENT_NOTIFICATION`](crate::NET_PNP_EVENT_NOTIFICATION).
pub const NET_PNP_EVENT_NOTIFICATION_REVISION_2: u8 = 2;

/// Bytes of [`NDIS_PROTOCOL_PAUSE_PARAMETERS`](crate::NDIS_PROTOCOL_PAUSE_PARAMETERS) that belong
/// to revision 1.
pub const NDIS_SIZEOF_PROTOCOL_PAUSE_PARAMETERS_REVISION_1: u16 = 0xc;

/// Bytes of [`NDIS_PROTOCOL_RESTART_PARAMETERS`](crate::NDIS_PROTOCOL_RESTART_PARAMETERS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_PROTOCOL_RESTART_PARAMETERS_REVISION_1: u16 = 0x34;

/// Bytes of [`NET_PNP_EVENT_NOTIFICATION`](crate::NET_PNP_EVENT_NOTIFICATION) that belong to
/// revision 1.
pub const NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1: u16 = 0xa4;

/// Bytes of [`NET_PNP_EVENT_NOTIFICATION`](crate::NET_PNP_EVENT_NOTIFICATION) that belong to
/// revision 2.
pub const NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_2: u16 = 0xac;

impl_zeroed! {
    NDIS_PROTOCOL_PAUSE_PARAMETERS,
    NDIS_PROTOCOL_RESTART_PARAMETERS,
    NET_PNP_EVENT,
    NET_PNP_EVENT_NOTIFICATION,
}
