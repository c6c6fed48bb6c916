//! Every OID, in every length, by every kind of request (rules 164, 170, 174, 303).
//!
//! The requests are those that user mode can make through NDIS: queries of statistics in buffers
//! of any length and alignment. Sets and methods are tried with what cannot be accepted, so that
//! a driver that obeys is left as it was.

use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_INVALID_OID, NDIS_STATUS_NOT_RECOGNIZED, NDIS_STATUS_NOT_SUPPORTED,
    NDIS_STATUS_SUCCESS, NdisRequestMethod, OID_802_3_CURRENT_ADDRESS, OID_802_3_MAXIMUM_LIST_SIZE,
    OID_802_3_MULTICAST_LIST, OID_802_3_PERMANENT_ADDRESS, OID_GEN_CURRENT_LOOKAHEAD,
    OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_INTERRUPT_MODERATION, OID_GEN_LINK_PARAMETERS,
    OID_GEN_MAXIMUM_TOTAL_SIZE, OID_GEN_RCV_OK, OID_GEN_RECEIVE_BLOCK_SIZE,
    OID_GEN_RECEIVE_BUFFER_SPACE, OID_GEN_STATISTICS, OID_GEN_TRANSMIT_BLOCK_SIZE,
    OID_GEN_TRANSMIT_BUFFER_SPACE, OID_GEN_VENDOR_DESCRIPTION, OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_VENDOR_ID, OID_GEN_XMIT_OK, OID_PNP_SET_POWER,
};

use crate::ndis::adapter::{Adapter, AdapterState};
use crate::ndis::handles;
use crate::ndis::native::AdapterHandle;
use crate::ndis::oid::system;
use crate::sched;
use crate::verifier;

/// OIDs that every Ethernet miniport of NDIS 6 answers (rule 174), and whether it is queried.
const MANDATORY: [(u32, bool); 19] = [
    (OID_GEN_CURRENT_LOOKAHEAD, false),
    (OID_GEN_CURRENT_PACKET_FILTER, false),
    (OID_GEN_INTERRUPT_MODERATION, true),
    (OID_GEN_LINK_PARAMETERS, false),
    (OID_GEN_MAXIMUM_TOTAL_SIZE, true),
    (OID_GEN_RCV_OK, true),
    (OID_GEN_XMIT_OK, true),
    (OID_GEN_RECEIVE_BLOCK_SIZE, true),
    (OID_GEN_RECEIVE_BUFFER_SPACE, true),
    (OID_GEN_TRANSMIT_BLOCK_SIZE, true),
    (OID_GEN_TRANSMIT_BUFFER_SPACE, true),
    (OID_GEN_STATISTICS, true),
    (OID_GEN_VENDOR_DESCRIPTION, true),
    (OID_GEN_VENDOR_DRIVER_VERSION, true),
    (OID_GEN_VENDOR_ID, true),
    (OID_802_3_PERMANENT_ADDRESS, true),
    (OID_802_3_CURRENT_ADDRESS, true),
    (OID_802_3_MULTICAST_LIST, false),
    (OID_802_3_MAXIMUM_LIST_SIZE, true),
];
/// Where OIDs are: general, statistics, 802.3, offload, power, a vendor's own.
const RANGES: [(u32, u32); 8] = [
    (0x0001_0100, 0x420),
    (0x0002_0100, 0x220),
    (0x0101_0100, 0x120),
    (0x0102_0100, 0x120),
    (0xfc01_0100, 0x120),
    (0xfc03_0200, 0x20),
    (0xfd01_0100, 0x20),
    (0xff00_0000, 0x40),
];
/// Longest buffer that every length up to is tried of.
const LONGEST: usize = 24;
/// Room for any answer.
const AMPLE: usize = 4096;

/// What a sweep is to do.
#[derive(Clone, Copy, Debug)]
pub struct OidSweep {
    /// One in so many of the OIDs that the miniport does not list is tried; 1: all.
    pub unlisted_one_in: u64,
}

impl Default for OidSweep {
    fn default() -> Self {
        Self { unlisted_one_in: 8 }
    }
}

/// Asks an adapter everything; the number of requests made. At PASSIVE, without a lock.
pub fn oids(adapter: AdapterHandle, sweep: OidSweep) -> u64 {
    let mut made = 0;
    let listed = handles::lookup::<Adapter>(adapter.0)
        .map(|adapter| adapter.state.with(|state| state.declared.oids.clone()))
        .unwrap_or_default();
    for oid in listed.iter().filter(|oid| **oid != OID_PNP_SET_POWER) {
        made += if_there(adapter, |adapter| ask_listed(adapter, *oid));
    }
    for (oid, queried) in MANDATORY {
        made += if_there(adapter, |adapter| ask_mandatory(adapter, oid, queried));
    }
    for (first, count) in RANGES {
        for oid in first..first + count {
            // The power is not for anybody to ask about.
            let asked = !listed.contains(&oid) && oid != OID_PNP_SET_POWER;
            if asked && sched::chance(sweep.unlisted_one_in) {
                made += if_there(adapter, |adapter| ask_unlisted(adapter, oid));
            }
        }
    }
    made
}

/// The adapter may go at any time.
fn if_there(adapter: AdapterHandle, ask: impl FnOnce(&'static Adapter) -> u64) -> u64 {
    handles::lookup::<Adapter>(adapter.0).map_or(0, ask)
}

/// Whether a refusal says nothing about the OID: the adapter goes, or is gone.
fn is_leaving(adapter: &'static Adapter) -> bool {
    let there = handles::lookup::<Adapter>(adapter.handle).is_some();
    let state = adapter.phase();
    !there
        || adapter.is_surprise_removed()
        || matches!(state, AdapterState::Halted | AdapterState::Shutdown)
}

/// An OID that the miniport says it handles: it does, in every length.
fn ask_listed(adapter: &'static Adapter, oid: u32) -> u64 {
    let ample = system::query(adapter, oid, AMPLE);
    let right = ample.data.len();
    for room in (0..LONGEST).chain([right.saturating_sub(1), right, right + 1]) {
        let outcome = system::query(adapter, oid, room);
        let same_kind = is_unknown(ample.status) == is_unknown(outcome.status);
        verifier::require(164, same_kind || is_leaving(adapter), || {
            format!(
                "OID {oid:#010x} on {}: {:#x} with much room, {:#x} with room for {room}",
                adapter.name, ample.status, outcome.status
            )
        });
    }
    let longest = if oid == OID_802_3_MULTICAST_LIST {
        5
    } else {
        3
    };
    for length in 1..=longest {
        let outcome = system::set(adapter, oid, &vec![0xa5; length]);
        let refused = outcome.status != NDIS_STATUS_SUCCESS;
        verifier::require(162, refused || is_leaving(adapter), || {
            format!(
                "OID {oid:#010x} on {} is set to {length} bytes",
                adapter.name
            )
        });
    }
    let method = system::run(adapter, NdisRequestMethod, oid, &mut [0; 64], 16);
    expect_unknown(adapter, oid, "a method request", method.status);
    odd_types(adapter, oid);
    LONGEST as u64 + 4 + longest as u64 + 1
}

/// A request type that nobody defines is refused.
fn odd_types(adapter: &'static Adapter, oid: u32) {
    for kind in [3, 11, 13, 99] {
        let outcome = system::run(adapter, kind, oid, &mut [0; 64], 16);
        expect_unknown(adapter, oid, "an odd request type", outcome.status);
    }
}

/// Rule 174: what is mandatory is there.
fn ask_mandatory(adapter: &'static Adapter, oid: u32, queried: bool) -> u64 {
    let known = if queried {
        let status = system::query(adapter, oid, AMPLE).status;
        !is_unknown(status)
    } else {
        adapter
            .state
            .with(|state| state.declared.oids.contains(&oid))
    };
    verifier::require(174, known || is_leaving(adapter), || {
        format!(
            "{} does not know the mandatory OID {oid:#010x}",
            adapter.name
        )
    });
    1
}

/// An OID that the miniport does not list: it says so, at once, whatever the buffer.
fn ask_unlisted(adapter: &'static Adapter, oid: u32) -> u64 {
    for room in [0, 4, 64] {
        let outcome = system::query(adapter, oid, room);
        let by_ndis = system::is_of_ndis(adapter, oid);
        if !by_ndis {
            expect_unknown(adapter, oid, "a query", outcome.status);
        }
    }
    let kind = sched::random_below(2);
    if kind == 0 {
        let outcome = system::set(adapter, oid, &[0xa5; 16]);
        expect_unknown(adapter, oid, "a set", outcome.status);
    } else {
        let outcome = system::run(adapter, NdisRequestMethod, oid, &mut [0xa5; 64], 16);
        expect_unknown(adapter, oid, "a method request", outcome.status);
    }
    4
}

fn expect_unknown(adapter: &'static Adapter, oid: u32, what: &str, status: NDIS_STATUS) {
    let name = &adapter.name;
    let listed = adapter
        .state
        .with(|state| state.declared.oids.contains(&oid));
    verifier::require(37, listed || status != NDIS_STATUS_SUCCESS, || {
        format!("{what} for OID {oid:#010x} succeeds on {name}, which does not list it")
    });
    verifier::require(164, is_unknown(status) || is_leaving(adapter), || {
        format!("{what} for OID {oid:#010x} on {name} ends with {status:#x}")
    });
}

/// Statuses for what a miniport does not know.
fn is_unknown(status: NDIS_STATUS) -> bool {
    [
        NDIS_STATUS_NOT_SUPPORTED,
        NDIS_STATUS_INVALID_OID,
        NDIS_STATUS_NOT_RECOGNIZED,
    ]
    .contains(&status)
}
