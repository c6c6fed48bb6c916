//! 1.S: a driver that is a miniport above and a protocol below.

mod driver;

use std::sync::Arc;

use driver::{Edge, Fault};
use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::ndis::api::{self, NblPool};
use ndis_host::pnp::{self, DeviceId};
use ndis_host::sched;
use ndis_sys::{
    NDIS_RECEIVE_FLAGS_RESOURCES, NDIS_STATUS_SEND_ABORTED, NDIS_STATUS_SUCCESS,
    NetBufferListCancelId,
};

use crate::bench::{ONE_SECOND, frame};
use crate::hooked_card::{Card, Hooks, RIGHT, alone};
use crate::native::stack::{self, Stack};
use crate::native::{breaks, holds};

/// Data for every address, so that both adapters take it.
const ALL: [u8; 6] = [0xff; 6];

/// The driver between a card and a protocol.
struct Bench {
    card: &'static Card,
    lower: DeviceId,
    upper: DeviceId,
    stack: &'static Stack,
}

fn bench(fault: Fault, above: stack::Fault, hooks: Hooks, adversary: Adversary) -> Bench {
    adversary::set(adversary);
    let edge: &'static Edge = Box::leak(Box::new(Edge::new(fault)));
    let card = alone(hooks);
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(above)));
    let lower = pnp::add_native_device("CARD", &[], move || Arc::new(card));
    let upper = pnp::add_native_device("EDGE", &[], move || Arc::new(edge));
    let protocol = pnp::add_native_protocol("STACK", Arc::new(stack));
    pnp::set_binding(protocol, lower, false);
    pnp::add_native_protocol("EDGE", Arc::new(edge));
    pnp::start_device(lower).expect("the card starts");
    pnp::start_device(upper).expect("the edge starts");
    pnp::settle();
    Bench {
        card,
        lower,
        upper,
        stack,
    }
}

fn plain(fault: Fault) -> Bench {
    bench(fault, stack::Fault::None, RIGHT, Adversary::PLAIN)
}

impl Bench {
    fn receive(&self, flags: u32) {
        self.card
            .indicate(&[self.card.pool().frame(&frame(ALL))], flags);
    }
}

#[test]
fn r286_breaks_when_a_send_goes_on_under_the_wrong_handle() {
    breaks!(286, || plain(Fault::KeepSource).stack.send(&[frame(ALL)]));
}

#[test]
fn r286_breaks_when_a_send_comes_back_under_the_lower_handle() {
    breaks!(99, || plain(Fault::KeepLowerSource)
        .stack
        .send(&[frame(ALL)]));
}

#[test]
fn r286_holds_when_handles_are_exchanged_and_restored() {
    holds!(|| {
        let bench = bench(Fault::None, stack::Fault::None, RIGHT, Adversary::HARSH);
        for round in 0..10 {
            bench.stack.send(&[frame(ALL), frame(ALL)]);
            let flags = if round % 2 == 0 {
                NDIS_RECEIVE_FLAGS_RESOURCES
            } else {
                0
            };
            bench.receive(flags);
        }
        sched::sleep(ONE_SECOND);
        assert_eq!(bench.stack.completed().len(), 20);
        assert_eq!(bench.stack.received().len(), 10);
        assert_eq!(bench.card.receives_out(), 0);
        pnp::remove_device(bench.lower);
        pnp::remove_device(bench.upper);
    });
}

#[test]
fn r287_breaks_when_what_was_shown_is_lent() {
    breaks!(287, || plain(Fault::LendShown)
        .receive(NDIS_RECEIVE_FLAGS_RESOURCES));
}

#[test]
fn r287_breaks_when_a_frame_goes_up_under_the_wrong_handle() {
    breaks!(287, || plain(Fault::KeepReceiveSource)
        .receive(NDIS_RECEIVE_FLAGS_RESOURCES));
}

#[test]
fn r288_breaks_when_words_of_the_lower_miniport_are_written() {
    breaks!(288, || {
        plain(Fault::WriteReserved).receive(0);
        sched::sleep(ONE_SECOND);
    });
}

/// Pauses the adapter above while its protocol keeps a frame from below for a while.
fn pause_with_a_frame_out(fault: Fault) {
    let bench = bench(fault, stack::Fault::None, RIGHT, Adversary::PLAIN);
    bench.stack.send(&[frame(ALL)]);
    pnp::pause_stack(bench.upper);
    pnp::restart_stack(bench.upper);
    pnp::pause_stack(bench.lower);
    pnp::restart_stack(bench.lower);
    bench.stack.send(&[frame(ALL)]);
    assert_eq!(bench.stack.completed(), [NDIS_STATUS_SUCCESS; 2]);
}

#[test]
fn r289_holds_when_the_stacks_pause_in_any_order() {
    holds!(|| pause_with_a_frame_out(Fault::None));
}

/// A frame comes from below while the adapter above is paused.
fn receive_paused(fault: Fault) {
    let bench = plain(fault);
    pnp::pause_stack(bench.upper);
    bench.receive(0);
    pnp::restart_stack(bench.upper);
}

#[test]
fn r291_breaks_when_a_paused_adapter_indicates_what_comes_from_below() {
    breaks!(291, || receive_paused(Fault::IndicatePaused));
}

#[test]
fn r291_holds_when_a_paused_adapter_gives_it_back() {
    holds!(|| receive_paused(Fault::None));
}

/// A send comes from above while the binding below is paused.
fn send_paused(fault: Fault) {
    let bench = plain(fault);
    pnp::pause_stack(bench.lower);
    bench.stack.send(&[frame(ALL)]);
    pnp::restart_stack(bench.lower);
}

#[test]
fn r291_breaks_when_a_send_goes_to_a_paused_binding() {
    breaks!(291, || send_paused(Fault::SendPaused));
}

#[test]
fn r291_holds_when_a_send_takes_another_way() {
    holds!(|| send_paused(Fault::None));
}

fn link_below(fault: Fault) {
    let bench = plain(fault);
    api::indicate_link(bench.card.adapter(), false, 0);
}

#[test]
fn r293_breaks_when_a_status_is_passed_on_as_it_came() {
    breaks!(293, || link_below(Fault::PassStatus));
}

#[test]
fn r293_holds_when_a_status_ends_below() {
    holds!(|| link_below(Fault::None));
}

/// Cancels a send that waits in the card.
fn cancel(fault: Fault) {
    let keeping = Hooks {
        send: |card, nbl| card.keep(nbl),
        cancel: |card, _| {
            for nbl in card.take_kept() {
                card.complete(nbl, NDIS_STATUS_SEND_ABORTED);
            }
        },
        ..RIGHT
    };
    let bench = bench(fault, stack::Fault::None, keeping, Adversary::PLAIN);
    let nbl = NblPool::new("a sender").frame(&frame(ALL));
    api::set_info(nbl, NetBufferListCancelId as usize, 9);
    api::send(bench.stack.binding(), nbl, 0);
    api::cancel_sends(bench.stack.binding(), 9);
}

#[test]
fn r294_breaks_when_nothing_is_cancelled_below() {
    breaks!(294, || cancel(Fault::ForgetCancel));
}

#[test]
fn r294_holds_when_the_cancel_is_passed_on() {
    holds!(|| cancel(Fault::None));
}

#[test]
fn r297_breaks_when_a_driver_opens_its_own_adapter() {
    breaks!(297, || {
        plain(Fault::BindOwn);
    });
}

#[test]
fn r297_holds_when_it_refuses() {
    holds!(|| {
        plain(Fault::None);
    });
}

#[test]
fn r300_holds_when_the_card_goes_and_comes_back() {
    holds!(|| {
        let bench = bench(Fault::None, stack::Fault::None, RIGHT, Adversary::HARSH);
        for _ in 0..40 {
            bench.stack.send(&[frame(ALL), frame(ALL)]);
            bench.receive(0);
            pnp::disable_device(bench.lower);
            bench.stack.send(&[frame(ALL)]);
            pnp::enable_device(bench.lower).expect("the card starts again");
            pnp::settle();
        }
        sched::sleep(ONE_SECOND);
        assert_eq!(bench.stack.completed().len(), 120);
        pnp::remove_device(bench.upper);
    });
}
