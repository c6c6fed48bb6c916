//! What NDIS is told of the adapter.

use ndis::Failed;
use ndis_sys as sys;
use sys::NDIS_HANDLE;
use vioprot::MAX_MULTICAST;

use crate::adapter::Adapter;
use crate::link::SPEED;
use crate::oids;

/// Sets the registration attributes.
///
/// # Safety
///
/// The first call in an initialization that names the adapter; `context` is to be its context.
pub(super) unsafe fn register(miniport: NDIS_HANDLE, context: NDIS_HANDLE) -> Result<(), Failed> {
    let mut attributes: sys::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES = sys::zeroed();
    attributes.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
        sys::NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
        sys::NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
    );
    attributes.MiniportAdapterContext = context;
    attributes.AttributeFlags = sys::NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE
        | sys::NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER
        | sys::NDIS_MINIPORT_ATTRIBUTES_SURPRISE_REMOVE_OK
        // So that the device writes no memory while a crash dump is taken.
        | sys::NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK;
    attributes.InterfaceType = sys::NdisInterfacePci;
    // SAFETY: a miniport's own attributes, by contract; NDIS copies them.
    Failed::check(unsafe {
        sys::NdisMSetMiniportAttributes(miniport, (&raw mut attributes).cast())
    })
}

/// Sets the general attributes.
pub(super) fn set_general(adapter: &Adapter) -> Result<(), Failed> {
    let connected = adapter.link.initial();
    let speed = if connected {
        SPEED
    } else {
        sys::NDIS_LINK_SPEED_UNKNOWN
    };
    let mut general: sys::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES = sys::zeroed();
    general.Header = ndis::header(
        sys::NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
        sys::NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        sys::NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    );
    general.MediaType = sys::NdisMedium802_3;
    general.PhysicalMediumType = sys::NdisPhysicalMedium802_3;
    general.MtuSize = adapter.mtu;
    (general.MaxXmitLinkSpeed, general.MaxRcvLinkSpeed) = (SPEED, SPEED);
    (general.XmitLinkSpeed, general.RcvLinkSpeed) = (speed, speed);
    (general.MediaConnectState, general.MediaDuplexState) = if connected {
        (sys::MediaConnectStateConnected, sys::MediaDuplexStateFull)
    } else {
        (
            sys::MediaConnectStateDisconnected,
            sys::MediaDuplexStateUnknown,
        )
    };
    general.LookaheadSize = adapter.max_frame();
    general.MacOptions = sys::NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
        | sys::NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
        | sys::NDIS_MAC_OPTION_NO_LOOPBACK;
    general.SupportedPacketFilters = oids::PACKET_FILTERS;
    general.MaxMulticastListSize = MAX_MULTICAST as u32;
    general.MacAddressLength = 6;
    for (field, mac) in [
        (&mut general.PermanentMacAddress, adapter.permanent_mac),
        (&mut general.CurrentMacAddress, adapter.mac),
    ] {
        for (to, from) in field.iter_mut().zip(mac) {
            *to = from;
        }
    }
    general.AccessType = sys::NET_IF_ACCESS_BROADCAST;
    general.DirectionType = sys::NET_IF_DIRECTION_SENDRECEIVE;
    general.ConnectionType = sys::NET_IF_CONNECTION_DEDICATED;
    general.IfType = sys::IF_TYPE_ETHERNET_CSMACD;
    general.IfConnectorPresent = 1;
    general.SupportedStatistics = SUPPORTED_STATISTICS;
    general.SupportedPauseFunctions = sys::NdisPauseFunctionsUnsupported as u32;
    general.SupportedOidList = oids::SUPPORTED.as_ptr().cast_mut();
    general.SupportedOidListLength = size_of_val(&oids::SUPPORTED) as u32;
    // SAFETY: after the registration attributes; NDIS copies what it is given.
    Failed::check(unsafe {
        sys::NdisMSetMiniportAttributes(adapter.handle, (&raw mut general).cast())
    })
}

/// All statistics of an NDIS 6 miniport.
const SUPPORTED_STATISTICS: u32 = sys::NDIS_STATISTICS_XMIT_OK_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_OK_SUPPORTED
    | sys::NDIS_STATISTICS_XMIT_ERROR_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_ERROR_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_NO_BUFFER_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_FRAMES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_MULTICAST_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BROADCAST_FRAMES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BYTES_RCV_SUPPORTED
    | sys::NDIS_STATISTICS_BYTES_XMIT_SUPPORTED
    | sys::NDIS_STATISTICS_RCV_DISCARDS_SUPPORTED
    | sys::NDIS_STATISTICS_XMIT_DISCARDS_SUPPORTED
    | sys::NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED;
