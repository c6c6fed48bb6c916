//! Judging the attributes when MiniportInitializeEx has succeeded: rules 26 to 41.

use ndis_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, NDIS_LINK_SPEED_UNKNOWN,
    NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA, NDIS_MAC_OPTION_NO_LOOPBACK,
    NDIS_MAC_OPTION_TRANSFERS_NOT_PEND, NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES,
    NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER, NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE,
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_OBJECT_TYPE_RSS_CAPABILITIES, NDIS_PACKET_TYPE_ALL_MULTICAST, NDIS_PACKET_TYPE_BROADCAST,
    NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NDIS_RSS_CAPS_SUPPORTS_INDEPENDENT_ENTRY_MOVE, NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED,
    NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED, NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED,
    NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED, NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED,
    NDIS_STATISTICS_RCV_ERROR_SUPPORTED, NDIS_STATISTICS_RCV_OK_SUPPORTED,
    NDIS_STATISTICS_XMIT_ERROR_SUPPORTED, NDIS_STATISTICS_XMIT_OK_SUPPORTED,
    NDIS_TCP_IP_CHECKSUM_OFFLOAD, NET_IF_ACCESS_BROADCAST, NET_IF_CONNECTION_DEDICATED,
    NET_IF_DIRECTION_SENDRECEIVE, NdisInterfacePci, NdisMedium802_3,
};

use super::Adapter;
use crate::ndis::{config, dma};
use crate::registry::Value;
use crate::verifier::require;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: u32 = 14;
/// Options of every NDIS 6 Ethernet miniport.
const MAC_OPTIONS: u32 = NDIS_MAC_OPTION_COPY_LOOKAHEAD_DATA
    | NDIS_MAC_OPTION_TRANSFERS_NOT_PEND
    | NDIS_MAC_OPTION_NO_LOOPBACK;
/// What OID_GEN_STATISTICS reports of every NDIS 6 miniport: frames that went well, errors, and
/// frames and bytes of each kind in both directions.
const STATISTICS: u32 = NDIS_STATISTICS_XMIT_OK_SUPPORTED
    | NDIS_STATISTICS_RCV_OK_SUPPORTED
    | NDIS_STATISTICS_XMIT_ERROR_SUPPORTED
    | NDIS_STATISTICS_RCV_ERROR_SUPPORTED
    | NDIS_STATISTICS_DIRECTED_FRAMES_XMIT_SUPPORTED
    | NDIS_STATISTICS_DIRECTED_BYTES_XMIT_SUPPORTED
    | NDIS_STATISTICS_DIRECTED_FRAMES_RCV_SUPPORTED
    | NDIS_STATISTICS_DIRECTED_BYTES_RCV_SUPPORTED
    | NDIS_STATISTICS_GEN_STATISTICS_SUPPORTED;
/// NdisHashFunctionToeplitz.
const TOEPLITZ: u32 = 1;
/// The multicast slots that the certification tests expect.
const LEAST_MULTICAST_SLOTS: u32 = 32;

/// Judges what a miniport declared; false: the adapter cannot be started.
pub(crate) fn judge(adapter: &'static Adapter) -> bool {
    let (registration, general) = adapter
        .state
        .with(|state| (state.declared.registration, state.declared.general));
    let name = &adapter.name;
    let complete = require(24, registration.is_some(), || {
        format!("adapter {name} initialized without registration attributes")
    }) && require(28, general.is_some(), || {
        format!("adapter {name} initialized without general attributes")
    });
    if let Some(registration) = registration {
        judge_flags(
            adapter,
            registration.AttributeFlags,
            registration.InterfaceType,
        );
    }
    if let Some(general) = general {
        judge_media(adapter, &general);
        judge_ethernet(adapter, &general);
        judge_addresses(adapter, &general);
        judge_keywords(adapter, &general);
    }
    judge_scaling(adapter);
    judge_offload(adapter);
    complete
}

fn judge_flags(adapter: &'static Adapter, flags: u32, interface: i32) {
    let name = &adapter.name;
    let hardware = !adapter.node.resources().memory.is_empty();
    if hardware {
        require(
            26,
            flags & NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE != 0,
            || format!("adapter {name} has hardware, but not the flag HARDWARE_DEVICE"),
        );
        let bus_master = flags & NDIS_MINIPORT_ATTRIBUTES_BUS_MASTER != 0;
        require(
            26,
            bus_master || !dma::is_registered(adapter.handle),
            || format!("adapter {name} does DMA, but has not the flag BUS_MASTER"),
        );
        require(25, interface == NdisInterfacePci, || {
            format!("adapter {name} is on PCI, InterfaceType is {interface}")
        });
    }
    let no_pause = flags & NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND != 0;
    let no_halt = flags & NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND != 0;
    require(
        27,
        !no_pause || (no_halt && adapter.driver.is_at_least(6, 30)),
        || format!("adapter {name}: NO_PAUSE_ON_SUSPEND needs NO_HALT_ON_SUSPEND and NDIS 6.30"),
    );
}

fn judge_media(adapter: &'static Adapter, general: &NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES) {
    let name = &adapter.name;
    require(29, general.MediaType == NdisMedium802_3, || {
        format!("adapter {name}: MediaType is {}", general.MediaType)
    });
    require(29, general.IfType == IF_TYPE_ETHERNET_CSMACD, || {
        format!("adapter {name}: IfType is {}", general.IfType)
    });
    let shape = (
        general.AccessType,
        general.DirectionType,
        general.ConnectionType,
    );
    let ethernet = (
        NET_IF_ACCESS_BROADCAST,
        NET_IF_DIRECTION_SENDRECEIVE,
        NET_IF_CONNECTION_DEDICATED,
    );
    require(29, shape == ethernet, || {
        format!("adapter {name}: access, direction, connection types are {shape:?}")
    });
    let up = general.MediaConnectState == MediaConnectStateConnected;
    let speeds = (general.XmitLinkSpeed, general.RcvLinkSpeed);
    require(31, !up || (speeds.0 > 0 && speeds.1 > 0), || {
        format!("adapter {name} is connected with link speeds {speeds:?}")
    });
    let within = |speed, most| speed == NDIS_LINK_SPEED_UNKNOWN || speed <= most;
    let fast_enough = within(general.XmitLinkSpeed, general.MaxXmitLinkSpeed)
        && within(general.RcvLinkSpeed, general.MaxRcvLinkSpeed);
    require(31, fast_enough, || {
        format!("adapter {name}: link speed above its maximum")
    });
}

fn judge_ethernet(adapter: &'static Adapter, general: &NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES) {
    let name = &adapter.name;
    require(31, general.LookaheadSize > 0, || {
        format!("adapter {name}: LookaheadSize is 0")
    });
    require(31, general.MtuSize > 0, || {
        format!("adapter {name}: MtuSize is 0")
    });
    require(32, general.MacAddressLength == 6, || {
        format!(
            "adapter {name}: MacAddressLength is {}",
            general.MacAddressLength
        )
    });
    require(33, general.MacOptions & MAC_OPTIONS == MAC_OPTIONS, || {
        format!("adapter {name}: MacOptions {:#x}", general.MacOptions)
    });
    let basic = NDIS_PACKET_TYPE_DIRECTED
        | NDIS_PACKET_TYPE_MULTICAST
        | NDIS_PACKET_TYPE_ALL_MULTICAST
        | NDIS_PACKET_TYPE_BROADCAST;
    require(34, general.SupportedPacketFilters & basic == basic, || {
        format!(
            "adapter {name}: SupportedPacketFilters {:#x}",
            general.SupportedPacketFilters
        )
    });
    require(
        34,
        general.MaxMulticastListSize >= LEAST_MULTICAST_SLOTS,
        || {
            format!(
                "adapter {name}: MaxMulticastListSize {}",
                general.MaxMulticastListSize
            )
        },
    );
    let missing = STATISTICS & !general.SupportedStatistics;
    require(36, missing == 0, || {
        format!("adapter {name}: SupportedStatistics lacks {missing:#x}")
    });
}

/// Both addresses are those of a station, and the current one follows the keyword NetworkAddress.
fn judge_addresses(adapter: &'static Adapter, general: &NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES) {
    let name = &adapter.name;
    let (permanent, current) = (
        &general.PermanentMacAddress[..6],
        &general.CurrentMacAddress[..6],
    );
    for (which, address) in [("permanent", permanent), ("current", current)] {
        let usable = address.iter().any(|byte| *byte != 0) && address[0] & 1 == 0;
        require(32, usable, || {
            format!("adapter {name}: {which} address {address:02x?}")
        });
    }
    let wanted = wanted_address(adapter);
    let due = wanted.as_deref().unwrap_or(permanent);
    require(32, current == due, || {
        format!("adapter {name}: the current address is {current:02x?}, due is {due:02x?}")
    });
}

/// The address that the administrator chose, if it is one: six bytes, locally administered, not
/// of a group.
fn wanted_address(adapter: &'static Adapter) -> Option<Vec<u8>> {
    let value = config::value(&adapter.node.driver_key(), "NetworkAddress")?;
    let Value::Sz(text) = value else { return None };
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0))
        .collect();
    let first = *bytes.first()?;
    (digits.len() == 12 && first & 3 == 2).then_some(bytes)
}

/// Receive-side scaling is declared only if it is switched on, and then usable.
fn judge_scaling(adapter: &'static Adapter) {
    let name = &adapter.name;
    let Some(rss) = adapter.state.with(|state| state.declared.rss.clone()) else {
        return;
    };
    let keyword = config::integer(&adapter.node.driver_key(), "*RSS");
    require(38, keyword != Some(0), || {
        format!("adapter {name}: *RSS is 0, and RSS capabilities are declared")
    });
    let word = |at: usize| {
        rss.get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u32::from_le_bytes)
    };
    let (flags, messages, queues) = (word(4), word(8), word(12));
    let usable = rss[0] == NDIS_OBJECT_TYPE_RSS_CAPABILITIES
        && flags & TOEPLITZ != 0
        && messages > 0
        && queues > 0;
    require(38, usable, || {
        format!("adapter {name}: RSS flags {flags:#x}, {messages} messages, {queues} queues")
    });
    let has_handler = adapter.driver.handlers.as_ref().is_none_or(|handlers| {
        let given = &handlers.characteristics;
        given.SynchronousOidRequestHandler.is_some()
    });
    let second_version = flags & NDIS_RSS_CAPS_SUPPORTS_INDEPENDENT_ENTRY_MOVE != 0;
    require(6, has_handler || !second_version, || {
        format!("adapter {name}: RSSv2 without a SynchronousOidRequestHandler")
    });
}

/// What is switched on is a part of what the hardware can do, for checksums.
fn judge_offload(adapter: &'static Adapter) {
    let name = &adapter.name;
    let (current, hardware) = adapter.state.with(|state| {
        let declared = &state.declared;
        (
            declared.offload_default.clone(),
            declared.offload_hardware.clone(),
        )
    });
    let (Some(current), Some(hardware)) = (current, hardware) else {
        return;
    };
    let checksums = 4..4 + size_of::<NDIS_TCP_IP_CHECKSUM_OFFLOAD>();
    let (Some(current), Some(hardware)) = (current.get(checksums.clone()), hardware.get(checksums))
    else {
        return;
    };
    let beyond = current
        .iter()
        .zip(hardware)
        .any(|(on, able)| on & !able != 0);
    require(40, !beyond, || {
        format!("adapter {name}: checksum offloads are on that the hardware does not have")
    });
}

/// The media types in the registry and those declared are the same.
fn judge_keywords(adapter: &'static Adapter, general: &NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES) {
    let key = adapter.node.driver_key();
    let declared = [
        ("*MediaType", i64::from(general.MediaType)),
        ("*PhysicalMediaType", i64::from(general.PhysicalMediumType)),
        ("*IfType", i64::from(general.IfType)),
    ];
    for (keyword, declared) in declared {
        let Some(stored) = config::integer(&key, keyword) else {
            continue;
        };
        require(29, i64::from(stored) == declared, || {
            format!(
                "adapter {}: {keyword} is {stored}, declared is {declared}",
                adapter.name
            )
        });
    }
}
