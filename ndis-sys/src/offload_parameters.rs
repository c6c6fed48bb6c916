//! Switching task offloads on and off.

use crate::{NDIS_OBJECT_HEADER, impl_zeroed};

/// Encapsulation that a protocol will send; data of `OID_OFFLOAD_ENCAPSULATION`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OFFLOAD_ENCAPSULATION {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// For IPv4.
    pub IPv4: NDIS_OFFLOAD_ENCAPSULATION_SETTING,
    /// For IPv6.
    pub IPv6: NDIS_OFFLOAD_ENCAPSULATION_SETTING,
}

/// Encapsulation for one version of IP.
#[derive(Clone, Copy)]
#[repr(C)]
#[doc(alias = "NDIS_OFFLOAD_ENCAPSULATION.IPv4")]
pub struct NDIS_OFFLOAD_ENCAPSULATION_SETTING {
    /// `NDIS_OFFLOAD_SET_`.
    pub Enabled: u32,
    /// `NDIS_ENCAPSULATION_`.
    pub EncapsulationType: u32,
    /// Bytes of the encapsulation's header.
    pub HeaderSize: u32,
}

/// Offloads to switch on or off; data of `OID_TCP_OFFLOAD_PARAMETERS`. Each field is an
/// `NDIS_OFFLOAD_PARAMETERS_` constant.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NDIS_OFFLOAD_PARAMETERS {
    /// Type, revision and size of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// IPv4 header checksum.
    pub IPv4Checksum: u8,
    /// TCP checksum over IPv4.
    pub TCPIPv4Checksum: u8,
    /// UDP checksum over IPv4.
    pub UDPIPv4Checksum: u8,
    /// TCP checksum over IPv6.
    pub TCPIPv6Checksum: u8,
    /// UDP checksum over IPv6.
    pub UDPIPv6Checksum: u8,
    /// Large sends, version 1.
    pub LsoV1: u8,
    /// IPsec, version 1.
    pub IPsecV1: u8,
    /// Large sends, version 2, over IPv4.
    pub LsoV2IPv4: u8,
    /// Large sends, version 2, over IPv6.
    pub LsoV2IPv6: u8,
    /// Connection offload over IPv4.
    pub TcpConnectionIPv4: u8,
    /// Connection offload over IPv6.
    pub TcpConnectionIPv6: u8,
    /// `NDIS_OFFLOAD_PARAMETERS_SKIP_REGISTRY_UPDATE` or 0.
    pub Flags: u32,
    /// IPsec, version 2. Revision 2.
    pub IPsecV2: u8,
    /// IPsec, version 2, over IPv4 only. Revision 2.
    pub IPsecV2IPv4: u8,
    /// Coalescing over IPv4. Revision 3.
    pub RscIPv4: u8,
    /// Coalescing over IPv6. Revision 3.
    pub RscIPv6: u8,
    /// Offloads of encapsulated frames. Revision 3.
    pub EncapsulatedPacketTaskOffload: u8,
    /// Which encapsulations. Revision 3.
    pub EncapsulationTypes: u8,
    /// For VXLAN, bits 0 to 15: UDP port. Revision 4.
    pub EncapsulationProtocolParameters: u32,
}

/// Leave as it is.
pub const NDIS_OFFLOAD_SET_NO_CHANGE: u32 = 0;

/// Switch on.
pub const NDIS_OFFLOAD_SET_ON: u32 = 1;

/// Switch off.
pub const NDIS_OFFLOAD_SET_OFF: u32 = 2;

/// Do not keep the change in the registry.
pub const NDIS_OFFLOAD_PARAMETERS_SKIP_REGISTRY_UPDATE: u32 = 1;

/// Leave as it is.
pub const NDIS_OFFLOAD_PARAMETERS_NO_CHANGE: u8 = 0;

/// Off.
pub const NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED: u8 = 1;

/// On for sends.
pub const NDIS_OFFLOAD_PARAMETERS_TX_ENABLED_RX_DISABLED: u8 = 2;

/// On for receives.
pub const NDIS_OFFLOAD_PARAMETERS_RX_ENABLED_TX_DISABLED: u8 = 3;

/// On for both.
pub const NDIS_OFFLOAD_PARAMETERS_TX_RX_ENABLED: u8 = 4;

/// Off.
pub const NDIS_OFFLOAD_PARAMETERS_LSOV1_DISABLED: u8 = 1;

/// On.
pub const NDIS_OFFLOAD_PARAMETERS_LSOV1_ENABLED: u8 = 2;

/// Off.
pub const NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED: u8 = 1;

/// On.
pub const NDIS_OFFLOAD_PARAMETERS_LSOV2_ENABLED: u8 = 2;

/// Off.
pub const NDIS_OFFLOAD_PARAMETERS_RSC_DISABLED: u8 = 1;

/// On.
pub const NDIS_OFFLOAD_PARAMETERS_RSC_ENABLED: u8 = 2;

/// Revision 1 of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS).
pub const NDIS_OFFLOAD_PARAMETERS_REVISION_1: u8 = 1;

/// Revision 2 of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS).
pub const NDIS_OFFLOAD_PARAMETERS_REVISION_2: u8 = 2;

/// Revision 3 of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS).
pub const NDIS_OFFLOAD_PARAMETERS_REVISION_3: u8 = 3;

/// Revision 4 of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS).
pub const NDIS_OFFLOAD_PARAMETERS_REVISION_4: u8 = 4;

/// Revision 1 of [`NDIS_OFFLOAD_ENCAPSULATION`](crate::NDIS_OFFLOAD_ENCAPSULATION).
pub const NDIS_OFFLOAD_ENCAPSULATION_REVISION_1: u8 = 1;

/// Bytes of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS) that belong to revision 1.
pub const NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1: u16 = 0x14;

/// Bytes of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS) that belong to revision 2.
pub const NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2: u16 = 0x16;

/// Bytes of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS) that belong to revision 3.
pub const NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3: u16 = 0x1a;

/// Bytes of [`NDIS_OFFLOAD_PARAMETERS`](crate::NDIS_OFFLOAD_PARAMETERS) that belong to revision 4.
pub const NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_4: u16 = 0x20;

/// Bytes of [`NDIS_OFFLOAD_ENCAPSULATION`](crate::NDIS_OFFLOAD_ENCAPSULATION) that belong to
/// revision 1.
pub const NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1: u16 = 0x1c;

impl_zeroed! {
    NDIS_OFFLOAD_ENCAPSULATION,
    NDIS_OFFLOAD_ENCAPSULATION_SETTING,
    NDIS_OFFLOAD_PARAMETERS,
}
