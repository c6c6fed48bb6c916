//! What a status indication carries: rules 185, 188, 189 and 190.

use ndis_sys::{
    MediaConnectStateConnected, MediaConnectStateDisconnected, MediaDuplexStateUnknown,
    NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_STATE, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_OFFLOAD, NDIS_STATUS, NDIS_STATUS_INDICATION, NDIS_STATUS_NETWORK_CHANGE,
    NDIS_STATUS_OPER_STATUS, NDIS_STATUS_PM_CAPABILITIES_CHANGE,
    NDIS_STATUS_PM_HARDWARE_CAPABILITIES, NDIS_STATUS_PM_WAKE_REASON, NDIS_STATUS_PORT_STATE,
};

use crate::ndis::adapter::Adapter;
use crate::verifier;

/// Least size of the buffer, and whether it begins with an object header.
fn shape(code: NDIS_STATUS) -> Option<(u32, bool)> {
    let shape = match code {
        NDIS_STATUS_OPER_STATUS => (12, true),
        NDIS_STATUS_PM_WAKE_REASON => (20, true),
        NDIS_STATUS_PORT_STATE | NDIS_STATUS_PM_CAPABILITIES_CHANGE => (4, true),
        NDIS_STATUS_PM_HARDWARE_CAPABILITIES => (4, true),
        NDIS_STATUS_NETWORK_CHANGE => (4, false),
        _ => return None,
    };
    Some(shape)
}

/// Rules 185 and 190: the buffer is as long as the code needs, and begins as its page says.
///
/// # Safety
///
/// The buffer holds `StatusBufferSize` bytes.
pub(crate) unsafe fn payload(call: &str, given: &NDIS_STATUS_INDICATION) {
    let Some((least, has_header)) = shape(given.StatusCode) else {
        return;
    };
    let (code, size) = (given.StatusCode, given.StatusBufferSize);
    verifier::insist(185, size >= least, || {
        format!("{call}: status {code:#x} with {size} bytes, not {least} (7C/20)")
    });
    if !has_header {
        return;
    }
    // SAFETY: the buffer is longer than a header.
    let object = unsafe {
        given
            .StatusBuffer
            .cast::<NDIS_OBJECT_HEADER>()
            .read_unaligned()
    };
    let known = object.Type == NDIS_OBJECT_TYPE_DEFAULT || code == NDIS_STATUS_PORT_STATE;
    let right = known && object.Revision >= 1 && u32::from(object.Size) <= size;
    verifier::require(190, right, || {
        let (kind, revision, of) = (object.Type, object.Revision, object.Size);
        format!("{call}: status {code:#x} begins with header {kind:#x}, {revision}, {of}")
    });
}

/// Rule 188: a link that is up has speeds within what was declared; one that is down has none.
pub(crate) fn link(call: &str, adapter: &'static Adapter, state: &NDIS_LINK_STATE) {
    let name = &adapter.name;
    let speeds = (state.XmitLinkSpeed, state.RcvLinkSpeed);
    match state.MediaConnectState {
        MediaConnectStateConnected => {
            verifier::require(188, speeds.0 > 0 && speeds.1 > 0, || {
                format!("{call}: {name} connected with speeds {speeds:?}")
            });
        }
        MediaConnectStateDisconnected => {
            let unknown = (NDIS_LINK_SPEED_UNKNOWN, NDIS_LINK_SPEED_UNKNOWN);
            verifier::require(188, speeds == unknown, || {
                format!("{call}: {name} disconnected with speeds {speeds:?}")
            });
            let duplex = state.MediaDuplexState;
            verifier::require(188, duplex == MediaDuplexStateUnknown, || {
                format!("{call}: {name} disconnected with duplex {duplex}")
            });
        }
        _ => {}
    }
    let Some(general) = adapter.state.with(|inner| inner.declared.general) else {
        return;
    };
    let within = |speed, most| speed == NDIS_LINK_SPEED_UNKNOWN || speed <= most;
    let most = (general.MaxXmitLinkSpeed, general.MaxRcvLinkSpeed);
    verifier::require(
        188,
        within(speeds.0, most.0) && within(speeds.1, most.1),
        || format!("{call}: {name} has speeds {speeds:?}, above the declared {most:?}"),
    );
}

/// Two-bit fields of the checksum words of NDIS_OFFLOAD, and its encapsulation words, which are
/// sets of flags: offsets into the structure.
const TWO_BIT_WORDS: [usize; 4] = [8, 16, 24, 32];
const FLAG_WORDS: [usize; 7] = [4, 12, 20, 28, 36, 80, 92];
/// Revisions of NDIS_OFFLOAD.
const NEWEST_OFFLOAD: u8 = 7;

/// Rule 189: an offload configuration is an NDIS_OFFLOAD, and within the hardware's capabilities.
pub(crate) fn offload(call: &str, adapter: &'static Adapter, config: Option<&[u8]>) {
    let name = &adapter.name;
    let head = config.and_then(|config| config.first_chunk::<4>());
    let right = head.is_some_and(|[kind, revision, ..]| {
        *kind == NDIS_OBJECT_TYPE_OFFLOAD && (1..=NEWEST_OFFLOAD).contains(revision)
    });
    if !verifier::require(189, right, || {
        format!("{call}: the configuration of {name} is no NDIS_OFFLOAD: {head:x?}")
    }) {
        return;
    }
    let hardware = adapter
        .state
        .with(|state| state.declared.offload_hardware.clone());
    let (Some(config), Some(hardware)) = (config, hardware) else {
        verifier::breach(189, format!("{call}: {name} declared no offload hardware"));
        return;
    };
    let beyond = beyond(config, &hardware);
    verifier::require(189, beyond.is_none(), || {
        format!("{call}: the configuration of {name} is beyond its hardware at {beyond:?}")
    });
}

/// Where a configuration has what the hardware has not.
fn beyond(config: &[u8], hardware: &[u8]) -> Option<usize> {
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let flags = FLAG_WORDS
        .into_iter()
        .find(|at| word(config, *at) & !word(hardware, *at) != 0);
    let fields = TWO_BIT_WORDS.into_iter().find(|at| {
        let (has, can) = (word(config, *at), word(hardware, *at));
        (0..16).any(|field| (has >> (2 * field)) & 3 != 0 && (can >> (2 * field)) & 3 == 0)
    });
    flags.or(fields)
}
