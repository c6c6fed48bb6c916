//! Media, packet filters, and what kind of interface an adapter is.

/// Medium as protocols see it.
pub type NDIS_MEDIUM = i32;

/// Ethernet.
pub const NdisMedium802_3: NDIS_MEDIUM = 0;

/// Token Ring.
pub const NdisMedium802_5: NDIS_MEDIUM = 1;

/// FDDI.
pub const NdisMediumFddi: NDIS_MEDIUM = 2;

/// WAN.
pub const NdisMediumWan: NDIS_MEDIUM = 3;

/// LocalTalk.
pub const NdisMediumLocalTalk: NDIS_MEDIUM = 4;

/// Ethernet II of old.
pub const NdisMediumDix: NDIS_MEDIUM = 5;

/// ARCNET.
pub const NdisMediumArcnetRaw: NDIS_MEDIUM = 6;

/// ARCNET, ANSI 878.2.
pub const NdisMediumArcnet878_2: NDIS_MEDIUM = 7;

/// ATM.
pub const NdisMediumAtm: NDIS_MEDIUM = 8;

/// Mobile broadband.
pub const NdisMediumWirelessWan: NDIS_MEDIUM = 9;

/// Infrared.
pub const NdisMediumIrda: NDIS_MEDIUM = 10;

/// Broadcast PC.
pub const NdisMediumBpc: NDIS_MEDIUM = 11;

/// Connection-oriented WAN.
pub const NdisMediumCoWan: NDIS_MEDIUM = 12;

/// IEEE 1394.
pub const NdisMedium1394: NDIS_MEDIUM = 13;

/// InfiniBand.
pub const NdisMediumInfiniBand: NDIS_MEDIUM = 14;

/// Tunnel.
pub const NdisMediumTunnel: NDIS_MEDIUM = 15;

/// Wireless LAN.
pub const NdisMediumNative802_11: NDIS_MEDIUM = 16;

/// Loopback.
pub const NdisMediumLoopback: NDIS_MEDIUM = 17;

/// WiMAX.
pub const NdisMediumWiMAX: NDIS_MEDIUM = 18;

/// Raw IP.
pub const NdisMediumIP: NDIS_MEDIUM = 19;

/// Upper bound of the media.
pub const NdisMediumMax: NDIS_MEDIUM = 20;

/// Medium underneath.
pub type NDIS_PHYSICAL_MEDIUM = i32;

/// Not told.
pub const NdisPhysicalMediumUnspecified: NDIS_PHYSICAL_MEDIUM = 0;

/// Wireless LAN.
pub const NdisPhysicalMediumWirelessLan: NDIS_PHYSICAL_MEDIUM = 1;

/// Cable modem.
pub const NdisPhysicalMediumCableModem: NDIS_PHYSICAL_MEDIUM = 2;

/// Telephone line.
pub const NdisPhysicalMediumPhoneLine: NDIS_PHYSICAL_MEDIUM = 3;

/// Power line.
pub const NdisPhysicalMediumPowerLine: NDIS_PHYSICAL_MEDIUM = 4;

/// DSL.
pub const NdisPhysicalMediumDSL: NDIS_PHYSICAL_MEDIUM = 5;

/// Fibre Channel.
pub const NdisPhysicalMediumFibreChannel: NDIS_PHYSICAL_MEDIUM = 6;

/// IEEE 1394.
pub const NdisPhysicalMedium1394: NDIS_PHYSICAL_MEDIUM = 7;

/// Mobile broadband.
pub const NdisPhysicalMediumWirelessWan: NDIS_PHYSICAL_MEDIUM = 8;

/// Wireless LAN.
pub const NdisPhysicalMediumNative802_11: NDIS_PHYSICAL_MEDIUM = 9;

/// Bluetooth.
pub const NdisPhysicalMediumBluetooth: NDIS_PHYSICAL_MEDIUM = 10;

/// InfiniBand.
pub const NdisPhysicalMediumInfiniband: NDIS_PHYSICAL_MEDIUM = 11;

/// WiMAX.
pub const NdisPhysicalMediumWiMax: NDIS_PHYSICAL_MEDIUM = 12;

/// Ultra-wideband.
pub const NdisPhysicalMediumUWB: NDIS_PHYSICAL_MEDIUM = 13;

/// Ethernet.
pub const NdisPhysicalMedium802_3: NDIS_PHYSICAL_MEDIUM = 14;

/// Token Ring.
pub const NdisPhysicalMedium802_5: NDIS_PHYSICAL_MEDIUM = 15;

/// Infrared.
pub const NdisPhysicalMediumIrda: NDIS_PHYSICAL_MEDIUM = 16;

/// Wired WAN.
pub const NdisPhysicalMediumWiredWAN: NDIS_PHYSICAL_MEDIUM = 17;

/// Wired connection-oriented WAN.
pub const NdisPhysicalMediumWiredCoWan: NDIS_PHYSICAL_MEDIUM = 18;

/// Another one.
pub const NdisPhysicalMediumOther: NDIS_PHYSICAL_MEDIUM = 19;

/// IEEE 802.15.4.
pub const NdisPhysicalMediumNative802_15_4: NDIS_PHYSICAL_MEDIUM = 20;

/// Upper bound of the media.
pub const NdisPhysicalMediumMax: NDIS_PHYSICAL_MEDIUM = 21;

/// How stations share the medium.
pub type NET_IF_ACCESS_TYPE = i32;

/// Loopback.
pub const NET_IF_ACCESS_LOOPBACK: NET_IF_ACCESS_TYPE = 1;

/// Broadcast, like Ethernet.
pub const NET_IF_ACCESS_BROADCAST: NET_IF_ACCESS_TYPE = 2;

/// Two ends.
pub const NET_IF_ACCESS_POINT_TO_POINT: NET_IF_ACCESS_TYPE = 3;

/// One end to many.
pub const NET_IF_ACCESS_POINT_TO_MULTI_POINT: NET_IF_ACCESS_TYPE = 4;

/// Upper bound of the access types.
pub const NET_IF_ACCESS_MAXIMUM: NET_IF_ACCESS_TYPE = 5;

/// Whether an interface sends, receives or both.
pub type NET_IF_DIRECTION_TYPE = i32;

/// Both.
pub const NET_IF_DIRECTION_SENDRECEIVE: NET_IF_DIRECTION_TYPE = 0;

/// Sends.
pub const NET_IF_DIRECTION_SENDONLY: NET_IF_DIRECTION_TYPE = 1;

/// Receives.
pub const NET_IF_DIRECTION_RECEIVEONLY: NET_IF_DIRECTION_TYPE = 2;

/// Upper bound of the directions.
pub const NET_IF_DIRECTION_MAXIMUM: NET_IF_DIRECTION_TYPE = 3;

/// Whether the connection is always there.
pub type NET_IF_CONNECTION_TYPE = i32;

/// Always, like Ethernet.
pub const NET_IF_CONNECTION_DEDICATED: NET_IF_CONNECTION_TYPE = 1;

/// When the other side connects.
pub const NET_IF_CONNECTION_PASSIVE: NET_IF_CONNECTION_TYPE = 2;

/// On demand.
pub const NET_IF_CONNECTION_DEMAND: NET_IF_CONNECTION_TYPE = 3;

/// Upper bound of the connection types.
pub const NET_IF_CONNECTION_MAXIMUM: NET_IF_CONNECTION_TYPE = 4;

/// Lookahead data may be copied.
pub const NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA: u32 = 1;

/// Receives are not indicated at the same time.
pub const NDIS_MAC_OPTION_RECEIVE_SERIALIZED: u32 = 2;

/// Transfers complete at once.
pub const NDIS_MAC_OPTION_TRANSFERS_NOT_PEND: u32 = 4;

/// NDIS does the loopback.
pub const NDIS_MAC_OPTION_NO_LOOPBACK: u32 = 8;

/// Sends and receives at the same time.
pub const NDIS_MAC_OPTION_FULL_DUPLEX: u32 = 0x10;

/// Obsolete.
pub const NDIS_MAC_OPTION_EOTX_INDICATION: u32 = 0x20;

/// Carries 802.1p priorities.
pub const NDIS_MAC_OPTION_8021P_PRIORITY: u32 = 0x40;

/// The MAC address can be set.
pub const NDIS_MAC_OPTION_SUPPORTS_MAC_ADDRESS_OVERWRITE: u32 = 0x80;

/// Obsolete.
pub const NDIS_MAC_OPTION_RECEIVE_AT_DPC: u32 = 0x100;

/// Carries 802.1Q VLANs.
pub const NDIS_MAC_OPTION_8021Q_VLAN: u32 = 0x200;

/// Frames to the adapter's address.
pub const NDIS_PACKET_TYPE_DIRECTED: u32 = 1;

/// Frames to addresses of the multicast list.
pub const NDIS_PACKET_TYPE_MULTICAST: u32 = 2;

/// Frames to any multicast address.
pub const NDIS_PACKET_TYPE_ALL_MULTICAST: u32 = 4;

/// Broadcast frames.
pub const NDIS_PACKET_TYPE_BROADCAST: u32 = 8;

/// Source-routed frames of Token Ring.
pub const NDIS_PACKET_TYPE_SOURCE_ROUTING: u32 = 0x10;

/// All frames.
pub const NDIS_PACKET_TYPE_PROMISCUOUS: u32 = 0x20;

/// All frames that this machine sends.
pub const NDIS_PACKET_TYPE_ALL_LOCAL: u32 = 0x80;

/// No frames that this machine sends.
pub const NDIS_PACKET_TYPE_NO_LOCAL: u32 = 0x0001_0000;

/// None of the others.
pub const IF_TYPE_OTHER: u16 = 1;

/// Ethernet.
pub const IF_TYPE_ETHERNET_CSMACD: u16 = 6;

/// Bytes of the address arrays.
pub const NDIS_MAX_PHYS_ADDRESS_LENGTH: usize = 0x20;
