//! Task offload capabilities and parameters.

use crate::{BOOLEAN, NDIS_OBJECT_HEADER, impl_zeroed};

/// Task offload abilities or settings. Type OFFLOAD (Microsoft Learn, NDIS_OFFLOAD).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OFFLOAD {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// Checksums.
    pub Checksum: NDIS_TCP_IP_CHECKSUM_OFFLOAD,
    /// Segmentation of large sends, version 1.
    pub LsoV1: NDIS_TCP_LARGE_SEND_OFFLOAD_V1,
    /// IPsec, version 1.
    pub IPsecV1: NDIS_IPSEC_OFFLOAD_V1,
    /// Segmentation of large sends, version 2.
    pub LsoV2: NDIS_TCP_LARGE_SEND_OFFLOAD_V2,
    /// `NDIS_OFFLOAD_FLAGS_`.
    pub Flags: u32,
    /// IPsec, version 2. Revision 2.
    pub IPsecV2: NDIS_IPSEC_OFFLOAD_V2,
    /// Coalescing of received segments. Revision 3.
    pub Rsc: NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD,
    /// Offloads of frames inside NVGRE. Revision 3.
    pub EncapsulatedPacketTaskOffloadGre: NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD,
    /// Offloads of frames inside VXLAN. Revision 4.
    pub EncapsulatedPacketTaskOffloadVxlan: NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2,
    /// `NDIS_ENCAPSULATION_TYPE_` flags. Revision 4.
    pub EncapsulationTypes: u8,
    /// Address translation of RFC 6877. Revision 5.
    pub Rfc6877Xlat: NDIS_RFC6877_464XLAT_OFFLOAD,
}

/// Checksum offload.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_TCP_IP_CHECKSUM_OFFLOAD {
    /// IPv4, sends.
    pub IPv4Transmit: NDIS_CHECKSUM_OFFLOAD_IPV4,
    /// IPv4, receives.
    pub IPv4Receive: NDIS_CHECKSUM_OFFLOAD_IPV4,
    /// IPv6, sends.
    pub IPv6Transmit: NDIS_CHECKSUM_OFFLOAD_IPV6,
    /// IPv6, receives.
    pub IPv6Receive: NDIS_CHECKSUM_OFFLOAD_IPV6,
}

/// Checksums of IPv4 in one direction.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_TCP_IP_CHECKSUM_OFFLOAD.IPv4Transmit")]
pub struct NDIS_CHECKSUM_OFFLOAD_IPV4 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Fields of 2 bits, each `NDIS_OFFLOAD_SUPPORTED` or not. From bit 0: IpOptionsSupported,
    /// TcpOptionsSupported, TcpChecksum, UdpChecksum, IpChecksum.
    #[doc(alias = "IpOptionsSupported")]
    pub Supported: u32,
}

/// Checksums of IPv6 in one direction.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_TCP_IP_CHECKSUM_OFFLOAD.IPv6Transmit")]
pub struct NDIS_CHECKSUM_OFFLOAD_IPV6 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Fields of 2 bits. From bit 0: IpExtensionHeadersSupported, TcpOptionsSupported, TcpChecksum,
    /// UdpChecksum.
    #[doc(alias = "IpExtensionHeadersSupported")]
    pub Supported: u32,
}

/// Segmentation of large sends, version 1.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V1 {
    /// Over IPv4.
    pub IPv4: NDIS_LARGE_SEND_OFFLOAD_V1_IPV4,
}

/// Version 1 over IPv4.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_TCP_LARGE_SEND_OFFLOAD_V1.IPv4")]
pub struct NDIS_LARGE_SEND_OFFLOAD_V1_IPV4 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Most bytes of user data in one large send.
    pub MaxOffLoadSize: u32,
    /// Fewest segments that make an offload worth while.
    pub MinSegmentCount: u32,
    /// Fields of 2 bits. From bit 0: TcpOptions, IpOptions.
    #[doc(alias = "TcpOptions")]
    pub Supported: u32,
}

/// Segmentation of large sends, version 2.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_TCP_LARGE_SEND_OFFLOAD_V2 {
    /// Over IPv4.
    pub IPv4: NDIS_LARGE_SEND_OFFLOAD_V2_IPV4,
    /// Over IPv6.
    pub IPv6: NDIS_LARGE_SEND_OFFLOAD_V2_IPV6,
}

/// Version 2 over IPv4.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_TCP_LARGE_SEND_OFFLOAD_V2.IPv4")]
pub struct NDIS_LARGE_SEND_OFFLOAD_V2_IPV4 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Most bytes of user data in one large send.
    pub MaxOffLoadSize: u32,
    /// Fewest segments that make an offload worth while.
    pub MinSegmentCount: u32,
}

/// Version 2 over IPv6.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_TCP_LARGE_SEND_OFFLOAD_V2.IPv6")]
pub struct NDIS_LARGE_SEND_OFFLOAD_V2_IPV6 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Most bytes of user data in one large send.
    pub MaxOffLoadSize: u32,
    /// Fewest segments that make an offload worth while.
    pub MinSegmentCount: u32,
    /// Fields of 2 bits. From bit 0: IpExtensionHeadersSupported, TcpOptionsSupported.
    #[doc(alias = "IpExtensionHeadersSupported")]
    pub Supported: u32,
}

/// IPsec offload, version 1; obsolete.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_IPSEC_OFFLOAD_V1 {
    /// Encapsulation, AhEspCombined, TransportTunnelCombined, IPv4Options, Flags.
    pub Supported: [u32; 5],
    /// Fields of 2 bits for authentication headers.
    pub IPv4AH: u32,
    /// Fields of 2 bits for encapsulated payload.
    pub IPv4ESP: u32,
}

/// IPsec offload, version 2.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_IPSEC_OFFLOAD_V2 {
    /// `NDIS_ENCAPSULATION_` flags of the frames that are meant.
    pub Encapsulation: u32,
    /// Over IPv6.
    pub IPv6Supported: BOOLEAN,
    /// With IPv4 options.
    pub IPv4Options: BOOLEAN,
    /// With other IPv6 extension headers.
    pub IPv6NonIPsecExtensionHeaders: BOOLEAN,
    /// Authentication headers.
    pub Ah: BOOLEAN,
    /// Encapsulated payload.
    pub Esp: BOOLEAN,
    /// Both at once.
    pub AhEspCombined: BOOLEAN,
    /// Transport mode.
    pub Transport: BOOLEAN,
    /// Tunnel mode.
    pub Tunnel: BOOLEAN,
    /// Both at once.
    pub TransportTunnelCombined: BOOLEAN,
    /// Together with large sends.
    pub LsoSupported: BOOLEAN,
    /// With 64-bit sequence numbers.
    pub ExtendedSequenceNumbers: BOOLEAN,
    /// Encapsulation in UDP.
    pub UdpEsp: u32,
    /// Algorithms for authentication.
    pub AuthenticationAlgorithms: u32,
    /// Algorithms for encryption.
    pub EncryptionAlgorithms: u32,
    /// Security associations that fit.
    pub SaOffloadCapacity: u32,
}

/// Coalescing of received segments.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD {
    /// Over IPv4.
    pub IPv4: BOOLEAN,
    /// Over IPv6.
    pub IPv6: BOOLEAN,
}

/// Offloads of encapsulated frames.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD {
    /// Fields of 4 bits. From bit 0: TransmitChecksumOffloadSupported,
    /// ReceiveChecksumOffloadSupported, LsoV2Supported, RssSupported, VmqSupported.
    #[doc(alias = "TransmitChecksumOffloadSupported")]
    pub Supported: u32,
    /// Most bytes of headers before the inner payload.
    pub MaxHeaderSizeSupported: u32,
}

/// Offloads of encapsulated frames, with data of the encapsulation.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2 {
    /// As in version 1.
    #[doc(alias = "TransmitChecksumOffloadSupported")]
    pub Supported: u32,
    /// Most bytes of headers before the inner payload.
    pub MaxHeaderSizeSupported: u32,
    /// For VXLAN, bits 0 to 15: UDP port; bit 16: whether it can be set.
    pub EncapsulationProtocolInfo: u32,
    /// Reserved.
    pub Reserved1: u32,
    /// Reserved.
    pub Reserved2: u32,
}

/// Address translation of RFC 6877.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_RFC6877_464XLAT_OFFLOAD {
    /// Ability or setting.
    pub XlatOffload: NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS,
    /// Reserved.
    pub Flags: u32,
}

/// Ability or setting of the translation.
pub type NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS = i32;

/// Cannot.
pub const NDIS_RFC6877_464XLAT_OFFLOAD_NOT_SUPPORTED: NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS = 0;

/// Off.
pub const NDIS_RFC6877_464XLAT_OFFLOAD_DISABLED: NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS = 1;

/// On.
pub const NDIS_RFC6877_464XLAT_OFFLOAD_ENABLED: NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS = 2;

/// When asked for.
pub const NDIS_RFC6877_464XLAT_OFFLOAD_ON_DEMAND: NDIS_RFC6877_464XLAT_OFFLOAD_OPTIONS = 3;

/// The hardware cannot do it.
pub const NDIS_OFFLOAD_NOT_SUPPORTED: u32 = 0;

/// The hardware can do it.
pub const NDIS_OFFLOAD_SUPPORTED: u32 = 1;

/// None.
pub const NDIS_ENCAPSULATION_NOT_SUPPORTED: u32 = 0;

/// No link header.
pub const NDIS_ENCAPSULATION_NULL: u32 = 1;

/// Ethernet.
pub const NDIS_ENCAPSULATION_IEEE_802_3: u32 = 2;

/// Ethernet with a VLAN tag.
pub const NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q: u32 = 4;

/// Ethernet; the VLAN tag is out-of-band information.
pub const NDIS_ENCAPSULATION_IEEE_802_3_P_AND_Q_IN_OOB: u32 = 8;

/// LLC with SNAP.
pub const NDIS_ENCAPSULATION_IEEE_LLC_SNAP_ROUTED: u32 = 0x10;

/// Checksum settings belong together.
pub const NDIS_OFFLOAD_FLAGS_GROUP_CHECKSUM_CAPABILITIES: u32 = 1;

/// The slot is of version 1.
pub const NDIS_TCP_LARGE_SEND_OFFLOAD_V1_TYPE: u32 = 0;

/// The slot is of version 2.
pub const NDIS_TCP_LARGE_SEND_OFFLOAD_V2_TYPE: u32 = 1;

/// The large send is IPv4.
pub const NDIS_TCP_LARGE_SEND_OFFLOAD_IPv4: u32 = 0;

/// The large send is IPv6.
pub const NDIS_TCP_LARGE_SEND_OFFLOAD_IPv6: u32 = 1;

/// Revision 1 of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OFFLOAD_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OFFLOAD_REVISION_2: u8 = 2;

/// Revision 3 of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OFFLOAD_REVISION_3: u8 = 3;

/// Revision 4 of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OFFLOAD_REVISION_4: u8 = 4;

/// Revision 5 of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD).
pub const NDIS_OFFLOAD_REVISION_5: u8 = 5;

/// Bytes of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD) that belong to revision 1.
pub const NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1: u16 = 0x70;

/// Bytes of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD) that belong to revision 2.
pub const NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_2: u16 = 0x90;

/// Bytes of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD) that belong to revision 3.
pub const NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_3: u16 = 0x9c;

/// Bytes of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD) that belong to revision 4.
pub const NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4: u16 = 0xb1;

/// Bytes of [`NDIS_OFFLOAD`](crate::NDIS_OFFLOAD) that belong to revision 5.
pub const NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5: u16 = 0xbc;

impl_zeroed! {
    NDIS_OFFLOAD,
    NDIS_TCP_IP_CHECKSUM_OFFLOAD,
    NDIS_CHECKSUM_OFFLOAD_IPV4,
    NDIS_CHECKSUM_OFFLOAD_IPV6,
    NDIS_TCP_LARGE_SEND_OFFLOAD_V1,
    NDIS_LARGE_SEND_OFFLOAD_V1_IPV4,
    NDIS_TCP_LARGE_SEND_OFFLOAD_V2,
    NDIS_LARGE_SEND_OFFLOAD_V2_IPV4,
    NDIS_LARGE_SEND_OFFLOAD_V2_IPV6,
    NDIS_IPSEC_OFFLOAD_V1,
    NDIS_IPSEC_OFFLOAD_V2,
    NDIS_TCP_RECV_SEG_COALESCE_OFFLOAD,
    NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD,
    NDIS_ENCAPSULATED_PACKET_TASK_OFFLOAD_V2,
    NDIS_RFC6877_464XLAT_OFFLOAD,
}
