//! 1.R: task offloads and receive-side scaling.

mod scaling;

use ndis_host::ndis::api::{self, AdapterAttributes, OffloadAttributes};
use ndis_sys::{
    NDIS_ENCAPSULATION_IEEE_802_3, NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEFAULT,
    NDIS_OBJECT_TYPE_OFFLOAD, NDIS_OFFLOAD, NDIS_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_REVISION_1,
    NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1, NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1,
    NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS, NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG,
    OID_OFFLOAD_ENCAPSULATION, OID_TCP_OFFLOAD_PARAMETERS, TcpIpChecksumNetBufferListInfo,
    TcpLargeSendNetBufferListInfo, Zeroed,
};

use crate::hooked_card::{Card, Hooks, Nbl, RIGHT, plain, tcp};
use crate::native::{breaks, holds, nic::MAC, stack::Stack};

const ALL: [u8; 6] = [0xff; 6];
/// TcpChecksum, UdpChecksum and IpChecksum, in fields of two bits.
const CHECKSUMS: u32 = 0x150;
/// Slot 2: LSOv2 with an MSS of 100.
const LARGE: usize = 1 << 30 | 100;
/// Slot 0: IsIPv4, TcpChecksum, IpHeaderChecksum.
const WANT_CHECKSUMS: usize = 0b1_0101;
/// The slot's name is in the tables of a later NDIS.
const UDP_SEGMENTATION: usize = 22;

fn header(kind: u8, revision: u8, size: u16) -> NDIS_OBJECT_HEADER {
    NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: size,
    }
}

fn config(large: bool, checksums: u32) -> NDIS_OFFLOAD {
    let mut offload = NDIS_OFFLOAD::zeroed();
    offload.Header = header(
        NDIS_OBJECT_TYPE_OFFLOAD,
        NDIS_OFFLOAD_REVISION_1,
        NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_1,
    );
    if checksums != 0 {
        for side in [
            &mut offload.Checksum.IPv4Transmit,
            &mut offload.Checksum.IPv4Receive,
        ] {
            side.Encapsulation = NDIS_ENCAPSULATION_IEEE_802_3;
            side.Supported = checksums;
        }
    }
    if large {
        offload.LsoV2.IPv4.Encapsulation = NDIS_ENCAPSULATION_IEEE_802_3;
        offload.LsoV2.IPv4.MaxOffLoadSize = 60_000;
        offload.LsoV2.IPv4.MinSegmentCount = 2;
    }
    offload
}

fn with_offloads(current: NDIS_OFFLOAD) -> AdapterAttributes {
    AdapterAttributes {
        offload: Some(OffloadAttributes {
            current,
            hardware: current,
        }),
        ..AdapterAttributes::ethernet(MAC)
    }
}

/// A card with checksums and large sends.
const ABLE: Hooks = Hooks {
    attributes: || with_offloads(config(true, CHECKSUMS)),
    oid: |card, request| {
        request.set_read(request.input().len() as u32);
        if request.oid() == OID_OFFLOAD_ENCAPSULATION {
            tell(card, config(true, CHECKSUMS));
        }
        NDIS_STATUS_SUCCESS
    },
    ..RIGHT
};

/// Says what offloads are on.
fn tell(card: &Card, now: NDIS_OFFLOAD) {
    let code = NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG;
    api::indicate_status(card.adapter(), code, bytes_of(&now));
}

/// Sends a frame with slots.
fn send(stack: &'static Stack, frame: &[u8], slots: &[(i32, usize)]) {
    let nbl = api::NblPool::new("a sender").frame(frame);
    for (slot, value) in slots {
        api::set_info(nbl, *slot as usize, *value);
    }
    api::send(stack.binding(), nbl, 0);
}

/// Completes as sent, with the slot of a large send as the page says.
fn complete_large(card: &'static Card, nbl: Nbl) {
    api::set_info(nbl, TcpLargeSendNetBufferListInfo as usize, 1 << 30);
    card.complete(nbl, NDIS_STATUS_SUCCESS);
}

#[test]
fn r274_breaks_when_a_large_send_with_too_few_segments_is_sent() {
    breaks!(274, || {
        let (_, stack, _) = plain(Hooks {
            send: complete_large,
            ..ABLE
        });
        send(
            stack,
            &tcp(ALL, 90),
            &[(TcpLargeSendNetBufferListInfo, LARGE)],
        );
    });
}

#[test]
fn r274_holds_when_it_fails() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| card.complete(nbl, NDIS_STATUS_FAILURE),
            ..ABLE
        });
        send(
            stack,
            &tcp(ALL, 90),
            &[(TcpLargeSendNetBufferListInfo, LARGE)],
        );
    });
}

/// A card whose large sends are off; `leave` says what leaves it.
fn large_without_offer(leave: bool) {
    let offers = || with_offloads(config(false, CHECKSUMS));
    let (_, stack, _) = if leave {
        plain(Hooks {
            attributes: offers,
            send: |card, nbl| {
                api::frames_left(card.adapter(), nbl, &api::read_frames(nbl));
                complete_large(card, nbl);
            },
            ..RIGHT
        })
    } else {
        plain(Hooks {
            attributes: offers,
            send: |card, nbl| {
                api::frames_left(card.adapter(), nbl, &[]);
                complete_large(card, nbl);
            },
            ..RIGHT
        })
    };
    send(
        stack,
        &tcp(ALL, 900),
        &[(TcpLargeSendNetBufferListInfo, LARGE)],
    );
}

#[test]
fn r275_breaks_when_a_large_send_leaves_although_that_is_off() {
    breaks!(275, || large_without_offer(true));
}

#[test]
fn r275_holds_when_it_is_dropped() {
    holds!(|| large_without_offer(false));
}

/// Segments as the card makes them: right but for what `spoil` does.
fn segment(nbl: Nbl, spoil: fn(&mut Vec<Vec<u8>>)) -> Vec<Vec<u8>> {
    let frame = api::read_frames(nbl).remove(0);
    let mut segments: Vec<Vec<u8>> = frame[54..]
        .chunks(100)
        .enumerate()
        .map(|(index, data)| {
            let mut segment = [&frame[..54], data].concat();
            segment[16..18].copy_from_slice(&(40 + data.len() as u16).to_be_bytes());
            segment[18..20].copy_from_slice(&(1 + index as u16).to_be_bytes());
            segment[38..42].copy_from_slice(&(1 + 100 * index as u32).to_be_bytes());
            segment[47] = if data.len() < 100 { 0x18 } else { 0x10 };
            segment
        })
        .collect();
    spoil(&mut segments);
    segments
        .iter_mut()
        .for_each(|segment| fill_checksums(segment));
    segments
}

/// Checksums of IPv4 and TCP, by the shortest way.
fn fill_checksums(frame: &mut [u8]) {
    fn sum(parts: &[&[u8]]) -> [u8; 2] {
        let words = parts.iter().flat_map(|part| part.chunks(2));
        let total: u32 = words
            .map(|w| u32::from(w[0]) << 8 | u32::from(w.get(1).copied().unwrap_or(0)))
            .sum();
        let folded = (total & 0xffff) + (total >> 16);
        (!((folded & 0xffff) + (folded >> 16)) as u16).to_be_bytes()
    }
    frame[24..26].fill(0);
    let ip = sum(&[&frame[14..34]]);
    frame[24..26].copy_from_slice(&ip);
    frame[50..52].fill(0);
    let length = (frame.len() as u16 - 34).to_be_bytes();
    let tcp = sum(&[&frame[26..34], &[0, 6], &length, &frame[34..]]);
    frame[50..52].copy_from_slice(&tcp);
}

#[test]
fn r276_breaks_when_fin_or_psh_is_on_every_segment() {
    breaks!(276, || {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| {
                let segments = segment(nbl, |all| all.iter_mut().for_each(|s| s[47] = 0x18));
                api::frames_left(card.adapter(), nbl, &segments);
                complete_large(card, nbl);
            },
            ..ABLE
        });
        send(
            stack,
            &tcp(ALL, 250),
            &[(TcpLargeSendNetBufferListInfo, LARGE)],
        );
    });
}

#[test]
fn r276_breaks_when_the_slot_does_not_say_that_it_is_done() {
    breaks!(276, || {
        let (_, stack, _) = plain(ABLE);
        send(
            stack,
            &tcp(ALL, 250),
            &[(TcpLargeSendNetBufferListInfo, LARGE)],
        );
    });
}

#[test]
fn r276_holds_when_segments_are_right() {
    holds!(|| {
        let (_, stack, _) = plain(Hooks {
            send: |card, nbl| {
                api::frames_left(card.adapter(), nbl, &segment(nbl, |_| {}));
                complete_large(card, nbl);
            },
            ..ABLE
        });
        send(
            stack,
            &tcp(ALL, 250),
            &[(TcpLargeSendNetBufferListInfo, LARGE)],
        );
    });
}

#[test]
fn r277_breaks_when_large_sends_come_without_checksums() {
    breaks!(277, || {
        plain(Hooks {
            attributes: || with_offloads(config(true, 0)),
            ..RIGHT
        });
    });
}

#[test]
fn r277_holds_when_large_sends_come_with_checksums() {
    holds!(|| {
        plain(ABLE);
    });
}

#[test]
fn r278_breaks_when_udp_is_segmented_that_was_not_offered() {
    breaks!(278, || {
        let (_, stack, _) = plain(ABLE);
        send(stack, &tcp(ALL, 250), &[(UDP_SEGMENTATION as i32, 100)]);
    });
}

#[test]
fn r279_breaks_when_a_checksum_is_promised_that_was_not_offered() {
    breaks!(279, || {
        let (_, stack, _) = plain(RIGHT);
        let slot = TcpIpChecksumNetBufferListInfo;
        send(stack, &tcp(ALL, 30), &[(slot, WANT_CHECKSUMS)]);
    });
}

#[test]
fn r279_breaks_when_a_frame_leaves_with_a_bad_sum() {
    breaks!(279, || checksums(|_| {}));
}

#[test]
fn r279_holds_when_the_sums_are_right() {
    holds!(|| checksums(fill_checksums));
}

fn checksums(compute: fn(&mut [u8])) {
    static COMPUTE: std::sync::OnceLock<fn(&mut [u8])> = std::sync::OnceLock::new();
    COMPUTE.get_or_init(|| compute);
    let (_, stack, _) = plain(Hooks {
        send: |card, nbl| {
            let mut frames = api::read_frames(nbl);
            let compute = COMPUTE.get().expect("set above");
            frames.iter_mut().for_each(|frame| compute(frame));
            api::frames_left(card.adapter(), nbl, &frames);
            card.complete(nbl, NDIS_STATUS_SUCCESS);
        },
        ..ABLE
    });
    let slot = TcpIpChecksumNetBufferListInfo;
    send(stack, &tcp(ALL, 30), &[(slot, WANT_CHECKSUMS)]);
}

/// OID_OFFLOAD_ENCAPSULATION for 802.3 over IPv4.
fn encapsulate(stack: &'static Stack) {
    let mut data = vec![0xa8, 1, 28, 0];
    for word in [1, NDIS_ENCAPSULATION_IEEE_802_3, 14, 2, 0, 0] {
        data.extend(u32::to_le_bytes(word));
    }
    api::oid_set(stack.binding(), OID_OFFLOAD_ENCAPSULATION, &data).expect("it is accepted");
}

/// Indicates a frame with right checksums and these results in slot 0.
fn results(enable: bool, value: usize) {
    let (card, stack, _) = plain(ABLE);
    if enable {
        encapsulate(stack);
    }
    let mut frame = tcp(MAC, 30);
    fill_checksums(&mut frame);
    let nbl = card.pool().frame(&frame);
    api::set_info(nbl, TcpIpChecksumNetBufferListInfo as usize, value);
    card.indicate(&[nbl], 0);
}

#[test]
fn r280_breaks_when_results_come_before_encapsulation_is_enabled() {
    breaks!(280, || results(false, 8 | 32));
}

#[test]
fn r280_breaks_when_a_right_checksum_is_called_wrong() {
    breaks!(280, || results(true, 1 | 32));
}

#[test]
fn r280_holds_when_results_are_true() {
    holds!(|| results(true, 8 | 32));
}

/// Switches large sends off; the card then says that it has `now`.
fn switch_off_large(now: fn() -> NDIS_OFFLOAD) {
    static NOW: std::sync::OnceLock<fn() -> NDIS_OFFLOAD> = std::sync::OnceLock::new();
    NOW.get_or_init(|| now);
    let (_, stack, _) = plain(Hooks {
        oid: |card, request| {
            request.set_read(request.input().len() as u32);
            if request.oid() == OID_TCP_OFFLOAD_PARAMETERS {
                tell(card, NOW.get().expect("set above")());
            }
            NDIS_STATUS_SUCCESS
        },
        ..ABLE
    });
    let mut parameters = NDIS_OFFLOAD_PARAMETERS::zeroed();
    parameters.Header = header(
        NDIS_OBJECT_TYPE_DEFAULT,
        1,
        NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1,
    );
    parameters.LsoV2IPv4 = 1;
    let oid = OID_TCP_OFFLOAD_PARAMETERS;
    api::oid_set(stack.binding(), oid, bytes_of(&parameters)).expect("it is accepted");
}

fn bytes_of<T: Zeroed>(record: &T) -> &[u8] {
    // SAFETY: the record was made by `zeroed`, padding included.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
}

#[test]
fn r281_breaks_when_what_was_switched_off_stays_on() {
    breaks!(281, || switch_off_large(|| config(true, CHECKSUMS)));
}

#[test]
fn r281_breaks_when_no_change_changes_something() {
    breaks!(281, || switch_off_large(|| config(false, 0)));
}

#[test]
fn r281_holds_when_only_that_is_switched() {
    holds!(|| switch_off_large(|| config(false, CHECKSUMS)));
}

#[test]
fn r282_breaks_when_segments_are_coalesced_unasked() {
    breaks!(282, || {
        let (card, ..) = plain(ABLE);
        let nbl = card.pool().frame(&tcp(MAC, 30));
        api::set_info(nbl, ndis_sys::TcpRecvSegCoalesceInfo as usize, 2);
        card.indicate(&[nbl], 0);
    });
}
