//! The header that begins nearly every NDIS structure, and the object types.

use core::ffi::c_void;

use crate::{DRIVER_OBJECT, impl_zeroed};

/// Beginning of most NDIS structures: tells which structure, which revision, how long (Microsoft
/// Learn, NDIS_OBJECT_HEADER).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OBJECT_HEADER {
    /// `NDIS_OBJECT_TYPE_` constant.
    pub Type: u8,
    /// Revision of the structure, from 1.
    pub Revision: u8,
    /// Bytes that belong to the revision, `NDIS_SIZEOF_..._REVISION_n`.
    pub Size: u16,
}

/// Object for code that has no other NDIS handle to allocate with.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_GENERIC_OBJECT {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Code that allocated the object.
    pub Caller: *mut c_void,
    /// Code that called it.
    pub CallersCaller: *mut c_void,
    /// Driver that the object belongs to.
    pub DriverObject: *mut DRIVER_OBJECT,
}

/// Structures without a type of their own.
pub const NDIS_OBJECT_TYPE_DEFAULT: u8 = 0x80;

/// [`NDIS_MINIPORT_INIT_PARAMETERS`](crate::NDIS_MINIPORT_INIT_PARAMETERS).
pub const NDIS_OBJECT_TYPE_MINIPORT_INIT_PARAMETERS: u8 = 0x81;

/// [`NDIS_SG_DMA_DESCRIPTION`](crate::NDIS_SG_DMA_DESCRIPTION).
pub const NDIS_OBJECT_TYPE_SG_DMA_DESCRIPTION: u8 = 0x83;

/// [`NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS`](crate::NDIS_MINIPORT_INTERRUPT_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_MINIPORT_INTERRUPT: u8 = 0x84;

/// Attributes of a control device.
pub const NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES: u8 = 0x85;

/// [`NDIS_BIND_PARAMETERS`](crate::NDIS_BIND_PARAMETERS).
pub const NDIS_OBJECT_TYPE_BIND_PARAMETERS: u8 = 0x86;

/// [`NDIS_OPEN_PARAMETERS`](crate::NDIS_OPEN_PARAMETERS).
pub const NDIS_OBJECT_TYPE_OPEN_PARAMETERS: u8 = 0x87;

/// [`NDIS_RECEIVE_SCALE_CAPABILITIES`](crate::NDIS_RECEIVE_SCALE_CAPABILITIES).
pub const NDIS_OBJECT_TYPE_RSS_CAPABILITIES: u8 = 0x88;

/// [`NDIS_RECEIVE_SCALE_PARAMETERS`](crate::NDIS_RECEIVE_SCALE_PARAMETERS).
pub const NDIS_OBJECT_TYPE_RSS_PARAMETERS: u8 = 0x89;

/// [`NDIS_MINIPORT_DRIVER_CHARACTERISTICS`](crate::NDIS_MINIPORT_DRIVER_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_MINIPORT_DRIVER_CHARACTERISTICS: u8 = 0x8a;

/// Characteristics of a filter driver.
pub const NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS: u8 = 0x8b;

/// [`NDIS_MINIPORT_PNP_CHARACTERISTICS`](crate::NDIS_MINIPORT_PNP_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_MINIPORT_PNP_CHARACTERISTICS: u8 = 0x92;

/// [`NDIS_MINIPORT_SS_CHARACTERISTICS`](crate::NDIS_MINIPORT_SS_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_MINIPORT_SS_CHARACTERISTICS: u8 = 0xb4;

/// [`NDIS_PROTOCOL_DRIVER_CHARACTERISTICS`](crate::NDIS_PROTOCOL_DRIVER_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_PROTOCOL_DRIVER_CHARACTERISTICS: u8 = 0x95;

/// [`NDIS_OID_REQUEST`](crate::NDIS_OID_REQUEST).
pub const NDIS_OBJECT_TYPE_OID_REQUEST: u8 = 0x96;

/// [`NDIS_TIMER_CHARACTERISTICS`](crate::NDIS_TIMER_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS: u8 = 0x97;

/// [`NDIS_STATUS_INDICATION`](crate::NDIS_STATUS_INDICATION).
pub const NDIS_OBJECT_TYPE_STATUS_INDICATION: u8 = 0x98;

/// [`NDIS_PORT_CHARACTERISTICS`](crate::NDIS_PORT_CHARACTERISTICS).
pub const NDIS_OBJECT_TYPE_PORT_CHARACTERISTICS: u8 = 0x9c;

/// [`NDIS_PORT_STATE`](crate::NDIS_PORT_STATE).
pub const NDIS_OBJECT_TYPE_PORT_STATE: u8 = 0x9d;

/// [`NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES: u8 = 0x9e;

/// [`NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES: u8 = 0x9f;

/// [`NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES: u8 = 0xa0;

/// [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_RESTART_GENERAL_ATTRIBUTES: u8 = 0xa2;

/// [`NDIS_PROTOCOL_RESTART_PARAMETERS`](crate::NDIS_PROTOCOL_RESTART_PARAMETERS).
pub const NDIS_OBJECT_TYPE_PROTOCOL_RESTART_PARAMETERS: u8 = 0xa3;

/// [`NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES`](crate::NDIS_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_MINIPORT_ADD_DEVICE_REGISTRATION_ATTRIBUTES: u8 = 0xa4;

/// [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OBJECT_TYPE_OFFLOAD: u8 = 0xa7;

/// [`NDIS_OFFLOAD_ENCAPSULATION`](crate::NDIS_OFFLOAD_ENCAPSULATION).
pub const NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION: u8 = 0xa8;

/// [`NDIS_CONFIGURATION_OBJECT`](crate::NDIS_CONFIGURATION_OBJECT).
pub const NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT: u8 = 0xa9;

/// Handle of an NDIS driver.
pub const NDIS_OBJECT_TYPE_DRIVER_WRAPPER_OBJECT: u8 = 0xaa;

/// Header-data split attributes.
pub const NDIS_OBJECT_TYPE_HD_SPLIT_ATTRIBUTES: u8 = 0xab;

/// [`NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES`](crate::NDIS_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES).
pub const NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_HARDWARE_ASSIST_ATTRIBUTES: u8 = 0xaf;

/// First revision, of structures without a revision constant of their own.
pub const NDIS_OBJECT_REVISION_1: u8 = 1;

/// NDIS 6.0, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_60: u32 = 0x0006_0000;

/// NDIS 6.20, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_620: u32 = 0x0006_0014;

/// NDIS 6.30, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_630: u32 = 0x0006_001e;

/// NDIS 6.40, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_640: u32 = 0x0006_0028;

/// NDIS 6.50, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_650: u32 = 0x0006_0032;

/// NDIS 6.60, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_660: u32 = 0x0006_003c;

/// NDIS 6.70, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_670: u32 = 0x0006_0046;

/// NDIS 6.80, as `NdisGetVersion` tells it.
pub const NDIS_RUNTIME_VERSION_680: u32 = 0x0006_0050;

/// The port that every adapter has.
pub const NDIS_DEFAULT_PORT_NUMBER: u32 = 0;

/// Upper bound of port numbers.
pub const NDIS_MAXIMUM_PORTS: u32 = 0x0100_0000;

/// NDIS major version of a miniport built with these headers.
pub const NDIS_MINIPORT_MAJOR_VERSION: u8 = 6;

/// NDIS minor version of a miniport built with these headers.
pub const NDIS_MINIPORT_MINOR_VERSION: u8 = 0x50;

/// Oldest NDIS that such a miniport runs on, major.
pub const NDIS_MINIPORT_MINIMUM_MAJOR_VERSION: u8 = 6;

/// Oldest NDIS that such a miniport runs on, minor.
pub const NDIS_MINIPORT_MINIMUM_MINOR_VERSION: u8 = 0x50;

/// NDIS major version of a protocol built with these headers.
pub const NDIS_PROTOCOL_MAJOR_VERSION: u8 = 6;

/// NDIS minor version of a protocol built with these headers.
pub const NDIS_PROTOCOL_MINOR_VERSION: u8 = 0x50;

/// Oldest NDIS that such a protocol runs on, major.
pub const NDIS_PROTOCOL_MINIMUM_MAJOR_VERSION: u8 = 6;

/// Oldest NDIS that such a protocol runs on, minor.
pub const NDIS_PROTOCOL_MINIMUM_MINOR_VERSION: u8 = 0x50;

impl_zeroed! {
    NDIS_OBJECT_HEADER,
    NDIS_GENERIC_OBJECT,
}
