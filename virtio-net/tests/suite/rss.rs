//! Receive-side scaling against the vectors that Microsoft publishes ("Verifying the RSS Hash
//! Calculation"), and against the definition of the hash, bit by bit.

use std::net::IpAddr;

#[cfg(not(miri))]
use proptest::prelude::*;
use virtio_net::offload::parse::{Ip, Lengths, parse};
use virtio_net::rss::{FlowHash, HashKind, HashTypes, Toeplitz};

use crate::frames::{ARP, MOBILE, TAGGED_UDP_V4, TCP_V4, TCP_V6, UDP_V6, set_field};

const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Address and port.
type End = (&'static str, u16);

/// Destination, source, hash of the addresses, hash of addresses and ports.
#[rustfmt::skip]
const VECTORS: [(End, End, u32, u32); 8] = [
    (("161.142.100.80", 1766), ("66.9.149.187", 2794), 0x323e_8fc2, 0x51cc_c178),
    (("65.69.140.83", 4739), ("199.92.111.2", 14230), 0xd718_262a, 0xc626_b0ea),
    (("12.22.207.184", 38024), ("24.19.198.95", 12898), 0xd2d0_a5de, 0x5c2b_394a),
    (("209.142.163.6", 2217), ("38.27.205.30", 48228), 0x8298_9176, 0xafc7_327f),
    (("202.188.127.2", 1303), ("153.39.163.191", 44251), 0x5d18_09c5, 0x10e8_28a2),
    (("3ffe:2501:200:3::1", 1766), ("3ffe:2501:200:1fff::7", 2794), 0x2cc1_8cd5, 0x4020_7d3d),
    (("ff02::1", 4739), ("3ffe:501:8::260:97ff:fe40:efab", 14230), 0x0f0c_461c, 0xdde5_1bbf),
    (("fe80::200:f8ff:fe21:67cf", 38024), ("3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251),
        0x4b61_e985, 0x02d1_feef),
];

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The definition: the key is shifted along, and added for each bit that is set.
fn by_the_bit(key: &[u8; 40], input: &[u8]) -> u32 {
    let key_bit = |bit: usize| u32::from(key[bit / 8] >> (7 - bit % 8) & 1);
    let mut hash = 0;
    for bit in 0..input.len() * 8 {
        if input[bit / 8] >> (7 - bit % 8) & 1 != 0 {
            hash ^= (bit..bit + 32).fold(0, |window, bit| window << 1 | key_bit(bit));
        }
    }
    hash
}

/// A frame with TCP between the two.
fn frame(destination: End, source: End) -> Vec<u8> {
    let (from, to) = (octets(source.0), octets(destination.0));
    let (mut frame, addresses, ports) = match from.len() {
        4 => (TCP_V4.to_vec(), 26, 34),
        _ => (
            // Without the hop-by-hop header.
            [&TCP_V6[..20], &[6], &TCP_V6[21..54], &TCP_V6[62..]].concat(),
            22,
            54,
        ),
    };
    if from.len() == 16 {
        let payload = (frame.len() - 54) as u16;
        set_field(&mut frame, 18, payload);
    }
    let both = [from, to].concat();
    frame[addresses..addresses + both.len()].copy_from_slice(&both);
    set_field(&mut frame, ports, source.1);
    set_field(&mut frame, ports + 2, destination.1);
    frame
}

fn ip(frame: &[u8]) -> Ip {
    let layers = parse(frame, frame.len(), Lengths::Stated).unwrap();
    layers.ip.unwrap()
}

fn types(kinds: &[HashKind]) -> HashTypes {
    kinds
        .iter()
        .fold(HashTypes::NONE, |set, kind| set.with(*kind))
}

#[test]
fn the_published_vectors() {
    let toeplitz = Toeplitz::new(&KEY);
    for (destination, source, addresses, ports) in VECTORS {
        let mut input = [octets(source.0), octets(destination.0)].concat();
        assert_eq!(toeplitz.of(&input), addresses);
        assert_eq!(by_the_bit(&KEY, &input), addresses);
        input.extend(source.1.to_be_bytes());
        input.extend(destination.1.to_be_bytes());
        assert_eq!(toeplitz.of(&input), ports);
        assert_eq!(by_the_bit(&KEY, &input), ports);
    }
}

#[test]
fn the_published_vectors_as_frames() {
    let toeplitz = Toeplitz::new(&KEY);
    for (destination, source, addresses, ports) in VECTORS {
        let ip = ip(&frame(destination, source));
        let hash = |enabled| toeplitz.hash(&ip, enabled).map(|hash| hash.value);
        let (with_ports, without, other) = match ip.is_v4() {
            true => (HashKind::TcpV4, HashKind::Ipv4, HashKind::Ipv6),
            false => (HashKind::TcpV6, HashKind::Ipv6, HashKind::Ipv4),
        };
        assert_eq!(hash(HashTypes::ALL), Some(ports));
        assert_eq!(hash(types(&[with_ports, without])), Some(ports));
        assert_eq!(hash(types(&[with_ports])), Some(ports));
        assert_eq!(hash(types(&[without])), Some(addresses));
        assert_eq!(
            hash(types(&[other, HashKind::UdpV4, HashKind::UdpV6])),
            None
        );
        assert_eq!(hash(HashTypes::NONE), None);
    }
}

#[test]
fn the_transport_chooses_the_kind() {
    use HashKind::*;
    let toeplitz = Toeplitz::new(&KEY);
    let kind = |frame: &[u8], enabled: &[HashKind]| {
        let hash = toeplitz.hash(&ip(frame), types(enabled));
        hash.map(|hash| hash.kind)
    };
    assert_eq!(kind(TAGGED_UDP_V4, &[Ipv4, TcpV4, UdpV4]), Some(UdpV4));
    assert_eq!(kind(TAGGED_UDP_V4, &[Ipv4, TcpV4]), Some(Ipv4));
    assert_eq!(kind(TAGGED_UDP_V4, &[TcpV4]), None);
    assert_eq!(kind(UDP_V6, &[Ipv6, UdpV6, UdpV6Ex]), Some(UdpV6));
    // Without extension headers the other kinds are the same, and better than none.
    assert_eq!(kind(UDP_V6, &[UdpV6Ex, Ipv6Ex]), Some(UdpV6Ex));
    assert_eq!(kind(UDP_V6, &[Ipv6Ex]), Some(Ipv6Ex));
    // With extension headers they come first.
    assert_eq!(kind(TCP_V6, &[TcpV6, TcpV6Ex]), Some(TcpV6Ex));
    assert_eq!(kind(TCP_V6, &[TcpV6, Ipv6Ex]), Some(Ipv6Ex));
    assert_eq!(kind(TCP_V6, &[TcpV6, Ipv6]), Some(TcpV6));
    assert_eq!(kind(TCP_V6, &[UdpV6, Ipv6]), Some(Ipv6));

    // Of fragments only the first has ports: none counts.
    let mut fragment = TCP_V4.to_vec();
    set_field(&mut fragment, 20, 0x2000);
    assert_eq!(kind(&fragment, &[Ipv4, TcpV4]), Some(Ipv4));
    assert_eq!(kind(&fragment, &[TcpV4]), None);

    assert_eq!(parse(ARP, ARP.len(), Lengths::Stated).unwrap().ip, None);
}

#[test]
fn a_mobile_node_is_where_its_home_is() {
    let toeplitz = Toeplitz::new(&KEY);
    let ip = ip(MOBILE);
    let hash = |kind| toeplitz.hash(&ip, types(&[kind])).unwrap();
    let ports = [0, 1, 0, 2];

    let home = [octets("2001:db8::11"), octets("2001:db8::22")].concat();
    let value = by_the_bit(&KEY, &home);
    let kind = HashKind::Ipv6Ex;
    assert_eq!(hash(kind), FlowHash { value, kind });
    let value = by_the_bit(&KEY, &[&home[..], &ports].concat());
    let kind = HashKind::TcpV6Ex;
    assert_eq!(hash(kind), FlowHash { value, kind });

    let away = [octets("2001:db8:1::1"), octets("2001:db8:2::2")].concat();
    let value = by_the_bit(&KEY, &[&away[..], &ports].concat());
    let kind = HashKind::TcpV6;
    assert_eq!(hash(kind), FlowHash { value, kind });
}

#[cfg(not(miri))]
proptest! {
    #[test]
    fn the_table_is_the_definition(
        key in any::<[[u8; 8]; 5]>(),
        input in proptest::collection::vec(any::<u8>(), 0..=36),
    ) {
        let key: [u8; 40] = key.concat().try_into().unwrap();
        prop_assert_eq!(Toeplitz::new(&key).of(&input), by_the_bit(&key, &input));
    }
}
