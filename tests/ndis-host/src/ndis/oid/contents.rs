//! What the answers to particular OIDs have to look like: rules 170, 171, 175, 176 and 177.

use ndis_sys::{
    NDIS_INTERRUPT_MODERATION_PARAMETERS, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_SIZEOF_STATISTICS_INFO_REVISION_1, NDIS_STATISTICS_INFO, NDIS_STATUS,
    NDIS_STATUS_BUFFER_TOO_SHORT, NDIS_STATUS_INVALID_DATA, NDIS_STATUS_INVALID_LENGTH,
    NDIS_STATUS_SUCCESS, NdisInterruptModerationNotSupported, OID_GEN_INTERRUPT_MODERATION,
    OID_GEN_STATISTICS, OID_GEN_VENDOR_DESCRIPTION, OID_GEN_VENDOR_DRIVER_VERSION,
    OID_GEN_VENDOR_ID, OID_OFFLOAD_ENCAPSULATION, OID_TCP_OFFLOAD_PARAMETERS, Zeroed,
};

use super::counters;
use super::request_ref::{OidKind, OidRequestRef};
use crate::ndis::adapter::Adapter;
use crate::verifier::require;

/// Adapters from this speed on count with 64 bits, bits per second.
const FAST: u64 = 1_000_000_000;
/// The VALID bits of NDIS_STATISTICS_INFO: those of every NDIS 6 miniport.
const ALL_VALID: u32 = 0x003f_87ff;

/// What is remembered of an adapter's answers.
#[derive(Default)]
pub(crate) struct Remembered {
    statistics: Option<NDIS_STATISTICS_INFO>,
    /// Whether interrupt moderation is not supported, once that was asked.
    no_moderation: Option<bool>,
    /// TASK_OFFLOAD_CURRENT_CONFIG indications before the request that runs.
    configs_before: u64,
}

/// A request is about to be passed to the miniport.
pub(super) fn begin(adapter: &'static Adapter) {
    let configs = adapter.state.with(|state| state.offload_configs);
    adapter
        .oids
        .with(|queue| queue.remembered.configs_before = configs);
}

/// Judges the answer to a request, if its OID is one that is known here.
pub(super) fn judge(adapter: &'static Adapter, request: OidRequestRef, status: NDIS_STATUS) {
    let (oid, kind) = (request.oid(), request.kind());
    let succeeded = status == NDIS_STATUS_SUCCESS;
    match (oid, kind) {
        (OID_GEN_STATISTICS, OidKind::Query) if succeeded => statistics(adapter, request),
        (OID_GEN_INTERRUPT_MODERATION, _) => moderation(adapter, request, status),
        (OID_GEN_VENDOR_ID | OID_GEN_VENDOR_DRIVER_VERSION, OidKind::Query) if succeeded => {
            let written = request.answer().len();
            require(176, written == 4, || {
                format!(
                    "OID {oid:#010x} on {}: {written} bytes, not 4",
                    adapter.name
                )
            });
        }
        (OID_GEN_VENDOR_DESCRIPTION, OidKind::Query) if succeeded => description(adapter, request),
        (OID_TCP_OFFLOAD_PARAMETERS | OID_OFFLOAD_ENCAPSULATION, OidKind::Set) if succeeded => {
            offload(adapter, oid);
        }
        (oid, OidKind::Query) if counters::is_general_counter(oid) => {
            counter(adapter, request, status);
        }
        _ => {}
    }
}

/// Rule 170: a counter comes in one of three forms.
fn counter(adapter: &'static Adapter, request: OidRequestRef, status: NDIS_STATUS) {
    let (oid, name) = (request.oid(), &adapter.name);
    let room = request.output_room().1;
    let (written, needed) = request.counts();
    let short = [NDIS_STATUS_INVALID_LENGTH, NDIS_STATUS_BUFFER_TOO_SHORT].contains(&status);
    if !short && status != NDIS_STATUS_SUCCESS {
        return;
    }
    let fast = adapter.state.with(|state| {
        let general = state.declared.general;
        general.is_some_and(|general| general.MaxXmitLinkSpeed >= FAST)
    });
    let whole = needed == 8 || (!fast && needed == 4);
    let right = match room {
        0..4 => short && written == 0 && whole,
        4..8 => !short && written == 4 && whole,
        _ => !short && (written == 8 || (!fast && written == 4)),
    };
    require(170, right, || {
        format!(
            "counter {oid:#010x} on {name}: {status:#x}, {written} bytes written, {needed} needed, \
             with room for {room}"
        )
    });
}

/// Rule 171: OID_GEN_STATISTICS is whole, and counts upwards.
fn statistics(adapter: &'static Adapter, request: OidRequestRef) {
    let name = &adapter.name;
    let answer = request.answer();
    let least = usize::from(NDIS_SIZEOF_STATISTICS_INFO_REVISION_1);
    if !require(171, answer.len() >= least, || {
        let length = answer.len();
        format!("OID_GEN_STATISTICS on {name}: {length} bytes, not {least}")
    }) {
        return;
    }
    // SAFETY: the answer is that long, and any bytes are such a record.
    let info: NDIS_STATISTICS_INFO = unsafe {
        answer
            .as_ptr()
            .cast::<NDIS_STATISTICS_INFO>()
            .read_unaligned()
    };
    let object = info.Header;
    let known = object.Type == NDIS_OBJECT_TYPE_DEFAULT
        && object.Revision >= 1
        && usize::from(object.Size) >= least;
    require(171, known, || {
        let (kind, revision, size) = (object.Type, object.Revision, object.Size);
        format!("OID_GEN_STATISTICS on {name}: header {kind:#x}, {revision}, {size}")
    });
    let flags = info.SupportedStatistics;
    require(171, flags & ALL_VALID == ALL_VALID, || {
        format!("OID_GEN_STATISTICS on {name}: VALID flags {flags:#x}, not {ALL_VALID:#x}")
    });
    let before = adapter
        .oids
        .with(|queue| queue.remembered.statistics.replace(info));
    let before = counters::all(&before.unwrap_or_else(NDIS_STATISTICS_INFO::zeroed));
    for ((field, now), (_, then)) in counters::all(&info).into_iter().zip(before) {
        require(171, now >= then, || {
            format!("OID_GEN_STATISTICS on {name}: {field} goes from {then} back to {now}")
        });
    }
}

/// Rule 175: who has no interrupt moderation says so, and refuses to set it.
fn moderation(adapter: &'static Adapter, request: OidRequestRef, status: NDIS_STATUS) {
    let name = &adapter.name;
    if request.kind() == OidKind::Set {
        let none = adapter.oids.with(|queue| queue.remembered.no_moderation);
        let right = none != Some(true) || status == NDIS_STATUS_INVALID_DATA;
        require(175, right, || {
            format!("OID_GEN_INTERRUPT_MODERATION on {name}, which has none, is set: {status:#x}")
        });
        return;
    }
    let answer = request.answer();
    if status != NDIS_STATUS_SUCCESS
        || answer.len() < size_of::<NDIS_INTERRUPT_MODERATION_PARAMETERS>()
    {
        return;
    }
    // SAFETY: the answer is that long, and any bytes are such a record.
    let answer = unsafe {
        answer
            .as_ptr()
            .cast::<NDIS_INTERRUPT_MODERATION_PARAMETERS>()
            .read_unaligned()
    };
    let none = answer.InterruptModeration == NdisInterruptModerationNotSupported;
    adapter
        .oids
        .with(|queue| queue.remembered.no_moderation = Some(none));
}

/// Rule 176: a name ends with a NUL, and has none in it.
fn description(adapter: &'static Adapter, request: OidRequestRef) {
    let answer = request.answer();
    let text = answer.split_last().map_or(&[][..], |(_, text)| text);
    let right = answer.last() == Some(&0) && !text.is_empty() && !text.contains(&0);
    require(176, right, || {
        format!(
            "OID_GEN_VENDOR_DESCRIPTION on {}: {answer:02x?} is no NUL-terminated name",
            adapter.name
        )
    });
}

/// Rule 177: new offload settings are told.
fn offload(adapter: &'static Adapter, oid: u32) {
    let before = adapter.oids.with(|queue| queue.remembered.configs_before);
    let now = adapter.state.with(|state| state.offload_configs);
    require(177, now > before, || {
        format!(
            "OID {oid:#010x} on {} succeeds without TASK_OFFLOAD_CURRENT_CONFIG",
            adapter.name
        )
    });
}
