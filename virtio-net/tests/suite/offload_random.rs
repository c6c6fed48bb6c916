//! Offloads with frames of all shapes, against another implementation and a plain device.

use etherparse::SlicedPacket;
use proptest::prelude::*;
use virtio_net::features::Features;
use virtio_net::header::NetHeader;
use virtio_net::offload::parse::{Layers, Lengths, Transport, parse};
use virtio_net::offload::receive::{ReceiveOffloads, State, check};
use virtio_net::offload::send::{Request, Segmentation, SendOffloads};
use virtio_net::offload::vlan::Tag;
use virtio_spec::net::HdrF;

use crate::frames::{device_completes, field, set_field, sum};
use crate::frames_random::{Carries, Shape, checksums_are_right, has_ip, payload_of, shape};
use crate::offload_parse::assert_within;
use crate::offload_send::{plan, sent};

const SEND: SendOffloads = SendOffloads::of(Features::ALL);
const RECEIVE: ReceiveOffloads = ReceiveOffloads::of(Features::ALL);

fn layers(frame: &[u8]) -> Layers {
    parse(frame, frame.len(), Lengths::Stated).unwrap()
}

fn request(shape: &Shape) -> Request {
    Request {
        ipv4_checksum: shape.v4,
        tcp_checksum: shape.carries == Carries::Tcp,
        udp_checksum: shape.carries == Carries::Udp,
        ..Request::default()
    }
}

fn is_transport(shape: &Shape) -> bool {
    !shape.fragment && shape.carries != Carries::Echo
}

/// Cuts a large packet as a Linux host does: lengths and sequence numbers anew for each segment, and
/// the checksum from the one that is there, less the old length, plus the new.
fn device_segments(header: &NetHeader, frame: &[u8]) -> Vec<Vec<u8>> {
    let (headers, payload) = frame.split_at(usize::from(header.hdr_len));
    let size = usize::from(header.gso_size);
    let start = usize::from(header.csum_start);
    let at = start + usize::from(header.csum_offset);
    let link = usize::from(layers(frame).link.header_len);
    let is_tcp = header.gso_type & 0x7f != 5;
    let is_v4 = headers[link] >> 4 == 4;
    let count = payload.len().div_ceil(size);
    let cut = |(index, payload): (usize, &[u8])| {
        let mut segment = [headers, payload].concat();
        let len = (segment.len() - start) as u16;
        let old = (frame.len() - start) as u16;
        let seed = sum(&[field(headers, at), !old, len]
            .map(u16::to_be_bytes)
            .concat());
        set_field(&mut segment, at, seed);
        if is_tcp {
            let sequence = segment[start + 4..].first_chunk_mut().unwrap();
            let first = u32::from_be_bytes(*sequence);
            *sequence = (first + (index * size) as u32).to_be_bytes();
            if index + 1 < count {
                segment[start + 13] &= !0x09;
            }
            if index > 0 {
                segment[start + 13] &= !0x80;
            }
        } else {
            set_field(&mut segment, start + 4, len);
        }
        if is_v4 {
            let total = (segment.len() - link) as u16;
            let words = usize::from(segment[link] & 0xf);
            set_field(&mut segment, link + 2, total);
            set_field(&mut segment, link + 10, 0);
            let checksum = !sum(&segment[link..link + words * 4]);
            set_field(&mut segment, link + 10, checksum);
        } else {
            let payload = segment.len() - link - 40;
            set_field(&mut segment, link + 4, payload as u16);
        }
        device_completes(&mut segment, header.csum_start, header.csum_offset);
        segment
    };
    payload.chunks(size).enumerate().map(cut).collect()
}

proptest! {
    #[test]
    fn both_find_the_same_headers(shape in shape(64), padding in 0..20_usize) {
        let mut frame = shape.build();
        let len = frame.len();
        frame.resize(len + padding, 0x5a);
        let layers = layers(&frame);
        assert_within(&layers, frame.len());
        let tags = [layers.link.outer, layers.link.inner];
        prop_assert_eq!(tags.iter().flatten().count(), shape.tags);
        let ip = layers.ip.unwrap();
        prop_assert_eq!((ip.is_v4(), ip.end), (shape.v4, len));
        match payload_of(&frame) {
            Some(payload) => {
                prop_assert_eq!(ip.transport.payload_at(), Some(payload.start));
                prop_assert_eq!(ip.transport_end(), Some(payload.end));
                prop_assert_eq!(ip.transport.ports(), Some(shape.ports));
            }
            None => prop_assert!(!is_transport(&shape)),
        }
        let fragment = ip.transport == Transport::Fragment;
        prop_assert_eq!(fragment, shape.fragment);
    }

    /// A frame that the other hand parses strictly is parsed; one that is parsed has a packet for
    /// the other hand, too.
    #[test]
    fn both_agree_on_what_is_damaged(
        shape in shape(32),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut frame = shape.build();
        for (at, value) in damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let parsed = parse(&frame, frame.len(), Lengths::Stated);
        match parsed {
            Ok(layers) => {
                assert_within(&layers, frame.len());
                prop_assert!(layers.ip.is_none() || has_ip(&frame));
            }
            Err(_) => {
                // They take more than two tags, and more kinds of headers, which then may be cut off.
                let other = SlicedPacket::from_ethernet(&frame);
                prop_assert!(other.is_err() || !has_ip(&frame));
            }
        }
    }

    #[test]
    fn checksums_come_out_right(
        shape in shape(100),
        with_device in any::<bool>(),
        garbage in any::<u16>(),
        cut in any::<proptest::sample::Index>(),
        tag in proptest::option::of(0..4096_u16),
    ) {
        prop_assume!(is_transport(&shape));
        let original = shape.build();
        let ip = layers(&original).ip.unwrap();
        let mut frame = original.clone();
        set_field(&mut frame, ip.transport.checksum_place().unwrap().field, garbage);
        if shape.v4 {
            set_field(&mut frame, usize::from(ip.at) + 10, garbage);
        }

        let features = if with_device { Features::ALL } else { Features::NONE };
        let tag = tag.map(|vlan| Tag::new(0, false, vlan).unwrap());
        let request = Request { tag, ..request(&shape) };
        let mut plan = plan(SendOffloads::of(features), &request, &frame);
        prop_assert_eq!(plan.pending.is_none(), with_device);
        let (left, right) = frame.split_at(cut.index(frame.len()));
        plan.complete([left, right]).unwrap();
        let mut sent = sent(&plan, &frame);
        if with_device {
            prop_assert_eq!(plan.header.flags, HdrF::NEEDS_CSUM);
            device_completes(&mut sent, plan.header.csum_start, plan.header.csum_offset);
        }

        let mut expected = original;
        if let Some(tag) = tag {
            expected.splice(12..12, tag.bytes());
        }
        // A TCP checksum of zero has two forms.
        let field_at = ip.transport.checksum_place().unwrap().field;
        let field_at = field_at + if tag.is_some() { 4 } else { 0 };
        if field(&expected, field_at) == 0 {
            set_field(&mut expected, field_at, field(&sent, field_at));
        }
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn segments_come_out_right(
        shape in shape(3000),
        size in 1..600_u16,
        lengths in any::<u16>(),
    ) {
        prop_assume!(is_transport(&shape));
        let mut frame = shape.build();
        let ip = layers(&frame).ip.unwrap();
        let at = usize::from(ip.at);
        // Whatever the system left in the fields.
        set_field(&mut frame, ip.transport.checksum_place().unwrap().field, lengths);
        set_field(&mut frame, at + if shape.v4 { 2 } else { 4 }, lengths);
        let size_32 = u32::from(size);
        let segmentation = match shape.carries {
            Carries::Tcp => Segmentation::Tcp { size: size_32 },
            _ => Segmentation::Udp { size: size_32 },
        };
        if shape.carries == Carries::Udp {
            set_field(&mut frame, usize::from(ip.transport.at().unwrap()) + 4, lengths);
        }
        let request = Request { segmentation: Some(segmentation), ..Request::default() };
        let plan = plan(SEND, &request, &frame);
        let sent = sent(&plan, &frame);
        prop_assert_eq!(plan.payload_len, shape.payload.len());
        prop_assert_eq!(usize::from(plan.header.hdr_len), sent.len() - shape.payload.len());
        if plan.header.gso_type == 0 {
            prop_assert!(shape.payload.len() <= usize::from(size));
            return Ok(());
        }

        let ecn = shape.carries == Carries::Tcp && shape.flags & 0x80 != 0;
        prop_assert_eq!(plan.header.gso_type & 0x80 != 0, ecn);
        let segments = device_segments(&plan.header, &sent);
        prop_assert_eq!(plan.segments as usize, segments.len());
        let mut payload: Vec<u8> = Vec::new();
        for segment in &segments {
            prop_assert!(checksums_are_right(segment));
            payload.extend(&segment[payload_of(segment).unwrap()]);
        }
        prop_assert_eq!(payload, shape.payload);

        // As received next door, by a driver that asked for large frames.
        let received = RECEIVE.judge(&plan.header, &sent, sent.len()).unwrap();
        prop_assert_eq!(received.transport, State::Stale);
        prop_assert!(!shape.v4 || received.ipv4_header == State::Good);
        let coalesced = received.coalesced.unwrap();
        prop_assert_eq!(usize::from(coalesced.segments), segments.len());
        let mut whole = sent;
        prop_assert!(received.pending.unwrap().complete(&mut whole));
        prop_assert!(checksums_are_right(&whole));
    }

    #[test]
    fn a_checksum_is_good_when_the_other_hand_says_so(
        shape in shape(40),
        at in any::<proptest::sample::Index>(),
        flip in any::<u8>(),
    ) {
        prop_assume!(is_transport(&shape));
        let mut frame = shape.build();
        let payload = payload_of(&frame).unwrap();
        prop_assume!(!payload.is_empty());
        frame[payload.start + at.index(payload.len())] ^= flip;
        let ip = layers(&frame).ip.unwrap();
        let right = checksums_are_right(&frame);
        prop_assert_eq!(right, flip == 0);
        prop_assert_eq!(check(&ip, [&frame[..]]) == State::Good, right);
    }

    /// A device that writes anything: no panic, and what comes out lies in the frame.
    #[test]
    fn no_header_leads_outside(
        shape in shape(64),
        bytes in any::<[u8; 12]>(),
        features in any::<u128>(),
        given in any::<proptest::sample::Index>(),
    ) {
        let frame = shape.build();
        let header = NetHeader::parse(&bytes).unwrap();
        let offloads = ReceiveOffloads::of(Features::from_bits(features));
        let head = &frame[..given.index(frame.len() + 1)];
        if let Ok(received) = offloads.judge(&header, head, frame.len()) {
            if let Some(pending) = received.pending {
                prop_assert!(pending.start <= pending.field);
                prop_assert!(pending.field + 2 <= pending.end);
                prop_assert!(pending.end <= frame.len());
                prop_assert!(pending.complete(&mut frame.clone()));
            }
            if let Some(coalesced) = received.coalesced {
                prop_assert!(coalesced.segments > 0);
            }
        }
    }
}
