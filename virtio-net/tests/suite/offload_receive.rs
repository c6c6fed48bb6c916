//! Received frames: what may be believed of what a device says.

use virtio_net::features::Features;
use virtio_net::header::NetHeader;
use virtio_net::offload::receive::{
    Coalesced, Kind, ReceiveOffloads, Received, State, Useless, check,
};
use virtio_spec::net::HdrF;

use crate::frames::{
    ARP, TAGGED_UDP_V4, TCP_V4, TCP_V6, TRANSPORTS, UDP_V6, field, set_field, sum,
};

const ALL: ReceiveOffloads = ReceiveOffloads::of(Features::ALL);
const NONE: ReceiveOffloads = ReceiveOffloads::of(Features::NONE);

const VALID: NetHeader = NetHeader {
    flags: HdrF::DATA_VALID,
    ..NetHeader::PLAIN
};

fn judge(offloads: ReceiveOffloads, header: &NetHeader, frame: &[u8]) -> Received {
    offloads.judge(header, frame, frame.len()).unwrap()
}

fn useless(offloads: ReceiveOffloads, header: &NetHeader, frame: &[u8]) -> Useless {
    offloads.judge(header, frame, frame.len()).unwrap_err()
}

fn place(frame: &[u8]) -> (usize, usize, usize) {
    let received = judge(ALL, &NetHeader::PLAIN, frame);
    let ip = received.layers.unwrap().ip.unwrap();
    let place = ip.transport.checksum_place().unwrap();
    (place.start, place.field, ip.end)
}

/// The frame as a neighbour sends it that leaves checksums to the device.
fn partial(frame: &[u8]) -> (NetHeader, Vec<u8>) {
    let (start, at, end) = place(frame);
    let mut partial = frame.to_vec();
    // Of a right packet everything but the pseudo header sums up to the complement of that.
    set_field(&mut partial, at, 0);
    let rest = sum(&partial[start..end]);
    let pseudo = u32::from(!field(frame, at)) + u32::from(!rest);
    set_field(
        &mut partial,
        at,
        ((pseudo & 0xffff) + (pseudo >> 16)) as u16,
    );
    let header = NetHeader {
        flags: HdrF::NEEDS_CSUM,
        csum_start: start as u16,
        csum_offset: (at - start) as u16,
        ..NetHeader::PLAIN
    };
    (header, partial)
}

#[test]
fn nothing_said_is_nothing_known() {
    for frame in TRANSPORTS {
        let received = judge(ALL, &NetHeader::PLAIN, frame);
        assert_eq!(received.transport, State::Unknown);
        assert_eq!((received.pending, received.coalesced), (None, None));
        assert!(!received.ignored);
    }
    assert_eq!(judge(ALL, &VALID, ARP).transport, State::Unknown);
}

#[test]
fn a_checked_checksum_is_good_if_that_was_negotiated() {
    for frame in TRANSPORTS {
        assert_eq!(judge(ALL, &VALID, frame).transport, State::Good);
        let received = judge(NONE, &VALID, frame);
        assert_eq!(received.transport, State::Unknown);
        assert!(!received.ignored);
    }
}

#[test]
fn the_ipv4_header_is_always_checked() {
    for offloads in [ALL, NONE] {
        assert_eq!(judge(offloads, &VALID, TCP_V4).ipv4_header, State::Good);
        assert_eq!(judge(offloads, &VALID, TCP_V6).ipv4_header, State::Unknown);
        for bit in 0..8 {
            // The time to live: of no consequence but for the checksum.
            let mut frame = TCP_V4.to_vec();
            frame[22] ^= 1 << bit;
            assert_eq!(judge(offloads, &VALID, &frame).ipv4_header, State::Bad);
        }
    }
}

#[test]
fn fragments_and_other_protocols_have_no_checked_checksum() {
    let mut frame = TCP_V4.to_vec();
    set_field(&mut frame, 20, 0x2000);
    assert_eq!(judge(ALL, &VALID, &frame).transport, State::Unknown);
    let mut frame = TCP_V4.to_vec();
    frame[23] = 47;
    assert_eq!(judge(ALL, &VALID, &frame).transport, State::Unknown);
}

#[test]
fn a_missing_checksum_can_stay_missing_or_be_completed() {
    for frame in TRANSPORTS {
        let (header, mut partial) = partial(frame);
        let received = judge(ALL, &header, &partial);
        assert_eq!(received.transport, State::Stale);
        assert!(received.pending.unwrap().complete(&mut partial));
        assert_eq!(partial, frame);
    }
}

#[test]
fn a_missing_checksum_that_was_not_negotiated_is_not_believed() {
    let (header, partial) = partial(TCP_V4);
    let received = judge(NONE, &header, &partial);
    assert_eq!(received.transport, State::Unknown);
    assert_eq!(received.pending, None);
    assert!(received.ignored);
}

#[test]
fn padding_is_not_in_a_missing_checksum() {
    let (header, mut partial) = partial(TCP_V4);
    partial.extend([0x55; 3]);
    let received = judge(ALL, &header, &partial);
    assert!(received.pending.unwrap().complete(&mut partial));
    assert_eq!(partial[..TCP_V4.len()], *TCP_V4);
}

#[test]
fn a_checksum_inside_of_something_has_to_be_completed() {
    // Eight bytes behind the UDP header starts something that has its checksum two bytes on.
    let header = NetHeader {
        flags: HdrF::NEEDS_CSUM,
        csum_start: 50 + 8,
        csum_offset: 2,
        ..NetHeader::PLAIN
    };
    let mut frame = TAGGED_UDP_V4.to_vec();
    let received = judge(ALL, &header, &frame);
    // Of UDP itself nothing is known.
    assert_eq!(received.transport, State::Unknown);
    let before = sum(&frame[58..]);
    assert!(received.pending.unwrap().complete(&mut frame));
    assert_eq!(field(&frame, 60), !before);

    // So it is in a frame that is not IP.
    let header = NetHeader {
        csum_start: 14,
        csum_offset: 44,
        ..header
    };
    let pending = judge(ALL, &header, ARP).pending.unwrap();
    assert_eq!((pending.start, pending.field, pending.end), (14, 58, 60));
}

#[test]
fn a_missing_checksum_outside_of_the_frame_makes_it_useless() {
    let of = |start, offset| NetHeader {
        flags: HdrF::NEEDS_CSUM,
        csum_start: start,
        csum_offset: offset,
        ..NetHeader::PLAIN
    };
    let end = TCP_V4.len() as u16;
    for (start, offset) in [
        (0, 16),
        (13, 16),
        (34, end - 34),
        (34, end - 35),
        (end, 0),
        (u16::MAX, u16::MAX),
        (34, u16::MAX),
    ] {
        let expected = Useless::ChecksumPlace { start, offset };
        assert_eq!(useless(ALL, &of(start, offset), TCP_V4), expected);
    }
    assert!(ALL.judge(&of(34, end - 36), TCP_V4, TCP_V4.len()).is_ok());
    // Not in the padding, either.
    let mut padded = TCP_V4.to_vec();
    padded.extend([0; 9]);
    let place = Useless::ChecksumPlace {
        start: 34,
        offset: end - 34,
    };
    assert_eq!(useless(ALL, &of(34, end - 34), &padded), place);
}

#[test]
fn udp_may_come_without_a_checksum() {
    let mut frame = TAGGED_UDP_V4.to_vec();
    set_field(&mut frame, 48, 0);
    for header in [NetHeader::PLAIN, VALID] {
        assert_eq!(judge(ALL, &header, &frame).transport, State::Absent);
    }
    // Over IPv6 only tunnels may.
    let mut frame = UDP_V6.to_vec();
    set_field(&mut frame, 60, 0);
    assert_eq!(judge(ALL, &VALID, &frame).transport, State::Unknown);
}

fn segments(gso_type: u8, gso_size: u16) -> NetHeader {
    NetHeader {
        gso_type,
        gso_size,
        ..NetHeader::PLAIN
    }
}

/// `header` as the device writes it for a frame with a missing checksum.
fn with_partial(header: NetHeader, frame: &[u8]) -> NetHeader {
    let (partial, _) = partial(frame);
    NetHeader {
        flags: partial.flags,
        csum_start: partial.csum_start,
        csum_offset: partial.csum_offset,
        ..header
    }
}

#[test]
fn segments_that_were_put_together_are_counted() {
    for (frame, gso_type, kind, payload) in [
        (TCP_V4, 1, Kind::Tcp, 5_u16),
        (TCP_V6, 4, Kind::Tcp, 3),
        (TAGGED_UDP_V4, 5, Kind::Udp, 29),
        (UDP_V6, 5, Kind::Udp, 9),
    ] {
        for size in 1..payload {
            let header = with_partial(segments(gso_type, size), frame);
            let received = judge(ALL, &header, frame);
            assert_eq!(received.transport, State::Stale);
            let expected = Coalesced {
                kind,
                segments: payload.div_ceil(size),
                duplicate_acks: 0,
                segment_size: size,
            };
            assert_eq!(received.coalesced, Some(expected));
        }
        // One segment is what was sent.
        let received = judge(ALL, &segments(gso_type, payload), frame);
        assert_eq!(received.coalesced, None);
        // Without a word about its checksum none is claimed.
        assert_eq!(received.transport, State::Unknown);
    }
}

#[test]
fn fragments_that_were_put_together_are_a_datagram() {
    let header = with_partial(segments(3, 8), UDP_V6);
    let received = judge(ALL, &header, UDP_V6);
    assert_eq!(
        (received.coalesced, received.transport),
        (None, State::Stale)
    );
}

#[test]
fn what_was_not_negotiated_is_not_taken_as_put_together() {
    for (frame, gso_type) in [(TCP_V4, 1), (TCP_V6, 4), (UDP_V6, 3), (UDP_V6, 5)] {
        let refused = Useless::NotNegotiated { gso_type };
        assert_eq!(useless(NONE, &segments(gso_type, 2), frame), refused);
        // Segmentation without checksums was not negotiated either.
        let others = ReceiveOffloads::of(Features::ALL & !Features::GUEST_CSUM);
        assert_eq!(useless(others, &segments(gso_type, 2), frame), refused);
    }
    // Unknown, in tunnels, and an ECN bit of nothing.
    for gso_type in [2, 6, 0x21, 0x44, 0x61, 0x80, 0x40, 0x20, 0x7f, 0xff] {
        let refused = Useless::NotNegotiated { gso_type };
        assert_eq!(useless(ALL, &segments(gso_type, 2), TCP_V4), refused);
    }
    // UDP over the other version.
    let v4 = ReceiveOffloads::of(Features::GUEST_CSUM | Features::GUEST_USO4);
    let refused = Useless::Contradiction { gso_type: 5 };
    assert_eq!(useless(v4, &segments(5, 2), UDP_V6), refused);
}

#[test]
fn what_cannot_have_been_put_together_is_useless() {
    for (frame, gso_types) in [
        (TCP_V4, &[3_u8, 4, 5][..]),
        (TCP_V6, &[1, 3, 5]),
        (UDP_V6, &[1, 4, 0x83, 0x85]),
        (ARP, &[1, 3, 4, 5]),
    ] {
        for gso_type in gso_types.iter().copied() {
            let refused = Useless::Contradiction { gso_type };
            assert_eq!(useless(ALL, &segments(gso_type, 2), frame), refused);
        }
    }
    let mut fragment = TCP_V4.to_vec();
    set_field(&mut fragment, 20, 0x2000);
    let refused = Useless::Contradiction { gso_type: 1 };
    assert_eq!(useless(ALL, &segments(1, 2), &fragment), refused);
    let mut broken = TCP_V4.to_vec();
    set_field(&mut broken, 16, 9);
    assert_eq!(useless(ALL, &segments(1, 2), &broken), refused);
    assert_eq!(
        useless(ALL, &segments(1, 0), TCP_V4),
        Useless::NoSegmentSize
    );
}

#[test]
fn congestion_is_a_hint() {
    let header = segments(0x81, 2);
    let received = judge(ALL, &header, TCP_V4);
    assert_eq!(received.coalesced.unwrap().segments, 3);
    assert!(!received.ignored);
    let without = ReceiveOffloads::of(Features::GUEST_CSUM | Features::GUEST_TSO4);
    let received = judge(without, &header, TCP_V4);
    assert_eq!(received.coalesced.unwrap().segments, 3);
    assert!(received.ignored);
}

fn counted(segments: u16, duplicate_acks: u16, gso_size: u16) -> NetHeader {
    NetHeader {
        flags: HdrF::RSC_INFO,
        gso_type: 1,
        gso_size,
        csum_start: segments,
        csum_offset: duplicate_acks,
        ..NetHeader::PLAIN
    }
}

#[test]
fn counts_are_taken_as_far_as_they_can_be() {
    let of = |header: NetHeader| judge(ALL, &header, TCP_V4).coalesced.unwrap();
    let expected = |segments, duplicate_acks, segment_size| Coalesced {
        kind: Kind::Tcp,
        segments,
        duplicate_acks,
        segment_size,
    };
    assert_eq!(of(counted(2, 0, 3)), expected(2, 0, 3));
    // The size is often left out, and estimated then.
    assert_eq!(of(counted(2, 0, 0)), expected(2, 0, 3));
    assert_eq!(of(counted(7, 2, 0)), expected(7, 2, 1));
    // None, or more than there are bytes.
    assert_eq!(of(counted(0, 0, 2)), expected(3, 0, 2));
    assert_eq!(of(counted(6, 0, 2)), expected(3, 0, 2));
    assert_eq!(of(counted(u16::MAX, 0, 0)), expected(5, 0, 1));
    assert_eq!(of(counted(0, 0, 900)), expected(1, 0, 5));
}

#[test]
fn a_counted_frame_has_old_checksums_and_can_get_new_ones() {
    let mut frame = TCP_V4.to_vec();
    set_field(&mut frame, 24, 0x1111);
    set_field(&mut frame, 50, 0x2222);
    let received = judge(ALL, &counted(2, 0, 3), &frame);
    assert_eq!(received.ipv4_header, State::Stale);
    assert_eq!(received.transport, State::Stale);
    assert!(received.pending.unwrap().complete(&mut frame));
    assert_eq!(field(&frame, 50), field(TCP_V4, 50));
    // A right header stays right.
    let received = judge(ALL, &counted(2, 0, 3), TCP_V4);
    assert_eq!(received.ipv4_header, State::Good);
}

#[test]
fn counts_that_were_not_negotiated_are_ignored() {
    let without = ReceiveOffloads::of(Features::ALL & !Features::RSC_EXT);
    let received = judge(without, &counted(2, 9, 3), TCP_V4);
    assert_eq!(received.coalesced.unwrap().duplicate_acks, 0);
    assert_eq!(received.transport, State::Unknown);
    assert!(received.ignored);
    // Counts of nothing.
    let plain = NetHeader {
        gso_type: 0,
        ..counted(2, 9, 3)
    };
    let received = judge(ALL, &plain, TCP_V4);
    assert_eq!((received.coalesced, received.pending), (None, None));
    assert!(received.ignored);
}

#[test]
fn a_damaged_packet_is_a_frame_nonetheless() {
    let mut frame = TCP_V4.to_vec();
    set_field(&mut frame, 16, 9);
    let received = judge(ALL, &VALID, &frame);
    assert_eq!(received.layers, None);
    assert_eq!(received.transport, State::Unknown);
    assert_eq!(received.ipv4_header, State::Unknown);
    assert_eq!(useless(ALL, &VALID, &frame[..13]), Useless::Runt);
    assert_eq!(useless(ALL, &VALID, &[]), Useless::Runt);
}

#[test]
fn a_short_head_is_asked_for_more() {
    for given in 0..66 {
        let judged = ALL.judge(&VALID, &TCP_V4[..given], TCP_V4.len());
        assert!(matches!(judged, Err(Useless::Incomplete { needed }) if needed > given));
    }
    let judged = ALL.judge(&VALID, &TCP_V4[..66], TCP_V4.len());
    assert_eq!(judged, Ok(judge(ALL, &VALID, TCP_V4)));
}

#[test]
fn the_driver_can_check_for_itself() {
    for frame in TRANSPORTS {
        let ip = judge(ALL, &NetHeader::PLAIN, frame)
            .layers
            .unwrap()
            .ip
            .unwrap();
        let (start, ..) = place(frame);
        for cut in 0..=frame.len() {
            let (left, right) = frame.split_at(cut);
            assert_eq!(check(&ip, [left, right]), State::Good);
        }
        for at in start..frame.len() {
            let mut corrupt = frame.to_vec();
            corrupt[at] ^= 0x10;
            assert_eq!(check(&ip, [&corrupt[..]]), State::Bad);
        }
        assert_eq!(check(&ip, [&frame[..frame.len() - 1]]), State::Unknown);
    }
}
