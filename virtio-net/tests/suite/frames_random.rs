//! Frames of all shapes, put together and taken apart by another hand.

use etherparse::{
    IpFragOffset, IpHeaders, Ipv4Extensions, Ipv4Header, Ipv4Options, Ipv6Extensions, Ipv6Header,
    Ipv6RawExtHeader, LaxNetSlice, LaxSlicedPacket, NetSlice, PacketBuilder, SlicedPacket,
    TcpHeader, TransportSlice, VlanId, ip_number,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a frame is like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) tags: usize,
    pub(crate) v4: bool,
    /// In words of IPv4.
    pub(crate) options: usize,
    pub(crate) hop_by_hop: Option<usize>,
    pub(crate) destination_options: Option<usize>,
    pub(crate) fragment: bool,
    pub(crate) carries: Carries,
    /// In words.
    pub(crate) tcp_options: usize,
    pub(crate) flags: u8,
    pub(crate) ports: (u16, u16),
    pub(crate) address: [u8; 16],
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Carries {
    Tcp,
    Udp,
    Echo,
}

pub(crate) fn shape(max_payload: usize) -> impl Strategy<Value = Shape> {
    let carries = prop_oneof![
        4 => Just(Carries::Tcp),
        4 => Just(Carries::Udp),
        1 => Just(Carries::Echo),
    ];
    let extension = || proptest::option::of(0..4_usize);
    let ip = (any::<bool>(), 0..=10_usize, extension(), extension());
    let rest = (0..=10_usize, any::<(u8, (u16, u16), [u8; 16])>());
    let payload = vec(any::<u8>(), 0..=max_payload);
    (
        0..=2_usize,
        ip,
        prop::bool::weighted(0.1),
        carries,
        rest,
        payload,
    )
        .prop_map(|(tags, ip, fragment, carries, rest, payload)| Shape {
            tags,
            v4: ip.0,
            options: ip.1,
            hop_by_hop: ip.2,
            destination_options: ip.3,
            fragment: fragment && ip.0,
            carries,
            tcp_options: rest.0,
            flags: rest.1.0,
            ports: rest.1.1,
            address: rest.1.2,
            payload,
        })
}

impl Shape {
    /// The frame, with right checksums.
    pub(crate) fn build(&self) -> Vec<u8> {
        let id = |id| VlanId::try_new(id).unwrap();
        let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
        let step = match self.tags {
            0 => link.ip(self.ip()),
            1 => link.single_vlan(id(7)).ip(self.ip()),
            _ => link.double_vlan(id(0xfff), id(1)).ip(self.ip()),
        };
        let mut frame = Vec::new();
        let (source, destination) = self.ports;
        match self.carries {
            Carries::Tcp => step
                .tcp_header(self.tcp(source, destination))
                .write(&mut frame, &self.payload),
            Carries::Udp => step
                .udp(source, destination)
                .write(&mut frame, &self.payload),
            Carries::Echo if self.v4 => step
                .icmpv4_echo_request(1, 2)
                .write(&mut frame, &self.payload),
            Carries::Echo => step
                .icmpv6_echo_request(1, 2)
                .write(&mut frame, &self.payload),
        }
        .unwrap();
        frame
    }

    fn tcp(&self, source: u16, destination: u16) -> TcpHeader {
        let mut tcp = TcpHeader::new(source, destination, 0x0102_0304, 500);
        tcp.set_options_raw(&vec![1; self.tcp_options * 4]).unwrap();
        let bit = |bit: u8| self.flags >> bit & 1 != 0;
        (tcp.fin, tcp.psh, tcp.ack) = (bit(0), bit(3), bit(4));
        (tcp.ece, tcp.cwr) = (bit(6), bit(7));
        tcp
    }

    fn ip(&self) -> IpHeaders {
        if self.v4 {
            let [a, b, c, d, ..] = self.address;
            let mut header =
                Ipv4Header::new(0, 64, ip_number::TCP, [a, b, c, d], [10, 9, 8, 7]).unwrap();
            header.options = Ipv4Options::try_from(vec![1; self.options * 4].as_slice()).unwrap();
            header.more_fragments = self.fragment;
            header.fragment_offset = IpFragOffset::try_new(0).unwrap();
            return IpHeaders::Ipv4(header, Ipv4Extensions::default());
        }
        // Padding only: PadN up to the end.
        let extension = |units: &Option<usize>| {
            units.map(|units| {
                let mut options = vec![0; 6 + units * 8];
                (options[0], options[1]) = (1, (options.len() - 2) as u8);
                Ipv6RawExtHeader::new_raw(ip_number::UDP, &options).unwrap()
            })
        };
        let header = Ipv6Header {
            hop_limit: 64,
            source: self.address,
            destination: [0xfd; 16],
            ..Default::default()
        };
        let extensions = Ipv6Extensions {
            hop_by_hop_options: extension(&self.hop_by_hop),
            destination_options: extension(&self.destination_options),
            ..Default::default()
        };
        IpHeaders::Ipv6(header, extensions)
    }
}

/// Whether every checksum in `frame` is right. Panics when the frame does not parse.
pub(crate) fn checksums_are_right(frame: &[u8]) -> bool {
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let addresses = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            if header.calc_header_checksum() != header.header_checksum {
                return false;
            }
            Ok((header.source, header.destination))
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header().to_header();
            Err((header.source, header.destination))
        }
        NetSlice::Arp(_) => return true,
    };
    match (packet.transport, addresses) {
        (Some(TransportSlice::Tcp(tcp)), Ok((from, to))) => {
            let header = tcp.to_header();
            header.calc_checksum_ipv4_raw(from, to, tcp.payload()) == Ok(header.checksum)
        }
        (Some(TransportSlice::Tcp(tcp)), Err((from, to))) => {
            let header = tcp.to_header();
            header.calc_checksum_ipv6_raw(from, to, tcp.payload()) == Ok(header.checksum)
        }
        (Some(TransportSlice::Udp(udp)), Ok((from, to))) => {
            let header = udp.to_header();
            header.calc_checksum_ipv4_raw(from, to, udp.payload()) == Ok(header.checksum)
        }
        (Some(TransportSlice::Udp(udp)), Err((from, to))) => {
            let header = udp.to_header();
            header.calc_checksum_ipv6_raw(from, to, udp.payload()) == Ok(header.checksum)
        }
        _ => true,
    }
}

/// Where the payload of TCP or UDP is in `frame`, in the eyes of the other hand.
pub(crate) fn payload_of(frame: &[u8]) -> Option<std::ops::Range<usize>> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let payload = match packet.transport? {
        TransportSlice::Tcp(tcp) => tcp.payload(),
        TransportSlice::Udp(udp) => udp.payload(),
        _ => return None,
    };
    let start = payload.as_ptr() as usize - frame.as_ptr() as usize;
    Some(start..start + payload.len())
}

/// Whether the other hand finds an IP packet in `frame`, even if in parts only.
pub(crate) fn has_ip(frame: &[u8]) -> bool {
    let packet = LaxSlicedPacket::from_ethernet(frame);
    packet.is_ok_and(|packet| {
        matches!(
            packet.net,
            Some(LaxNetSlice::Ipv4(_) | LaxNetSlice::Ipv6(_))
        )
    })
}
