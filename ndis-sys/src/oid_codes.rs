//! The object identifiers (OIDs) that an Ethernet miniport meets.

use crate::NDIS_OID;

/// The OIDs that the adapter answers.
pub const OID_GEN_SUPPORTED_LIST: NDIS_OID = 0x0001_0101;

/// State of the hardware.
pub const OID_GEN_HARDWARE_STATUS: NDIS_OID = 0x0001_0102;

/// Media that the adapter can use.
pub const OID_GEN_MEDIA_SUPPORTED: NDIS_OID = 0x0001_0103;

/// Media that the adapter uses.
pub const OID_GEN_MEDIA_IN_USE: NDIS_OID = 0x0001_0104;

/// Most bytes of lookahead.
pub const OID_GEN_MAXIMUM_LOOKAHEAD: NDIS_OID = 0x0001_0105;

/// Largest payload of a frame, without the header.
pub const OID_GEN_MAXIMUM_FRAME_SIZE: NDIS_OID = 0x0001_0106;

/// Link speed in units of 100 bits per second.
pub const OID_GEN_LINK_SPEED: NDIS_OID = 0x0001_0107;

/// Bytes of send buffers on the adapter.
pub const OID_GEN_TRANSMIT_BUFFER_SPACE: NDIS_OID = 0x0001_0108;

/// Bytes of receive buffers on the adapter.
pub const OID_GEN_RECEIVE_BUFFER_SPACE: NDIS_OID = 0x0001_0109;

/// Bytes that one frame takes up at least in the send buffers.
pub const OID_GEN_TRANSMIT_BLOCK_SIZE: NDIS_OID = 0x0001_010a;

/// Bytes that one frame takes up at least in the receive buffers.
pub const OID_GEN_RECEIVE_BLOCK_SIZE: NDIS_OID = 0x0001_010b;

/// IEEE vendor code, and a number of the adapter.
pub const OID_GEN_VENDOR_ID: NDIS_OID = 0x0001_010c;

/// Name of the adapter, as zero-terminated ASCII.
pub const OID_GEN_VENDOR_DESCRIPTION: NDIS_OID = 0x0001_010d;

/// Frames to receive, `NDIS_PACKET_TYPE_` flags.
pub const OID_GEN_CURRENT_PACKET_FILTER: NDIS_OID = 0x0001_010e;

/// Bytes of lookahead.
pub const OID_GEN_CURRENT_LOOKAHEAD: NDIS_OID = 0x0001_010f;

/// NDIS version of the driver.
pub const OID_GEN_DRIVER_VERSION: NDIS_OID = 0x0001_0110;

/// Largest frame, with its header.
pub const OID_GEN_MAXIMUM_TOTAL_SIZE: NDIS_OID = 0x0001_0111;

/// Options of the protocol.
pub const OID_GEN_PROTOCOL_OPTIONS: NDIS_OID = 0x0001_0112;

/// `NDIS_MAC_OPTION_` flags.
pub const OID_GEN_MAC_OPTIONS: NDIS_OID = 0x0001_0113;

/// State of the link, as NDIS 5 puts it.
pub const OID_GEN_MEDIA_CONNECT_STATUS: NDIS_OID = 0x0001_0114;

/// Most frames per send.
pub const OID_GEN_MAXIMUM_SEND_PACKETS: NDIS_OID = 0x0001_0115;

/// Version of the driver: major in the upper, minor in the lower 16 bits.
pub const OID_GEN_VENDOR_DRIVER_VERSION: NDIS_OID = 0x0001_0116;

/// WMI classes of the driver.
pub const OID_GEN_SUPPORTED_GUIDS: NDIS_OID = 0x0001_0117;

/// Addresses of the protocol on the adapter.
pub const OID_GEN_NETWORK_LAYER_ADDRESSES: NDIS_OID = 0x0001_0118;

/// Bytes of headers before the transport's.
pub const OID_GEN_TRANSPORT_HEADER_OFFSET: NDIS_OID = 0x0001_0119;

/// Abilities of the medium.
pub const OID_GEN_MEDIA_CAPABILITIES: NDIS_OID = 0x0001_0201;

/// Medium underneath.
pub const OID_GEN_PHYSICAL_MEDIUM: NDIS_OID = 0x0001_0202;

/// Medium underneath, second form.
pub const OID_GEN_PHYSICAL_MEDIUM_EX: NDIS_OID = 0x0001_0213;

/// Abilities of receive-side scaling.
pub const OID_GEN_RECEIVE_SCALE_CAPABILITIES: NDIS_OID = 0x0001_0203;

/// Settings of receive-side scaling.
pub const OID_GEN_RECEIVE_SCALE_PARAMETERS: NDIS_OID = 0x0001_0204;

/// Highest link speeds.
pub const OID_GEN_MAX_LINK_SPEED: NDIS_OID = 0x0001_0206;

/// State of the link.
pub const OID_GEN_LINK_STATE: NDIS_OID = 0x0001_0207;

/// Settings of the link.
pub const OID_GEN_LINK_PARAMETERS: NDIS_OID = 0x0001_0208;

/// Interrupt moderation.
pub const OID_GEN_INTERRUPT_MODERATION: NDIS_OID = 0x0001_0209;

/// Ports of the adapter.
pub const OID_GEN_ENUMERATE_PORTS: NDIS_OID = 0x0001_020d;

/// State of a port.
pub const OID_GEN_PORT_STATE: NDIS_OID = 0x0001_020e;

/// Authentication state of a port.
pub const OID_GEN_PORT_AUTHENTICATION_PARAMETERS: NDIS_OID = 0x0001_020f;

/// Time bounds for DPCs.
pub const OID_GEN_TIMEOUT_DPC_REQUEST_CAPABILITIES: NDIS_OID = 0x0001_0210;

/// PCI Express properties.
pub const OID_GEN_PCI_DEVICE_CUSTOM_PROPERTIES: NDIS_OID = 0x0001_0211;

/// Name of the computer.
pub const OID_GEN_MACHINE_NAME: NDIS_OID = 0x0001_021a;

/// VLAN of the adapter.
pub const OID_GEN_VLAN_ID: NDIS_OID = 0x0001_021c;

/// Names [`NDIS_RESTART_GENERAL_ATTRIBUTES`](crate::NDIS_RESTART_GENERAL_ATTRIBUTES) in a list.
pub const OID_GEN_MINIPORT_RESTART_ATTRIBUTES: NDIS_OID = 0x0001_021d;

/// Settings of header-data split.
pub const OID_GEN_HD_SPLIT_PARAMETERS: NDIS_OID = 0x0001_021e;

/// Header-data split in use.
pub const OID_GEN_HD_SPLIT_CURRENT_CONFIG: NDIS_OID = 0x0001_0220;

/// Hashes of received frames.
pub const OID_GEN_RECEIVE_HASH: NDIS_OID = 0x0001_021f;

/// Whether the interface is promiscuous.
pub const OID_GEN_PROMISCUOUS_MODE: NDIS_OID = 0x0001_0280;

/// Frames sent.
pub const OID_GEN_XMIT_OK: NDIS_OID = 0x0002_0101;

/// Frames received.
pub const OID_GEN_RCV_OK: NDIS_OID = 0x0002_0102;

/// Frames not sent because of errors.
pub const OID_GEN_XMIT_ERROR: NDIS_OID = 0x0002_0103;

/// Frames received with errors.
pub const OID_GEN_RCV_ERROR: NDIS_OID = 0x0002_0104;

/// Frames lost for want of buffers.
pub const OID_GEN_RCV_NO_BUFFER: NDIS_OID = 0x0002_0105;

/// All counters at once.
pub const OID_GEN_STATISTICS: NDIS_OID = 0x0002_0106;

/// Bytes of unicast frames sent.
pub const OID_GEN_DIRECTED_BYTES_XMIT: NDIS_OID = 0x0002_0201;

/// Unicast frames sent.
pub const OID_GEN_DIRECTED_FRAMES_XMIT: NDIS_OID = 0x0002_0202;

/// Bytes of multicast frames sent.
pub const OID_GEN_MULTICAST_BYTES_XMIT: NDIS_OID = 0x0002_0203;

/// Multicast frames sent.
pub const OID_GEN_MULTICAST_FRAMES_XMIT: NDIS_OID = 0x0002_0204;

/// Bytes of broadcast frames sent.
pub const OID_GEN_BROADCAST_BYTES_XMIT: NDIS_OID = 0x0002_0205;

/// Broadcast frames sent.
pub const OID_GEN_BROADCAST_FRAMES_XMIT: NDIS_OID = 0x0002_0206;

/// Bytes of unicast frames received.
pub const OID_GEN_DIRECTED_BYTES_RCV: NDIS_OID = 0x0002_0207;

/// Unicast frames received.
pub const OID_GEN_DIRECTED_FRAMES_RCV: NDIS_OID = 0x0002_0208;

/// Bytes of multicast frames received.
pub const OID_GEN_MULTICAST_BYTES_RCV: NDIS_OID = 0x0002_0209;

/// Multicast frames received.
pub const OID_GEN_MULTICAST_FRAMES_RCV: NDIS_OID = 0x0002_020a;

/// Bytes of broadcast frames received.
pub const OID_GEN_BROADCAST_BYTES_RCV: NDIS_OID = 0x0002_020b;

/// Broadcast frames received.
pub const OID_GEN_BROADCAST_FRAMES_RCV: NDIS_OID = 0x0002_020c;

/// Frames received with checksum errors.
pub const OID_GEN_RCV_CRC_ERROR: NDIS_OID = 0x0002_020d;

/// Frames that wait to be sent.
pub const OID_GEN_TRANSMIT_QUEUE_LENGTH: NDIS_OID = 0x0002_020e;

/// Milliseconds that initialization took.
pub const OID_GEN_INIT_TIME_MS: NDIS_OID = 0x0002_0213;

/// Resets.
pub const OID_GEN_RESET_COUNTS: NDIS_OID = 0x0002_0214;

/// Changes of the link.
pub const OID_GEN_MEDIA_SENSE_COUNTS: NDIS_OID = 0x0002_0215;

/// Name of the adapter for users.
pub const OID_GEN_FRIENDLY_NAME: NDIS_OID = 0x0002_0216;

/// Bytes received.
pub const OID_GEN_BYTES_RCV: NDIS_OID = 0x0002_0219;

/// Bytes sent.
pub const OID_GEN_BYTES_XMIT: NDIS_OID = 0x0002_021a;

/// Good frames received but dropped.
pub const OID_GEN_RCV_DISCARDS: NDIS_OID = 0x0002_021b;

/// Frames dropped instead of sent.
pub const OID_GEN_XMIT_DISCARDS: NDIS_OID = 0x0002_021c;

/// MAC address of the hardware.
pub const OID_802_3_PERMANENT_ADDRESS: NDIS_OID = 0x0101_0101;

/// MAC address in use.
pub const OID_802_3_CURRENT_ADDRESS: NDIS_OID = 0x0101_0102;

/// Multicast addresses to receive.
pub const OID_802_3_MULTICAST_LIST: NDIS_OID = 0x0101_0103;

/// Most multicast addresses.
pub const OID_802_3_MAXIMUM_LIST_SIZE: NDIS_OID = 0x0101_0104;

/// Options of the medium.
pub const OID_802_3_MAC_OPTIONS: NDIS_OID = 0x0101_0105;

/// Adds a multicast address.
pub const OID_802_3_ADD_MULTICAST_ADDRESS: NDIS_OID = 0x0101_0208;

/// Removes a multicast address.
pub const OID_802_3_DELETE_MULTICAST_ADDRESS: NDIS_OID = 0x0101_0209;

/// Frames received with alignment errors.
pub const OID_802_3_RCV_ERROR_ALIGNMENT: NDIS_OID = 0x0102_0101;

/// Frames sent after one collision.
pub const OID_802_3_XMIT_ONE_COLLISION: NDIS_OID = 0x0102_0102;

/// Frames sent after several collisions.
pub const OID_802_3_XMIT_MORE_COLLISIONS: NDIS_OID = 0x0102_0103;

/// Frames sent after waiting.
pub const OID_802_3_XMIT_DEFERRED: NDIS_OID = 0x0102_0201;

/// Frames not sent because of collisions.
pub const OID_802_3_XMIT_MAX_COLLISIONS: NDIS_OID = 0x0102_0202;

/// Frames lost by overrun.
pub const OID_802_3_RCV_OVERRUN: NDIS_OID = 0x0102_0203;

/// Frames not sent because of underrun.
pub const OID_802_3_XMIT_UNDERRUN: NDIS_OID = 0x0102_0204;

/// Frames sent without heartbeat.
pub const OID_802_3_XMIT_HEARTBEAT_FAILURE: NDIS_OID = 0x0102_0205;

/// Times that the carrier was lost.
pub const OID_802_3_XMIT_TIMES_CRS_LOST: NDIS_OID = 0x0102_0206;

/// Late collisions.
pub const OID_802_3_XMIT_LATE_COLLISIONS: NDIS_OID = 0x0102_0207;

/// Encapsulation that the protocol sends; switches task offload on.
pub const OID_OFFLOAD_ENCAPSULATION: NDIS_OID = 0x0101_010a;

/// Task offload in use.
pub const OID_TCP_OFFLOAD_CURRENT_CONFIG: NDIS_OID = 0xfc01_020b;

/// Task offload to switch on or off.
pub const OID_TCP_OFFLOAD_PARAMETERS: NDIS_OID = 0xfc01_020c;

/// Task offload of the hardware.
pub const OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES: NDIS_OID = 0xfc01_020d;

/// Counters of coalesced receives.
pub const OID_TCP_RSC_STATISTICS: NDIS_OID = 0x0002_021d;

/// Power capabilities of NDIS 6.1 and older.
pub const OID_PNP_CAPABILITIES: NDIS_OID = 0xfd01_0100;

/// Power state to go to.
pub const OID_PNP_SET_POWER: NDIS_OID = 0xfd01_0101;

/// Power state that may come.
pub const OID_PNP_QUERY_POWER: NDIS_OID = 0xfd01_0102;

/// Adds a wake-up pattern.
pub const OID_PNP_ADD_WAKE_UP_PATTERN: NDIS_OID = 0xfd01_0103;

/// Removes a wake-up pattern.
pub const OID_PNP_REMOVE_WAKE_UP_PATTERN: NDIS_OID = 0xfd01_0104;

/// Wake-up patterns.
pub const OID_PNP_WAKE_UP_PATTERN_LIST: NDIS_OID = 0xfd01_0105;

/// Ways to wake the system.
pub const OID_PNP_ENABLE_WAKE_UP: NDIS_OID = 0xfd01_0106;

/// Power capabilities in use.
pub const OID_PM_CURRENT_CAPABILITIES: NDIS_OID = 0xfd01_0107;

/// Power capabilities of the hardware.
pub const OID_PM_HARDWARE_CAPABILITIES: NDIS_OID = 0xfd01_0108;

/// Power settings.
pub const OID_PM_PARAMETERS: NDIS_OID = 0xfd01_0109;

/// Adds a wake-up pattern.
pub const OID_PM_ADD_WOL_PATTERN: NDIS_OID = 0xfd01_010a;

/// Removes a wake-up pattern.
pub const OID_PM_REMOVE_WOL_PATTERN: NDIS_OID = 0xfd01_010b;

/// Wake-up patterns.
pub const OID_PM_WOL_PATTERN_LIST: NDIS_OID = 0xfd01_010c;

/// Adds a protocol to answer in sleep.
pub const OID_PM_ADD_PROTOCOL_OFFLOAD: NDIS_OID = 0xfd01_010d;

/// A protocol that is answered in sleep.
pub const OID_PM_GET_PROTOCOL_OFFLOAD: NDIS_OID = 0xfd01_010e;

/// Removes such a protocol.
pub const OID_PM_REMOVE_PROTOCOL_OFFLOAD: NDIS_OID = 0xfd01_010f;

/// Protocols that are answered in sleep.
pub const OID_PM_PROTOCOL_OFFLOAD_LIST: NDIS_OID = 0xfd01_0110;

/// Frees a receive queue.
pub const OID_RECEIVE_FILTER_FREE_QUEUE: NDIS_OID = 0x0001_0224;

/// Removes a receive filter.
pub const OID_RECEIVE_FILTER_CLEAR_FILTER: NDIS_OID = 0x0001_0228;

/// Removes a NIC switch.
pub const OID_NIC_SWITCH_DELETE_SWITCH: NDIS_OID = 0x0001_0239;

/// Frees a VF.
pub const OID_NIC_SWITCH_FREE_VF: NDIS_OID = 0x0001_0246;

/// Moves entries of the RSS table; a synchronous request.
pub const OID_GEN_RSS_SET_INDIRECTION_TABLE_ENTRIES: NDIS_OID = 0x0001_02c0;

/// Releases a tunnel interface.
pub const OID_TUNNEL_INTERFACE_RELEASE_OID: NDIS_OID = 0x0f01_0107;

/// Adds a security association; a direct request.
pub const OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA: NDIS_OID = 0xfc03_0202;

/// Removes a security association; a direct request.
pub const OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA: NDIS_OID = 0xfc03_0203;

/// Changes a security association; a direct request.
pub const OID_TCP_TASK_IPSEC_OFFLOAD_V2_UPDATE_SA: NDIS_OID = 0xfc03_0204;

/// Adds a security association, second form; a direct request.
pub const OID_TCP_TASK_IPSEC_OFFLOAD_V2_ADD_SA_EX: NDIS_OID = 0xfc03_0205;
