//! Link state, link parameters and the interface's operational state.

use crate::{NDIS_OBJECT_HEADER, impl_zeroed};

/// State of the link; data of `NDIS_STATUS_LINK_STATE`. Type DEFAULT.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_LINK_STATE {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Whether the link is up.
    pub MediaConnectState: NDIS_MEDIA_CONNECT_STATE,
    /// Half or full duplex.
    pub MediaDuplexState: NDIS_MEDIA_DUPLEX_STATE,
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
    /// Flow control in use.
    pub PauseFunctions: NDIS_SUPPORTED_PAUSE_FUNCTIONS,
    /// `NDIS_LINK_STATE_..._AUTO_NEGOTIATED` flags.
    pub AutoNegotiationFlags: u32,
}

/// Link settings; data of `OID_GEN_LINK_PARAMETERS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_LINK_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Half or full duplex.
    pub MediaDuplexState: NDIS_MEDIA_DUPLEX_STATE,
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
    /// Flow control in use.
    pub PauseFunctions: NDIS_SUPPORTED_PAUSE_FUNCTIONS,
    /// `NDIS_LINK_STATE_..._AUTO_NEGOTIATED` flags.
    pub AutoNegotiationFlags: u32,
}

/// Speeds of a link; data of `OID_GEN_MAX_LINK_SPEED`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_LINK_SPEED {
    /// Send speed, in bits per second.
    pub XmitLinkSpeed: u64,
    /// Receive speed, in bits per second.
    pub RcvLinkSpeed: u64,
}

/// Operational state of an interface; data of `NDIS_STATUS_OPER_STATUS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OPER_STATE {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// The state.
    pub OperationalStatus: NET_IF_OPER_STATUS,
    /// `NET_IF_OPER_STATUS_` reasons.
    pub OperationalStatusFlags: u32,
}

/// Whether the link is up.
pub type NET_IF_MEDIA_CONNECT_STATE = i32;

/// Not known.
pub const MediaConnectStateUnknown: NET_IF_MEDIA_CONNECT_STATE = 0;

/// Up.
pub const MediaConnectStateConnected: NET_IF_MEDIA_CONNECT_STATE = 1;

/// Down.
pub const MediaConnectStateDisconnected: NET_IF_MEDIA_CONNECT_STATE = 2;

/// Half or full duplex.
pub type NET_IF_MEDIA_DUPLEX_STATE = i32;

/// Not known.
pub const MediaDuplexStateUnknown: NET_IF_MEDIA_DUPLEX_STATE = 0;

/// One direction at a time.
pub const MediaDuplexStateHalf: NET_IF_MEDIA_DUPLEX_STATE = 1;

/// Both directions.
pub const MediaDuplexStateFull: NET_IF_MEDIA_DUPLEX_STATE = 2;

/// NDIS's name of it.
pub type NDIS_MEDIA_CONNECT_STATE = NET_IF_MEDIA_CONNECT_STATE;

/// NDIS's name of it.
pub type NDIS_MEDIA_DUPLEX_STATE = NET_IF_MEDIA_DUPLEX_STATE;

/// Ethernet flow control.
pub type NDIS_SUPPORTED_PAUSE_FUNCTIONS = i32;

/// None.
pub const NdisPauseFunctionsUnsupported: NDIS_SUPPORTED_PAUSE_FUNCTIONS = 0;

/// Sends pause frames.
pub const NdisPauseFunctionsSendOnly: NDIS_SUPPORTED_PAUSE_FUNCTIONS = 1;

/// Obeys pause frames.
pub const NdisPauseFunctionsReceiveOnly: NDIS_SUPPORTED_PAUSE_FUNCTIONS = 2;

/// Both.
pub const NdisPauseFunctionsSendAndReceive: NDIS_SUPPORTED_PAUSE_FUNCTIONS = 3;

/// Not known yet.
pub const NdisPauseFunctionsUnknown: NDIS_SUPPORTED_PAUSE_FUNCTIONS = 4;

/// Operational state of an interface (RFC 2863).
pub type NET_IF_OPER_STATUS = i32;

/// Passes frames.
pub const NET_IF_OPER_STATUS_UP: NET_IF_OPER_STATUS = 1;

/// Passes none.
pub const NET_IF_OPER_STATUS_DOWN: NET_IF_OPER_STATUS = 2;

/// Under test.
pub const NET_IF_OPER_STATUS_TESTING: NET_IF_OPER_STATUS = 3;

/// Not known.
pub const NET_IF_OPER_STATUS_UNKNOWN: NET_IF_OPER_STATUS = 4;

/// Waits for an event.
pub const NET_IF_OPER_STATUS_DORMANT: NET_IF_OPER_STATUS = 5;

/// Hardware missing.
pub const NET_IF_OPER_STATUS_NOT_PRESENT: NET_IF_OPER_STATUS = 6;

/// The interface below is down.
pub const NET_IF_OPER_STATUS_LOWER_LAYER_DOWN: NET_IF_OPER_STATUS = 7;

/// State of the hardware; data of `OID_GEN_HARDWARE_STATUS`.
pub type NDIS_HARDWARE_STATUS = i32;

/// Ready.
pub const NdisHardwareStatusReady: NDIS_HARDWARE_STATUS = 0;

/// Being initialized.
pub const NdisHardwareStatusInitializing: NDIS_HARDWARE_STATUS = 1;

/// Being reset.
pub const NdisHardwareStatusReset: NDIS_HARDWARE_STATUS = 2;

/// Being halted.
pub const NdisHardwareStatusClosing: NDIS_HARDWARE_STATUS = 3;

/// Not ready.
pub const NdisHardwareStatusNotReady: NDIS_HARDWARE_STATUS = 4;

/// State of the link in NDIS 5; data of `OID_GEN_MEDIA_CONNECT_STATUS`.
pub type NDIS_MEDIA_STATE = i32;

/// Up.
pub const NdisMediaStateConnected: NDIS_MEDIA_STATE = 0;

/// Down.
pub const NdisMediaStateDisconnected: NDIS_MEDIA_STATE = 1;

/// The send speed was negotiated.
pub const NDIS_LINK_STATE_XMIT_LINK_SPEED_AUTO_NEGOTIATED: u32 = 1;

/// The receive speed was negotiated.
pub const NDIS_LINK_STATE_RCV_LINK_SPEED_AUTO_NEGOTIATED: u32 = 2;

/// Duplex was negotiated.
pub const NDIS_LINK_STATE_DUPLEX_AUTO_NEGOTIATED: u32 = 4;

/// Flow control was negotiated.
pub const NDIS_LINK_STATE_PAUSE_FUNCTIONS_AUTO_NEGOTIATED: u32 = 8;

/// Down: not authenticated.
pub const NET_IF_OPER_STATUS_DOWN_NOT_AUTHENTICATED: u32 = 1;

/// Down: no link.
pub const NET_IF_OPER_STATUS_DOWN_NOT_MEDIA_CONNECTED: u32 = 2;

/// Dormant: paused.
pub const NET_IF_OPER_STATUS_DORMANT_PAUSED: u32 = 4;

/// Dormant: low power.
pub const NET_IF_OPER_STATUS_DORMANT_LOW_POWER: u32 = 8;

/// The speed is not known.
pub const NDIS_LINK_SPEED_UNKNOWN: u64 = u64::MAX;

/// Revision 1 of [`NDIS_LINK_STATE`](crate::NDIS_LINK_STATE).
pub const NDIS_LINK_STATE_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_LINK_PARAMETERS`](crate::NDIS_LINK_PARAMETERS).
pub const NDIS_LINK_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 1 of [`NDIS_OPER_STATE`](crate::NDIS_OPER_STATE).
pub const NDIS_OPER_STATE_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_LINK_STATE`](crate::NDIS_LINK_STATE) that belong to revision 1.
pub const NDIS_SIZEOF_LINK_STATE_REVISION_1: u16 = 0x28;

/// Bytes of [`NDIS_LINK_PARAMETERS`](crate::NDIS_LINK_PARAMETERS) that belong to revision 1.
pub const NDIS_SIZEOF_LINK_PARAMETERS_REVISION_1: u16 = 0x20;

/// Bytes of [`NDIS_OPER_STATE`](crate::NDIS_OPER_STATE) that belong to revision 1.
pub const NDIS_SIZEOF_OPER_STATE_REVISION_1: u16 = 0xc;

impl_zeroed! {
    NDIS_LINK_STATE,
    NDIS_LINK_PARAMETERS,
    NDIS_LINK_SPEED,
    NDIS_OPER_STATE,
}
