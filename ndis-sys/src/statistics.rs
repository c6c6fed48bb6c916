//! Interface statistics.

use crate::{NDIS_OBJECT_HEADER, impl_zeroed};

/// Data of `OID_GEN_STATISTICS`: counters since initialization.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_STATISTICS_INFO {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_STATISTICS_FLAGS_VALID_` flags of the counters that are set.
    pub SupportedStatistics: u32,
    /// Good frames received but dropped.
    pub ifInDiscards: u64,
    /// Frames received with errors.
    pub ifInErrors: u64,
    /// Bytes received.
    pub ifHCInOctets: u64,
    /// Unicast frames received.
    pub ifHCInUcastPkts: u64,
    /// Multicast frames received.
    pub ifHCInMulticastPkts: u64,
    /// Broadcast frames received.
    pub ifHCInBroadcastPkts: u64,
    /// Bytes sent.
    pub ifHCOutOctets: u64,
    /// Unicast frames sent.
    pub ifHCOutUcastPkts: u64,
    /// Multicast frames sent.
    pub ifHCOutMulticastPkts: u64,
    /// Broadcast frames sent.
    pub ifHCOutBroadcastPkts: u64,
    /// Frames not sent because of errors.
    pub ifOutErrors: u64,
    /// Frames dropped instead of sent.
    pub ifOutDiscards: u64,
    /// Bytes of unicast frames received.
    pub ifHCInUcastOctets: u64,
    /// Bytes of multicast frames received.
    pub ifHCInMulticastOctets: u64,
    /// Bytes of broadcast frames received.
    pub ifHCInBroadcastOctets: u64,
    /// Bytes of unicast frames sent.
    pub ifHCOutUcastOctets: u64,
    /// Bytes of multicast frames sent.
    pub ifHCOutMulticastOctets: u64,
    /// Bytes of broadcast frames sent.
    pub ifHCOutBroadcastOctets: u64,
}

/// Revision 1 of [`NDIS_STATISTICS_INFO`](crate::NDIS_STATISTICS_INFO).
pub const NDIS_STATISTICS_INFO_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_STATISTICS_INFO`](crate::NDIS_STATISTICS_INFO) that belong to revision 1.
pub const NDIS_SIZEOF_STATISTICS_INFO_REVISION_1: u16 = 0x98;

/// The adapter counts: frames sent.
pub const NDIS_STATISTICS_XMIT_OK_SUPPORTED: u32 = 1;

/// The adapter counts: frames received.
pub const NDIS_STATISTICS_RCV_OK_SUPPORTED: u32 = 2;

/// The adapter counts: frames not sent because of errors.
pub const NDIS_STATISTICS_XMIT_ERROR_SUPPORTED: u32 = 4;

/// The adapter counts: frames received with errors.
pub const NDIS_STATISTICS_RCV_ERROR_SUPPORTED: u32 = 8;

/// The adapter counts: frames lost for want of buffers.
pub const NDIS_STATISTICS_RCV_NO_BUFFER_SUPPORTED: u32 = 0x10;

/// The adapter counts: bytes of unicast frames sent.
pub const NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED: u32 = 0x20;

/// The adapter counts: unicast frames sent.
pub const NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED: u32 = 0x40;

/// The adapter counts: bytes of multicast frames sent.
pub const NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED: u32 = 0x80;

/// The adapter counts: multicast frames sent.
pub const NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED: u32 = 0x100;

/// The adapter counts: bytes of broadcast frames sent.
pub const NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED: u32 = 0x200;

/// The adapter counts: broadcast frames sent.
pub const NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED: u32 = 0x400;

/// The adapter counts: bytes of unicast frames received.
pub const NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED: u32 = 0x800;

/// The adapter counts: unicast frames received.
pub const NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED: u32 = 0x1000;

/// The adapter counts: bytes of multicast frames received.
pub const NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED: u32 = 0x2000;

/// The adapter counts: multicast frames received.
pub const NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED: u32 = 0x4000;

/// The adapter counts: bytes of broadcast frames received.
pub const NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED: u32 = 0x8000;

/// The adapter counts: broadcast frames received.
pub const NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED: u32 = 0x0001_0000;

/// The adapter counts: frames received with checksum errors.
pub const NDIS_STATISTICS_RCV_CRC_ERROR_SUPPORTED: u32 = 0x0002_0000;

/// The adapter counts: frames that wait to be sent.
pub const NDIS_STATISTICS_TRANSMIT_QUEUE_LENGTH_SUPPORTED: u32 = 0x0004_0000;

/// The adapter counts: bytes received.
pub const NDIS_STATISTICS_BYTES_RCV_SUPPORTED: u32 = 0x0008_0000;

/// The adapter counts: bytes sent.
pub const NDIS_STATISTICS_BYTES_XMIT_SUPPORTED: u32 = 0x0010_0000;

/// The adapter counts: good frames received but dropped.
pub const NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED: u32 = 0x0020_0000;

/// The adapter answers `OID_GEN_STATISTICS`.
pub const NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED: u32 = 0x0040_0000;

/// The adapter counts: frames dropped instead of sent.
pub const NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED: u32 = 0x0800_0000;

/// The counter is set: unicast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_RCV: u32 = 1;

/// The counter is set: multicast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_RCV: u32 = 2;

/// The counter is set: broadcast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_RCV: u32 = 4;

/// The counter is set: bytes received.
pub const NDIS_STATISTICS_FLAGS_VALID_BYTES_RCV: u32 = 8;

/// The counter is set: good frames received but dropped.
pub const NDIS_STATISTICS_FLAGS_VALID_RCV_DISCARDS: u32 = 0x10;

/// The counter is set: frames received with errors.
pub const NDIS_STATISTICS_FLAGS_VALID_RCV_ERROR: u32 = 0x20;

/// The counter is set: unicast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_DIRECTED_FRAMES_XMIT: u32 = 0x40;

/// The counter is set: multicast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_MULTICAST_FRAMES_XMIT: u32 = 0x80;

/// The counter is set: broadcast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_BROADCAST_FRAMES_XMIT: u32 = 0x100;

/// The counter is set: bytes sent.
pub const NDIS_STATISTICS_FLAGS_VALID_BYTES_XMIT: u32 = 0x200;

/// The counter is set: frames not sent because of errors.
pub const NDIS_STATISTICS_FLAGS_VALID_XMIT_ERROR: u32 = 0x400;

/// The counter is set: frames dropped instead of sent.
pub const NDIS_STATISTICS_FLAGS_VALID_XMIT_DISCARDS: u32 = 0x8000;

/// The counter is set: bytes of unicast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_RCV: u32 = 0x0001_0000;

/// The counter is set: bytes of multicast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_RCV: u32 = 0x0002_0000;

/// The counter is set: bytes of broadcast frames received.
pub const NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_RCV: u32 = 0x0004_0000;

/// The counter is set: bytes of unicast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_DIRECTED_BYTES_XMIT: u32 = 0x0008_0000;

/// The counter is set: bytes of multicast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_MULTICAST_BYTES_XMIT: u32 = 0x0010_0000;

/// The counter is set: bytes of broadcast frames sent.
pub const NDIS_STATISTICS_FLAGS_VALID_BROADCAST_BYTES_XMIT: u32 = 0x0020_0000;

impl_zeroed! {
    NDIS_STATISTICS_INFO,
}
