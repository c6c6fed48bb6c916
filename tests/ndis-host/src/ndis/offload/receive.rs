//! What a received frame says of its checksums and of coalescing: rules 280 and 282.

use ndis_sys::{NET_BUFFER_LIST, TcpIpChecksumNetBufferListInfo, TcpRecvSegCoalesceInfo};

use super::config;
use crate::ndis::adapter::Adapter;
use crate::ndis::nbl::raw;
use crate::ndis::packet::{self, Headers, TCP, UDP};
use crate::verifier;

/// Bits of the slot: failed and succeeded, of TCP, UDP and IP.
const TCP_BITS: (u32, u32) = (1, 8);
const UDP_BITS: (u32, u32) = (2, 16);
const IP_BITS: (u32, u32) = (4, 32);
/// All of them.
const RESULTS: u32 = 63;

/// Checks the slots of a frame that is indicated.
///
/// # Safety
///
/// `nbl` is in the shadow table and has one NET_BUFFER.
pub(crate) unsafe fn check(name: &str, adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let slots = unsafe { (*nbl).NetBufferListInfo };
    let results = slots[TcpIpChecksumNetBufferListInfo as usize].addr() as u32 & RESULTS;
    let coalesced = slots[TcpRecvSegCoalesceInfo as usize].addr();
    if coalesced != 0 {
        let offered =
            config::current(adapter).is_some_and(|now| now.Rsc.IPv4 != 0 || now.Rsc.IPv6 != 0);
        verifier::require(282, offered, || {
            format!(
                "{name} by {}: coalesced segments, and nobody enabled that",
                adapter.name
            )
        });
    }
    if results == 0 {
        return;
    }
    // SAFETY: as above.
    let frame = unsafe { raw::read(raw::net_buffers(nbl)[0], usize::MAX) };
    let Some(headers) = Headers::of(&frame) else {
        return;
    };
    check_enabled(name, adapter, &headers);
    if coalesced == 0 {
        check_results(name, adapter, &frame, &headers, results);
    }
}

fn check_enabled(name: &str, adapter: &'static Adapter, headers: &Headers) {
    let on = config::current(adapter).is_some_and(|now| {
        let checksum = now.Checksum;
        match headers.version {
            4 => checksum.IPv4Receive.Encapsulation != 0,
            6 => checksum.IPv6Receive.Encapsulation != 0,
            _ => false,
        }
    });
    let index = usize::from(headers.version == 6);
    let encapsulated = adapter
        .state
        .with(|state| state.offload.encapsulated[index]);
    verifier::require(280, on && encapsulated, || {
        format!(
            "{name} by {}: checksum results of IPv{}, and that offload is off",
            adapter.name, headers.version
        )
    });
}

fn check_results(
    name: &str,
    adapter: &'static Adapter,
    frame: &[u8],
    headers: &Headers,
    results: u32,
) {
    let stored = |at: usize| {
        frame
            .get(at..at + 2)
            .map(|b| u16::from_be_bytes([b[0], b[1]]))
    };
    let ip_right = headers.ip.as_ref().and_then(|ip| {
        let computed = packet::ip_checksum(frame, headers)?;
        Some(stored(ip.start + 10)? == computed)
    });
    let transport_right = headers.transport.as_ref().and_then(|transport| {
        let at = transport.start + packet::checksum_offset(headers.protocol)?;
        Some(stored(at)? == packet::transport_checksum(frame, headers)?)
    });
    let of = |protocol| transport_right.filter(|_| headers.protocol == protocol);
    for (what, (failed, succeeded), right) in [
        ("TCP", TCP_BITS, of(TCP)),
        ("UDP", UDP_BITS, of(UDP)),
        ("IP", IP_BITS, ip_right),
    ] {
        let said = (results & failed != 0, results & succeeded != 0);
        let true_enough = match said {
            (false, false) => true,
            (failed, succeeded) => right == Some(succeeded) && failed != succeeded,
        };
        verifier::require(280, true_enough, || {
            format!(
                "{name} by {}: {what} checksum (failed, succeeded) is {said:?}, right is {right:?}",
                adapter.name
            )
        });
    }
}
