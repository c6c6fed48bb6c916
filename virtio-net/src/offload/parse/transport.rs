//! Transport headers: TCP (RFC 9293) and UDP (RFC 768).

use super::{Fault, Lengths, Unparsed, View, offset};

const TCP: u8 = 6;
const UDP: u8 = 17;

const TCP_LEN: usize = 20;
const UDP_LEN: usize = 8;

const TCP_CHECKSUM_AT: u16 = 16;
const UDP_CHECKSUM_AT: u16 = 6;

/// Where the length of a UDP header lies, in bytes from its start.
pub(crate) const UDP_LENGTH_AT: usize = 4;

/// "Congestion window reduced" (RFC 3168, 6.1).
const CWR: u8 = 0x80;

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A TCP segment.
    Tcp(Tcp),
    /// A UDP datagram.
    Udp(Udp),
    /// A part of something; the first part, too.
    Fragment,
    /// It should be TCP or UDP, but the header is cut off or its length is impossible.
    Malformed,
    /// Something else.
    Other {
        /// Its number.
        protocol: u8,
    },
}

/// A TCP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp {
    /// Where it starts, in bytes from the start of the frame.
    pub at: u16,
    /// Its bytes, with options.
    pub header_len: u16,
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The flags from CWR down to FIN.
    pub flags: u8,
    /// What the checksum field holds.
    pub checksum: u16,
}

/// A UDP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Udp {
    /// Where it starts, in bytes from the start of the frame.
    pub at: u16,
    /// Where the datagram ends, in bytes from the start of the frame.
    pub end: usize,
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// What the checksum field holds; 0 says that there is none.
    pub checksum: u16,
}

/// Where the checksum of a transport header is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChecksumPlace {
    /// The number of the protocol.
    pub protocol: u8,
    /// Where the header starts, in bytes from the start of the frame.
    pub start: usize,
    /// Where the checksum lies in it, in bytes from its start.
    pub offset: u16,
    /// Where the checksum lies, in bytes from the start of the frame.
    pub field: usize,
    /// What it is.
    pub value: u16,
}

impl Tcp {
    /// Whether the flag CWR is set: a part of congestion notification, with consequences for
    /// segmentation.
    #[must_use]
    pub const fn is_congestion_answer(&self) -> bool {
        self.flags & CWR != 0
    }
}

impl Transport {
    /// Where the header starts, in bytes from the start of the frame.
    #[must_use]
    pub const fn at(&self) -> Option<u16> {
        match self {
            Self::Tcp(tcp) => Some(tcp.at),
            Self::Udp(udp) => Some(udp.at),
            Self::Fragment | Self::Malformed | Self::Other { .. } => None,
        }
    }

    /// Where the payload starts, in bytes from the start of the frame.
    #[must_use]
    pub fn payload_at(&self) -> Option<usize> {
        let header_len = match self {
            Self::Tcp(tcp) => usize::from(tcp.header_len),
            Self::Udp(_) => UDP_LEN,
            Self::Fragment | Self::Malformed | Self::Other { .. } => return None,
        };
        usize::from(self.at()?).checked_add(header_len)
    }

    /// Source and destination port.
    #[must_use]
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match self {
            Self::Tcp(tcp) => Some((tcp.source, tcp.destination)),
            Self::Udp(udp) => Some((udp.source, udp.destination)),
            Self::Fragment | Self::Malformed | Self::Other { .. } => None,
        }
    }

    /// Where the checksum is.
    #[must_use]
    pub fn checksum_place(&self) -> Option<ChecksumPlace> {
        let (protocol, start, offset, value) = match self {
            Self::Tcp(tcp) => (TCP, tcp.at, TCP_CHECKSUM_AT, tcp.checksum),
            Self::Udp(udp) => (UDP, udp.at, UDP_CHECKSUM_AT, udp.checksum),
            Self::Fragment | Self::Malformed | Self::Other { .. } => return None,
        };
        let start = usize::from(start);
        Some(ChecksumPlace {
            protocol,
            start,
            offset,
            field: start.checked_add(usize::from(offset))?,
            value,
        })
    }
}

/// Reads the header of `protocol` at `at` of the packet that `view` ends with.
///
/// Only a lack of given bytes is an error.
#[inline]
pub(super) fn read(
    view: &View<'_>,
    protocol: u8,
    at: usize,
    lengths: Lengths,
) -> Result<Transport, Unparsed> {
    let transport = match protocol {
        TCP => read_tcp(view, at),
        UDP => read_udp(view, at, lengths),
        _ => Ok(Transport::Other { protocol }),
    };
    match transport {
        Err(Unparsed::Malformed(_)) => Ok(Transport::Malformed),
        other => other,
    }
}

#[inline]
fn read_tcp(view: &View<'_>, at: usize) -> Result<Transport, Unparsed> {
    let base: &[u8; TCP_LEN] = view.array(at)?;
    let [s0, s1, d0, d1, .., units, flags, _, _, c0, c1, _, _] = *base;
    let header_len = usize::from(units >> 4) << 2;
    if header_len < TCP_LEN {
        return Err(Unparsed::Malformed(Fault::HeaderLength));
    }
    view.slice(at, header_len)?;
    Ok(Transport::Tcp(Tcp {
        at: offset(at)?,
        header_len: offset(header_len)?,
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        flags,
        checksum: u16::from_be_bytes([c0, c1]),
    }))
}

#[inline]
fn read_udp(view: &View<'_>, at: usize, lengths: Lengths) -> Result<Transport, Unparsed> {
    let base: &[u8; UDP_LEN] = view.array(at)?;
    let [s0, s1, d0, d1, l0, l1, c0, c1] = *base;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let end = match lengths {
        Lengths::OfFrame => view.end,
        // What is behind the datagram belongs to the packet, but not to the checksum.
        Lengths::Stated => at
            .checked_add(len)
            .filter(|end| len >= UDP_LEN && *end <= view.end)
            .ok_or(Unparsed::Malformed(Fault::TotalLength))?,
    };
    Ok(Transport::Udp(Udp {
        at: offset(at)?,
        end,
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        checksum: u16::from_be_bytes([c0, c1]),
    }))
}
