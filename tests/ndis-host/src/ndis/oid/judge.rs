//! The judge of a completed request: rules 156, 157, 159 to 163, 165, 168 and 172.
//!
//! What particular OIDs have to answer is in [`super::contents`].

use ndis_sys::{
    NDIS_STATUS, NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_INDICATION_REQUIRED,
    NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_INVALID_OID, NDIS_STATUS_NOT_ACCEPTED,
    NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_PENDING, NDIS_STATUS_REQUEST_ABORTED,
    NDIS_STATUS_SUCCESS, OID_802_3_DELETE_MULTICAST_ADDRESS, OID_GEN_CURRENT_PACKET_FILTER,
    OID_NIC_SWITCH_DELETE_SWITCH, OID_NIC_SWITCH_FREE_VF, OID_PM_REMOVE_PROTOCOL_OFFLOAD,
    OID_PM_REMOVE_WOL_PATTERN, OID_PNP_SET_POWER, OID_RECEIVE_FILTER_CLEAR_FILTER,
    OID_RECEIVE_FILTER_FREE_QUEUE, OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA,
    OID_TUNNEL_INTERFACE_RELEASE_OID,
};

use super::contents;
use super::copy::{Copy, byte_rule};
use super::request_ref::{OidKind, OidRequestRef};
use crate::ndis::adapter::Adapter;
use crate::verifier;

/// OIDs that take something back, which must not fail (rule 160).
const UNDO_OIDS: [u32; 9] = [
    OID_RECEIVE_FILTER_CLEAR_FILTER,
    OID_RECEIVE_FILTER_FREE_QUEUE,
    OID_NIC_SWITCH_FREE_VF,
    OID_NIC_SWITCH_DELETE_SWITCH,
    OID_802_3_DELETE_MULTICAST_ADDRESS,
    OID_PM_REMOVE_WOL_PATTERN,
    OID_PM_REMOVE_PROTOCOL_OFFLOAD,
    OID_TCP_TASK_IPSEC_OFFLOAD_V2_DELETE_SA,
    OID_TUNNEL_INTERFACE_RELEASE_OID,
];
/// Upper bytes of the OID families that define NDIS_STATUS_INDICATION_REQUIRED: native 802.11,
/// mobile broadband, and a vendor's own.
const INDICATING_FAMILIES: [u32; 3] = [0x0d, 0x0e, 0xff];

/// How a request came to the miniport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Regular,
    Direct,
    Synchronous,
}

impl Path {
    /// The rule about how a request of this path ends.
    fn rule(self) -> u16 {
        match self {
            Self::Regular => 156,
            Self::Direct => 167,
            Self::Synchronous => 168,
        }
    }
}

/// Judges a request that has ended with `status`.
pub(super) fn answer(adapter: &'static Adapter, path: Path, copy: &Copy, status: NDIS_STATUS) {
    let request = copy.request();
    let name = &adapter.name;
    copy.check(name);
    status_of_path(name, path, request.oid(), status);
    status_of_oid(adapter, request.oid(), status);
    byte_counts(name, request, status);
    if status == NDIS_STATUS_INDICATION_REQUIRED {
        expect_indication(adapter, request);
    }
    if request.oid() == OID_GEN_CURRENT_PACKET_FILTER {
        packet_filter(adapter, request, status);
    }
    contents::judge(adapter, request, status);
}

/// Rules 156 and 168: what a request may end with at all.
fn status_of_path(name: &str, path: Path, oid: u32, status: NDIS_STATUS) {
    verifier::insist(path.rule(), status != NDIS_STATUS_PENDING, || {
        format!("{path:?} OID {oid:#010x} on {name} ends with PENDING")
    });
    let aborted = path == Path::Synchronous && status == NDIS_STATUS_REQUEST_ABORTED;
    verifier::require(168, !aborted, || {
        format!("synchronous OID {oid:#010x} on {name} ends with REQUEST_ABORTED")
    });
}

/// Rules 159 and 160: what may not fail.
fn status_of_oid(adapter: &'static Adapter, oid: u32, status: NDIS_STATUS) {
    let name = &adapter.name;
    let accepted = [NDIS_STATUS_SUCCESS, NDIS_STATUS_NOT_ACCEPTED].contains(&status);
    if oid == OID_PNP_SET_POWER {
        verifier::insist(159, accepted, || {
            format!("OID_PNP_SET_POWER on {name} ends with {status:#x} (0xC4/91001)")
        });
    }
    if UNDO_OIDS.contains(&oid) {
        // What a miniport does not have cannot have been done, and so need not be undone.
        let listed = adapter
            .state
            .with(|state| state.declared.oids.contains(&oid));
        let unknown = [NDIS_STATUS_NOT_SUPPORTED, NDIS_STATUS_INVALID_OID].contains(&status);
        let undone = accepted || status == NDIS_STATUS_REQUEST_ABORTED || (unknown && !listed);
        verifier::insist(160, undone, || {
            format!("OID {oid:#010x} on {name}, which undoes, ends with {status:#x} (0xC4/91001)")
        });
    }
}

/// Rules 161 to 163: bytes written, read and needed.
fn byte_counts(name: &str, request: OidRequestRef, status: NDIS_STATUS) {
    let (done, needed) = request.counts();
    let (kind, oid) = (request.kind(), request.oid());
    let (given, room) = (request.input_length(), request.output_room().1);
    let limit = if kind == OidKind::Set { given } else { room };
    let rule = byte_rule(kind);
    if status == NDIS_STATUS_SUCCESS {
        verifier::insist(rule, done as usize <= limit, || {
            format!("OID {oid:#010x} on {name}: {done} bytes done, the buffer has {limit} (7C/1D)")
        });
        let read = request.bytes_read() as usize;
        verifier::insist(rule, kind != OidKind::Method || read <= given, || {
            format!("OID {oid:#010x} on {name}: {read} bytes read of {given} (7C/1D)")
        });
        let used = kind != OidKind::Set || given == 0 || done > 0;
        verifier::require(rule, used, || {
            format!("OID {oid:#010x} on {name}: a set of {given} bytes succeeds with BytesRead 0")
        });
    }
    let short = [NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_BUFFER_TOO_SHORT].contains(&status);
    if short {
        verifier::require(rule, done == 0 && needed > 0, || {
            format!(
                "OID {oid:#010x} on {name}: {status:#x} with {done} bytes done, {needed} needed"
            )
        });
    }
    let longer = needed as usize > limit.max(given);
    verifier::require(
        rule,
        status != NDIS_STATUS_BUFFER_TOO_SHORT || longer,
        || format!("OID {oid:#010x} on {name}: {limit} bytes are too short, {needed} are needed"),
    );
}

/// Rule 165: only some OIDs are answered by an indication.
fn expect_indication(adapter: &'static Adapter, request: OidRequestRef) {
    let oid = request.oid();
    verifier::require(165, INDICATING_FAMILIES.contains(&(oid >> 24)), || {
        format!(
            "OID {oid:#010x} on {}: INDICATION_REQUIRED is not defined for it",
            adapter.name
        )
    });
    // SAFETY: a request ref points to a live request.
    let (handle, id) = unsafe { ((*request.0).RequestHandle, (*request.0).RequestId) };
    adapter.oids.with(|queue| {
        queue
            .awaiting_indication
            .push((handle.addr() as u64, id.addr()));
    });
}

/// Rule 172: a filter that the miniport never declared is refused.
fn packet_filter(adapter: &'static Adapter, request: OidRequestRef, status: NDIS_STATUS) {
    let Some(filter) = request.input().first_chunk::<4>() else {
        return;
    };
    let filter = u32::from_le_bytes(*filter);
    let supported = adapter.state.with(|state| {
        state
            .declared
            .general
            .map_or(0, |g| g.SupportedPacketFilters)
    });
    let beyond = filter & !supported;
    verifier::require(172, status != NDIS_STATUS_SUCCESS || beyond == 0, || {
        format!(
            "{} takes packet filter {filter:#x}, of which it declared {supported:#x}",
            adapter.name
        )
    });
}
