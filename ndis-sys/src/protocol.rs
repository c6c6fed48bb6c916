//! The protocol driver: its entry points, registration, binding and opening of an adapter.

use core::ffi::c_void;

use crate::{
    BOOLEAN, DEVICE_OBJECT, NDIS_HANDLE, NDIS_MEDIA_CONNECT_STATE, NDIS_MEDIA_DUPLEX_STATE,
    NDIS_MEDIUM, NDIS_OBJECT_HEADER, NDIS_OFFLOAD, NDIS_OID_REQUEST, NDIS_PHYSICAL_MEDIUM,
    NDIS_PM_CAPABILITIES, NDIS_PNP_CAPABILITIES, NDIS_PORT, NDIS_PORT_NUMBER,
    NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_STATUS, NDIS_STATUS_INDICATION, NDIS_STRING,
    NET_BUFFER_LIST, NET_FRAME_TYPE, NET_IF_ACCESS_TYPE, NET_IF_COMPARTMENT_ID,
    NET_IF_CONNECTION_TYPE, NET_IF_DIRECTION_TYPE, NET_IFINDEX, NET_IFTYPE, NET_LUID,
    NET_PNP_EVENT_NOTIFICATION, SET_OPTIONS, UNICODE_STRING, impl_zeroed,
};

/// Entry points of a protocol driver. Type PROTOCOL_DRIVER_CHARACTERISTICS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PROTOCOL_DRIVER_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// NDIS version that the driver is written for, major.
    pub MajorNdisVersion: u8,
    /// NDIS version that the driver is written for, minor.
    pub MinorNdisVersion: u8,
    /// Version of the driver, major.
    pub MajorDriverVersion: u8,
    /// Version of the driver, minor.
    pub MinorDriverVersion: u8,
    /// `NDIS_PROTOCOL_DRIVER_SUPPORTS_` flags.
    pub Flags: u32,
    /// Name of the protocol's service, by which NDIS finds its bindings.
    pub Name: UNICODE_STRING,
    /// Registers optional services; optional.
    pub SetOptionsHandler: Option<SET_OPTIONS>,
    /// An adapter can be bound.
    pub BindAdapterHandlerEx: Option<PROTOCOL_BIND_ADAPTER_EX>,
    /// A binding must go.
    pub UnbindAdapterHandlerEx: Option<PROTOCOL_UNBIND_ADAPTER_EX>,
    /// A pending open is done.
    pub OpenAdapterCompleteHandlerEx: Option<PROTOCOL_OPEN_ADAPTER_COMPLETE_EX>,
    /// A pending close is done.
    pub CloseAdapterCompleteHandlerEx: Option<PROTOCOL_CLOSE_ADAPTER_COMPLETE_EX>,
    /// Tells of pause, restart, power and other events.
    pub NetPnPEventHandler: Option<PROTOCOL_NET_PNP_EVENT>,
    /// The protocol is being uninstalled; optional.
    pub UninstallHandler: Option<PROTOCOL_UNINSTALL>,
    /// A pending OID request is done.
    pub OidRequestCompleteHandler: Option<PROTOCOL_OID_REQUEST_COMPLETE>,
    /// Status of the adapter.
    pub StatusHandlerEx: Option<PROTOCOL_STATUS_EX>,
    /// Takes received frames.
    pub ReceiveNetBufferListsHandler: Option<PROTOCOL_RECEIVE_NET_BUFFER_LISTS>,
    /// Takes sent frames back.
    pub SendNetBufferListsCompleteHandler: Option<PROTOCOL_SEND_NET_BUFFER_LISTS_COMPLETE>,
    /// A pending direct OID request is done; optional. Revision 2.
    pub DirectOidRequestCompleteHandler: Option<PROTOCOL_DIRECT_OID_REQUEST_COMPLETE>,
}

/// What `ProtocolBindAdapterEx` is told of the adapter. Valid during the call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_BIND_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Registry key of the protocol's settings for this binding.
    pub ProtocolSection: *mut NDIS_STRING,
    /// Name to open the adapter by.
    pub AdapterName: *mut NDIS_STRING,
    /// The adapter's physical device, or null.
    pub PhysicalDeviceObject: *mut DEVICE_OBJECT,
    /// Medium as protocols see it.
    pub MediaType: NDIS_MEDIUM,
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
    /// `NDIS_PACKET_TYPE_` flags that the adapter can honor.
    pub SupportedPacketFilters: u32,
    /// Multicast addresses that the adapter can filter.
    pub MaxMulticastListSize: u32,
    /// Bytes of a MAC address, 6 for Ethernet.
    pub MacAddressLength: u16,
    /// Address in use.
    pub CurrentMacAddress: [u8; 32],
    /// Medium underneath.
    pub PhysicalMediumType: NDIS_PHYSICAL_MEDIUM,
    /// Receive-side scaling, or null.
    pub RcvScaleCapabilities: *mut NDIS_RECEIVE_SCALE_CAPABILITIES,
    /// Interface that the protocol binds to: the adapter or the topmost filter.
    pub BoundIfNetluid: NET_LUID,
    /// Index of that interface.
    pub BoundIfIndex: NET_IFINDEX,
    /// Interface of the adapter at the bottom.
    pub LowestIfNetluid: NET_LUID,
    /// Index of that interface.
    pub LowestIfIndex: NET_IFINDEX,
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
    /// Ports that are active.
    pub ActivePorts: *mut NDIS_PORT,
    /// Bytes that senders should leave free before the data.
    pub DataBackFillSize: u32,
    /// Bytes that senders should leave free in the context area.
    pub ContextBackFillSize: u32,
    /// `NDIS_MAC_OPTION_` flags.
    pub MacOptions: u32,
    /// Compartment of the interface.
    pub CompartmentId: NET_IF_COMPARTMENT_ID,
    /// Task offload, or null.
    pub DefaultOffloadConfiguration: *mut NDIS_OFFLOAD,
    /// Connection offload, or null.
    pub TcpConnectionOffloadCapabilities: *mut c_void,
    /// Name of the adapter at the bottom.
    pub BoundAdapterName: *mut NDIS_STRING,
    /// Header-data split, or null.
    pub HDSplitCurrentConfig: *mut c_void,
    /// Receive filters, or null. Revision 2.
    pub ReceiveFilterCapabilities: *mut c_void,
    /// Power management since NDIS 6.20, or null.
    pub PowerManagementCapabilitiesEx: *mut NDIS_PM_CAPABILITIES,
    /// NIC switch, or null. Revision 2.
    pub NicSwitchCapabilities: *mut c_void,
    /// Whether remote DMA is on. Revision 3.
    pub NDKEnabled: BOOLEAN,
    /// Remote DMA, or null. Revision 3.
    pub NDKCapabilities: *mut c_void,
    /// SR-IOV, or null. Revision 4.
    pub SriovCapabilities: *mut c_void,
    /// NIC switches, or null. Revision 4.
    pub NicSwitchArray: *mut c_void,
}

/// How to open an adapter. Type OPEN_PARAMETERS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OPEN_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `AdapterName` of the bind parameters.
    pub AdapterName: *mut NDIS_STRING,
    /// Media that the protocol can use.
    pub MediumArray: *mut NDIS_MEDIUM,
    /// Elements of `MediumArray`.
    pub MediumArraySize: u32,
    /// Where NDIS writes the index of the adapter's medium.
    pub SelectedMediumIndex: *mut u32,
    /// EtherTypes to receive, or null for all.
    pub FrameTypeArray: *mut NET_FRAME_TYPE,
    /// Elements of `FrameTypeArray`.
    pub FrameTypeArraySize: u32,
}

/// Offers an adapter; the protocol opens it or refuses. Called at `PASSIVE_LEVEL`;
/// `NDIS_STATUS_PENDING` is followed by `NdisCompleteBindAdapterEx`.
pub type PROTOCOL_BIND_ADAPTER_EX = unsafe extern "efiapi" fn(
    protocol_driver_context: NDIS_HANDLE,
    bind_context: NDIS_HANDLE,
    bind_parameters: *mut NDIS_BIND_PARAMETERS,
) -> NDIS_STATUS;

/// Takes an adapter away; the protocol closes it. Called at `PASSIVE_LEVEL`; `NDIS_STATUS_PENDING`
/// is followed by `NdisCompleteUnbindAdapterEx`.
pub type PROTOCOL_UNBIND_ADAPTER_EX = unsafe extern "efiapi" fn(
    unbind_context: NDIS_HANDLE,
    protocol_binding_context: NDIS_HANDLE,
) -> NDIS_STATUS;

/// A pending `NdisOpenAdapterEx` is done. Called at `PASSIVE_LEVEL`.
pub type PROTOCOL_OPEN_ADAPTER_COMPLETE_EX =
    unsafe extern "efiapi" fn(protocol_binding_context: NDIS_HANDLE, status: NDIS_STATUS);

/// A pending `NdisCloseAdapterEx` is done. Called at `PASSIVE_LEVEL`.
pub type PROTOCOL_CLOSE_ADAPTER_COMPLETE_EX =
    unsafe extern "efiapi" fn(protocol_binding_context: NDIS_HANDLE);

/// Tells of an event; the context is null if it is for the protocol as a whole. Called at
/// `PASSIVE_LEVEL`; `NDIS_STATUS_PENDING` is followed by `NdisCompleteNetPnPEvent`.
pub type PROTOCOL_NET_PNP_EVENT = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    net_pnp_event_notification: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS;

/// The protocol is being uninstalled. Called at `PASSIVE_LEVEL`.
pub type PROTOCOL_UNINSTALL = unsafe extern "efiapi" fn();

/// A pending `NdisOidRequest` is done; the request is the protocol's again. Called at up to
/// `DISPATCH_LEVEL`.
pub type PROTOCOL_OID_REQUEST_COMPLETE = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    oid_request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
);

/// A pending direct OID request is done. Called at up to `DISPATCH_LEVEL`.
pub type PROTOCOL_DIRECT_OID_REQUEST_COMPLETE = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    oid_request: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
);

/// Status of the adapter; valid during the call. Called at up to `DISPATCH_LEVEL`.
pub type PROTOCOL_STATUS_EX = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    status_indication: *mut NDIS_STATUS_INDICATION,
);

/// Takes received frames: to keep until `NdisReturnNetBufferLists`, or only for the call with
/// `NDIS_RECEIVE_FLAGS_RESOURCES`. Called at up to `DISPATCH_LEVEL`.
pub type PROTOCOL_RECEIVE_NET_BUFFER_LISTS = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    net_buffer_lists: *mut NET_BUFFER_LIST,
    port_number: NDIS_PORT_NUMBER,
    number_of_net_buffer_lists: u32,
    receive_flags: u32,
);

/// Takes lists back that were sent; each has its status. Called at up to `DISPATCH_LEVEL`.
pub type PROTOCOL_SEND_NET_BUFFER_LISTS_COMPLETE = unsafe extern "efiapi" fn(
    protocol_binding_context: NDIS_HANDLE,
    net_buffer_list: *mut NET_BUFFER_LIST,
    send_complete_flags: u32,
);

/// The MAC address may change under a binding.
pub const NDIS_PROTOCOL_DRIVER_SUPPORTS_CURRENT_MAC_ADDRESS_CHANGE: u32 = 2;

/// The frame size may change under a binding.
pub const NDIS_PROTOCOL_DRIVER_SUPPORTS_L2_MTU_SIZE_CHANGE: u32 = 4;

/// Revision 1 of
/// [`NDIS_PROTOCOL_DRIVER_CHARACTERISTICS`](crate::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS).
pub const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Revision 2 of
/// [`NDIS_PROTOCOL_DRIVER_CHARACTERISTICS`](crate::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS).
pub const NDIS_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2: u8 = 2;

/// Revision 1 of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS).
pub const NDIS_BIND_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS).
pub const NDIS_BIND_PARAMETERS_REVISION_2: u8 = 2;

/// Revision 3 of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS).
pub const NDIS_BIND_PARAMETERS_REVISION_3: u8 = 3;

/// Revision 4 of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS).
pub const NDIS_BIND_PARAMETERS_REVISION_4: u8 = 4;

/// Revision 1 of [`NDIS_OPEN_PARAMETERS`](crate::NDIS_OPEN_PARAMETERS).
pub const NDIS_OPEN_PARAMETERS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_PROTOCOL_DRIVER_CHARACTERISTICS`](crate::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS)
/// that belong to revision 1.
pub const NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_1: u16 = 0x78;

/// Bytes of [`NDIS_PROTOCOL_DRIVER_CHARACTERISTICS`](crate::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS)
/// that belong to revision 2.
pub const NDIS_SIZEOF_PROTOCOL_DRIVER_CHARACTERISTICS_REVISION_2: u16 = 0x80;

/// Bytes of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS) that belong to revision 1.
pub const NDIS_SIZEOF_BIND_PARAMETERS_REVISION_1: u16 = 0xf8;

/// Bytes of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS) that belong to revision 2.
pub const NDIS_SIZEOF_BIND_PARAMETERS_REVISION_2: u16 = 0x100;

/// Bytes of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS) that belong to revision 3.
pub const NDIS_SIZEOF_BIND_PARAMETERS_REVISION_3: u16 = 0x118;

/// Bytes of [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS) that belong to revision 4.
pub const NDIS_SIZEOF_BIND_PARAMETERS_REVISION_4: u16 = 0x138;

/// Bytes of [`NDIS_OPEN_PARAMETERS`](crate::NDIS_OPEN_PARAMETERS) that belong to revision 1.
pub const NDIS_SIZEOF_OPEN_PARAMETERS_REVISION_1: u16 = 0x34;

impl_zeroed! {
    NDIS_PROTOCOL_DRIVER_CHARACTERISTICS,
    NDIS_BIND_PARAMETERS,
    NDIS_OPEN_PARAMETERS,
}
