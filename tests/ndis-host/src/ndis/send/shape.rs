//! What the frames of an NBL that is sent look like: rules 122 and 124.

use ndis_sys::{Ieee8021QNetBufferListInfo, NET_BUFFER_LIST, TcpLargeSendNetBufferListInfo};

use crate::ndis::adapter::Adapter;
use crate::ndis::adapter::declared::ETHERNET_HEADER;
use crate::ndis::nbl::raw;
use crate::ndis::packet::Flow;
use crate::verifier;

/// The slot that asks for UDP segmentation on send, since NDIS 6.83.
const UDP_SEGMENTATION: usize = 22;
/// Bytes of an 802.1Q tag.
const TAG: u32 = 4;
/// Longest headers that decide about a flow: Ethernet with a tag, IPv6, ports.
const HEADERS: usize = 14 + 4 + 60 + 4;

/// Rule 122: what the one who makes an NBL owes to the one who sends it.
///
/// # Safety
///
/// `nbl` is in the shadow table.
pub(super) unsafe fn check(call: &str, nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the caller's contract.
    let net_buffers = unsafe { raw::net_buffers(nbl) };
    for nb in &net_buffers {
        // SAFETY: as above.
        let value = unsafe { **nb };
        if value.CurrentMdl.is_null() {
            continue;
        }
        // SAFETY: as above; the data description was checked.
        let first = unsafe { (*value.CurrentMdl).ByteCount } - value.CurrentMdlOffset;
        let needed = ETHERNET_HEADER.min(value.DataLength);
        verifier::require(122, first >= needed, || {
            format!("{call}: the Ethernet header of NBL {nbl:p} is cut after {first} bytes")
        });
    }
    if net_buffers.len() < 2 {
        return;
    }
    // SAFETY: as above.
    let flows: Vec<_> = net_buffers
        .iter()
        .map(|nb| Flow::of(&unsafe { raw::read(*nb, HEADERS) }))
        .collect();
    verifier::require(122, flows.windows(2).all(|pair| pair[0] == pair[1]), || {
        format!("{call}: NBL {nbl:p} has frames of several connections: {flows:02x?}")
    });
}

/// The length of a frame that is longer than the adapter may send, if there is one (rule 124).
///
/// # Safety
///
/// `nbl` is in the shadow table.
pub(super) unsafe fn too_long(adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) -> Option<u32> {
    // SAFETY: the caller's contract.
    let (slots, net_buffers) = unsafe { ((*nbl).NetBufferListInfo, raw::net_buffers(nbl)) };
    let segmented = [TcpLargeSendNetBufferListInfo as usize, UDP_SEGMENTATION];
    if segmented.iter().any(|slot| !slots[*slot].is_null()) {
        return None;
    }
    let general = adapter.state.with(|state| state.declared.general)?;
    // A tag in the frame, or one that the miniport inserts, does not count.
    let tagged = slots[Ieee8021QNetBufferListInfo as usize].is_null();
    let most = general.MtuSize + ETHERNET_HEADER + if tagged { TAG } else { 0 };
    // SAFETY: as above.
    let lengths = net_buffers.iter().map(|nb| unsafe { (**nb).DataLength });
    lengths.filter(|length| *length > most).max()
}
