//! Network interfaces: what interface providers register, and the filters on an adapter.

use core::ffi::c_void;

use crate::{
    BOOLEAN, GUID, NDIS_HANDLE, NDIS_MEDIUM, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_PHYSICAL_MEDIUM,
    NDIS_STATUS, NET_IF_ACCESS_TYPE, NET_IF_CONNECTION_TYPE, NET_IF_DIRECTION_TYPE, NET_IFINDEX,
    NET_LUID, UNICODE_STRING, impl_zeroed,
};

/// Entry points of an interface provider. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_IF_PROVIDER_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Answers a query about an interface.
    pub QueryObjectHandler: Option<IFP_QUERY_OBJECT>,
    /// Changes something of an interface.
    pub SetObjectHandler: Option<IFP_SET_OBJECT>,
    /// Reserved.
    pub Reserved1: *mut c_void,
    /// Reserved.
    pub Reserved2: *mut c_void,
}

/// What stays the same about an interface while it is registered. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NET_IF_INFORMATION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Bus of the hardware.
    #[doc(alias = "PhysicalLocation.BusNumber")]
    pub BusNumber: u32,
    /// Slot of the hardware.
    #[doc(alias = "PhysicalLocation.SlotNumber")]
    pub SlotNumber: u32,
    /// Function of the hardware.
    #[doc(alias = "PhysicalLocation.FunctionNumber")]
    pub FunctionNumber: u32,
    /// Kind of tunnel.
    pub WanTunnelType: u32,
    /// Number of the port.
    pub PortNumber: u32,
    /// How stations share the medium.
    pub AccessType: NET_IF_ACCESS_TYPE,
    /// Whether the interface sends, receives or both.
    pub DirectionType: NET_IF_DIRECTION_TYPE,
    /// Whether the connection is always there.
    pub ConnectionType: NET_IF_CONNECTION_TYPE,
    /// Whether there is a physical connector.
    pub ifConnectorPresent: BOOLEAN,
    /// Bytes of the address.
    pub PhysAddressLength: u16,
    /// Where the address is, from the start of this structure.
    pub PhysAddressOffset: u16,
    /// Where the permanent address is.
    pub PermanentPhysAddressOffset: u16,
    /// Bytes of the name.
    pub FriendlyNameLength: u16,
    /// Where the name is.
    pub FriendlyNameOffset: u16,
    /// GUID of the interface.
    pub InterfaceGuid: GUID,
    /// GUID of the network.
    pub NetworkGuid: GUID,
    /// `NDIS_STATISTICS_` bits of the counters that the interface has.
    pub SupportedStatistics: u32,
    /// Medium as protocols see it.
    pub MediaType: NDIS_MEDIUM,
    /// Medium underneath.
    pub PhysicalMediumType: NDIS_PHYSICAL_MEDIUM,
}

/// The filters on an adapter, from the top; the list begins at `OffsetFirstFilter`. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_ENUM_FILTERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Reserved.
    pub Flags: u32,
    /// Number of filters in the list.
    pub NumberOfFilters: u32,
    /// Where the list begins, from the start of this structure.
    pub OffsetFirstFilter: u32,
    /// The first element of the list.
    pub Filter: [NDIS_FILTER_INTERFACE; 1],
}

/// A filter module on an adapter. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_FILTER_INTERFACE {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_FILTER_INTERFACE_` flags.
    pub Flags: u32,
    /// Kind of filter.
    pub FilterType: u32,
    /// Whether the filter is mandatory.
    pub FilterRunType: u32,
    /// Index of its interface.
    pub IfIndex: NET_IFINDEX,
    /// Its interface.
    pub NetLuid: NET_LUID,
    /// Class of the filter.
    pub FilterClass: UNICODE_STRING,
    /// Name of the filter module.
    pub FilterInstanceName: UNICODE_STRING,
}

/// Answers a query about an interface (Microsoft Learn, IFP_QUERY_OBJECT). Called at
/// `PASSIVE_LEVEL`.
pub type IFP_QUERY_OBJECT = unsafe extern "efiapi" fn(
    provider_if_context: NDIS_HANDLE,
    object_id: NDIS_OID,
    output_buffer_length: *mut u32,
    output_buffer: *mut c_void,
) -> NDIS_STATUS;

/// Changes something of an interface (Microsoft Learn, IFP_SET_OBJECT). Called at
/// `PASSIVE_LEVEL`.
pub type IFP_SET_OBJECT = unsafe extern "efiapi" fn(
    provider_if_context: NDIS_HANDLE,
    object_id: NDIS_OID,
    input_buffer_length: u32,
    input_buffer: *mut c_void,
) -> NDIS_STATUS;

/// Revision 1 of [`NDIS_ENUM_FILTERS`](crate::NDIS_ENUM_FILTERS).
pub const NDIS_ENUM_FILTERS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_ENUM_FILTERS`](crate::NDIS_ENUM_FILTERS) that belong to revision 1.
pub const NDIS_SIZEOF_ENUM_FILTERS_REVISION_1: u16 = 0x50;

/// Bytes of [`NDIS_IF_PROVIDER_CHARACTERISTICS`](crate::NDIS_IF_PROVIDER_CHARACTERISTICS) that
/// belong to revision 1.
pub const NDIS_SIZEOF_IF_PROVIDER_CHARACTERISTICS_REVISION_1: u16 = 0x28;

/// Most bytes of an interface's address.
pub const IF_MAX_PHYS_ADDRESS_LENGTH: u32 = 0x20;

impl_zeroed! {
    NDIS_IF_PROVIDER_CHARACTERISTICS,
    NET_IF_INFORMATION,
    NDIS_ENUM_FILTERS,
    NDIS_FILTER_INTERFACE,
}
