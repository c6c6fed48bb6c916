//! What a NIC computes for the stack: checksums, segments, tags. The slow and plain way.

use crate::ndis::packet::{self, Headers};

/// Bits of the checksum slot: TcpChecksum, UdpChecksum, IpHeaderChecksum.
const TCP_OR_UDP: u32 = 0b0_1100;
const IP: u32 = 0b1_0000;
/// TCP flags.
const FIN_AND_PUSH: u8 = 0x09;
const CWR: u8 = 0x80;
/// EtherType of a tag.
const TAG: [u8; 2] = [0x81, 0x00];
/// LSOv2 wraps the identification of IPv4 within this many.
const IDENTIFICATIONS: u16 = 0x8000;

/// A frame with the checksums that the slot asks for.
#[must_use]
pub(crate) fn with_checksums(mut frame: Vec<u8>, slot: u32) -> Vec<u8> {
    let Some(headers) = Headers::of(&frame) else {
        return frame;
    };
    if slot & TCP_OR_UDP != 0 {
        store_transport(&mut frame, &headers);
    }
    if slot & IP != 0 {
        store_ip(&mut frame, &headers);
    }
    frame
}

fn store_transport(frame: &mut [u8], headers: &Headers) {
    let at = headers
        .transport
        .as_ref()
        .and_then(|transport| Some(transport.start + packet::checksum_offset(headers.protocol)?));
    if let (Some(at), Some(sum)) = (at, packet::transport_checksum(frame, headers)) {
        frame[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}

fn store_ip(frame: &mut [u8], headers: &Headers) {
    if let (Some(ip), Some(sum)) = (&headers.ip, packet::ip_checksum(frame, headers)) {
        frame[ip.start + 10..ip.start + 12].copy_from_slice(&sum.to_be_bytes());
    }
}

/// The segments of a large TCP send, `size` bytes of data each.
#[must_use]
pub(crate) fn tcp(frame: &[u8], size: usize) -> Vec<Vec<u8>> {
    let headers = Headers::of(frame);
    let Some((ip, transport, version)) =
        headers.and_then(|headers| Some((headers.ip?, headers.transport?, headers.version)))
    else {
        return Vec::new();
    };
    let (head, payload) = frame.split_at(transport.end.min(frame.len()));
    let count = payload.len().div_ceil(size);
    let long = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let sequence = long(transport.start + 4);
    let parts = payload.chunks(size).enumerate().map(|(index, part)| {
        let mut segment = [head, part].concat();
        let start = transport.start;
        let number = sequence.wrapping_add((index * size) as u32);
        segment[start + 4..start + 8].copy_from_slice(&number.to_be_bytes());
        if index + 1 < count {
            segment[start + 13] &= !FIN_AND_PUSH;
        }
        if index > 0 {
            segment[start + 13] &= !CWR;
        }
        let length = segment.len() - ip.start;
        if version == 4 {
            segment[ip.start + 2..ip.start + 4].copy_from_slice(&(length as u16).to_be_bytes());
            let first = u16::from_be_bytes([head[ip.start + 4], head[ip.start + 5]]);
            let number = first.wrapping_add(index as u16) % IDENTIFICATIONS;
            segment[ip.start + 4..ip.start + 6].copy_from_slice(&number.to_be_bytes());
        } else {
            let length = (length - 40) as u16;
            segment[ip.start + 4..ip.start + 6].copy_from_slice(&length.to_be_bytes());
        }
        with_checksums(segment, TCP_OR_UDP | IP)
    });
    parts.collect()
}

/// Puts the tag of the 802.1Q slot into a frame; none for priority 0 and VLAN 0.
pub(crate) fn insert_tag(frame: &mut Vec<u8>, slot: u32) {
    let (priority, vlan) = (slot & 7, slot >> 4 & 0xfff);
    if (priority, vlan) == (0, 0) || frame.len() < 12 {
        return;
    }
    let information = (priority << 13 | (slot >> 3 & 1) << 12 | vlan) as u16;
    let tag = [TAG, information.to_be_bytes()].concat();
    frame.splice(12..12, tag);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ethernet, IPv4, TCP with PSH and CWR, and `length` bytes of data.
    fn large(length: usize) -> Vec<u8> {
        let mut frame = vec![0; 54 + length];
        frame[12..15].copy_from_slice(&[0x08, 0x00, 0x45]);
        frame[18..20].copy_from_slice(&0x7fffu16.to_be_bytes());
        frame[23] = packet::TCP;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[38..42].copy_from_slice(&1000u32.to_be_bytes());
        frame[46] = 0x50;
        frame[47] = 0x10 | 0x08 | CWR;
        frame[54..].fill(0x5a);
        frame
    }

    #[test]
    fn a_large_send_becomes_segments_with_right_headers() {
        let segments = tcp(&large(250), 100);
        assert_eq!(
            segments.iter().map(Vec::len).collect::<Vec<_>>(),
            [154, 154, 104]
        );
        for (index, segment) in segments.iter().enumerate() {
            let headers = Headers::of(segment).unwrap();
            // A header with its right checksum sums up to ones.
            assert_eq!(packet::sum(&segment[14..34]), 0xffff);
            let pseudo = packet::pseudo_header_sum(segment, &headers, segment.len() - 34);
            let total = [&segment[34..], &pseudo.to_be_bytes()].concat();
            assert_eq!(packet::sum(&total), 0xffff);
            let sequence = u32::from_be_bytes(segment[38..42].try_into().unwrap());
            assert_eq!(sequence, 1000 + 100 * index as u32);
        }
        let flags: Vec<_> = segments.iter().map(|segment| segment[47]).collect();
        assert_eq!(flags, [0x90, 0x10, 0x18]);
        let numbers: Vec<_> = segments
            .iter()
            .map(|s| u16::from_be_bytes([s[18], s[19]]))
            .collect();
        assert_eq!(numbers, [0x7fff, 0, 1]);
    }

    #[test]
    fn a_tag_stands_behind_the_addresses() {
        let mut frame = large(0);
        insert_tag(&mut frame, 5 | 7 << 4);
        assert_eq!(frame[12..18], [0x81, 0, 0xa0, 7, 0x08, 0]);
        let mut plain = large(0);
        insert_tag(&mut plain, 0);
        assert_eq!(plain, large(0));
    }
}
