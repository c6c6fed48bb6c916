//! The miniport side of native neighbours.

use ndis_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, MediaConnectStateDisconnected,
    MediaConnectStateUnknown, MediaDuplexStateFull, MediaDuplexStateUnknown,
    NDIS_DEVICE_POWER_STATE, NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_STATE,
    NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA, NDIS_MAC_OPTION_NO_LOOPBACK,
    NDIS_MAC_OPTION_TRANSFERS_NOT_PEND, NDIS_MINIPORT_ADAPTER_ATTRIBUTES,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
    NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES, NDIS_OFFLOAD,
    NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED,
    NDIS_PACKET_TYPE_MULTICAST, NDIS_PACKET_TYPE_PROMISCUOUS, NDIS_PM_CAPABILITIES,
    NDIS_RECEIVE_SCALE_CAPABILITIES, NDIS_SIZEOF_LINK_STATE_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
    NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2, NDIS_STATUS,
    NDIS_STATUS_INDICATION, NDIS_STATUS_LINK_STATE, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
    NET_IF_ACCESS_BROADCAST, NET_IF_CONNECTION_DEDICATED, NET_IF_DIRECTION_SENDRECEIVE,
    NdisInterfacePci, NdisMedium802_3, NdisPhysicalMedium802_3, OID_802_3_CURRENT_ADDRESS,
    OID_802_3_MAXIMUM_LIST_SIZE, OID_802_3_MULTICAST_LIST, OID_802_3_PERMANENT_ADDRESS,
    OID_GEN_CURRENT_LOOKAHEAD, OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_LINK_PARAMETERS, OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RCV_OK,
    OID_GEN_RECEIVE_BLOCK_SIZE, OID_GEN_RECEIVE_BUFFER_SPACE, OID_GEN_STATISTICS,
    OID_GEN_TRANSMIT_BLOCK_SIZE, OID_GEN_TRANSMIT_BUFFER_SPACE, OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION, OID_GEN_VENDOR_ID, OID_GEN_XMIT_OK, Zeroed,
};

use crate::ndis::adapter::{self, attributes, flow};
use crate::ndis::native::{AdapterHandle, OidRequestRef};
use crate::ndis::nbl::shadow;
use crate::ndis::{filter, handles, header, offload, oid, power, receive, reset, send, status};

/// What a native adapter declares.
#[derive(Clone)]
pub struct AdapterAttributes {
    /// Current address.
    pub mac: [u8; 6],
    /// Permanent address.
    pub permanent_mac: [u8; 6],
    /// Largest payload of a frame.
    pub mtu: u32,
    /// Link speed, bits per second.
    pub speed_bps: u64,
    /// Highest link speed, bits per second.
    pub max_speed_bps: u64,
    /// Whether the link is up.
    pub connected: bool,
    /// Lookahead size.
    pub lookahead: u32,
    /// NDIS_MAC_OPTION_ bits.
    pub mac_options: u32,
    /// NDIS_PACKET_TYPE_ bits that are supported.
    pub packet_filters: u32,
    /// Size of the multicast list.
    pub multicast_slots: u32,
    /// OIDs that the miniport handles.
    pub supported_oids: Vec<u32>,
    /// NDIS_STATISTICS_..._SUPPORTED bits.
    pub statistics: u32,
    /// NDIS_MINIPORT_ATTRIBUTES_ bits.
    pub attribute_flags: u32,
    /// Power capabilities, if the miniport is power aware.
    pub power: Option<NDIS_PM_CAPABILITIES>,
    /// RSS capabilities, if RSS is on.
    pub rss: Option<NDIS_RECEIVE_SCALE_CAPABILITIES>,
    /// Offloads, if there are any.
    pub offload: Option<OffloadAttributes>,
}

/// Offloads of a native adapter.
#[derive(Clone, Copy)]
pub struct OffloadAttributes {
    /// What is switched on.
    pub current: NDIS_OFFLOAD,
    /// What the hardware can do.
    pub hardware: NDIS_OFFLOAD,
}

/// OIDs of an Ethernet miniport that are mandatory (rule 174), power apart.
const ETHERNET_OIDS: [u32; 19] = [
    OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_CURRENT_PACKET_FILTER,
    OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_LINK_PARAMETERS,
    OID_GEN_MAXIMUM_TOTAL_SIZE,
    OID_GEN_RCV_OK,
    OID_GEN_XMIT_OK,
    OID_GEN_RECEIVE_BLOCK_SIZE,
    OID_GEN_RECEIVE_BUFFER_SPACE,
    OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_TRANSMIT_BUFFER_SPACE,
    OID_GEN_STATISTICS,
    OID_GEN_VENDOR_DESCRIPTION,
    OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_VENDOR_ID,
    OID_802_3_PERMANENT_ADDRESS,
    OID_802_3_CURRENT_ADDRESS,
    OID_802_3_MULTICAST_LIST,
    OID_802_3_MAXIMUM_LIST_SIZE,
];

impl AdapterAttributes {
    /// A 10 Gb/s Ethernet adapter with its link up.
    pub fn ethernet(mac: [u8; 6]) -> Self {
        const TEN_GIGABIT: u64 = 10_000_000_000;
        Self {
            mac,
            permanent_mac: mac,
            mtu: 1500,
            speed_bps: TEN_GIGABIT,
            max_speed_bps: TEN_GIGABIT,
            connected: true,
            lookahead: 1514,
            mac_options: NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
                | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
                | NDIS_MAC_OPTION_NO_LOOPBACK,
            packet_filters: NDIS_PACKET_TYPE_DIRECTED
                | NDIS_PACKET_TYPE_MULTICAST
                | NDIS_PACKET_TYPE_ALL_MULTICAST
                | NDIS_PACKET_TYPE_BROADCAST
                | NDIS_PACKET_TYPE_PROMISCUOUS,
            multicast_slots: 32,
            supported_oids: ETHERNET_OIDS.to_vec(),
            statistics: u32::MAX >> 4,
            attribute_flags: 0,
            power: None,
            rss: None,
            offload: None,
        }
    }

    /// The general attributes, for a driver that calls NdisMSetMiniportAttributes itself; `oids` has to
    /// live until then.
    pub fn general(&self, oids: &mut [u32]) -> NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES {
        let mut general = NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES::zeroed();
        general.Header = header::make(
            NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
            2,
            NDIS_SIZEOF_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES_REVISION_2,
        );
        general.MediaType = NdisMedium802_3;
        general.PhysicalMediumType = NdisPhysicalMedium802_3;
        general.MtuSize = self.mtu;
        general.MaxXmitLinkSpeed = self.max_speed_bps;
        general.MaxRcvLinkSpeed = self.max_speed_bps;
        let speed = if self.connected {
            self.speed_bps
        } else {
            NDIS_LINK_SPEED_UNKNOWN
        };
        general.XmitLinkSpeed = speed;
        general.RcvLinkSpeed = speed;
        general.MediaConnectState = connect_state(self.connected);
        general.MediaDuplexState = duplex_state(self.connected);
        general.LookaheadSize = self.lookahead;
        general.MacOptions = self.mac_options;
        general.SupportedPacketFilters = self.packet_filters;
        general.MaxMulticastListSize = self.multicast_slots;
        general.MacAddressLength = 6;
        general.PermanentMacAddress[..6].copy_from_slice(&self.permanent_mac);
        general.CurrentMacAddress[..6].copy_from_slice(&self.mac);
        general.AccessType = NET_IF_ACCESS_BROADCAST;
        general.DirectionType = NET_IF_DIRECTION_SENDRECEIVE;
        general.ConnectionType = NET_IF_CONNECTION_DEDICATED;
        general.IfType = IF_TYPE_ETHERNET_CSMACD;
        general.IfConnectorPresent = 1;
        general.SupportedStatistics = self.statistics;
        general.SupportedOidList = oids.as_mut_ptr();
        general.SupportedOidListLength = size_of_val(oids) as u32;
        general
    }
}

fn connect_state(connected: bool) -> i32 {
    if connected {
        MediaConnectStateConnected
    } else {
        MediaConnectStateDisconnected
    }
}

fn duplex_state(connected: bool) -> i32 {
    if connected {
        MediaDuplexStateFull
    } else {
        MediaDuplexStateUnknown
    }
}

/// NdisMSetMiniportAttributes: registration, general and offload attributes. In `initialize`.
pub fn declare(adapter: AdapterHandle, declared: &AdapterAttributes) -> NDIS_STATUS {
    let handle = handles::raw(adapter.0);
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    all.RegistrationAttributes.Header = header::make(
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES,
        2,
        NDIS_SIZEOF_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES_REVISION_2,
    );
    all.RegistrationAttributes.AttributeFlags = declared.attribute_flags;
    all.RegistrationAttributes.InterfaceType = NdisInterfacePci;
    // SAFETY: the attributes are those that their header says.
    let status = unsafe { attributes::set(handle, &raw mut all) };
    if status != NDIS_STATUS_SUCCESS {
        return status;
    }
    let mut oids = declared.supported_oids.clone();
    let mut rss = declared.rss;
    let mut power = declared.power;
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    all.GeneralAttributes = declared.general(&mut oids);
    if let Some(power) = &mut power {
        all.GeneralAttributes.PowerManagementCapabilitiesEx = &raw mut *power;
    }
    if let Some(rss) = &mut rss {
        all.GeneralAttributes.RecvScaleCapabilities = (&raw mut *rss).cast();
    }
    // SAFETY: as above; list and capabilities live until the call returns.
    let status = unsafe { attributes::set(handle, &raw mut all) };
    match declared.offload {
        Some(offload) if status == NDIS_STATUS_SUCCESS => declare_offload(adapter, offload),
        _ => status,
    }
}

fn declare_offload(adapter: AdapterHandle, mut offload: OffloadAttributes) -> NDIS_STATUS {
    let mut all = NDIS_MINIPORT_ADAPTER_ATTRIBUTES::zeroed();
    all.OffloadAttributes.Header = header::make(
        NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES,
        1,
        NDIS_SIZEOF_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES_REVISION_1,
    );
    all.OffloadAttributes.DefaultOffloadConfiguration = &raw mut offload.current;
    all.OffloadAttributes.HardwareOffloadCapabilities = &raw mut offload.hardware;
    // SAFETY: the attributes are those that their header says, and live until the call returns.
    unsafe { attributes::set(handles::raw(adapter.0), &raw mut all) }
}

/// NdisMIndicateReceiveNetBufferLists; sets SourceHandle. At or below DISPATCH.
pub fn indicate(
    adapter: AdapterHandle,
    nbls: *mut NET_BUFFER_LIST,
    port: u32,
    count: u32,
    flags: u32,
) {
    for nbl in shadow::walk(nbls, "api::indicate", 87) {
        super::set_source(nbl, adapter.0);
    }
    // SAFETY: the shadow table knows the NBLs.
    unsafe { receive::indicate(handles::raw(adapter.0), nbls, port, count, flags) }
}

/// Tells the judge which frames left the adapter for an NBL that it has not completed: they are
/// compared with what the NBL asks for.
pub fn frames_left(adapter: AdapterHandle, nbl: *mut NET_BUFFER_LIST, frames: &[Vec<u8>]) {
    let adapter = adapter::resolve(handles::raw(adapter.0), "api::frames_left");
    shadow::with(nbl, "api::frames_left", |_| ());
    // SAFETY: the shadow table knows the NBL.
    unsafe { offload::transmit::check_wire(adapter, nbl, frames) }
}

/// Cuts a received frame into the parts that its MDLs may have, as the seed likes (rule 132).
pub fn receive_parts(adapter: AdapterHandle, frame: &[u8]) -> Vec<&[u8]> {
    let adapter = adapter::resolve(handles::raw(adapter.0), "api::receive_parts");
    receive::shape::parts(frame, filter::lookahead(adapter))
}

/// NdisMSendNetBufferListsComplete. At or below DISPATCH.
pub fn send_complete(adapter: AdapterHandle, nbls: *mut NET_BUFFER_LIST, flags: u32) {
    // SAFETY: the NBLs are checked inside.
    unsafe { send::complete(handles::raw(adapter.0), nbls, flags) }
}

/// NdisMIndicateStatusEx. At or below DISPATCH.
pub fn indicate_status(adapter: AdapterHandle, code: NDIS_STATUS, buffer: &[u8]) {
    let mut buffer = buffer.to_vec();
    let handle = handles::raw(adapter.0);
    let object = adapter::resolve(handle, "NdisMIndicateStatusEx");
    let mut indication = status::build(object, code, &mut buffer);
    // SAFETY: the indication and its buffer live until the call returns.
    unsafe { status::indicate(handle, &raw mut indication) }
}

/// NdisMIndicateStatusEx, with an indication that `change` may spoil. At or below DISPATCH.
pub fn indicate_raw_status(
    adapter: AdapterHandle,
    code: NDIS_STATUS,
    buffer: &[u8],
    change: impl FnOnce(&mut NDIS_STATUS_INDICATION),
) {
    let mut buffer = buffer.to_vec();
    let handle = handles::raw(adapter.0);
    let object = adapter::resolve(handle, "NdisMIndicateStatusEx");
    let mut indication = status::build(object, code, &mut buffer);
    change(&mut indication);
    // SAFETY: as in `indicate_status`, unless the caller says more of the buffer than is true.
    unsafe { status::indicate(handle, &raw mut indication) }
}

/// NDIS_STATUS_LINK_STATE. At or below DISPATCH.
pub fn indicate_link(adapter: AdapterHandle, connected: bool, speed_bps: u64) {
    let speed = if connected {
        speed_bps
    } else {
        NDIS_LINK_SPEED_UNKNOWN
    };
    let (connect, duplex) = (connect_state(connected), duplex_state(connected));
    indicate_link_state(adapter, connect, duplex, speed);
}

/// NDIS_STATUS_LINK_STATE of a miniport that goes to low power. At or below DISPATCH.
pub fn indicate_link_unknown(adapter: AdapterHandle) {
    let (connect, duplex) = (MediaConnectStateUnknown, MediaDuplexStateUnknown);
    indicate_link_state(adapter, connect, duplex, NDIS_LINK_SPEED_UNKNOWN);
}

fn indicate_link_state(adapter: AdapterHandle, connect: i32, duplex: i32, speed: u64) {
    let mut state = NDIS_LINK_STATE::zeroed();
    state.Header = header::make(
        NDIS_OBJECT_TYPE_DEFAULT,
        1,
        NDIS_SIZEOF_LINK_STATE_REVISION_1,
    );
    state.MediaConnectState = connect;
    state.MediaDuplexState = duplex;
    state.XmitLinkSpeed = speed;
    state.RcvLinkSpeed = speed;
    // SAFETY: the record has no padding.
    let bytes = unsafe {
        std::slice::from_raw_parts(
            (&raw const state).cast::<u8>(),
            size_of::<NDIS_LINK_STATE>(),
        )
    };
    indicate_status(adapter, NDIS_STATUS_LINK_STATE, bytes);
}

/// NdisMOidRequestComplete. At or below DISPATCH.
pub fn oid_complete(adapter: AdapterHandle, request: OidRequestRef, status: NDIS_STATUS) {
    // SAFETY: the request is checked inside.
    unsafe { oid::miniport::complete(handles::raw(adapter.0), request.0, status) }
}

/// NdisMDirectOidRequestComplete. At or below DISPATCH.
pub fn direct_oid_complete(adapter: AdapterHandle, request: OidRequestRef, status: NDIS_STATUS) {
    // SAFETY: the request is checked inside.
    unsafe { oid::direct::complete(handles::raw(adapter.0), request.0, status) }
}

/// NdisMPauseComplete. At or below DISPATCH.
pub fn pause_complete(adapter: AdapterHandle) {
    // SAFETY: the handle is checked inside.
    unsafe { flow::pause_complete(handles::raw(adapter.0)) }
}

/// NdisMResetComplete. At or below DISPATCH.
pub fn reset_complete(adapter: AdapterHandle, status: NDIS_STATUS, addressing: bool) {
    // SAFETY: the handle is checked inside.
    unsafe { reset::complete(handles::raw(adapter.0), status, addressing.into()) }
}

/// NdisMResetMiniport. At or below DISPATCH.
pub fn reset_miniport(adapter: AdapterHandle) {
    // SAFETY: the handle is checked inside.
    unsafe { reset::request(handles::raw(adapter.0)) }
}

/// NdisMIdleNotificationConfirm. At PASSIVE.
pub fn idle_confirm(adapter: AdapterHandle, power: NDIS_DEVICE_POWER_STATE) {
    // SAFETY: the handle is checked inside.
    unsafe { power::idle::confirm(handles::raw(adapter.0), power) }
}

/// NdisMIdleNotificationComplete. At or below DISPATCH.
pub fn idle_complete(adapter: AdapterHandle) {
    // SAFETY: the handle is checked inside.
    unsafe { power::idle::complete(handles::raw(adapter.0)) }
}

/// NdisMRestartComplete. At or below DISPATCH.
pub fn restart_complete(adapter: AdapterHandle, status: NDIS_STATUS) {
    // SAFETY: the handle is checked inside.
    unsafe { flow::restart_complete(handles::raw(adapter.0), status) }
}
