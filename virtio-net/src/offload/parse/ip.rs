//! IP headers, version 4 (RFC 791) and 6 (RFC 8200).

use super::extensions::{self, Extensions};
use super::transport::{self, Transport};
use super::{Fault, Lengths, Unparsed, View, offset};
use crate::offload::checksum::Checksum;

const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
/// "More fragments" and the fragment offset.
const V4_FRAGMENT: u16 = 0x3fff;

/// Where the header checksum of an IPv4 header lies, in bytes from its start.
pub(crate) const V4_CHECKSUM_AT: usize = 10;
/// Where the total length of an IPv4 header lies.
pub(crate) const V4_TOTAL_LENGTH_AT: usize = 2;
/// Where the payload length of an IPv6 header lies.
pub(crate) const V6_PAYLOAD_LENGTH_AT: usize = 4;

/// An IP packet in a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ip {
    /// Where the IP header starts, in bytes from the start of the frame.
    pub at: u16,
    /// Bytes of the IP header, with options or extension headers.
    pub header_len: u16,
    /// Where the packet ends, in bytes from the start of the frame; padding may follow.
    pub end: usize,
    /// From where to where.
    pub addresses: Addresses,
    /// What extension headers say; of IPv4 nothing.
    pub extensions: Extensions,
    /// What the packet carries.
    pub transport: Transport,
}

/// The addresses of an IP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Addresses {
    /// Of IPv4.
    V4 {
        /// Source.
        source: [u8; 4],
        /// Destination.
        destination: [u8; 4],
    },
    /// Of IPv6.
    V6 {
        /// Source.
        source: [u8; 16],
        /// Destination: the next one on the way, when there is a routing header.
        destination: [u8; 16],
    },
}

impl Ip {
    /// Whether the packet is of version 4.
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        matches!(self.addresses, Addresses::V4 { .. })
    }

    /// Bytes of the IPv4 header without anything in front or behind, from the frame's `head`.
    pub(crate) fn v4_header<'a>(&self, head: &'a [u8]) -> Option<&'a [u8]> {
        if !self.is_v4() {
            return None;
        }
        head.get(usize::from(self.at)..)?
            .get(..usize::from(self.header_len))
    }

    /// Where TCP segment or UDP datagram end, in bytes from the start of the frame.
    #[must_use]
    pub fn transport_end(&self) -> Option<usize> {
        match self.transport {
            Transport::Tcp(_) => Some(self.end),
            Transport::Udp(udp) => Some(udp.end),
            Transport::Fragment | Transport::Malformed | Transport::Other { .. } => None,
        }
    }

    /// Payload bytes of the TCP segment or UDP datagram.
    #[must_use]
    pub fn payload_len(&self) -> Option<usize> {
        let start = self.transport.payload_at()?;
        self.transport_end()?.checked_sub(start)
    }

    /// The sum of the pseudo header of a TCP segment or UDP datagram, with its true length.
    ///
    /// `None` when there is neither, or when a routing header hides where the packet goes in the
    /// end. With a home address (RFC 6275, 11.3.1) or a routing header (RFC 8200, 8.1) the addresses
    /// are not those of the IP header.
    #[must_use]
    pub fn pseudo_header(&self) -> Option<Checksum> {
        let place = self.transport.checksum_place()?;
        let len = self.transport_end()?.checked_sub(place.start)?;
        let len = u32::try_from(len).ok()?;
        if self.extensions.hidden_addresses {
            return None;
        }

        let mut sum = Checksum::ZERO;
        match &self.addresses {
            Addresses::V4 {
                source,
                destination,
            } => {
                sum.add(source);
                sum.add(destination);
            }
            Addresses::V6 {
                source,
                destination,
            } => {
                let extensions = &self.extensions;
                sum.add(extensions.home_address.as_ref().unwrap_or(source));
                sum.add(extensions.final_destination.as_ref().unwrap_or(destination));
            }
        }
        // The 16 bits of version 4 sum like the 32 bits of version 6 whose upper half is zero.
        sum.add(&len.to_be_bytes());
        sum.add_field(u16::from(place.protocol));
        Some(sum)
    }
}

#[inline]
pub(super) fn read_v4(view: View<'_>, link_len: u16, lengths: Lengths) -> Result<Ip, Unparsed> {
    let at = usize::from(link_len);
    let base: &[u8; V4_LEN] = view.array(at)?;
    let [
        version,
        _,
        total_0,
        total_1,
        _,
        _,
        fragment_0,
        fragment_1,
        _,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = *base;
    if version >> 4 != 4 {
        return Err(Unparsed::Malformed(Fault::Version));
    }
    let header_len = usize::from(version & 0xf) << 2;
    if header_len < V4_LEN {
        return Err(Unparsed::Malformed(Fault::HeaderLength));
    }
    let total = usize::from(u16::from_be_bytes([total_0, total_1]));
    let end = packet_end(&view, at, header_len, total, lengths)?;
    let view = view.up_to(end);
    // The options have to be there, but nothing in them matters.
    view.slice(at, header_len)?;

    let transport = if u16::from_be_bytes([fragment_0, fragment_1]) & V4_FRAGMENT != 0 {
        Transport::Fragment
    } else {
        transport::read(&view, protocol, at.saturating_add(header_len), lengths)?
    };
    Ok(Ip {
        at: link_len,
        header_len: offset(header_len)?,
        end,
        addresses: Addresses::V4 {
            source: [s0, s1, s2, s3],
            destination: [d0, d1, d2, d3],
        },
        extensions: Extensions::NONE,
        transport,
    })
}

#[inline]
pub(super) fn read_v6(view: View<'_>, link_len: u16, lengths: Lengths) -> Result<Ip, Unparsed> {
    let at = usize::from(link_len);
    let base: &[u8; V6_LEN] = view.array(at)?;
    let [
        version,
        _,
        _,
        _,
        length_0,
        length_1,
        next,
        _,
        addresses @ ..,
    ] = base;
    if version >> 4 != 6 {
        return Err(Unparsed::Malformed(Fault::Version));
    }
    let payload = usize::from(u16::from_be_bytes([*length_0, *length_1]));
    // A jumbogram says zero here and ends within its first extension header.
    let total = V6_LEN.saturating_add(payload);
    let end = packet_end(&view, at, V6_LEN, total, lengths)?;
    let view = view.up_to(end);

    let walked = extensions::walk(&view, *next, at.saturating_add(V6_LEN))?;
    let transport = if walked.fragment {
        Transport::Fragment
    } else {
        transport::read(&view, walked.next, walked.at, lengths)?
    };
    let (source, destination) = addresses.split_at(16);
    Ok(Ip {
        at: link_len,
        header_len: offset(walked.at.saturating_sub(at))?,
        end,
        addresses: Addresses::V6 {
            source: address(source)?,
            destination: address(destination)?,
        },
        extensions: walked.extensions,
        transport,
    })
}

/// Where the packet ends, whose header claims `total` bytes.
fn packet_end(
    view: &View<'_>,
    at: usize,
    header_len: usize,
    total: usize,
    lengths: Lengths,
) -> Result<usize, Unparsed> {
    match lengths {
        Lengths::OfFrame => Ok(view.end),
        Lengths::Stated => at
            .checked_add(total)
            .filter(|end| total >= header_len && *end <= view.end)
            .ok_or(Unparsed::Malformed(Fault::TotalLength)),
    }
}

/// The address that `bytes` start with.
pub(super) fn address(bytes: &[u8]) -> Result<[u8; 16], Unparsed> {
    let first = bytes.first_chunk();
    first.copied().ok_or(Unparsed::Malformed(Fault::CutOff))
}
