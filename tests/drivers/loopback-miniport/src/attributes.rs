//! What NDIS is told of an adapter.

use core::ffi::c_void;

use ndis_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, MediaDuplexStateFull, NDIS_HANDLE,
    NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA, NDIS_MAC_OPTION_NO_LOOPBACK,
    NDIS_MAC_OPTION_TRANSFERS_NOT_PEND, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_PACKET_TYPE_ALL_MULTICAST,
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2, NDIS_STATUS,
    NET_IF_ACCESS_BROADCAST, NET_IF_CONNECTION_DEDICATED, NET_IF_DIRECTION_SENDRECEIVE,
    NdisInterfaceInternal, NdisMSetMiniportAttributes, NdisMedium802_3, NdisPhysicalMedium802_3,
    Zeroed,
};

use crate::oids;
use crate::pool::FRAME;

/// Room in the multicast list.
pub(crate) const MULTICAST_ADDRESSES: u32 = 32;
/// Bits per second: a mirror is quick.
const SPEED: u64 = 10_000_000_000;
const HEADER: u32 = 14;
/// The filters that there are.
pub(crate) const FILTERS: u32 = NDIS_PACKET_TYPE_DIRECTED
    | NDIS_PACKET_TYPE_MULTICAST
    | NDIS_PACKET_TYPE_ALL_MULTICAST
    | NDIS_PACKET_TYPE_BROADCAST
    | NDIS_PACKET_TYPE_PROMISCUOUS;

/// The registration attributes: a device of software, so no attribute of hardware.
///
/// # Safety
///
/// The first call that names the adapter; `context` is what the handlers are to get.
pub(crate) unsafe fn register(adapter: NDIS_HANDLE, context: *mut c_void) -> NDIS_STATUS {
    let mut given = NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
        Revision: NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
        Size: NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
    };
    given.MiniportAdapterContext = context;
    given.InterfaceType = NdisInterfaceInternal;
    // SAFETY: by contract; NDIS copies the attributes.
    unsafe { NdisMSetMiniportAttributes(adapter, (&raw mut given).cast()) }
}

/// The general attributes.
///
/// # Safety
///
/// After [`register`], inside of MiniportInitializeEx.
pub(crate) unsafe fn set_general(adapter: NDIS_HANDLE, mac: [u8; 6]) -> NDIS_STATUS {
    let mut given = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES::zeroed();
    given.Header = NDIS_OBJECT_HEADER {
        Type: NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        Revision: NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        Size: NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    };
    given.MediaType = NdisMedium802_3;
    given.PhysicalMediumType = NdisPhysicalMedium802_3;
    given.MtuSize = FRAME as u32 - HEADER;
    given.MaxXmitLinkSpeed = SPEED;
    given.XmitLinkSpeed = SPEED;
    given.MaxRcvLinkSpeed = SPEED;
    given.RcvLinkSpeed = SPEED;
    given.MediaConnectState = MediaConnectStateConnected;
    given.MediaDuplexState = MediaDuplexStateFull;
    given.LookaheadSize = FRAME as u32;
    given.MacOptions = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
        | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
        | NDIS_MAC_OPTION_NO_LOOPBACK;
    given.SupportedPacketFilters = FILTERS;
    given.MaxMulticastListSize = MULTICAST_ADDRESSES;
    given.MacAddressLength = mac.len() as u16;
    given.PermanentMacAddress[..mac.len()].copy_from_slice(&mac);
    given.CurrentMacAddress[..mac.len()].copy_from_slice(&mac);
    given.AccessType = NET_IF_ACCESS_BROADCAST;
    given.DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
    given.ConnectionType = NET_IF_CONNECTION_DEDICATED;
    given.IfType = IF_TYPE_ETHERNET_CSMACD;
    given.IfConnectorPresent = 0;
    given.SupportedStatistics = oids::STATISTICS;
    given.SupportedOidList = oids::SUPPORTED.as_ptr().cast_mut();
    given.SupportedOidListLength = size_of_val(&oids::SUPPORTED) as u32;
    // SAFETY: by contract; NDIS copies the attributes.
    unsafe { NdisMSetMiniportAttributes(adapter, (&raw mut given).cast()) }
}
