//! Where the headers of a frame lie.

use virtio_net::offload::parse::{
    Addresses, Fault, Ip, Layers, Lengths, Transport, Unparsed, parse,
};

use crate::frames::{ARP, MOBILE, TAGGED_UDP_V4, TCP_V4, TCP_V6, TRANSPORTS, UDP_V6, set_field};

fn whole(frame: &[u8]) -> Result<Layers, Unparsed> {
    parse(frame, frame.len(), Lengths::Stated)
}

fn ip(frame: &[u8]) -> Ip {
    whole(frame).unwrap().ip.unwrap()
}

fn malformed(frame: &[u8]) -> Fault {
    match whole(frame) {
        Err(Unparsed::Malformed(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tcp_over_ipv4() {
    let layers = whole(TCP_V4).unwrap();
    assert_eq!((layers.link.header_len, layers.link.outer), (14, None));
    let ip = layers.ip.unwrap();
    assert_eq!((ip.at, ip.header_len, ip.end), (14, 20, TCP_V4.len()));
    let addresses = Addresses::V4 {
        source: [10, 0, 0, 1],
        destination: [10, 0, 0, 2],
    };
    assert_eq!(ip.addresses, addresses);
    let Transport::Tcp(tcp) = ip.transport else {
        panic!("{ip:?}");
    };
    assert_eq!((tcp.at, tcp.header_len, tcp.flags), (34, 32, 0x18));
    assert_eq!((tcp.source, tcp.destination), (49152, 443));
    assert_eq!(ip.transport.payload_at(), Some(66));
    assert_eq!(ip.payload_len(), Some(5));
}

#[test]
fn udp_over_ipv4_with_options_behind_a_tag() {
    let layers = whole(TAGGED_UDP_V4).unwrap();
    let tag = layers.link.outer.unwrap();
    assert_eq!((tag.priority(), tag.vlan()), (3, 7));
    assert_eq!((layers.link.inner, layers.link.header_len), (None, 18));
    let ip = layers.ip.unwrap();
    assert_eq!((ip.at, ip.header_len), (18, 24));
    assert_eq!(ip.transport.at(), Some(42));
    assert_eq!(ip.transport.ports(), Some((53124, 53)));
    assert_eq!(ip.payload_len(), Some(29));
}

#[test]
fn extension_headers_are_walked() {
    let tcp = ip(TCP_V6);
    assert_eq!((tcp.header_len, tcp.transport.at()), (48, Some(62)));
    assert!(tcp.extensions.present && !tcp.extensions.hidden_addresses);
    let udp = ip(UDP_V6);
    assert_eq!((udp.header_len, udp.transport.at()), (40, Some(54)));
    assert!(!udp.extensions.present);

    let mobile = ip(MOBILE);
    assert_eq!(mobile.header_len, 40 + 24 + 24);
    let [home, other] = [0x11, 0x22].map(|last| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        address[15] = last;
        Some(address)
    });
    assert_eq!(mobile.extensions.home_address, home);
    assert_eq!(mobile.extensions.routing_address, other);
    assert_eq!(mobile.extensions.final_destination, other);
}

#[test]
fn what_is_not_ip_has_no_ip() {
    let layers = whole(ARP).unwrap();
    assert_eq!((layers.link.ether_type, layers.ip), (0x0806, None));
    // A length instead of a type, and nothing behind.
    let layers = whole(&[0; 14]).unwrap();
    assert_eq!((layers.link.ether_type, layers.ip), (0, None));
}

#[test]
fn two_tags_are_taken_and_a_third_is_not() {
    let mut frame = TAGGED_UDP_V4.to_vec();
    frame.splice(12..12, [0x88, 0xa8, 0x00, 0x05]);
    let layers = whole(&frame).unwrap();
    assert_eq!(layers.link.outer.unwrap().vlan(), 5);
    assert_eq!(layers.link.inner.unwrap().vlan(), 7);
    assert_eq!((layers.link.header_len, layers.ip.unwrap().at), (22, 22));

    frame.splice(12..12, [0x88, 0xa8, 0x00, 0x06]);
    let layers = whole(&frame).unwrap();
    assert_eq!((layers.link.ether_type, layers.ip), (0x8100, None));
}

#[test]
fn padding_is_not_of_the_packet() {
    let mut frame = TCP_V4.to_vec();
    frame.extend([0xaa; 9]);
    assert_eq!(ip(&frame).end, TCP_V4.len());
    assert_eq!(ip(&frame).payload_len(), Some(5));
    let open = parse(&frame, frame.len(), Lengths::OfFrame).unwrap();
    assert_eq!(open.ip.unwrap().payload_len(), Some(14));
}

#[test]
fn lengths_that_cannot_be_are_faults() {
    let with = |at, value| {
        let mut frame = TCP_V4.to_vec();
        set_field(&mut frame, at, value);
        frame
    };
    assert_eq!(malformed(&with(16, 58)), Fault::TotalLength);
    assert_eq!(malformed(&with(16, 19)), Fault::TotalLength);
    assert_eq!(malformed(&with(16, 0)), Fault::TotalLength);
    assert_eq!(malformed(&with(14, 0x4400)), Fault::HeaderLength);
    assert_eq!(malformed(&with(14, 0x6500)), Fault::Version);
    // Options that the packet is too short for.
    let mut short = with(16, 20);
    short[14] = 0x46;
    assert_eq!(malformed(&short), Fault::TotalLength);

    let mut frame = UDP_V6.to_vec();
    set_field(&mut frame, 18, 18);
    assert_eq!(malformed(&frame), Fault::TotalLength);
    // A packet of nothing but its header is one.
    set_field(&mut frame, 18, 0);
    assert_eq!(ip(&frame).transport, Transport::Malformed);
    // A jumbogram.
    let mut frame = TCP_V6.to_vec();
    set_field(&mut frame, 18, 0);
    assert_eq!(malformed(&frame), Fault::CutOff);
}

#[test]
fn a_transport_header_may_be_wrong_in_a_right_packet() {
    let mut frame = TCP_V4.to_vec();
    frame[46] = 0x40;
    assert_eq!(ip(&frame).transport, Transport::Malformed);
    frame[46] = 0xf0;
    assert_eq!(ip(&frame).transport, Transport::Malformed);
    let mut frame = TCP_V4.to_vec();
    set_field(&mut frame, 16, 20 + 31);
    assert_eq!(ip(&frame).transport, Transport::Malformed);

    for len in [0, 7, 18] {
        let mut frame = UDP_V6.to_vec();
        set_field(&mut frame, 58, len);
        assert_eq!(ip(&frame).transport, Transport::Malformed, "{len}");
    }
    // A datagram may end before its packet.
    let mut frame = UDP_V6.to_vec();
    set_field(&mut frame, 58, 10);
    assert_eq!(ip(&frame).payload_len(), Some(2));
    assert_eq!(ip(&frame).end, frame.len());
}

#[test]
fn fragments_have_no_transport_header() {
    for bits in [0x2000, 0x0001, 0x3fff] {
        let mut frame = TCP_V4.to_vec();
        set_field(&mut frame, 20, bits);
        assert_eq!(ip(&frame).transport, Transport::Fragment, "{bits:#x}");
    }
    // "Do not fragment", and the bit that no one uses.
    for bits in [0x4000, 0x8000] {
        let mut frame = TCP_V4.to_vec();
        set_field(&mut frame, 20, bits);
        assert!(ip(&frame).payload_len().is_some(), "{bits:#x}");
    }
    for (bits, fragment) in [(0, false), (1, true), (8, true), (6, false)] {
        let mut frame = TCP_V6.to_vec();
        frame[20] = 44;
        set_field(&mut frame, 56, bits);
        let transport = ip(&frame).transport;
        assert_eq!(transport == Transport::Fragment, fragment, "{bits}");
    }
}

/// The IPv6 header of `TCP_V6` with other extension headers; `chain` has (type, bytes).
fn extended(chain: &[(u8, &[u8])]) -> Vec<u8> {
    let mut frame = TCP_V6[..54].to_vec();
    let nexts = chain.iter().skip(1).map(|(kind, _)| *kind).chain([6]);
    frame[20] = chain.first().map_or(6, |(kind, _)| *kind);
    for ((_, bytes), next) in chain.iter().zip(nexts) {
        frame.push(next);
        frame.extend(*bytes);
    }
    frame.extend(&TCP_V6[62..]);
    let payload = frame.len() - 54;
    set_field(&mut frame, 18, payload as u16);
    frame
}

const PADDING: &[u8] = &[0, 1, 4, 0, 0, 0, 0];

#[test]
fn an_authentication_header_counts_in_words() {
    let mut authentication = [7; 23];
    authentication[0] = 4;
    let frame = extended(&[(51, &authentication)]);
    assert_eq!(ip(&frame).transport.at(), Some(54 + 24));
}

#[test]
fn extension_headers_are_bounded() {
    let eight = vec![(60, PADDING); 8];
    assert_eq!(ip(&extended(&eight)).transport.at(), Some(54 + 64));
    let nine = vec![(60, PADDING); 9];
    assert_eq!(malformed(&extended(&nine)), Fault::Extensions);
}

#[test]
fn encryption_ends_the_walk() {
    let frame = extended(&[(0, PADDING), (50, &[0; 15])]);
    assert_eq!(ip(&frame).transport, Transport::Other { protocol: 50 });
    let frame = extended(&[(59, &[0; 7])]);
    assert_eq!(ip(&frame).transport, Transport::Other { protocol: 59 });
}

#[test]
fn routing_headers_tell_where_a_packet_goes() {
    let header = |kind, left, addresses: &[[u8; 16]]| {
        let mut bytes = vec![2 * addresses.len() as u8, kind, left, 0, 0, 0, 0];
        bytes.extend(addresses.concat());
        bytes
    };
    let (a, b) = ([0xaa; 16], [0xbb; 16]);
    let destination = |bytes: &[u8]| {
        let extensions = ip(&extended(&[(43, bytes)])).extensions;
        (extensions.final_destination, extensions.hidden_addresses)
    };
    assert_eq!(destination(&header(0, 1, &[a, b])), (Some(b), false));
    assert_eq!(destination(&header(0, 0, &[a, b])), (None, false));
    assert_eq!(destination(&header(2, 1, &[a])), (Some(a), false));
    assert_eq!(destination(&header(4, 1, &[a, b])), (Some(a), false));
    assert_eq!(destination(&header(7, 1, &[a, b])), (None, true));
    assert_eq!(destination(&header(7, 0, &[a, b])), (None, false));
    // None to take it from.
    assert_eq!(destination(&header(2, 1, &[a, b])), (None, true));
    assert_eq!(destination(&header(0, 1, &[])), (None, true));
}

#[test]
fn options_that_are_wrong_hide_the_source() {
    let extensions = |options: &[u8]| {
        let mut bytes = vec![(options.len() / 8) as u8];
        bytes.extend(options);
        ip(&extended(&[(60, &bytes)])).extensions
    };
    // An option that ends behind the header.
    assert!(extensions(&[1, 5, 0, 0, 0, 0]).hidden_addresses);
    // A home address of four bytes.
    assert!(extensions(&[201, 4, 0, 0, 0, 0]).hidden_addresses);
    // A type without a length.
    assert!(extensions(&[1, 3, 0, 0, 0, 9]).hidden_addresses);
    // More options than are looked at.
    assert!(extensions(&[0; 22]).hidden_addresses);
    assert!(!extensions(&[0; 14]).hidden_addresses);
}

#[test]
fn a_part_of_a_frame_says_what_is_missing() {
    for frame in TRANSPORTS {
        let all = ip(frame);
        let headers = all.transport.payload_at().unwrap();
        let mut given = 0;
        // Asked again and again, it gets as far as the headers and no further.
        loop {
            match parse(&frame[..given], frame.len(), Lengths::Stated) {
                Err(Unparsed::Incomplete { needed }) => {
                    assert!(needed > given && needed <= headers);
                    given = needed;
                }
                parsed => {
                    assert_eq!(parsed.unwrap().ip, Some(all));
                    break;
                }
            }
        }
        assert_eq!(given, headers);
        for given in 0..headers {
            let parsed = parse(&frame[..given], frame.len(), Lengths::Stated);
            assert!(matches!(parsed, Err(Unparsed::Incomplete { .. })));
        }
    }
}

#[test]
fn a_frame_that_is_cut_off_needs_no_more() {
    for frame in TRANSPORTS {
        for len in 0..frame.len() {
            let parsed = whole(&frame[..len]);
            assert!(matches!(parsed, Err(Unparsed::Malformed(_))), "{parsed:?}");
        }
    }
}

/// Everything that a parse says lies in the frame, and in order.
pub(crate) fn assert_within(layers: &Layers, frame_len: usize) {
    let link = usize::from(layers.link.header_len);
    assert!(link <= frame_len);
    let Some(ip) = layers.ip else { return };
    let (at, len) = (usize::from(ip.at), usize::from(ip.header_len));
    assert!(at == link && at + len <= ip.end && ip.end <= frame_len);
    let (Some(payload), Some(end)) = (ip.transport.payload_at(), ip.transport_end()) else {
        return;
    };
    let place = ip.transport.checksum_place().unwrap();
    assert!(place.start == at + len && place.field + 2 <= payload);
    assert!(payload <= end && end <= ip.end);
    assert_eq!(ip.payload_len(), Some(end - payload));
}

#[test]
fn no_corruption_leads_outside() {
    for frame in TRANSPORTS {
        for at in 0..frame.len() {
            let mut corrupt = frame.to_vec();
            for flip in 1..=255 {
                corrupt[at] = frame[at] ^ flip;
                for lengths in [Lengths::Stated, Lengths::OfFrame] {
                    if let Ok(layers) = parse(&corrupt, corrupt.len(), lengths) {
                        assert_within(&layers, corrupt.len());
                    }
                }
            }
        }
    }
}
