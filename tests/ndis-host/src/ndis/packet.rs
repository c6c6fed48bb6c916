//! Ethernet frames as NDIS's judge reads them: headers, flows, checksums.
//!
//! RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 1071 (checksum). Written apart from the headers
//! code of any driver, so that it can judge one.

use std::ops::Range;

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// EtherTypes.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const TAG: u16 = 0x8100;
/// IP protocol numbers.
pub const TCP: u8 = 6;
/// See [`TCP`].
pub const UDP: u8 = 17;
/// IPv6 extension headers that carry their length like hop-by-hop options do.
const EXTENSIONS: [u8; 3] = [0, 43, 60];
const FRAGMENT: u8 = 44;

/// Where the headers of a frame are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// EtherType behind a tag, if there is one.
    pub ether_type: u16,
    /// IP header with options, or IPv6 header with extension headers.
    pub ip: Option<Range<usize>>,
    /// IP version, 0 for what is not IP.
    pub version: u8,
    /// The protocol above IP.
    pub protocol: u8,
    /// TCP or UDP header.
    pub transport: Option<Range<usize>>,
    /// It is an IP fragment: a checksum or hash over ports means nothing.
    pub fragment: bool,
    /// The end of the IP packet; what follows is padding.
    pub end: usize,
}

impl Headers {
    /// Reads the headers of a frame; what is cut off is missing.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let mut at = 12;
        let mut ether_type = word(frame, at)?;
        if ether_type == TAG {
            at += 4;
            ether_type = word(frame, at)?;
        }
        at += 2;
        let mut headers = Self {
            ether_type,
            ip: None,
            version: 0,
            protocol: 0,
            transport: None,
            fragment: false,
            end: frame.len(),
        };
        match ether_type {
            IPV4 => headers.read_v4(frame, at),
            IPV6 => headers.read_v6(frame, at),
            _ => None,
        };
        Some(headers)
    }

    fn read_v4(&mut self, frame: &[u8], at: usize) -> Option<()> {
        let length = usize::from(frame.get(at)? & 15) * 4;
        if frame.get(at)? >> 4 != 4 || length < 20 {
            return None;
        }
        let total = usize::from(word(frame, at + 2)?);
        let fragment = word(frame, at + 6)?;
        self.version = 4;
        self.protocol = *frame.get(at + 9)?;
        self.ip = Some(at..at + length);
        self.fragment = fragment & 0x3fff != 0;
        self.end = (at + total).min(frame.len());
        // The beginning of the packet is with offset 0 only.
        if fragment & 0x1fff == 0 {
            self.read_transport(frame, at + length);
        }
        Some(())
    }

    fn read_v6(&mut self, frame: &[u8], at: usize) -> Option<()> {
        if frame.get(at)? >> 4 != 6 {
            return None;
        }
        let payload = usize::from(word(frame, at + 4)?);
        self.version = 6;
        self.end = (at + 40 + payload).min(frame.len());
        let (mut next, mut end) = (*frame.get(at + 6)?, at + 40);
        while EXTENSIONS.contains(&next) || next == FRAGMENT {
            let length = match next {
                FRAGMENT => 8,
                _ => 8 * (1 + usize::from(*frame.get(end + 1)?)),
            };
            self.fragment |= next == FRAGMENT;
            next = *frame.get(end)?;
            end += length;
        }
        self.protocol = next;
        self.ip = Some(at..end);
        if !self.fragment {
            self.read_transport(frame, end);
        }
        Some(())
    }

    fn read_transport(&mut self, frame: &[u8], at: usize) {
        let length = match self.protocol {
            TCP => frame.get(at + 12).map_or(20, |b| usize::from(b >> 4) * 4),
            UDP => 8,
            _ => return,
        };
        self.transport = Some(at..at + length);
    }
}

/// What the frames of one NBL have in common (rule 122).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    addresses: Vec<u8>,
    ether_type: u16,
    version: u8,
    protocol: u8,
    ends: Vec<u8>,
}

impl Flow {
    /// The flow of a frame, of which the headers suffice.
    #[must_use]
    pub fn of(frame: &[u8]) -> Option<Self> {
        let headers = Headers::of(frame)?;
        let mut ends = Vec::new();
        if let Some(ip) = &headers.ip {
            ends.extend_from_slice(addresses(frame, &headers, ip.start));
        }
        if let Some(transport) = &headers.transport {
            let ports = transport.start..transport.start + 4;
            ends.extend_from_slice(frame.get(ports).unwrap_or(&[]));
        }
        Some(Self {
            addresses: frame.get(..12)?.to_vec(),
            ether_type: headers.ether_type,
            version: headers.version,
            protocol: headers.protocol,
            ends,
        })
    }
}

/// Source and destination address, in that order.
#[must_use]
pub fn addresses<'a>(frame: &'a [u8], headers: &Headers, ip: usize) -> &'a [u8] {
    let range = match headers.version {
        4 => ip + 12..ip + 20,
        _ => ip + 8..ip + 40,
    };
    frame.get(range).unwrap_or(&[])
}

/// A big-endian word.
fn word(frame: &[u8], at: usize) -> Option<u16> {
    let bytes = frame.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes))
}

/// One's complement sum of big-endian words, not inverted.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0u64;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        total += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// The sum of the pseudo-header, not inverted; `length` is that of header and payload.
#[must_use]
pub fn pseudo_header_sum(frame: &[u8], headers: &Headers, length: usize) -> u16 {
    let Some(ip) = &headers.ip else {
        return 0;
    };
    let mut pseudo = addresses(frame, headers, ip.start).to_vec();
    pseudo.extend((length as u32).to_be_bytes());
    pseudo.extend(u32::from(headers.protocol).to_be_bytes());
    sum(&pseudo)
}

/// The checksum that the IPv4 header of a frame should have.
#[must_use]
pub fn ip_checksum(frame: &[u8], headers: &Headers) -> Option<u16> {
    let range = headers.ip.clone().filter(|_| headers.version == 4)?;
    let mut header = frame.get(range)?.to_vec();
    header.get_mut(10..12)?.fill(0);
    Some(!sum(&header))
}

/// The checksum that the TCP or UDP header of a frame should have.
#[must_use]
pub fn transport_checksum(frame: &[u8], headers: &Headers) -> Option<u16> {
    let range = headers.transport.clone()?;
    let mut packet = frame.get(range.start..headers.end)?.to_vec();
    let at = checksum_offset(headers.protocol)?;
    packet.get_mut(at..at + 2)?.fill(0);
    let pseudo = pseudo_header_sum(frame, headers, packet.len());
    packet.extend(if packet.len().is_multiple_of(2) {
        &[][..]
    } else {
        &[0][..]
    });
    packet.extend(pseudo.to_be_bytes());
    let checksum = !sum(&packet);
    // UDP writes a zero as its other representation: zero means "none".
    Some(if checksum == 0 && headers.protocol == UDP {
        0xffff
    } else {
        checksum
    })
}

/// Where the checksum is in a TCP or UDP header.
#[must_use]
pub fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        _ => None,
    }
}
