//! The counters of NDIS_STATISTICS_INFO, and the OIDs that ask for one of them.

use ndis_sys::{
    NDIS_STATISTICS_INFO, OID_GEN_BROADCAST_BYTES_RCV, OID_GEN_BROADCAST_BYTES_XMIT,
    OID_GEN_BROADCAST_FRAMES_RCV, OID_GEN_BROADCAST_FRAMES_XMIT, OID_GEN_BYTES_RCV,
    OID_GEN_BYTES_XMIT, OID_GEN_DIRECTED_BYTES_RCV, OID_GEN_DIRECTED_BYTES_XMIT,
    OID_GEN_DIRECTED_FRAMES_RCV, OID_GEN_DIRECTED_FRAMES_XMIT, OID_GEN_MULTICAST_BYTES_RCV,
    OID_GEN_MULTICAST_BYTES_XMIT, OID_GEN_MULTICAST_FRAMES_RCV, OID_GEN_MULTICAST_FRAMES_XMIT,
    OID_GEN_RCV_DISCARDS, OID_GEN_RCV_ERROR, OID_GEN_RCV_NO_BUFFER, OID_GEN_RCV_OK,
    OID_GEN_XMIT_DISCARDS, OID_GEN_XMIT_ERROR, OID_GEN_XMIT_OK,
};

/// Counters that a miniport answers itself; the others are fields of NDIS_STATISTICS_INFO.
const OF_MINIPORTS: [u32; 5] = [
    OID_GEN_XMIT_OK,
    OID_GEN_RCV_OK,
    OID_GEN_XMIT_ERROR,
    OID_GEN_RCV_ERROR,
    OID_GEN_RCV_NO_BUFFER,
];

/// Whether the OID asks for one 64-bit counter (Microsoft Learn, "General Statistics OIDs").
pub(super) fn is_general_counter(oid: u32) -> bool {
    OF_MINIPORTS.contains(&oid) || field(&ndis_sys::zeroed(), oid).is_some()
}

/// The counter that an OID asks for; `None`: it is not one of these.
pub(super) fn field(info: &NDIS_STATISTICS_INFO, oid: u32) -> Option<u64> {
    let value = match oid {
        OID_GEN_DIRECTED_BYTES_XMIT => info.ifHCOutUcastOctets,
        OID_GEN_DIRECTED_FRAMES_XMIT => info.ifHCOutUcastPkts,
        OID_GEN_MULTICAST_BYTES_XMIT => info.ifHCOutMulticastOctets,
        OID_GEN_MULTICAST_FRAMES_XMIT => info.ifHCOutMulticastPkts,
        OID_GEN_BROADCAST_BYTES_XMIT => info.ifHCOutBroadcastOctets,
        OID_GEN_BROADCAST_FRAMES_XMIT => info.ifHCOutBroadcastPkts,
        OID_GEN_DIRECTED_BYTES_RCV => info.ifHCInUcastOctets,
        OID_GEN_DIRECTED_FRAMES_RCV => info.ifHCInUcastPkts,
        OID_GEN_MULTICAST_BYTES_RCV => info.ifHCInMulticastOctets,
        OID_GEN_MULTICAST_FRAMES_RCV => info.ifHCInMulticastPkts,
        OID_GEN_BROADCAST_BYTES_RCV => info.ifHCInBroadcastOctets,
        OID_GEN_BROADCAST_FRAMES_RCV => info.ifHCInBroadcastPkts,
        OID_GEN_BYTES_RCV => info.ifHCInOctets,
        OID_GEN_BYTES_XMIT => info.ifHCOutOctets,
        OID_GEN_RCV_DISCARDS => info.ifInDiscards,
        OID_GEN_XMIT_DISCARDS => info.ifOutDiscards,
        _ => return None,
    };
    Some(value)
}

/// All counters, by their names.
pub(super) fn all(info: &NDIS_STATISTICS_INFO) -> [(&'static str, u64); 18] {
    [
        ("ifInDiscards", info.ifInDiscards),
        ("ifInErrors", info.ifInErrors),
        ("ifHCInOctets", info.ifHCInOctets),
        ("ifHCInUcastPkts", info.ifHCInUcastPkts),
        ("ifHCInMulticastPkts", info.ifHCInMulticastPkts),
        ("ifHCInBroadcastPkts", info.ifHCInBroadcastPkts),
        ("ifHCOutOctets", info.ifHCOutOctets),
        ("ifHCOutUcastPkts", info.ifHCOutUcastPkts),
        ("ifHCOutMulticastPkts", info.ifHCOutMulticastPkts),
        ("ifHCOutBroadcastPkts", info.ifHCOutBroadcastPkts),
        ("ifOutErrors", info.ifOutErrors),
        ("ifOutDiscards", info.ifOutDiscards),
        ("ifHCInUcastOctets", info.ifHCInUcastOctets),
        ("ifHCInMulticastOctets", info.ifHCInMulticastOctets),
        ("ifHCInBroadcastOctets", info.ifHCInBroadcastOctets),
        ("ifHCOutUcastOctets", info.ifHCOutUcastOctets),
        ("ifHCOutMulticastOctets", info.ifHCOutMulticastOctets),
        ("ifHCOutBroadcastOctets", info.ifHCOutBroadcastOctets),
    ]
}
