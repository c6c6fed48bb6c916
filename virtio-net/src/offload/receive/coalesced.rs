//! Frames that the device, or the host behind it, has put together from several.

use virtio_spec::net::{HdrF, HdrGso};

use super::{ReceiveOffloads, Useless};
use crate::header::NetHeader;
use crate::offload::parse::{Ip, Transport};

/// What a frame was put together from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Coalesced {
    /// From what.
    pub kind: Kind,
    /// From how many; at least 1.
    pub segments: u16,
    /// How many acknowledgements that said the same are in it.
    pub duplicate_acks: u16,
    /// Payload bytes of each but the last, which may be shorter; 0 when there is no payload.
    pub segment_size: u16,
}

/// The kinds of parts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// TCP segments.
    Tcp,
    /// UDP datagrams.
    Udp,
}

/// What the device says that a frame is made of.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    gso_type: u8,
    kind: HdrGso,
    /// `csum_start` and `csum_offset` count segments and acknowledgements.
    pub(super) counted: bool,
}

impl Claim {
    /// What `header` claims; `None` when the frame is one as it was sent.
    pub(super) fn of(
        header: &NetHeader,
        offloads: &ReceiveOffloads,
    ) -> Result<Option<Self>, Useless> {
        let gso_type = header.gso_type;
        let not_negotiated = Useless::NotNegotiated { gso_type };
        let kind = HdrGso::try_from(gso_type & !u8::from(HdrGso::Ecn));
        let kind = kind.map_err(|_| not_negotiated)?;
        let negotiated = match kind {
            HdrGso::None if gso_type == 0 => return Ok(None),
            HdrGso::Tcpv4 => offloads.tcp_v4,
            HdrGso::Tcpv6 => offloads.tcp_v6,
            HdrGso::Udp => offloads.udp_fragments,
            HdrGso::UdpL4 => offloads.udp_v4 || offloads.udp_v6,
            // Tunnels, and an ECN bit of nothing.
            _ => false,
        };
        if !negotiated {
            return Err(not_negotiated);
        }
        let is_tcp = matches!(kind, HdrGso::Tcpv4 | HdrGso::Tcpv6);
        Ok(Some(Self {
            gso_type,
            kind,
            counted: is_tcp && offloads.counts && header.flags.contains(HdrF::RSC_INFO),
        }))
    }

    /// Whether the claim has the ECN bit.
    pub(super) fn has_congestion(&self) -> bool {
        self.gso_type & u8::from(HdrGso::Ecn) != 0
    }

    /// Compares the claim with the frame.
    ///
    /// `None`: there is but one part in it, or the parts were fragments and are one datagram again.
    pub(super) fn check(
        &self,
        header: &NetHeader,
        offloads: &ReceiveOffloads,
        ip: Option<&Ip>,
    ) -> Result<Option<Coalesced>, Useless> {
        let contradiction = Useless::Contradiction {
            gso_type: self.gso_type,
        };
        let ip = ip.ok_or(contradiction)?;
        let payload = ip.payload_len().ok_or(contradiction)?;
        let kind = match (self.kind, ip.transport) {
            (HdrGso::Tcpv4, Transport::Tcp(_)) if ip.is_v4() => Kind::Tcp,
            (HdrGso::Tcpv6, Transport::Tcp(_)) if !ip.is_v4() => Kind::Tcp,
            (HdrGso::UdpL4, Transport::Udp(_)) if ip.is_v4() && offloads.udp_v4 => Kind::Udp,
            (HdrGso::UdpL4, Transport::Udp(_)) if !ip.is_v4() && offloads.udp_v6 => Kind::Udp,
            (HdrGso::Udp, Transport::Udp(_)) if !self.has_congestion() => return Ok(None),
            _ => return Err(contradiction),
        };
        if kind == Kind::Udp && self.has_congestion() {
            return Err(contradiction);
        }
        if self.counted {
            return Ok(Some(counted(header, payload)));
        }
        match usize::from(header.gso_size) {
            0 => Err(Useless::NoSegmentSize),
            size if payload <= size => Ok(None),
            size => Ok(Some(Coalesced {
                kind,
                segments: saturated(payload.div_ceil(size)),
                duplicate_acks: 0,
                segment_size: header.gso_size,
            })),
        }
    }
}

/// With `VIRTIO_NET_F_RSC_EXT`. The size of segments is often not said then; it is estimated.
fn counted(header: &NetHeader, payload: usize) -> Coalesced {
    let duplicate_acks = header.csum_offset;
    let said = usize::from(header.csum_start);
    let size = usize::from(header.gso_size);
    // Each segment has payload, or is an acknowledgement.
    let at_most = payload.saturating_add(usize::from(duplicate_acks)).max(1);
    let segments = match (1..=at_most).contains(&said) {
        true => said,
        false => payload.div_ceil(size.max(1)).max(1),
    };
    let size = match size {
        0 => payload.div_ceil(segments),
        size => size.min(payload),
    };
    Coalesced {
        kind: Kind::Tcp,
        segments: saturated(segments),
        duplicate_acks,
        segment_size: saturated(size),
    }
}

fn saturated(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}
