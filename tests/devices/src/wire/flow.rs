//! What a frame is about: its flow, and its bytes without padding.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::MacAddress;

const ETHERNET_HEADER: usize = 14;
const VLAN_TAG: usize = 4;
const VLAN: u16 = 0x8100;
const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;
const ARP_LEN: usize = 28;
const IPV6_HEADER: usize = 40;

/// Frames up to this length may be padded: 60 bytes on the wire, one VLAN tag more inside.
const PADDED_MAX: usize = 64;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Frames of one flow must stay in order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Flow {
    destination: MacAddress,
    source: MacAddress,
    ethertype: u16,
    protocol: u8,
    ports: [u8; 4],
}

impl Flow {
    /// The flow of `frame`; fields that it does not have are zero.
    pub(crate) fn of(frame: &[u8]) -> Self {
        let (ethertype, at) = ethertype(frame);
        let mut flow = Self {
            destination: super::destination(frame).unwrap_or_default(),
            source: super::source(frame).unwrap_or_default(),
            ethertype,
            ..Self::default()
        };
        let packet = frame.get(at..).unwrap_or_default();
        let Some((protocol, transport)) = transport(ethertype, packet) else {
            return flow;
        };
        flow.protocol = protocol;
        if matches!(protocol, TCP | UDP) {
            let ports = packet
                .get(transport..)
                .and_then(|bytes| bytes.first_chunk());
            flow.ports = ports.copied().unwrap_or_default();
        }
        flow
    }

    /// The flow of the answers.
    pub(crate) fn reversed(self) -> Self {
        let [a, b, c, d] = self.ports;
        Self {
            destination: self.source,
            source: self.destination,
            ports: [c, d, a, b],
            ..self
        }
    }
}

/// Fingerprint of the frame's bytes, padding left out.
pub(super) fn fingerprint(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    unpadded(frame).hash(&mut hasher);
    hasher.finish()
}

/// The frame without the zeros that fill it up to the least length on a wire. Anything else
/// behind the packet is kept: a driver that sends rubbish there does not get away with it.
pub(super) fn unpadded(frame: &[u8]) -> &[u8] {
    if frame.len() > PADDED_MAX {
        return frame;
    }
    let Some(len) = packet_end(frame).filter(|len| *len < frame.len()) else {
        return frame;
    };
    let (packet, padding) = frame.split_at(len);
    if padding.iter().all(|byte| *byte == 0) {
        packet
    } else {
        frame
    }
}

/// Type of the payload, and where it starts.
fn ethertype(frame: &[u8]) -> (u16, usize) {
    match read_u16(frame, 12) {
        Some(VLAN) => (
            read_u16(frame, 16).unwrap_or(VLAN),
            ETHERNET_HEADER + VLAN_TAG,
        ),
        other => (other.unwrap_or(0), ETHERNET_HEADER),
    }
}

/// Where the packet in `frame` ends by its own account.
fn packet_end(frame: &[u8]) -> Option<usize> {
    let (ethertype, at) = ethertype(frame);
    let len = match ethertype {
        ARP => ARP_LEN,
        IPV4 => read_u16(frame, at + 2)?.into(),
        IPV6 => IPV6_HEADER + usize::from(read_u16(frame, at + 4)?),
        _ => return None,
    };
    Some(at + len)
}

/// Protocol of an IP packet, and where its transport header starts.
fn transport(ethertype: u16, packet: &[u8]) -> Option<(u8, usize)> {
    match ethertype {
        IPV4 => {
            let header = usize::from(packet.first()? & 0x0F) * 4;
            Some((*packet.get(9)?, header))
        }
        IPV6 => Some((*packet.get(6)?, IPV6_HEADER)),
        _ => None,
    }
}

fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let raw = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 TCP frame of the given ports and payload.
    fn tcp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x02; 12];
        frame.extend(IPV4.to_be_bytes());
        let mut header = [0; 40];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        header[9] = TCP;
        header[20..22].copy_from_slice(&from.to_be_bytes());
        header[22..24].copy_from_slice(&to.to_be_bytes());
        frame.extend(header);
        frame.extend(payload);
        frame
    }

    fn padded(mut frame: Vec<u8>) -> Vec<u8> {
        frame.resize(60, 0);
        frame
    }

    #[test]
    fn padding_does_not_change_the_fingerprint() {
        let frame = tcp(1, 2, b"");
        assert!(frame.len() < 60);
        assert_eq!(fingerprint(&frame), fingerprint(&padded(frame.clone())));
    }

    #[test]
    fn arp_is_compared_without_padding_too() {
        let mut frame = vec![0xFF; 12];
        frame.extend(ARP.to_be_bytes());
        frame.extend([7; ARP_LEN]);
        assert_eq!(unpadded(&padded(frame.clone())), frame);
    }

    #[test]
    fn padding_behind_a_vlan_tag_is_found() {
        let mut frame = tcp(1, 2, b"x");
        frame.splice(12..12, [0x81, 0x00, 0x00, 0x05]);
        assert_eq!(unpadded(&padded(frame.clone())), frame);
    }

    #[test]
    fn rubbish_in_place_of_padding_is_kept() {
        let mut rubbish = padded(tcp(1, 2, b""));
        rubbish[59] = 1;
        assert_eq!(unpadded(&rubbish), rubbish);
    }

    #[test]
    fn payload_that_ends_in_zeros_is_no_padding() {
        let frame = tcp(1, 2, &[0; 4]);
        assert_eq!(unpadded(&frame), frame);
        assert_ne!(fingerprint(&frame), fingerprint(&tcp(1, 2, &[0; 3])));
    }

    #[test]
    fn ports_tell_flows_apart_and_payload_does_not() {
        assert_eq!(Flow::of(&tcp(1, 2, b"a")), Flow::of(&tcp(1, 2, b"b")));
        assert_ne!(Flow::of(&tcp(1, 2, b"a")), Flow::of(&tcp(3, 2, b"a")));
    }

    #[test]
    fn a_stub_of_a_frame_is_a_flow_of_its_own() {
        assert_eq!(Flow::of(&[1, 2, 3]), Flow::default());
    }
}
