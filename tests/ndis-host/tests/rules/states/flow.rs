//! Pause, restart and halt.

use ndis_host::ndis::api;
use ndis_host::pnp;
use ndis_sys::{NDIS_PAUSE_ATTACH_FILTER, NDIS_STATUS_SUCCESS, NdisHaltDeviceDisabled};

use crate::bench::{bench, frame};
use crate::card::{Fault, Power, card};
use crate::native::nic::{self, MAC};
use crate::native::{breaks, holds, stack};

/// A life with pauses, traffic and an end.
fn live(fault: Fault) {
    let (card, stack, device) = card(fault, Power::Unaware);
    stack.send(&[frame([0xff; 6])]);
    card.receive(&frame(MAC));
    pnp::pause_stack(device);
    pnp::restart_stack(device);
    pnp::remove_device(device);
}

#[test]
fn r052_holds_when_an_adapter_lives_by_the_table() {
    holds!(|| live(Fault::None));
}

#[test]
fn r053_breaks_when_a_pause_fails() {
    breaks!(53, || live(Fault::PauseFails));
}

#[test]
fn r053_holds_when_a_pause_ends_at_once_or_later() {
    holds!(|| {
        let (card, _, device) = card(Fault::None, Power::Unaware);
        for _ in 0..8 {
            pnp::pause_stack(device);
            pnp::restart_stack(device);
        }
        let pauses = card.log().pauses;
        assert!(pauses.ends_with(&[NDIS_PAUSE_ATTACH_FILTER; 8]));
    });
}

#[test]
fn r055_breaks_when_a_pause_completes_twice() {
    breaks!(55, || live(Fault::PauseCompletesTwice));
}

#[test]
fn r055_breaks_when_a_pause_completes_that_nobody_asked_for() {
    breaks!(55, || {
        let (card, ..) = card(Fault::None, Power::Unaware);
        api::pause_complete(card.adapter());
    });
}

#[test]
fn r056_breaks_when_a_pause_completes_and_succeeds() {
    breaks!(56, || live(Fault::PauseSucceedsTwice));
}

#[test]
fn r058_breaks_when_a_frame_is_indicated_while_paused() {
    breaks!(58, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
        pnp::pause_stack(device);
        nic.receive(&[frame(MAC)], false);
    });
}

#[test]
fn r058_holds_when_a_frame_is_indicated_before_and_after_a_pause() {
    holds!(|| {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
        nic.receive(&[frame(MAC)], false);
        pnp::pause_stack(device);
        pnp::restart_stack(device);
        nic.receive(&[frame(MAC)], false);
    });
}

#[test]
fn r059_breaks_when_a_restart_ends_with_another_status() {
    breaks!(59, || {
        card(Fault::RestartStatus, Power::Unaware);
    });
}

#[test]
fn r059_breaks_when_a_restart_completes_twice() {
    breaks!(59, || {
        card(Fault::RestartCompletesTwice, Power::Unaware);
    });
}

#[test]
fn r059_breaks_when_a_restart_completes_that_nobody_asked_for() {
    breaks!(59, || {
        let (card, ..) = card(Fault::None, Power::Unaware);
        api::restart_complete(card.adapter(), NDIS_STATUS_SUCCESS);
    });
}

#[test]
fn r060_holds_when_frames_come_before_a_restart_returns() {
    holds!(|| {
        let (_, stack, device) = card(Fault::None, Power::Unaware);
        let before = stack.received().len();
        pnp::pause_stack(device);
        pnp::restart_stack(device);
        // The binding is not running yet when they come, so that it need not see them.
        assert!(stack.is_running() && stack.received().len() >= before);
    });
}

#[test]
fn r061_breaks_when_the_list_of_restart_attributes_is_changed() {
    breaks!(61, || {
        card(Fault::RestartAttributesSpoiled, Power::Unaware);
    });
}

#[test]
fn r063_breaks_when_a_halt_leaves_a_timer() {
    breaks!(63, || live(Fault::HaltKeepsTimer));
}

#[test]
fn r064_breaks_when_a_halt_leaves_a_timer_armed() {
    breaks!(64, || live(Fault::HaltKeepsArmedTimer));
}

#[test]
fn r063_holds_when_a_halt_releases_a_timer() {
    holds!(|| {
        // A timer that lasts until the halt, armed, and is taken away there.
        let (card, _, device) = card(Fault::KeepsTimer, Power::Unaware);
        pnp::disable_device(device);
        assert_eq!(card.log().halts, [NdisHaltDeviceDisabled]);
    });
}

#[test]
fn r068_breaks_when_an_adapter_is_used_after_its_halt() {
    breaks!(68, || {
        let (card, _, device) = card(Fault::None, Power::Unaware);
        pnp::disable_device(device);
        api::pause_complete(card.adapter());
    });
}

#[test]
fn r068_breaks_when_an_adapter_is_used_while_it_is_halted_for_a_sleep() {
    breaks!(68, || {
        let (card, _, device) = card(Fault::None, Power::Unaware);
        pnp::sleep_device(device);
        api::reset_miniport(card.adapter());
    });
}

#[test]
fn r068_holds_when_an_adapter_is_used_after_a_sleep() {
    holds!(|| {
        let (card, _, device) = card(Fault::None, Power::Unaware);
        pnp::sleep_device(device);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        card.receive(&frame(MAC));
    });
}
