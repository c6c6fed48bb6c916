//! OID requests: the request structure and the request types.
//!
//! A request belongs to its source; the miniport borrows it until it completes it.

use core::ffi::c_void;

use crate::{
    NDIS_HANDLE, NDIS_NIC_SWITCH_ID, NDIS_NIC_SWITCH_VPORT_ID, NDIS_OBJECT_HEADER, NDIS_OID,
    NDIS_PORT_NUMBER, impl_zeroed,
};

/// Request to read or change something of an adapter. Type OID_REQUEST (Microsoft Learn,
/// NDIS_OID_REQUEST).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OID_REQUEST {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Which part of `DATA` is meant.
    pub RequestType: NDIS_REQUEST_TYPE,
    /// Number of the port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// Seconds until the request should be done; 0 for no bound.
    pub Timeout: u32,
    /// By which the request can be cancelled, or null.
    pub RequestId: *mut c_void,
    /// Source of the request; belongs to NDIS.
    pub RequestHandle: NDIS_HANDLE,
    /// The OID and its buffer.
    pub DATA: NDIS_OID_REQUEST_DATA,
    /// Belongs to NDIS.
    pub NdisReserved: [u8; 128],
    /// Belongs to the miniport.
    pub MiniportReserved: [u8; 16],
    /// Belongs to the source of the request.
    pub SourceReserved: [u8; 16],
    /// Set on return: highest revision that the miniport understands.
    pub SupportedRevision: u8,
    /// Reserved.
    pub Reserved1: u8,
    /// Reserved.
    pub Reserved2: u16,
    /// NIC switch.
    pub SwitchId: NDIS_NIC_SWITCH_ID,
    /// Virtual port of a NIC switch.
    pub VPortId: NDIS_NIC_SWITCH_VPORT_ID,
    /// Reserved. Revision 2.
    pub Flags: u32,
}

/// The OID and its buffer, by request type.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_OID_REQUEST.DATA")]
pub union NDIS_OID_REQUEST_DATA {
    /// For `NdisRequestQueryInformation` and `NdisRequestQueryStatistics`.
    pub QUERY_INFORMATION: NDIS_OID_REQUEST_QUERY,
    /// For `NdisRequestSetInformation`.
    pub SET_INFORMATION: NDIS_OID_REQUEST_SET,
    /// For `NdisRequestMethod`.
    pub METHOD_INFORMATION: NDIS_OID_REQUEST_METHOD,
}

/// A query.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_OID_REQUEST.DATA.QUERY_INFORMATION")]
pub struct NDIS_OID_REQUEST_QUERY {
    /// The OID.
    pub Oid: NDIS_OID,
    /// The buffer; belongs to the source of the request.
    pub InformationBuffer: *mut c_void,
    /// Bytes of the buffer.
    pub InformationBufferLength: u32,
    /// Set on return: bytes written.
    pub BytesWritten: u32,
    /// Set on return: bytes that the buffer would have to have.
    pub BytesNeeded: u32,
}

/// A change.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_OID_REQUEST.DATA.SET_INFORMATION")]
pub struct NDIS_OID_REQUEST_SET {
    /// The OID.
    pub Oid: NDIS_OID,
    /// The buffer; belongs to the source of the request.
    pub InformationBuffer: *mut c_void,
    /// Bytes of the buffer.
    pub InformationBufferLength: u32,
    /// Set on return: bytes read.
    pub BytesRead: u32,
    /// Set on return: bytes that the buffer would have to have.
    pub BytesNeeded: u32,
}

/// A method: input and output share the buffer.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_OID_REQUEST.DATA.METHOD_INFORMATION")]
pub struct NDIS_OID_REQUEST_METHOD {
    /// The OID.
    pub Oid: NDIS_OID,
    /// The buffer; belongs to the source of the request.
    pub InformationBuffer: *mut c_void,
    /// Bytes of input in the buffer.
    pub InputBufferLength: u32,
    /// Bytes that the buffer can take.
    pub OutputBufferLength: u32,
    /// Number of the method.
    pub MethodId: u32,
    /// Set on return: bytes written.
    pub BytesWritten: u32,
    /// Set on return: bytes read.
    pub BytesRead: u32,
    /// Set on return: bytes that the buffer would have to have.
    pub BytesNeeded: u32,
}

/// Kind of OID request.
pub type NDIS_REQUEST_TYPE = i32;

/// Query.
pub const NdisRequestQueryInformation: NDIS_REQUEST_TYPE = 0;

/// Change.
pub const NdisRequestSetInformation: NDIS_REQUEST_TYPE = 1;

/// Query, from a management tool.
pub const NdisRequestQueryStatistics: NDIS_REQUEST_TYPE = 2;

/// Belongs to NDIS.
pub const NdisRequestOpen: NDIS_REQUEST_TYPE = 3;

/// Belongs to NDIS.
pub const NdisRequestClose: NDIS_REQUEST_TYPE = 4;

/// Belongs to NDIS.
pub const NdisRequestSend: NDIS_REQUEST_TYPE = 5;

/// Belongs to NDIS.
pub const NdisRequestTransferData: NDIS_REQUEST_TYPE = 6;

/// Belongs to NDIS.
pub const NdisRequestReset: NDIS_REQUEST_TYPE = 7;

/// Belongs to NDIS.
pub const NdisRequestGeneric1: NDIS_REQUEST_TYPE = 8;

/// Belongs to NDIS.
pub const NdisRequestGeneric2: NDIS_REQUEST_TYPE = 9;

/// Belongs to NDIS.
pub const NdisRequestGeneric3: NDIS_REQUEST_TYPE = 10;

/// Belongs to NDIS.
pub const NdisRequestGeneric4: NDIS_REQUEST_TYPE = 11;

/// Method.
pub const NdisRequestMethod: NDIS_REQUEST_TYPE = 12;

/// Revision 1 of [`NDIS_OID_REQUEST`](crate::NDIS_OID_REQUEST).
pub const NDIS_OID_REQUEST_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_OID_REQUEST`](crate::NDIS_OID_REQUEST).
pub const NDIS_OID_REQUEST_REVISION_2: u8 = 2;

/// Bytes of [`NDIS_OID_REQUEST`](crate::NDIS_OID_REQUEST) that belong to revision 1.
pub const NDIS_SIZEOF_OID_REQUEST_REVISION_1: u16 = 0xec;

/// Bytes of [`NDIS_OID_REQUEST`](crate::NDIS_OID_REQUEST) that belong to revision 2.
pub const NDIS_SIZEOF_OID_REQUEST_REVISION_2: u16 = 0xf8;

impl_zeroed! {
    NDIS_OID_REQUEST,
    NDIS_OID_REQUEST_DATA,
    NDIS_OID_REQUEST_QUERY,
    NDIS_OID_REQUEST_SET,
    NDIS_OID_REQUEST_METHOD,
}
