//! Frames to send: what the device is told, and what it would make of that.

use virtio_net::features::Features;
use virtio_net::header::NetHeader;
use virtio_net::offload::parse::{Fault, Unparsed};
use virtio_net::offload::send::{Plan, Request, Segmentation, SendOffloads, Unsendable};
use virtio_net::offload::vlan::Tag;
use virtio_spec::net::HdrF;

use crate::frames::{
    ARP, MOBILE, TAGGED_UDP_V4, TCP_V4, TCP_V6, TRANSPORTS, UDP_V6, device_completes, field,
    set_field, sum,
};

const ALL: SendOffloads = SendOffloads::of(Features::ALL);
const NONE: SendOffloads = SendOffloads::of(Features::NONE);

const TCP: Request = Request {
    ipv4_checksum: false,
    tcp_checksum: true,
    udp_checksum: false,
    segmentation: None,
    transport_at: None,
    tag: None,
};
const UDP: Request = Request {
    tcp_checksum: false,
    udp_checksum: true,
    ..TCP
};
const PLAIN: Request = Request {
    tcp_checksum: false,
    ..TCP
};

pub(crate) fn plan(offloads: SendOffloads, request: &Request, frame: &[u8]) -> Plan {
    offloads.plan(request, frame, frame.len()).unwrap()
}

fn refusal(offloads: SendOffloads, request: &Request, frame: &[u8]) -> Unsendable {
    offloads.plan(request, frame, frame.len()).unwrap_err()
}

/// The frame as it leaves the driver.
pub(crate) fn sent(plan: &Plan, frame: &[u8]) -> Vec<u8> {
    let copied = plan.copied_len();
    let mut bytes = vec![0xee; frame.len() + 4];
    let len = plan.write_head(&frame[..copied], &mut bytes).unwrap();
    bytes.truncate(len);
    bytes.extend(&frame[copied..]);
    bytes
}

pub(crate) fn request_for(frame: &[u8]) -> Request {
    let is_udp = frame == TAGGED_UDP_V4 || frame == UDP_V6;
    if is_udp { UDP } else { TCP }
}

/// The frame with something else in its checksum fields.
fn spoilt(frame: &[u8]) -> (Vec<u8>, usize) {
    let plan = plan(ALL, &request_for(frame), frame);
    let at = usize::from(plan.header.csum_start + plan.header.csum_offset);
    let mut spoilt = frame.to_vec();
    set_field(&mut spoilt, at, 0xbeef);
    (spoilt, at)
}

#[test]
fn a_plain_frame_is_not_looked_at() {
    for frame in [&[][..], &[1, 2, 3], TCP_V4] {
        let plan = plan(ALL, &PLAIN, frame);
        assert_eq!(plan.header, NetHeader::PLAIN);
        assert_eq!(sent(&plan, frame), frame);
        assert_eq!((plan.copied_len(), plan.segments), (0, 1));
    }
}

#[test]
fn the_device_completes_what_it_is_given() {
    for frame in TRANSPORTS {
        let (spoilt, at) = spoilt(frame);
        let plan = plan(ALL, &request_for(frame), &spoilt);
        assert_eq!(plan.header.flags, HdrF::NEEDS_CSUM);
        assert_eq!((plan.header.gso_type, plan.pending), (0, None));
        let mut sent = sent(&plan, &spoilt);
        // Only the checksum field changes.
        let (mut left, mut right) = (sent.clone(), frame.to_vec());
        set_field(&mut left, at, 0);
        set_field(&mut right, at, 0);
        assert_eq!(left, right);
        device_completes(&mut sent, plan.header.csum_start, plan.header.csum_offset);
        assert_eq!(sent, frame);
    }
}

#[test]
fn without_the_device_the_driver_does() {
    for frame in TRANSPORTS {
        let (spoilt, _) = spoilt(frame);
        for cut in 0..=spoilt.len() {
            let mut plan = plan(NONE, &request_for(frame), &spoilt);
            assert_eq!(plan.header, NetHeader::PLAIN);
            let (left, right) = spoilt.split_at(cut);
            plan.complete([left, &[], right]).unwrap();
            assert_eq!(sent(&plan, &spoilt), frame);
        }
        let mut plan = plan(NONE, &request_for(frame), &spoilt);
        let short = &spoilt[..spoilt.len() - 1];
        assert_eq!(plan.complete([short]), Err(Unsendable::CutOff));
    }
}

#[test]
fn padding_does_not_get_into_the_checksum() {
    for frame in [TCP_V4, UDP_V6] {
        let mut padded = spoilt(frame).0;
        padded.extend([0xaa; 5]);
        // The device would sum it, too.
        let mut plan = plan(ALL, &request_for(frame), &padded);
        assert_eq!(plan.header, NetHeader::PLAIN);
        plan.complete([&padded[..]]).unwrap();
        assert_eq!(sent(&plan, &padded)[..frame.len()], *frame);
    }
}

#[test]
fn a_udp_checksum_of_zero_is_sent_as_ones() {
    let mut frame = UDP_V6.to_vec();
    // What the checksum was goes into the payload: the sum becomes ones, the checksum zero.
    let checksum = field(&frame, 60);
    set_field(&mut frame, 60, 0);
    set_field(&mut frame, 62, 0);
    let mut without = plan(NONE, &UDP, &frame);
    without.complete([&frame[..]]).unwrap();
    let rest = field(&sent(&without, &frame), 60);
    assert_ne!(rest, checksum);
    set_field(&mut frame, 62, rest);
    let mut plan = plan(NONE, &UDP, &frame);
    plan.complete([&frame[..]]).unwrap();
    assert_eq!(field(&sent(&plan, &frame), 60), 0xffff);
}

#[test]
fn the_ipv4_header_is_the_drivers_work() {
    for offloads in [ALL, NONE] {
        for (frame, at, len) in [(TCP_V4, 14, 20), (TAGGED_UDP_V4, 18, 24)] {
            let mut spoilt = frame.to_vec();
            set_field(&mut spoilt, at + 10, 0xbeef);
            let request = Request {
                ipv4_checksum: true,
                ..PLAIN
            };
            let plan = plan(offloads, &request, &spoilt);
            assert_eq!(plan.header, NetHeader::PLAIN);
            assert_eq!(sent(&plan, &spoilt), frame);
            assert_eq!(sum(&frame[at..at + len]), 0xffff);
        }
    }
}

#[test]
fn header_length_and_places_are_exact() {
    let of = |frame, request| {
        let header = plan(ALL, request, frame).header;
        (header.hdr_len, header.csum_start, header.csum_offset)
    };
    assert_eq!(of(TCP_V4, &TCP), (66, 34, 16));
    assert_eq!(of(TAGGED_UDP_V4, &UDP), (50, 42, 6));
    assert_eq!(of(TCP_V6, &TCP), (94, 62, 16));
    let tagged = Request {
        tag: Tag::new(0, false, 9),
        ..TCP
    };
    assert_eq!(of(TCP_V4, &tagged), (70, 38, 16));
}

#[test]
fn a_tag_goes_behind_the_addresses() {
    let tag = Tag::new(3, false, 7);
    let mut untagged = TAGGED_UDP_V4.to_vec();
    untagged.drain(12..16);
    let request = Request { tag, ..PLAIN };
    assert_eq!(
        sent(&plan(ALL, &request, &untagged), &untagged),
        TAGGED_UDP_V4
    );

    let request = Request { tag, ..UDP };
    let plan = plan(ALL, &request, &untagged);
    let mut sent = sent(&plan, &untagged);
    device_completes(&mut sent, plan.header.csum_start, plan.header.csum_offset);
    assert_eq!(sent, TAGGED_UDP_V4);

    let cut_off = Unsendable::Unparsed(Unparsed::Malformed(Fault::CutOff));
    let request = Request { tag, ..PLAIN };
    assert_eq!(refusal(ALL, &request, &untagged[..13]), cut_off);
    assert_eq!(plan.write_head(&untagged, &mut [0; 78]), None);
    assert_eq!(plan.write_head(&untagged[..11], &mut [0; 78]), None);
}

#[test]
fn what_cannot_be_checksummed_is_refused() {
    let other = Unsendable::OtherProtocol;
    assert_eq!(refusal(ALL, &UDP, TCP_V4), other);
    assert_eq!(refusal(ALL, &TCP, UDP_V6), other);
    assert_eq!(refusal(ALL, &TCP, ARP), other);
    let mut fragment = TCP_V4.to_vec();
    set_field(&mut fragment, 20, 0x2000);
    assert_eq!(refusal(ALL, &TCP, &fragment), other);
    let ipv4 = Request {
        ipv4_checksum: true,
        ..PLAIN
    };
    assert_eq!(refusal(ALL, &ipv4, TCP_V6), other);
    // The IPv4 header of a fragment can be done.
    assert_eq!(plan(ALL, &ipv4, &fragment).patches().len(), 1);

    let said = Request {
        transport_at: Some(0),
        ..TCP
    };
    let place = Unsendable::TransportPlace { said: 0, found: 34 };
    assert_eq!(refusal(ALL, &said, TCP_V4), place);

    // The type of the routing header, with a segment left.
    let mut hidden = MOBILE.to_vec();
    hidden[80] = 77;
    assert_eq!(refusal(ALL, &TCP, &hidden), Unsendable::HiddenAddress);
}

#[test]
fn a_short_head_is_asked_for_more() {
    let plan = |given| ALL.plan(&TCP, &TCP_V4[..given], TCP_V4.len());
    for given in 0..66 {
        let refused = plan(given).unwrap_err();
        assert!(matches!(
            refused,
            Unsendable::Unparsed(Unparsed::Incomplete { .. })
        ));
    }
    assert_eq!(plan(66), plan(TCP_V4.len()));
}

/// `frame` with `payload` more bytes, the lengths and checksums in its headers zero.
fn large(frame: &[u8], payload: usize) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.extend((0..payload).map(|at| at as u8));
    let v4_at = match field(&frame, 12) {
        0x0800 => Some(14),
        0x8100 => Some(18),
        _ => None,
    };
    match v4_at {
        Some(at) => {
            set_field(&mut frame, at + 2, 0);
            set_field(&mut frame, at + 10, 0);
        }
        None => set_field(&mut frame, 18, 0),
    }
    frame
}

fn segmented(segmentation: Segmentation) -> Request {
    Request {
        segmentation: Some(segmentation),
        ..PLAIN
    }
}

#[test]
fn tcp_is_segmented_by_the_device() {
    let request = segmented(Segmentation::Tcp { size: 1000 });
    for (frame, gso_type, at) in [(TCP_V4, 1, 34), (TCP_V6, 4, 62), (MOBILE, 4, 102)] {
        let frame = large(frame, 2500);
        let plan = plan(ALL, &request, &frame);
        assert_eq!((plan.segments, plan.pending), (3, None));
        let header = plan.header;
        assert_eq!(header.flags, HdrF::NEEDS_CSUM);
        assert_eq!((header.gso_type, header.gso_size), (gso_type, 1000));
        assert_eq!((header.csum_start, header.csum_offset), (at, 16));
        assert_eq!(usize::from(header.hdr_len) + plan.payload_len, frame.len());

        let sent = sent(&plan, &frame);
        let ip_len = match gso_type {
            1 => field(&sent, 16) + 14,
            _ => field(&sent, 18) + 54,
        };
        assert_eq!(usize::from(ip_len), frame.len());
        if gso_type == 1 {
            assert_eq!(sum(&sent[14..34]), 0xffff);
        }
        // Whole, it is a right packet once its checksum is completed (the receiver may be next door).
        let mut whole = sent.clone();
        device_completes(&mut whole, at, 16);
        let other = self::plan(NONE, &TCP, &whole);
        let mut other = other;
        other.complete([&whole[..]]).unwrap();
        assert_eq!(self::sent(&other, &whole), whole);
    }
}

#[test]
fn udp_is_segmented_by_the_device() {
    let request = segmented(Segmentation::Udp { size: 500 });
    for (frame, at) in [(TAGGED_UDP_V4, 42), (UDP_V6, 54)] {
        let frame = large(frame, 1100);
        let plan = plan(ALL, &request, &frame);
        assert_eq!((plan.header.gso_type, plan.header.gso_size), (5, 500));
        assert_eq!((plan.header.csum_start, plan.header.csum_offset), (at, 6));
        assert_eq!(plan.header.hdr_len, at + 8);
        let sent = sent(&plan, &frame);
        let length = field(&sent, usize::from(at) + 4);
        assert_eq!(usize::from(length), frame.len() - usize::from(at));
    }
}

#[test]
fn what_fits_into_one_segment_is_not_segmented() {
    let request = segmented(Segmentation::Tcp { size: 5 });
    let frame = large(TCP_V4, 0);
    let plan = plan(ALL, &request, &frame);
    assert_eq!((plan.header.gso_type, plan.header.gso_size), (0, 0));
    let mut sent = sent(&plan, &frame);
    device_completes(&mut sent, plan.header.csum_start, plan.header.csum_offset);
    assert_eq!(sent, TCP_V4);
    let request = segmented(Segmentation::Tcp { size: 1 << 20 });
    assert_eq!(self::plan(ALL, &request, &frame).header.gso_type, 0);
}

#[test]
fn segmentation_needs_its_feature() {
    let tcp = segmented(Segmentation::Tcp { size: 500 });
    let udp = segmented(Segmentation::Udp { size: 500 });
    let frames = [
        (&tcp, large(TCP_V4, 2000), Features::HOST_TSO4),
        (&tcp, large(TCP_V6, 2000), Features::HOST_TSO6),
        (&udp, large(UDP_V6, 2000), Features::HOST_USO),
    ];
    let every = [Features::HOST_TSO4, Features::HOST_TSO6, Features::HOST_USO];
    for (request, frame, needed) in &frames {
        for feature in every {
            let offloads = SendOffloads::of(Features::CSUM | feature);
            let planned = offloads.plan(request, frame, frame.len());
            match feature == *needed {
                true => assert_eq!(planned.unwrap().segments, 5),
                false => assert_eq!(planned, Err(Unsendable::NotNegotiated)),
            }
        }
        // Not without checksums.
        let refused = refusal(SendOffloads::of(*needed), request, frame);
        assert_eq!(refused, Unsendable::NotNegotiated);
    }
}

#[test]
fn an_answer_to_congestion_needs_its_bit() {
    let request = segmented(Segmentation::Tcp { size: 500 });
    for (frame, flags, feature, gso_type) in [
        (TCP_V4, 47, Features::HOST_TSO4, 0x81),
        (TCP_V6, 75, Features::HOST_TSO6, 0x84),
    ] {
        let mut frame = large(frame, 2000);
        frame[flags] |= 0x80;
        let features = Features::CSUM | feature;
        let with = SendOffloads::of(features | Features::HOST_ECN);
        assert_eq!(plan(with, &request, &frame).header.gso_type, gso_type);
        let refused = refusal(SendOffloads::of(features), &request, &frame);
        assert_eq!(refused, Unsendable::CongestionNotNegotiated);
        // A single segment may carry it anywhere.
        let one = segmented(Segmentation::Tcp { size: 5000 });
        assert_eq!(plan(SendOffloads::of(features), &one, &frame).segments, 1);
    }
}

#[test]
fn segments_that_cannot_be_are_refused() {
    let tcp = |size| segmented(Segmentation::Tcp { size });
    let frame = large(TCP_V4, 2000);
    assert_eq!(refusal(ALL, &tcp(0), &frame), Unsendable::SegmentSize(0));
    assert_eq!(refusal(ALL, &tcp(9), UDP_V6), Unsendable::OtherProtocol);
    let udp = segmented(Segmentation::Udp { size: 9 });
    assert_eq!(refusal(ALL, &udp, TCP_V6), Unsendable::OtherProtocol);
    assert_eq!(refusal(ALL, &udp, ARP), Unsendable::OtherProtocol);
    // IPv4 counts its header, IPv6 does not.
    let fits = 0xffff - 20 - 32 - 5;
    assert_eq!(plan(ALL, &tcp(1000), &large(TCP_V4, fits)).segments, 66);
    let refused = refusal(ALL, &tcp(1000), &large(TCP_V4, fits + 1));
    assert_eq!(refused, Unsendable::TooLong);
    let fits = 0xffff - 8 - 32 - 3;
    assert_eq!(plan(ALL, &tcp(1000), &large(TCP_V6, fits)).segments, 66);
    let refused = refusal(ALL, &tcp(1000), &large(TCP_V6, fits + 1));
    assert_eq!(refused, Unsendable::TooLong);
}
