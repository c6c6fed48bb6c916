//! The judgement itself: a header of the device's against the frame behind it.

use virtio_spec::net::HdrF;

use super::coalesced::Claim;
use super::{ReceiveOffloads, Received, State, Useless, ipv4_header, without_checksum};
use crate::header::NetHeader;
use crate::offload::checksum::{Checksum, Pending};
use crate::offload::parse::{self, Ip, Layers, Lengths, Link, Transport, Unparsed};

impl ReceiveOffloads {
    /// Judges a frame of `frame_len` bytes that starts with `head` and came with `header`.
    ///
    /// # Errors
    ///
    /// The frame is useless, and its buffers go back to the device; except for
    /// [`Useless::Incomplete`], which asks for a longer `head`.
    #[inline]
    pub fn judge(
        &self,
        header: &NetHeader,
        head: &[u8],
        frame_len: usize,
    ) -> Result<Received, Useless> {
        let claim = Claim::of(header, self)?;
        let layers = layers(head, frame_len)?;
        let ip = layers.as_ref().and_then(|layers| layers.ip.as_ref());
        let coalesced = match &claim {
            Some(claim) => claim.check(header, self, ip)?,
            None => None,
        };

        let mut received = Received {
            layers,
            ipv4_header: ip.map_or(State::Unknown, |ip| ipv4_header(ip, head)),
            transport: State::Unknown,
            pending: None,
            coalesced,
            ignored: self.ignores(header, claim.as_ref()),
        };
        if let (Some(Claim { counted: true, .. }), Some(ip)) = (&claim, ip) {
            // Who puts segments together has checked them, and has written a new length or a new
            // acknowledgement without new checksums.
            if received.ipv4_header == State::Bad {
                received.ipv4_header = State::Stale;
            }
            received.transport = State::Stale;
            received.pending = Pending::of_transport(ip);
        } else if self.checksum && header.flags.contains(HdrF::NEEDS_CSUM) {
            let (state, pending) = partial(header, ip, frame_len)?;
            received.transport = state;
            received.pending = Some(pending);
        } else if let Some(ip) = ip {
            received.transport = self.word_of(header, ip);
        }
        Ok(received)
    }

    /// The state of a checksum that is in the frame.
    fn word_of(&self, header: &NetHeader, ip: &Ip) -> State {
        if let Some(state) = without_checksum(ip) {
            return state;
        }
        match ip.transport {
            Transport::Tcp(_) | Transport::Udp(_)
                if self.checksum && header.flags.contains(HdrF::DATA_VALID) =>
            {
                State::Good
            }
            _ => State::Unknown,
        }
    }

    /// Whether `header` has something that the driver did not ask for.
    ///
    /// Not `DATA_VALID`: hosts set it whether or not it was negotiated, and nothing depends on it.
    fn ignores(&self, header: &NetHeader, claim: Option<&Claim>) -> bool {
        let counts = claim.is_some_and(|claim| claim.counted);
        let congestion = claim.is_some_and(Claim::has_congestion);
        (header.flags.contains(HdrF::NEEDS_CSUM) && !self.checksum)
            || (header.flags.contains(HdrF::RSC_INFO) && !counts)
            || (congestion && !self.congestion)
    }
}

fn layers(head: &[u8], frame_len: usize) -> Result<Option<Layers>, Useless> {
    match parse::parse(head, frame_len, Lengths::Stated) {
        Ok(layers) => Ok(Some(layers)),
        Err(Unparsed::Incomplete { needed }) => Err(Useless::Incomplete { needed }),
        // Whole frames with a damaged inside are for somebody to see.
        Err(Unparsed::Malformed(_)) => match Link::parse(head, frame_len) {
            Ok(_) => Ok(None),
            Err(Unparsed::Incomplete { needed }) => Err(Useless::Incomplete { needed }),
            Err(Unparsed::Malformed(_)) => Err(Useless::Runt),
        },
    }
}

/// A frame whose checksum is not in it yet: that of the pseudo header is in its place
/// (virtio 1.2, 5.1.6.4).
fn partial(
    header: &NetHeader,
    ip: Option<&Ip>,
    frame_len: usize,
) -> Result<(State, Pending), Useless> {
    let start = usize::from(header.csum_start);
    let field = start.saturating_add(usize::from(header.csum_offset));
    let own = ip.and_then(|ip| Some((ip.transport.checksum_place()?, ip.transport_end()?)));
    let (state, end, never_zero) = match (own, ip) {
        (Some((place, end)), Some(ip)) if (place.start, place.field) == (start, field) => {
            (State::Stale, end, matches!(ip.transport, Transport::Udp(_)))
        }
        // Of something inside: a tunnel, or a protocol that is not known here.
        (_, Some(ip)) => (State::Unknown, ip.end, false),
        (_, None) => (State::Unknown, frame_len, false),
    };
    // The sum covers its field, and neither starts in the addresses nor reaches over the end.
    if start < parse::MIN_HEADER_LEN || field.saturating_add(2) > end {
        return Err(Useless::ChecksumPlace {
            start: header.csum_start,
            offset: header.csum_offset,
        });
    }
    let pending = Pending {
        start,
        end,
        field,
        seed: Checksum::ZERO,
        never_zero,
    };
    Ok((state, pending))
}
