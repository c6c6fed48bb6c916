//! NDIS status values and status indications.
//!
//! A status is an error when it is negative; indications are positive.

use core::ffi::c_void;

use crate::{GUID, NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NDIS_STATUS, impl_zeroed};

/// Status of an adapter on its way up. Type STATUS_INDICATION.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_STATUS_INDICATION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// The miniport's adapter handle.
    pub SourceHandle: NDIS_HANDLE,
    /// Number of the port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// What happened, an `NDIS_STATUS_` constant.
    pub StatusCode: NDIS_STATUS,
    /// `NDIS_STATUS_INDICATION_FLAGS_`.
    pub Flags: u32,
    /// Who asked for it, or null for all.
    pub DestinationHandle: NDIS_HANDLE,
    /// OID request that it answers, or null.
    pub RequestId: *mut c_void,
    /// Data of the status.
    pub StatusBuffer: *mut c_void,
    /// Bytes of `StatusBuffer`.
    pub StatusBufferSize: u32,
    /// WMI event of a status that NDIS does not know.
    pub Guid: GUID,
    /// Belongs to NDIS.
    pub NdisReserved: [*mut c_void; 4],
}

/// Revision 1 of [`NDIS_STATUS_INDICATION`](crate::NDIS_STATUS_INDICATION).
pub const NDIS_STATUS_INDICATION_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_STATUS_INDICATION`](crate::NDIS_STATUS_INDICATION) that belong to revision 1.
pub const NDIS_SIZEOF_STATUS_INDICATION_REVISION_1: u16 = 0x70;

/// The link changed without going down.
pub const NDIS_STATUS_INDICATION_FLAGS_MEDIA_CONNECT_TO_CONNECT: u32 = 0x1000;

/// Flags that belong to NDIS.
pub const NDIS_STATUS_INDICATION_FLAGS_NDIS_RESERVED: u32 = 0xfff;

/// Done.
pub const NDIS_STATUS_SUCCESS: NDIS_STATUS = 0;

/// Not done yet; a completion call follows.
pub const NDIS_STATUS_PENDING: NDIS_STATUS = 0x103;

/// The handler does not know this event.
pub const NDIS_STATUS_NOT_RECOGNIZED: NDIS_STATUS = 0x0001_0001;

/// Data were not copied.
pub const NDIS_STATUS_NOT_COPIED: NDIS_STATUS = 0x0001_0002;

/// The handler does not want it.
pub const NDIS_STATUS_NOT_ACCEPTED: NDIS_STATUS = 0x0001_0003;

/// Indication: the adapter is online.
pub const NDIS_STATUS_ONLINE: NDIS_STATUS = 0x4001_0003;

/// Indication: a reset begins.
pub const NDIS_STATUS_RESET_START: NDIS_STATUS = 0x4001_0004;

/// Indication: the reset is over.
pub const NDIS_STATUS_RESET_END: NDIS_STATUS = 0x4001_0005;

/// Indication: the binding is closed.
pub const NDIS_STATUS_CLOSED: NDIS_STATUS = 0x4001_0007;

/// Indication of NDIS 5: the link is up.
pub const NDIS_STATUS_MEDIA_CONNECT: NDIS_STATUS = 0x4001_000b;

/// Indication of NDIS 5: the link is down.
pub const NDIS_STATUS_MEDIA_DISCONNECT: NDIS_STATUS = 0x4001_000c;

/// Indication: the line is up.
pub const NDIS_STATUS_HARDWARE_LINE_UP: NDIS_STATUS = 0x4001_000d;

/// Indication: the line is down.
pub const NDIS_STATUS_HARDWARE_LINE_DOWN: NDIS_STATUS = 0x4001_000e;

/// Indication: the interface is up.
pub const NDIS_STATUS_INTERFACE_UP: NDIS_STATUS = 0x4001_000f;

/// Indication: the interface is down.
pub const NDIS_STATUS_INTERFACE_DOWN: NDIS_STATUS = 0x4001_0010;

/// Indication: something of the medium.
pub const NDIS_STATUS_MEDIA_SPECIFIC_INDICATION: NDIS_STATUS = 0x4001_0012;

/// Indication: the link speed changed.
pub const NDIS_STATUS_LINK_SPEED_CHANGE: NDIS_STATUS = 0x4001_0013;

/// Indication: the link's state changed; data is an `NDIS_LINK_STATE`.
pub const NDIS_STATUS_LINK_STATE: NDIS_STATUS = 0x4001_0017;

/// Indication: the network may be another one; layer-3 settings should be checked.
pub const NDIS_STATUS_NETWORK_CHANGE: NDIS_STATUS = 0x4001_0018;

/// Indication: something of the medium, with its identifier.
pub const NDIS_STATUS_MEDIA_SPECIFIC_INDICATION_EX: NDIS_STATUS = 0x4001_0019;

/// Indication: a port's state changed; data is an `NDIS_PORT_STATE`.
pub const NDIS_STATUS_PORT_STATE: NDIS_STATUS = 0x4001_0022;

/// Indication: the operational state changed; data is an `NDIS_OPER_STATE`.
pub const NDIS_STATUS_OPER_STATUS: NDIS_STATUS = 0x4001_0023;

/// Indication: the packet filter changed.
pub const NDIS_STATUS_PACKET_FILTER: NDIS_STATUS = 0x4001_0024;

/// Indication: offloading pauses.
pub const NDIS_STATUS_OFFLOAD_PAUSE: NDIS_STATUS = 0x4002_0001;

/// Indication: offloading goes on.
pub const NDIS_STATUS_OFFLOAD_RESUME: NDIS_STATUS = 0x4002_0003;

/// Indication: offload settings changed; data is an `NDIS_OFFLOAD`.
pub const NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG: NDIS_STATUS = 0x4002_0006;

/// Indication: offload abilities changed; data is an `NDIS_OFFLOAD`.
pub const NDIS_STATUS_TASK_OFFLOAD_HARDWARE_CAPABILITIES: NDIS_STATUS = 0x4002_0007;

/// Indication: the MAC address changed.
pub const NDIS_STATUS_CURRENT_MAC_ADDRESS_CHANGE: NDIS_STATUS = 0x4002_00b0;

/// Indication: the frame size changed.
pub const NDIS_STATUS_L2_MTU_SIZE_CHANGE: NDIS_STATUS = 0x4002_00b1;

/// Indication: power capabilities in use changed.
pub const NDIS_STATUS_PM_CAPABILITIES_CHANGE: NDIS_STATUS = 0x4003_0053;

/// Indication: power capabilities of the hardware changed.
pub const NDIS_STATUS_PM_HARDWARE_CAPABILITIES: NDIS_STATUS = 0x4003_0054;

/// Indication: why the adapter woke the system.
pub const NDIS_STATUS_PM_WAKE_REASON: NDIS_STATUS = 0x4003_0055;

/// The OID succeeded, and an indication must follow.
pub const NDIS_STATUS_INDICATION_REQUIRED: NDIS_STATUS = 0x4023_0001;

/// The adapter cannot be reset.
pub const NDIS_STATUS_NOT_RESETTABLE: NDIS_STATUS = 0x8001_0001_u32 as i32;

/// The reset found errors that could be repaired.
pub const NDIS_STATUS_SOFT_ERRORS: NDIS_STATUS = 0x8001_0003_u32 as i32;

/// The reset found errors that could not be repaired.
pub const NDIS_STATUS_HARD_ERRORS: NDIS_STATUS = 0x8001_0004_u32 as i32;

/// The buffer holds only a part of the data.
pub const NDIS_STATUS_BUFFER_OVERFLOW: NDIS_STATUS = 0x8000_0005_u32 as i32;

/// Busy; try again.
pub const NDIS_STATUS_BUSY: NDIS_STATUS = 0x8000_0011_u32 as i32;

/// Failed without a better reason.
pub const NDIS_STATUS_FAILURE: NDIS_STATUS = 0xc000_0001_u32 as i32;

/// A parameter is out of range.
pub const NDIS_STATUS_INVALID_PARAMETER: NDIS_STATUS = 0xc000_000d_u32 as i32;

/// The device does not know this request.
pub const NDIS_STATUS_INVALID_DEVICE_REQUEST: NDIS_STATUS = 0xc000_0010_u32 as i32;

/// Not enough memory or other resources.
pub const NDIS_STATUS_RESOURCES: NDIS_STATUS = 0xc000_009a_u32 as i32;

/// The OID or operation is not supported.
pub const NDIS_STATUS_NOT_SUPPORTED: NDIS_STATUS = 0xc000_00bb_u32 as i32;

/// Not possible in the present state.
pub const NDIS_STATUS_INVALID_STATE: NDIS_STATUS = 0xc000_0184_u32 as i32;

/// The data were not taken.
pub const NDIS_STATUS_DATA_NOT_ACCEPTED: NDIS_STATUS = 0xc000_021b_u32 as i32;

/// The network cannot be reached.
pub const NDIS_STATUS_NETWORK_UNREACHABLE: NDIS_STATUS = 0xc000_023c_u32 as i32;

/// The binding or adapter is being closed.
pub const NDIS_STATUS_CLOSING: NDIS_STATUS = 0xc001_0002_u32 as i32;

/// The driver is written for an NDIS version that is not supported.
pub const NDIS_STATUS_BAD_VERSION: NDIS_STATUS = 0xc001_0004_u32 as i32;

/// The entry points are incomplete or malformed.
pub const NDIS_STATUS_BAD_CHARACTERISTICS: NDIS_STATUS = 0xc001_0005_u32 as i32;

/// No such adapter, or its resources are missing.
pub const NDIS_STATUS_ADAPTER_NOT_FOUND: NDIS_STATUS = 0xc001_0006_u32 as i32;

/// The open failed.
pub const NDIS_STATUS_OPEN_FAILED: NDIS_STATUS = 0xc001_0007_u32 as i32;

/// The device failed.
pub const NDIS_STATUS_DEVICE_FAILED: NDIS_STATUS = 0xc001_0008_u32 as i32;

/// The multicast list is full.
pub const NDIS_STATUS_MULTICAST_FULL: NDIS_STATUS = 0xc001_0009_u32 as i32;

/// The address is in the multicast list already.
pub const NDIS_STATUS_MULTICAST_EXISTS: NDIS_STATUS = 0xc001_000a_u32 as i32;

/// The address is not in the multicast list.
pub const NDIS_STATUS_MULTICAST_NOT_FOUND: NDIS_STATUS = 0xc001_000b_u32 as i32;

/// The request was cancelled.
pub const NDIS_STATUS_REQUEST_ABORTED: NDIS_STATUS = 0xc001_000c_u32 as i32;

/// A reset is under way.
pub const NDIS_STATUS_RESET_IN_PROGRESS: NDIS_STATUS = 0xc001_000d_u32 as i32;

/// The binding is being closed while it indicates.
pub const NDIS_STATUS_CLOSING_INDICATING: NDIS_STATUS = 0xc001_000e_u32 as i32;

/// The frame is malformed.
pub const NDIS_STATUS_INVALID_PACKET: NDIS_STATUS = 0xc001_000f_u32 as i32;

/// Too many bindings.
pub const NDIS_STATUS_OPEN_LIST_FULL: NDIS_STATUS = 0xc001_0010_u32 as i32;

/// The adapter is not ready.
pub const NDIS_STATUS_ADAPTER_NOT_READY: NDIS_STATUS = 0xc001_0011_u32 as i32;

/// The adapter is not open.
pub const NDIS_STATUS_ADAPTER_NOT_OPEN: NDIS_STATUS = 0xc001_0012_u32 as i32;

/// Nothing is being indicated.
pub const NDIS_STATUS_NOT_INDICATING: NDIS_STATUS = 0xc001_0013_u32 as i32;

/// The buffer has the wrong length; `BytesNeeded` tells the right one.
pub const NDIS_STATUS_INVALID_LENGTH: NDIS_STATUS = 0xc001_0014_u32 as i32;

/// The data are wrong.
pub const NDIS_STATUS_INVALID_DATA: NDIS_STATUS = 0xc001_0015_u32 as i32;

/// The buffer is too short; `BytesNeeded` tells how long it must be.
pub const NDIS_STATUS_BUFFER_TOO_SHORT: NDIS_STATUS = 0xc001_0016_u32 as i32;

/// The OID is not known.
pub const NDIS_STATUS_INVALID_OID: NDIS_STATUS = 0xc001_0017_u32 as i32;

/// The adapter is gone.
pub const NDIS_STATUS_ADAPTER_REMOVED: NDIS_STATUS = 0xc001_0018_u32 as i32;

/// None of the media is supported.
pub const NDIS_STATUS_UNSUPPORTED_MEDIA: NDIS_STATUS = 0xc001_0019_u32 as i32;

/// The group address is in use.
pub const NDIS_STATUS_GROUP_ADDRESS_IN_USE: NDIS_STATUS = 0xc001_001a_u32 as i32;

/// No such file or key.
pub const NDIS_STATUS_FILE_NOT_FOUND: NDIS_STATUS = 0xc001_001b_u32 as i32;

/// The file could not be read.
pub const NDIS_STATUS_ERROR_READING_FILE: NDIS_STATUS = 0xc001_001c_u32 as i32;

/// Mapped already.
pub const NDIS_STATUS_ALREADY_MAPPED: NDIS_STATUS = 0xc001_001d_u32 as i32;

/// Another device has the resource.
pub const NDIS_STATUS_RESOURCE_CONFLICT: NDIS_STATUS = 0xc001_001e_u32 as i32;

/// No cable.
pub const NDIS_STATUS_NO_CABLE: NDIS_STATUS = 0xc001_001f_u32 as i32;

/// The address is wrong.
pub const NDIS_STATUS_INVALID_ADDRESS: NDIS_STATUS = 0xc001_0022_u32 as i32;

/// The send was cancelled.
pub const NDIS_STATUS_SEND_ABORTED: NDIS_STATUS = 0xc023_000c_u32 as i32;

/// The link is down.
pub const NDIS_STATUS_MEDIA_DISCONNECTED: NDIS_STATUS = 0xc023_001f_u32 as i32;

/// The adapter or binding is paused.
pub const NDIS_STATUS_PAUSED: NDIS_STATUS = 0xc023_002a_u32 as i32;

/// No such interface.
pub const NDIS_STATUS_INTERFACE_NOT_FOUND: NDIS_STATUS = 0xc023_002b_u32 as i32;

/// The structure's revision is not supported.
pub const NDIS_STATUS_UNSUPPORTED_REVISION: NDIS_STATUS = 0xc023_002c_u32 as i32;

/// No such port.
pub const NDIS_STATUS_INVALID_PORT: NDIS_STATUS = 0xc023_002d_u32 as i32;

/// The port's state does not allow it.
pub const NDIS_STATUS_INVALID_PORT_STATE: NDIS_STATUS = 0xc023_002e_u32 as i32;

/// The adapter is in low power.
pub const NDIS_STATUS_LOW_POWER_STATE: NDIS_STATUS = 0xc023_002f_u32 as i32;

/// The change takes effect after initialization.
pub const NDIS_STATUS_REINIT_REQUIRED: NDIS_STATUS = 0xc023_0030_u32 as i32;

/// A resource belongs to another device.
pub const NDIS_ERROR_CODE_RESOURCE_CONFLICT: NDIS_ERROR_CODE = 0xc000_1388;

/// Not enough memory or other resources.
pub const NDIS_ERROR_CODE_OUT_OF_RESOURCES: NDIS_ERROR_CODE = 0xc000_1389;

/// The hardware does not work.
pub const NDIS_ERROR_CODE_HARDWARE_FAILURE: NDIS_ERROR_CODE = 0xc000_138a;

/// The adapter was not found.
pub const NDIS_ERROR_CODE_ADAPTER_NOT_FOUND: NDIS_ERROR_CODE = 0xc000_138b;

/// The interrupt could not be connected.
pub const NDIS_ERROR_CODE_INTERRUPT_CONNECT: NDIS_ERROR_CODE = 0xc000_138c;

/// The driver failed.
pub const NDIS_ERROR_CODE_DRIVER_FAILURE: NDIS_ERROR_CODE = 0xc000_138d;

/// The driver does not fit this NDIS.
pub const NDIS_ERROR_CODE_BAD_VERSION: NDIS_ERROR_CODE = 0xc000_138e;

/// The adapter did not answer in time.
pub const NDIS_ERROR_CODE_TIMEOUT: NDIS_ERROR_CODE = 0x8000_138f;

/// The configured network address is wrong.
pub const NDIS_ERROR_CODE_NETWORK_ADDRESS: NDIS_ERROR_CODE = 0xc000_1390;

/// The configuration is not supported.
pub const NDIS_ERROR_CODE_UNSUPPORTED_CONFIGURATION: NDIS_ERROR_CODE = 0xc000_1391;

/// The adapter reported a value that cannot be.
pub const NDIS_ERROR_CODE_INVALID_VALUE_FROM_ADAPTER: NDIS_ERROR_CODE = 0xc000_1392;

/// A setting is missing.
pub const NDIS_ERROR_CODE_MISSING_CONFIGURATION_PARAMETER: NDIS_ERROR_CODE = 0xc000_1393;

/// The I/O base address is wrong.
pub const NDIS_ERROR_CODE_BAD_IO_BASE_ADDRESS: NDIS_ERROR_CODE = 0xc000_1394;

/// The receive buffer is small.
pub const NDIS_ERROR_CODE_RECEIVE_SPACE_SMALL: NDIS_ERROR_CODE = 0x4000_1395;

/// The adapter is disabled.
pub const NDIS_ERROR_CODE_ADAPTER_DISABLED: NDIS_ERROR_CODE = 0x8000_1396;

/// Event for the system's log, written by `NdisWriteErrorLogEntry`.
pub type NDIS_ERROR_CODE = u32;

impl_zeroed! {
    NDIS_STATUS_INDICATION,
}
