//! Judging the attributes when MiniportInitializeEx has succeeded: rules 26 to 41.

use ndis_sys::{
    IF_TYPE_ETHERNET_CSMACD, MediaConnectStateConnected, NDIS_LINK_SPEED_UNKNOWN,
    NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES, NDIS_MINIPORT_ATTRIBUTES_HARDWARE_DEVICE,
    NDIS_MINIPORT_ATTRIBUTES_NO_HALT_ON_SUSPEND, NDIS_MINIPORT_ATTRIBUTES_NO_PAUSE_ON_SUSPEND,
    NDIS_PACKET_TYPE_BROADCAST, NDIS_PACKET_TYPE_DIRECTED, NDIS_PACKET_TYPE_MULTICAST,
    NET_IF_ACCESS_BROADCAST, NET_IF_CONNECTION_DEDICATED, NET_IF_DIRECTION_SENDRECEIVE,
    NdisInterfacePci, NdisMedium802_3,
};

use super::Adapter;
use crate::ndis::config;
use crate::verifier::{advice, require};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: u32 = 14;
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
        judge_keywords(adapter, &general);
    }
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
    for (which, address) in [
        ("permanent", general.PermanentMacAddress),
        ("current", general.CurrentMacAddress),
    ] {
        let usable = address[..6].iter().any(|byte| *byte != 0) && address[0] & 1 == 0;
        require(32, usable, || {
            format!("adapter {name}: {which} address {:02x?}", &address[..6])
        });
    }
    let basic = NDIS_PACKET_TYPE_DIRECTED | NDIS_PACKET_TYPE_MULTICAST | NDIS_PACKET_TYPE_BROADCAST;
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
    if general.SupportedStatistics == 0 {
        advice(36, format!("adapter {name}: SupportedStatistics is 0"));
    }
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
