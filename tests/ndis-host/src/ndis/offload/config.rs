//! Offload OIDs and the configuration that a miniport says it has: rules 277, 281 and 283.

use ndis_sys::{
    NDIS_ENCAPSULATION_IEEE_802_3, NDIS_OFFLOAD, NDIS_OFFLOAD_ENCAPSULATION,
    NDIS_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_SET_ON, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
    NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1, NDIS_STATUS, NDIS_STATUS_SUCCESS,
    OID_GEN_RECEIVE_SCALE_PARAMETERS, OID_OFFLOAD_ENCAPSULATION, OID_TCP_OFFLOAD_PARAMETERS,
    Zeroed,
};

use super::rss;
use crate::ndis::adapter::Adapter;
use crate::ndis::oid::request_ref::{OidKind, OidRequestRef};
use crate::verifier;

/// Shifts of the checksum fields in `Supported`, which have two bits each.
pub(crate) const TCP_SHIFT: u32 = 4;
pub(crate) const UDP_SHIFT: u32 = 6;
pub(crate) const IP_SHIFT: u32 = 8;

/// Reads an NDIS_OFFLOAD of any revision; what a revision lacks is zero.
pub(crate) fn parse(bytes: &[u8]) -> Option<NDIS_OFFLOAD> {
    if bytes.len() < usize::from(NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1) {
        return None;
    }
    let mut value = NDIS_OFFLOAD::zeroed();
    let length = bytes.len().min(size_of::<NDIS_OFFLOAD>());
    // SAFETY: the record is plain data, and as long as what is copied.
    unsafe {
        (&raw mut value)
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), length);
    }
    Some(value)
}

/// What an adapter says that it does now.
pub(crate) fn current(adapter: &'static Adapter) -> Option<NDIS_OFFLOAD> {
    let bytes = adapter
        .state
        .with(|state| state.declared.offload_default.clone());
    parse(&bytes?)
}

/// Whether the field at `shift` of a `Supported` word is on.
pub(crate) fn has(supported: u32, shift: u32) -> bool {
    supported >> shift & 3 != 0
}

/// Rule 277: large sends need checksums.
pub(crate) fn judge(call: &str, adapter: &'static Adapter, bytes: &[u8]) {
    let Some(offload) = parse(bytes) else {
        return;
    };
    let (checksum, large) = (offload.Checksum, offload.LsoV2);
    let v4 = checksum.IPv4Transmit;
    let v4 = v4.Encapsulation != 0 && has(v4.Supported, TCP_SHIFT) && has(v4.Supported, IP_SHIFT);
    verifier::require(277, large.IPv4.Encapsulation == 0 || v4, || {
        format!(
            "{call} by {}: LSOv2 over IPv4 without its checksums",
            adapter.name
        )
    });
    let v6 = checksum.IPv6Transmit;
    let v6 = v6.Encapsulation != 0 && has(v6.Supported, TCP_SHIFT);
    verifier::require(277, large.IPv6.Encapsulation == 0 || v6, || {
        format!(
            "{call} by {}: LSOv2 over IPv6 without its checksum",
            adapter.name
        )
    });
    for encapsulation in [large.IPv4.Encapsulation, large.IPv6.Encapsulation] {
        let usual = encapsulation == 0 || encapsulation & NDIS_ENCAPSULATION_IEEE_802_3 != 0;
        verifier::require(277, usual, || {
            format!("{call} by {}: LSOv2 without 802.3 frames", adapter.name)
        });
    }
}

/// Follows a request that the miniport has answered.
pub(crate) fn observe(
    adapter: &'static Adapter,
    request: OidRequestRef,
    before: Option<NDIS_OFFLOAD>,
    status: NDIS_STATUS,
) {
    if request.kind() != OidKind::Set && request.oid() != OID_GEN_RECEIVE_SCALE_PARAMETERS {
        return;
    }
    let done = status == NDIS_STATUS_SUCCESS;
    match request.oid() {
        OID_OFFLOAD_ENCAPSULATION if done => {
            if let Some(enabled) = encapsulation(request.input()) {
                adapter
                    .state
                    .with(|state| state.offload.encapsulated = enabled);
            }
        }
        OID_TCP_OFFLOAD_PARAMETERS if done => {
            if let (Some(before), Some(now)) = (before, current(adapter)) {
                judge_parameters(adapter, request.input(), &before, &now);
            }
        }
        OID_GEN_RECEIVE_SCALE_PARAMETERS => {
            rss::observe(adapter, request.input(), done);
        }
        _ => {}
    }
}

fn encapsulation(input: &[u8]) -> Option<[bool; 2]> {
    let value: NDIS_OFFLOAD_ENCAPSULATION = read(input, size_of::<NDIS_OFFLOAD_ENCAPSULATION>())?;
    Some([value.IPv4, value.IPv6].map(|setting| {
        setting.Enabled == NDIS_OFFLOAD_SET_ON
            && setting.EncapsulationType & NDIS_ENCAPSULATION_IEEE_802_3 != 0
    }))
}

/// A record of which at least `least` bytes are there.
fn read<T: Zeroed>(input: &[u8], least: usize) -> Option<T> {
    if input.len() < least {
        return None;
    }
    let mut value = T::zeroed();
    let length = input.len().min(size_of::<T>());
    // SAFETY: records that may be zeroed are plain data; the length fits both.
    unsafe {
        (&raw mut value)
            .cast::<u8>()
            .copy_from_nonoverlapping(input.as_ptr(), length);
    }
    Some(value)
}

/// Rule 281: what was switched is switched, and nothing else.
fn judge_parameters(
    adapter: &'static Adapter,
    input: &[u8],
    before: &NDIS_OFFLOAD,
    now: &NDIS_OFFLOAD,
) {
    let least = usize::from(NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1);
    let Some(asked) = read::<NDIS_OFFLOAD_PARAMETERS>(input, least) else {
        return;
    };
    let (old, new) = (&before.Checksum, &now.Checksum);
    let v4 = |shift: u32| {
        let of = |c: &ndis_sys::NDIS_TCP_IP_CHECKSUM_OFFLOAD| {
            let is = |x: ndis_sys::NDIS_CHECKSUM_OFFLOAD_IPV4| {
                x.Encapsulation != 0 && has(x.Supported, shift)
            };
            (is(c.IPv4Transmit), is(c.IPv4Receive))
        };
        (of(old), of(new))
    };
    let checksums = [
        ("IPv4Checksum", asked.IPv4Checksum, v4(IP_SHIFT)),
        ("TCPIPv4Checksum", asked.TCPIPv4Checksum, v4(TCP_SHIFT)),
        ("UDPIPv4Checksum", asked.UDPIPv4Checksum, v4(UDP_SHIFT)),
    ];
    for (name, value, (old, new)) in checksums {
        let wanted = match value {
            1 => (false, false),
            2 => (true, false),
            3 => (false, true),
            4 => (true, true),
            _ => old,
        };
        verifier::require(281, new == wanted, || {
            format!(
                "{}: {name} was set to {value}, now (tx, rx) is {new:?}",
                adapter.name
            )
        });
    }
    let large = [
        (
            "LsoV2IPv4",
            asked.LsoV2IPv4,
            before.LsoV2.IPv4.Encapsulation != 0,
            now.LsoV2.IPv4.Encapsulation != 0,
        ),
        (
            "LsoV2IPv6",
            asked.LsoV2IPv6,
            before.LsoV2.IPv6.Encapsulation != 0,
            now.LsoV2.IPv6.Encapsulation != 0,
        ),
    ];
    for (name, value, old, new) in large {
        let wanted = match value {
            1 => false,
            2 => true,
            _ => old,
        };
        verifier::require(281, new == wanted, || {
            format!(
                "{}: {name} was set to {value}, now it is {new}",
                adapter.name
            )
        });
    }
}
