//! Sends that ask for offloads, and what becomes of them: rules 274 to 279.

use ndis_sys::{
    NDIS_OFFLOAD, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo,
};

use super::config::{self, IP_SHIFT, TCP_SHIFT, UDP_SHIFT};
use super::segment;
use crate::ndis::adapter::Adapter;
use crate::ndis::nbl::raw;
use crate::ndis::packet::Headers;
use crate::verifier;

/// Slot of UDP segmentation, since NDIS 6.83.
const USO_SLOT: usize = 22;
/// Least length of an Ethernet frame without its check sequence.
const LEAST_FRAME: usize = 60;

/// What a send asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Slot 0.
    pub(crate) checksum: u32,
    /// Slot 2.
    pub(crate) large: u32,
    /// Slot 22.
    pub(crate) udp: u32,
    /// Slot 4.
    pub(crate) tag: u32,
}

impl Wishes {
    /// # Safety
    ///
    /// `nbl` is in the shadow table.
    pub(crate) unsafe fn of(nbl: *mut NET_BUFFER_LIST) -> Self {
        // SAFETY: the caller's contract.
        let slots = unsafe { (*nbl).NetBufferListInfo };
        let slot = |index: usize| slots[index].addr() as u32;
        Self {
            checksum: slot(TcpIpChecksumNetBufferListInfo as usize),
            large: slot(TcpLargeSendNetBufferListInfo as usize),
            udp: slot(USO_SLOT),
            tag: slot(ndis_sys::Ieee8021QNetBufferListInfo as usize),
        }
    }

    /// Bit 30 of slot 2.
    fn is_v2(self) -> bool {
        self.large >> 30 & 1 != 0
    }

    /// MSS of a large send.
    fn segment_size(self) -> usize {
        let slot = if self.large != 0 {
            self.large
        } else {
            self.udp
        };
        (slot & 0xf_ffff) as usize
    }
}

/// What keeps an adapter from sending this: the rule that it would breach, and why.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn obstacle(
    now: &NDIS_OFFLOAD,
    wishes: Wishes,
    nbl: *mut NET_BUFFER_LIST,
) -> Option<(u16, &'static str)> {
    // SAFETY: the caller's contract.
    let net_buffers = unsafe { raw::net_buffers(nbl) };
    // SAFETY: as above.
    let frame = unsafe { raw::read(net_buffers[0], usize::MAX) };
    let headers = Headers::of(&frame)?;
    if wishes.udp != 0 && wishes.large == 0 {
        // NDIS_OFFLOAD of the tables ends with revision 5, which knows no USO.
        return Some((278, "it does not segment UDP"));
    }
    if wishes.large != 0 {
        return obstacle_to_large(now, wishes, &frame, &headers, net_buffers.len());
    }
    let supported = match headers.version {
        4 => (now.Checksum.IPv4Transmit.Encapsulation != 0)
            .then_some(now.Checksum.IPv4Transmit.Supported),
        6 => (now.Checksum.IPv6Transmit.Encapsulation != 0)
            .then_some(now.Checksum.IPv6Transmit.Supported),
        _ => None,
    };
    let can = |shift| supported.is_some_and(|supported| config::has(supported, shift));
    let asks = |bit: u32| wishes.checksum >> bit & 1 != 0;
    let missing =
        asks(2) && !can(TCP_SHIFT) || asks(3) && !can(UDP_SHIFT) || asks(4) && !can(IP_SHIFT);
    missing.then_some((279, "it does not compute that checksum"))
}

fn obstacle_to_large(
    now: &NDIS_OFFLOAD,
    wishes: Wishes,
    frame: &[u8],
    headers: &Headers,
    net_buffers: usize,
) -> Option<(u16, &'static str)> {
    let (on, most, least) = match headers.version {
        6 => {
            let v6 = now.LsoV2.IPv6;
            (v6.Encapsulation != 0, v6.MaxOffLoadSize, v6.MinSegmentCount)
        }
        _ if wishes.is_v2() => {
            let v4 = now.LsoV2.IPv4;
            (v4.Encapsulation != 0, v4.MaxOffLoadSize, v4.MinSegmentCount)
        }
        _ => {
            let v4 = now.LsoV1.IPv4;
            (v4.Encapsulation != 0, v4.MaxOffLoadSize, v4.MinSegmentCount)
        }
    };
    if !on {
        return Some((275, "large sends are off"));
    }
    let Some(transport) = headers.transport.clone() else {
        return Some((274, "it is no TCP segment"));
    };
    let payload = frame.len().saturating_sub(transport.end);
    let size = wishes.segment_size();
    if net_buffers != 1 {
        return Some((274, "it has several NET_BUFFERs"));
    }
    if payload > most as usize {
        return Some((274, "it is longer than MaxOffLoadSize"));
    }
    if size == 0 || payload.div_ceil(size.max(1)) < least as usize {
        return Some((274, "it has too few segments"));
    }
    None
}

/// Judges an NBL that a miniport completes.
///
/// # Safety
///
/// `nbl` is in the shadow table; its slots are as the sender set them, slot 2 apart.
pub(crate) unsafe fn check_completed(
    call: &str,
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    sent: Wishes,
) {
    // SAFETY: the caller's contract.
    let (status, now) = unsafe { ((*nbl).Status, Wishes::of(nbl)) };
    if sent.large == 0 {
        verifier::require(102, now.large == 0, || {
            format!(
                "{call}: NBL {nbl:p} comes back with a large-send slot {:#x}",
                now.large
            )
        });
    }
    let asks = sent.large != 0 || sent.udp != 0 || sent.checksum & 0x1c != 0;
    if status != NDIS_STATUS_SUCCESS || !asks {
        return;
    }
    let config = config::current(adapter).unwrap_or_else(ndis_sys::zeroed);
    // SAFETY: as above.
    let obstacle = unsafe { obstacle(&config, sent, nbl) };
    if let Some((rule, why)) = obstacle.filter(|(rule, _)| *rule != 275) {
        verifier::breach(
            rule,
            format!(
                "{call} by {}: NBL {nbl:p} is completed as sent, but {why}",
                adapter.name
            ),
        );
    }
    if sent.large != 0 && obstacle.is_none() {
        // SAFETY: as above.
        let payload = unsafe { payload(nbl) };
        let wanted = if sent.is_v2() {
            1 << 30
        } else {
            payload as u32
        };
        verifier::require(276, now.large == wanted, || {
            format!(
                "{call} by {}: the large-send slot of NBL {nbl:p} is {:#x}, not {wanted:#x}",
                adapter.name, now.large
            )
        });
    }
}

/// Bytes behind the TCP header.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn payload(nbl: *mut NET_BUFFER_LIST) -> usize {
    // SAFETY: the caller's contract.
    let frame = unsafe { raw::read(raw::net_buffers(nbl)[0], usize::MAX) };
    let end = Headers::of(&frame).and_then(|headers| headers.transport);
    end.map_or(0, |transport| frame.len().saturating_sub(transport.end))
}

/// The frames that a correct adapter puts on the wire for an NBL: none for what it must not send.
///
/// # Safety
///
/// `nbl` is in the shadow table.
unsafe fn on_the_wire(adapter: &'static Adapter, nbl: *mut NET_BUFFER_LIST) -> Vec<Vec<u8>> {
    let config = config::current(adapter).unwrap_or_else(ndis_sys::zeroed);
    // SAFETY: the caller's contract.
    let (wishes, net_buffers) = unsafe { (Wishes::of(nbl), raw::net_buffers(nbl)) };
    // SAFETY: as above.
    if unsafe { obstacle(&config, wishes, nbl) }.is_some() {
        return Vec::new();
    }
    let mut frames = Vec::new();
    for nb in net_buffers {
        // SAFETY: as above.
        let frame = unsafe { raw::read(nb, usize::MAX) };
        if wishes.large != 0 {
            frames.extend(segment::tcp(&frame, wishes.segment_size()));
        } else {
            frames.push(segment::with_checksums(frame, wishes.checksum));
        }
    }
    for frame in &mut frames {
        segment::insert_tag(frame, wishes.tag);
        if frame.len() < LEAST_FRAME {
            frame.resize(LEAST_FRAME, 0);
        }
    }
    frames
}

/// Compares the frames that left an adapter for an NBL with those that should have: rules 123,
/// 125, 275, 276 and 279.
///
/// # Safety
///
/// `nbl` is in the shadow table, and being sent.
pub(crate) unsafe fn check_wire(
    adapter: &'static Adapter,
    nbl: *mut NET_BUFFER_LIST,
    left: &[Vec<u8>],
) {
    // SAFETY: the caller's contract.
    let (wishes, wanted) = unsafe { (Wishes::of(nbl), on_the_wire(adapter, nbl)) };
    if left == wanted {
        return;
    }
    let short = left.iter().any(|frame| frame.len() < LEAST_FRAME);
    // SAFETY: as above.
    let lengths = unsafe { raw::net_buffers(nbl) }
        .into_iter()
        .map(|nb| unsafe { (*nb).DataLength as usize });
    let padded = lengths.zip(left.iter().zip(&wanted));
    let stale = left.len() == wanted.len()
        && padded
            .into_iter()
            .all(|(end, (left, wanted))| end < LEAST_FRAME && left.get(..end) == wanted.get(..end));
    let rule = match wishes {
        Wishes { large: 1.., .. } if wanted.is_empty() => 275,
        Wishes { large: 1.., .. } => 276,
        Wishes { tag: 1.., .. } => 125,
        _ if short || stale => 123,
        _ => 279,
    };
    verifier::breach(
        rule,
        format!(
            "{} sends {} frames for NBL {nbl:p}, which are not the {} that it should",
            adapter.name,
            left.len(),
            wanted.len()
        ),
    );
}
