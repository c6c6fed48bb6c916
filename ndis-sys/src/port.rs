//! NDIS ports: the default port of an adapter and its authentication state.

use core::ffi::c_void;

use crate::{
    NDIS_MEDIA_CONNECT_STATE, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NET_IF_DIRECTION_TYPE,
    impl_zeroed,
};

/// Element of a list of ports.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PORT {
    /// The next port, null at the end.
    pub Next: *mut NDIS_PORT,
    /// Belongs to NDIS.
    pub NdisReserved: *mut c_void,
    /// Belongs to the miniport.
    pub MiniportReserved: *mut c_void,
    /// Belongs to the protocol.
    pub ProtocolReserved: *mut c_void,
    /// What the port is.
    pub PortCharacteristics: NDIS_PORT_CHARACTERISTICS,
}

/// What a port is and how it is doing. Type PORT_CHARACTERISTICS.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PORT_CHARACTERISTICS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Number of the port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// `NDIS_PORT_CHAR_USE_DEFAULT_AUTH_SETTINGS` or 0.
    pub Flags: u32,
    /// What the port is for.
    pub Type: NDIS_PORT_TYPE,
    /// Whether the link is up.
    pub MediaConnectState: NDIS_MEDIA_CONNECT_STATE,
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
    /// Whether the port sends, receives or both.
    pub Direction: NET_IF_DIRECTION_TYPE,
    /// Whether sending needs authorization.
    pub SendControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether receiving needs authorization.
    pub RcvControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether sending is authorized.
    pub SendAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
    /// Whether receiving is authorized.
    pub RcvAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
}

/// State of a port; data of `NDIS_STATUS_PORT_STATE`. Type PORT_STATE.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PORT_STATE {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Whether the link is up.
    pub MediaConnectState: NDIS_MEDIA_CONNECT_STATE,
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
    /// Whether the port sends, receives or both.
    pub Direction: NET_IF_DIRECTION_TYPE,
    /// Whether sending needs authorization.
    pub SendControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether receiving needs authorization.
    pub RcvControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether sending is authorized.
    pub SendAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
    /// Whether receiving is authorized.
    pub RcvAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
    /// Reserved.
    pub Flags: u32,
}

/// Authentication state of a port; data of `OID_GEN_PORT_AUTHENTICATION_PARAMETERS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_PORT_AUTHENTICATION_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Whether sending needs authorization.
    pub SendControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether receiving needs authorization.
    pub RcvControlState: NDIS_PORT_CONTROL_STATE,
    /// Whether sending is authorized.
    pub SendAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
    /// Whether receiving is authorized.
    pub RcvAuthorizationState: NDIS_PORT_AUTHORIZATION_STATE,
}

/// What a port is for.
pub type NDIS_PORT_TYPE = i32;

/// Nothing particular; the default port.
pub const NdisPortTypeUndefined: NDIS_PORT_TYPE = 0;

/// Reserved.
pub const NdisPortTypeBridge: NDIS_PORT_TYPE = 1;

/// Reserved.
pub const NdisPortTypeRasConnection: NDIS_PORT_TYPE = 2;

/// 802.1X supplicant.
pub const NdisPortType8021xSupplicant: NDIS_PORT_TYPE = 3;

/// Intermediate driver.
pub const NdisPortTypeNdisImPlatform: NDIS_PORT_TYPE = 4;

/// Upper bound of the port types.
pub const NdisPortTypeMax: NDIS_PORT_TYPE = 5;

/// Whether a port needs authorization.
pub type NDIS_PORT_CONTROL_STATE = i32;

/// Not known.
pub const NdisPortControlStateUnknown: NDIS_PORT_CONTROL_STATE = 0;

/// Yes.
pub const NdisPortControlStateControlled: NDIS_PORT_CONTROL_STATE = 1;

/// No.
pub const NdisPortControlStateUncontrolled: NDIS_PORT_CONTROL_STATE = 2;

/// Whether a port is authorized.
pub type NDIS_PORT_AUTHORIZATION_STATE = i32;

/// Not known.
pub const NdisPortAuthorizationUnknown: NDIS_PORT_AUTHORIZATION_STATE = 0;

/// Yes.
pub const NdisPortAuthorized: NDIS_PORT_AUTHORIZATION_STATE = 1;

/// No.
pub const NdisPortUnauthorized: NDIS_PORT_AUTHORIZATION_STATE = 2;

/// Yes, and being renewed.
pub const NdisPortReauthorizing: NDIS_PORT_AUTHORIZATION_STATE = 3;

/// The port's authentication state is the default one.
pub const NDIS_PORT_CHAR_USE_DEFAULT_AUTH_SETTINGS: u32 = 1;

/// Revision 1 of [`NDIS_PORT_CHARACTERISTICS`](crate::NDIS_PORT_CHARACTERISTICS).
pub const NDIS_PORT_CHARACTERISTICS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_PORT_STATE`](crate::NDIS_PORT_STATE).
pub const NDIS_PORT_STATE_REVISION_1: u8 = 1;

/// Revision 1 of
/// [`NDIS_PORT_AUTHENTICATION_PARAMETERS`](crate::NDIS_PORT_AUTHENTICATION_PARAMETERS).
pub const NDIS_PORT_AUTHENTICATION_PARAMETERS_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_PORT_CHARACTERISTICS`](crate::NDIS_PORT_CHARACTERISTICS) that belong to revision
/// 1.
pub const NDIS_SIZEOF_PORT_CHARACTERISTICS_REVISION_1: u16 = 0x3c;

/// Bytes of [`NDIS_PORT_STATE`](crate::NDIS_PORT_STATE) that belong to revision 1.
pub const NDIS_SIZEOF_PORT_STATE_REVISION_1: u16 = 0x30;

/// Bytes of [`NDIS_PORT_AUTHENTICATION_PARAMETERS`](crate::NDIS_PORT_AUTHENTICATION_PARAMETERS)
/// that belong to revision 1.
pub const NDIS_SIZEOF_PORT_AUTHENTICATION_PARAMETERS_REVISION_1: u16 = 0x14;

impl_zeroed! {
    NDIS_PORT,
    NDIS_PORT_CHARACTERISTICS,
    NDIS_PORT_STATE,
    NDIS_PORT_AUTHENTICATION_PARAMETERS,
}
