//! Out-of-band information of a [`NET_BUFFER_LIST`](crate::NET_BUFFER_LIST).
//!
//! Each slot is a pointer-sized value; the unions here tell how to read some of them. Bit positions
//! count from the least significant bit.

use core::ffi::c_void;

use crate::impl_zeroed;

/// Index into `NetBufferListInfo`; some slots have one meaning on send and one on receive.
pub type NDIS_NET_BUFFER_LIST_INFO = i32;

/// [`NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO`].
pub const TcpIpChecksumNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 0;

/// Bytes that a connection offload transferred.
pub const TcpOffloadBytesTransferred: NDIS_NET_BUFFER_LIST_INFO = 0;

/// IPsec offload, version 1.
pub const IPsecOffloadV1NetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 1;

/// IPsec offload, version 2.
pub const IPsecOffloadV2NetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 1;

/// [`NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO`].
pub const TcpLargeSendNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 2;

/// For connection offload.
pub const TcpReceiveNoPush: NDIS_NET_BUFFER_LIST_INFO = 2;

/// Traffic class, for packet schedulers.
pub const ClassificationHandleNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 3;

/// [`NDIS_NET_BUFFER_LIST_8021Q_INFO`].
pub const Ieee8021QNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 4;

/// Identifies sends to be cancelled together.
pub const NetBufferListCancelId: NDIS_NET_BUFFER_LIST_INFO = 5;

/// Information of the medium.
pub const MediaSpecificInformation: NDIS_NET_BUFFER_LIST_INFO = 6;

/// EtherType that the protocol sends, in network order.
pub const NetBufferListFrameType: NDIS_NET_BUFFER_LIST_INFO = 7;

/// `NDIS_PROTOCOL_ID_` of the sender.
pub const NetBufferListProtocolId: NDIS_NET_BUFFER_LIST_INFO = 7;

/// Hash of a received frame.
pub const NetBufferListHashValue: NDIS_NET_BUFFER_LIST_INFO = 8;

/// Function and type of that hash.
pub const NetBufferListHashInfo: NDIS_NET_BUFFER_LIST_INFO = 9;

/// For the Windows Filtering Platform.
pub const WfpNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 10;

/// IPsec tunnel.
pub const IPsecOffloadV2TunnelNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 11;

/// IPsec headers.
pub const IPsecOffloadV2HeaderNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 12;

/// Ties events of one frame together, for traces.
pub const NetBufferListCorrelationId: NDIS_NET_BUFFER_LIST_INFO = 13;

/// Receive filter and queue that matched.
pub const NetBufferListFilteringInfo: NDIS_NET_BUFFER_LIST_INFO = 14;

/// Information of the medium, second form.
pub const MediaSpecificInformationEx: NDIS_NET_BUFFER_LIST_INFO = 15;

/// Interface that the frame came in on.
pub const NblOriginalInterfaceIfIndex: NDIS_NET_BUFFER_LIST_INFO = 16;

/// For the Windows Filtering Platform.
pub const NblReAuthWfpFlowContext: NDIS_NET_BUFFER_LIST_INFO = 16;

/// For connection offload.
pub const TcpReceiveBytesTransferred: NDIS_NET_BUFFER_LIST_INFO = 17;

/// For name resolution.
pub const NrtNameResolutionId: NDIS_NET_BUFFER_LIST_INFO = 17;

/// For the Hyper-V switch.
pub const SwitchForwardingReserved: NDIS_NET_BUFFER_LIST_INFO = 18;

/// For the Hyper-V switch.
pub const SwitchForwardingDetail: NDIS_NET_BUFFER_LIST_INFO = 19;

/// Virtual subnet of the frame.
pub const VirtualSubnetInfo: NDIS_NET_BUFFER_LIST_INFO = 20;

/// For load-balancing intermediate drivers.
pub const IMReserved: NDIS_NET_BUFFER_LIST_INFO = 21;

/// [`NDIS_RSC_NBL_INFO`].
pub const TcpRecvSegCoalesceInfo: NDIS_NET_BUFFER_LIST_INFO = 22;

/// Time between coalesced segments, on receive.
pub const RscTcpTimestampDelta: NDIS_NET_BUFFER_LIST_INFO = 23;

/// Inner headers of encapsulated frames, on send.
pub const TcpSendOffloadsSupplementalNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 23;

/// For flow tables in hardware.
pub const GftOffloadInformation: NDIS_NET_BUFFER_LIST_INFO = 24;

/// For flow tables in hardware.
pub const GftFlowEntryId: NDIS_NET_BUFFER_LIST_INFO = 25;

/// Reserved.
pub const NetBufferListInfoReserved3: NDIS_NET_BUFFER_LIST_INFO = 26;

/// Number of slots.
pub const MaxNetBufferListInfo: NDIS_NET_BUFFER_LIST_INFO = 27;

/// Slot with the checksums to compute or already checked (Microsoft Learn,
/// NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO).
#[derive(Clone, Copy)]
#[repr(C)]
pub union NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO {
    /// On send. From bit 0: IsIPv4, IsIPv6, TcpChecksum, UdpChecksum, IpHeaderChecksum; bits 16 to
    /// 25: TcpHeaderOffset.
    pub Transmit: u32,
    /// On receive. From bit 0: TcpChecksumFailed, UdpChecksumFailed, IpChecksumFailed,
    /// TcpChecksumSucceeded, UdpChecksumSucceeded, IpChecksumSucceeded, Loopback,
    /// TcpChecksumValueInvalid, IpChecksumValueInvalid.
    pub Receive: u32,
    /// The whole slot.
    pub Value: *mut c_void,
}

/// Slot with priority and VLAN of a frame.
#[derive(Clone, Copy)]
#[repr(C)]
pub union NDIS_NET_BUFFER_LIST_8021Q_INFO {
    /// Bits 0 to 2: priority; bit 3: canonical format; bits 4 to 15: VLAN.
    pub TagHeader: u32,
    /// The whole slot.
    pub Value: *mut c_void,
}

/// Slot that asks for segmentation of a large TCP send.
#[derive(Clone, Copy)]
#[repr(C)]
pub union NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO {
    /// Bit 30: type, `NDIS_TCP_LARGE_SEND_OFFLOAD_V1_TYPE` or `..._V2_TYPE`.
    pub Transmit: u32,
    /// Bits 0 to 19: segment size; 20 to 29: TcpHeaderOffset; 30: type; 31: IP version.
    pub LsoV2Transmit: u32,
    /// The whole slot.
    pub Value: *mut c_void,
}

/// Slot that tells how many TCP segments were coalesced.
#[derive(Clone, Copy)]
#[repr(C)]
pub union NDIS_RSC_NBL_INFO {
    /// The counts.
    pub Info: NDIS_RSC_NBL_COUNTS,
    /// The whole slot.
    pub Value: *mut c_void,
}

/// Counts of a coalesced receive.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_RSC_NBL_INFO.Info")]
pub struct NDIS_RSC_NBL_COUNTS {
    /// Segments in the frame.
    pub CoalescedSegCount: u16,
    /// Duplicate acknowledgements in it.
    pub DupAckCount: u16,
}

impl_zeroed! {
    NDIS_TCP_IP_CHECKSUM_NET_BUFFER_LIST_INFO,
    NDIS_NET_BUFFER_LIST_8021Q_INFO,
    NDIS_TCP_LARGE_SEND_OFFLOAD_NET_BUFFER_LIST_INFO,
    NDIS_RSC_NBL_INFO,
    NDIS_RSC_NBL_COUNTS,
}
