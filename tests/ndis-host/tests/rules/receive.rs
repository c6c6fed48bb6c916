//! 1.H: the receive path.

use ndis_host::ndis::adversary::Adversary;
use ndis_host::ndis::api::{self, AdapterAttributes};
use ndis_host::pnp;
use ndis_host::sched;
use ndis_sys::{
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE, NDIS_STATUS_FAILURE,
};

use crate::bench::{ONE_SECOND, bench, frame};
use crate::hooked_card::{Card, Hooks, Nbl, RIGHT, harsh, plain, tcp, under};
use crate::native::{breaks, holds, nic, nic::MAC, stack};

/// Indicates one frame of the card's, after `change` was at its NBL.
fn indicate(change: impl FnOnce(&'static Card, Nbl), flags: u32) {
    let (card, ..) = plain(RIGHT);
    let nbl = card.pool().frame(&tcp(MAC, 10));
    change(card, nbl);
    card.indicate(&[nbl], flags);
}

#[test]
fn r129_breaks_when_the_count_is_wrong() {
    breaks!(129, || {
        let (card, ..) = plain(RIGHT);
        let nbl = card.pool().frame(&frame(MAC));
        card.lend(1);
        api::indicate(card.adapter(), nbl, 0, 2, 0);
    });
}

#[test]
fn r129_breaks_when_an_nbl_has_two_frames() {
    breaks!(129, || {
        let (card, ..) = plain(RIGHT);
        let nbl = card.pool().frames(&[frame(MAC), frame(MAC)]);
        card.indicate(&[nbl], 0);
    });
}

#[test]
fn r129_holds_when_lists_are_as_they_should() {
    holds!(|| {
        let (card, stack, device) = harsh(RIGHT);
        for _ in 0..20 {
            let nbls: Vec<_> = (0..5).map(|_| card.pool().frame(&tcp(MAC, 9))).collect();
            card.indicate(&nbls, 0);
        }
        sched::sleep(ONE_SECOND);
        assert_eq!(stack.received().len(), 100);
        assert_eq!(card.receives_out(), 0, "all came back");
        pnp::remove_device(device);
    });
}

#[test]
fn r130_breaks_when_the_status_of_a_received_nbl_is_no_success() {
    breaks!(130, || indicate(
        |_, nbl| api::set_status(nbl, NDIS_STATUS_FAILURE),
        0
    ));
}

#[test]
fn r130_breaks_when_a_received_nbl_counts_children() {
    breaks!(130, || indicate(
        // SAFETY: the card has the NBL.
        |_, nbl| unsafe { (*nbl).ChildRefCount = 1 },
        0
    ));
}

#[test]
fn r131_breaks_when_a_header_is_cut() {
    breaks!(131, || cut_at(17));
}

#[test]
fn r131_holds_when_a_frame_is_cut_between_headers() {
    holds!(|| cut_at(34));
}

/// Indicates a frame in two MDLs, of which the first is shorter than the lookahead.
fn cut_at(place: usize) {
    let (card, ..) = plain(RIGHT);
    let frame = tcp(MAC, 200);
    let nbl = card.pool().fragments(&[&frame[..place], &frame[place..]]);
    card.indicate(&[nbl], 0);
}

#[test]
fn r131_breaks_when_a_frame_is_too_long() {
    breaks!(131, || {
        let (card, ..) = plain(RIGHT);
        card.indicate(&[card.pool().frame(&tcp(MAC, 1600))], 0);
    });
}

#[test]
fn r132_holds_when_copies_come_in_odd_pieces() {
    holds!(|| {
        let adversary = Adversary {
            clear_resources_one_in: 1,
            fragment_one_in: 1,
            ..Adversary::PLAIN
        };
        let (card, stack, _) = under(adversary, RIGHT);
        for length in 0..40 {
            let nbl = card.pool().frame(&tcp(MAC, length));
            card.indicate(&[nbl], NDIS_RECEIVE_FLAGS_RESOURCES);
        }
        let sent: Vec<_> = (0..40).map(|length| tcp(MAC, length)).collect();
        assert_eq!(stack.received(), sent);
    });
}

#[test]
fn r133_breaks_when_a_lent_nbl_is_taken_back() {
    breaks!(92, || {
        let (card, ..) = plain_keeping();
        let nbl = card.pool().frame(&frame(MAC));
        card.indicate(&[nbl], 0);
        card.pool().release(nbl);
    });
}

#[test]
fn r133_holds_when_a_shown_nbl_is_taken_back() {
    holds!(|| {
        let (card, ..) = plain_keeping();
        // `indicate` releases what it showed.
        card.indicate(
            &[card.pool().frame(&frame(MAC))],
            NDIS_RECEIVE_FLAGS_RESOURCES,
        );
    });
}

/// A card below a protocol that keeps what it may keep.
fn plain_keeping() -> (&'static Card, &'static stack::Stack) {
    let (card, quick, device) = plain(RIGHT);
    let keeping: &'static stack::Stack =
        Box::leak(Box::new(stack::Stack::new(stack::Fault::KeepNbls)));
    let _ = (quick, device);
    pnp::add_native_protocol("KEEPER", std::sync::Arc::new(keeping));
    pnp::settle();
    api::set_packet_filter(quick.binding(), 0).expect("a filter of 0 is accepted");
    (card, keeping)
}

#[test]
fn r134_holds_when_the_flag_changes_on_the_way() {
    holds!(|| {
        let adversary = Adversary {
            clear_resources_one_in: 2,
            set_resources_one_in: 2,
            ..Adversary::PLAIN
        };
        let (card, stack, _) = under(adversary, RIGHT);
        for number in 0..40 {
            let flags = if number % 2 == 0 {
                NDIS_RECEIVE_FLAGS_RESOURCES
            } else {
                0
            };
            card.indicate(&[card.pool().frame(&frame(MAC))], flags);
        }
        sched::sleep(ONE_SECOND);
        assert_eq!(stack.received().len(), 40);
        assert_eq!(card.receives_out(), 0);
    });
}

#[test]
fn r135_breaks_when_the_frames_have_several_types() {
    breaks!(135, || claim_one_type(0x86));
}

#[test]
fn r135_holds_when_the_frames_have_one_type() {
    holds!(|| claim_one_type(0x08));
}

fn claim_one_type(second: u8) {
    let (card, ..) = plain(RIGHT);
    let mut other = frame(MAC);
    other[12] = second;
    let nbls = [card.pool().frame(&frame(MAC)), card.pool().frame(&other)];
    card.indicate(&nbls, NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE);
}

#[test]
fn r135_breaks_when_a_receive_flag_does_not_exist() {
    breaks!(135, || indicate(|_, _| {}, 0x10_0000));
}

#[test]
fn r136_breaks_when_a_return_flag_does_not_exist() {
    breaks!(136, || return_with(0x10));
}

#[test]
fn r136_holds_when_nbls_come_back_as_they_please() {
    holds!(|| return_with(0));
}

/// A keeper returns what it was lent, one by one and in the other order.
fn return_with(flags: u32) {
    let (card, keeper) = plain_keeping();
    ndis_host::ndis::adversary::set(Adversary {
        hold_returns_one_in: 2,
        split_one_in: 2,
        reorder_one_in: 2,
        longest_hold_ns: 10_000,
        ..Adversary::PLAIN
    });
    let nbls: Vec<_> = (0..9).map(|_| card.pool().frame(&frame(MAC))).collect();
    card.indicate(&nbls, 0);
    for nbl in keeper.take_kept().into_iter().rev() {
        api::chain(&[nbl]);
        api::return_nbls(keeper.binding(), nbl, flags);
    }
    sched::sleep(ONE_SECOND);
    assert_eq!(card.receives_out(), 0);
}

#[test]
fn r137_holds_when_nbls_come_back_inside_the_indication() {
    holds!(|| {
        let adversary = Adversary {
            set_resources_one_in: 1,
            ..Adversary::PLAIN
        };
        let (card, ..) = under(adversary, RIGHT);
        card.indicate(&[card.pool().frame(&frame(MAC))], 0);
        assert_eq!(card.receives_out(), 0, "it is back already");
    });
}

#[test]
fn r139_breaks_when_a_frame_comes_that_nobody_asked_for() {
    breaks!(139, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        sched::sleep(ONE_SECOND);
        nic.receive(&[frame([0x02, 0, 0, 0, 0, 9])], false);
    });
}

/// A card that indicates, inside its send handler, what `echo` makes of the frame.
fn loop_back(echo: fn(&mut Vec<u8>)) {
    static ECHO: std::sync::OnceLock<fn(&mut Vec<u8>)> = std::sync::OnceLock::new();
    ECHO.get_or_init(|| echo);
    let (_, stack, _) = plain(Hooks {
        send: |card, nbl| {
            let mut frame = api::read_frames(nbl).remove(0);
            ECHO.get().expect("set above")(&mut frame);
            card.indicate(&[card.pool().frame(&frame)], 0);
            card.complete(nbl, ndis_sys::NDIS_STATUS_SUCCESS);
        },
        attributes: || AdapterAttributes::ethernet(MAC),
        ..RIGHT
    });
    let mut sent = frame([0xff; 6]);
    sent[6..12].copy_from_slice(&MAC);
    stack.send(&[sent]);
}

#[test]
fn r140_breaks_when_a_send_is_looped_back() {
    breaks!(140, || loop_back(|_| {}));
}

#[test]
fn r140_holds_when_another_frame_comes_during_a_send() {
    holds!(|| loop_back(|frame| frame[20] ^= 1));
}

#[test]
fn r141_breaks_when_the_tag_stays_in_the_frame() {
    breaks!(141, || {
        let (card, ..) = plain(RIGHT);
        let mut tagged = frame(MAC);
        tagged.splice(12..12, [0x81, 0x00, 0x20, 0x05]);
        card.indicate(&[card.pool().frame(&tagged)], 0);
    });
}

#[test]
fn r141_holds_when_the_tag_is_in_its_slot() {
    holds!(|| indicate(
        |_, nbl| {
            let slot = ndis_sys::Ieee8021QNetBufferListInfo as usize;
            api::set_info(nbl, slot, 1 | 5 << 4);
        },
        0
    ));
}
