//! The arithmetic behind [`SendOffloads::plan`].

use virtio_spec::net::{HdrF, HdrGso};

use super::{Plan, Request, Segmentation, SendOffloads, Unsendable};
use crate::header::NetHeader;
use crate::offload::checksum::{Checksum, Pending};
use crate::offload::parse::V6_PAYLOAD_LENGTH_AT;
use crate::offload::parse::{self, Fault, Ip, Lengths, Link, Transport, Unparsed};
use crate::offload::parse::{UDP_LENGTH_AT, V4_CHECKSUM_AT, V4_TOTAL_LENGTH_AT};
use crate::offload::vlan::TAG_LEN;

impl SendOffloads {
    /// How to send a frame of `frame_len` bytes that starts with `head`, as `request` asks.
    ///
    /// `head` holds all headers up to the payload, unless the request is plain; then nothing in the
    /// frame is looked at.
    ///
    /// # Errors
    ///
    /// Says why it cannot be; [`Unparsed::Incomplete`] asks for a longer `head`.
    #[inline]
    pub fn plan(
        &self,
        request: &Request,
        head: &[u8],
        frame_len: usize,
    ) -> Result<Plan, Unsendable> {
        if !request.is_plain() {
            return self.plan_packet(request, head, frame_len);
        }
        if request.tag.is_some() {
            // A tag goes between whole addresses and a type.
            Link::parse(head, frame_len)?;
        }
        Ok(Plan::plain(request.tag))
    }

    fn plan_packet(
        &self,
        request: &Request,
        head: &[u8],
        frame_len: usize,
    ) -> Result<Plan, Unsendable> {
        let lengths = match request.segmentation {
            Some(_) => Lengths::OfFrame,
            None => Lengths::Stated,
        };
        let layers = parse::parse(head, frame_len, lengths)?;
        let ip = layers.ip.ok_or(Unsendable::OtherProtocol)?;
        if let (Some(said), Some(found)) = (request.transport_at, ip.transport.at())
            && said != found
        {
            return Err(Unsendable::TransportPlace { said, found });
        }

        let mut plan = Plan::plain(request.tag);
        plan.payload_len = ip.payload_len().unwrap_or_default();
        if request.segmentation.is_some() {
            set_lengths(&mut plan, &ip)?;
        }
        if request.ipv4_checksum || (request.segmentation.is_some() && ip.is_v4()) {
            // Each segment gets its own from the device. The one here is right for the whole, since
            // a device may pass that on as it is.
            let checksum = ipv4_checksum(&plan, &ip, head)?;
            plan.patch(usize::from(ip.at).saturating_add(V4_CHECKSUM_AT), checksum);
        }
        if let Some(segmentation) = request.segmentation {
            self.segment(&mut plan, segmentation, &ip)?;
        } else {
            let wanted = match ip.transport {
                Transport::Tcp(_) => request.tcp_checksum && !request.udp_checksum,
                Transport::Udp(_) => request.udp_checksum && !request.tcp_checksum,
                Transport::Fragment | Transport::Malformed | Transport::Other { .. } => false,
            };
            if !wanted {
                return match request.tcp_checksum || request.udp_checksum {
                    true => Err(Unsendable::OtherProtocol),
                    false => Ok(plan),
                };
            }
        }
        self.checksum(&mut plan, &ip, frame_len)?;
        Ok(plan)
    }

    /// Tells the device to segment, when there is more than fits into one segment.
    fn segment(
        &self,
        plan: &mut Plan,
        segmentation: Segmentation,
        ip: &Ip,
    ) -> Result<(), Unsendable> {
        let (kind, negotiated) = match (segmentation, ip.transport) {
            (Segmentation::Tcp { .. }, Transport::Tcp(_)) if ip.is_v4() => {
                (HdrGso::Tcpv4, self.tcp_v4)
            }
            (Segmentation::Tcp { .. }, Transport::Tcp(_)) => (HdrGso::Tcpv6, self.tcp_v6),
            (Segmentation::Udp { .. }, Transport::Udp(_)) => (HdrGso::UdpL4, self.udp),
            _ => return Err(Unsendable::OtherProtocol),
        };
        // Without its checksum no frame is segmented (virtio 1.2, 5.1.6.2.1).
        if !(negotiated && self.checksum) {
            return Err(Unsendable::NotNegotiated);
        }
        let size = segmentation.size();
        if size == 0 {
            return Err(Unsendable::SegmentSize(size));
        }
        let payload = u32::try_from(plan.payload_len).map_err(|_| Unsendable::TooLong)?;
        if payload <= size {
            return Ok(());
        }

        let mut gso_type = u8::from(kind);
        if let Transport::Tcp(tcp) = ip.transport
            && tcp.is_congestion_answer()
        {
            // The flag belongs on the first segment alone (RFC 3168, 6.1.2).
            if !self.congestion {
                return Err(Unsendable::CongestionNotNegotiated);
            }
            gso_type |= u8::from(HdrGso::Ecn);
        }
        plan.segments = payload.div_ceil(size);
        plan.header.gso_type = gso_type;
        plan.header.gso_size = size.try_into().map_err(|_| Unsendable::SegmentSize(size))?;
        Ok(())
    }

    /// Leaves the checksum of the transport header to the device, or to [`Plan::complete`].
    fn checksum(&self, plan: &mut Plan, ip: &Ip, frame_len: usize) -> Result<(), Unsendable> {
        let place = ip.transport.checksum_place();
        let payload = ip.transport.payload_at();
        let (Some(place), Some(payload)) = (place, payload) else {
            return Err(Unsendable::OtherProtocol);
        };
        let seed = ip.pseudo_header().ok_or(Unsendable::HiddenAddress)?;
        // The device sums up to the end of the frame (virtio 1.2, 5.1.6.2.1). With something behind
        // the packet that would be too much.
        let to_the_end = ip.transport_end() == Some(frame_len);
        if !(self.checksum && to_the_end) {
            plan.pending = Pending::of_transport(ip);
            return Ok(());
        }
        plan.patch(place.field, seed.sum());
        let tag = plan.tag.map_or(0, |_| TAG_LEN);
        plan.header = NetHeader {
            flags: HdrF::NEEDS_CSUM,
            hdr_len: place_in_header(payload, tag)?,
            csum_start: place_in_header(place.start, tag)?,
            csum_offset: place.offset,
            ..plan.header
        };
        Ok(())
    }
}

fn place_in_header(at: usize, tag: usize) -> Result<u16, Unsendable> {
    let at = at.saturating_add(tag);
    u16::try_from(at).map_err(|_| Unsendable::Unparsed(Unparsed::Malformed(Fault::Extensions)))
}

/// Writes the lengths of the whole packet into its headers: a device derives those of the segments
/// from them, and from a pseudo header that has the same.
fn set_lengths(plan: &mut Plan, ip: &Ip) -> Result<(), Unsendable> {
    let at = usize::from(ip.at);
    let total = ip.end.saturating_sub(at);
    let (field, len) = if ip.is_v4() {
        (V4_TOTAL_LENGTH_AT, total)
    } else {
        (V6_PAYLOAD_LENGTH_AT, total.saturating_sub(40))
    };
    let len = u16::try_from(len).map_err(|_| Unsendable::TooLong)?;
    plan.patch(at.saturating_add(field), len);

    if let Transport::Udp(udp) = ip.transport {
        let at = usize::from(udp.at);
        let len = u16::try_from(udp.end.saturating_sub(at)).map_err(|_| Unsendable::TooLong)?;
        plan.patch(at.saturating_add(UDP_LENGTH_AT), len);
    }
    Ok(())
}

/// The checksum of the IPv4 header in `head`, as it will be with the patches of `plan`.
fn ipv4_checksum(plan: &Plan, ip: &Ip, head: &[u8]) -> Result<u16, Unsendable> {
    let header = ip.v4_header(head).ok_or(Unsendable::OtherProtocol)?;
    let mut sum = Checksum::ZERO;
    sum.add(header);
    // What changes goes out by its complement, and in by its new value.
    let mut replace = |at: usize, new: u16| {
        if let Some(old) = header.get(at..).and_then(|behind| behind.first_chunk()) {
            sum.add_field(!u16::from_be_bytes(*old));
            sum.add_field(new);
        }
    };
    replace(V4_CHECKSUM_AT, 0);
    for patch in plan.patches() {
        replace(patch.at.saturating_sub(usize::from(ip.at)), patch.value);
    }
    Ok(sum.finish())
}
