//! 1.U: what takes too long.

use ndis_host::pnp;
use ndis_host::sched;

use crate::bench::{ONE_SECOND, bench, frame};
use crate::card::{Fault, Power, card, card_that_may_hang};
use crate::native::{breaks, holds};
use crate::native::{nic, nic::MAC, stack};

#[test]
fn r116_breaks_when_a_send_is_never_completed() {
    breaks!(116, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(60 * ONE_SECOND);
    });
}

#[test]
fn r308_breaks_when_a_pause_ends_with_a_send_out() {
    breaks!(308, || {
        let (_, stack, device) = bench(nic::Fault::PauseTooEarly, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        // The binding's pause waits for the send first, so that is what is late.
        pnp::pause_stack(device);
    });
}

#[test]
fn r308_breaks_when_a_received_nbl_is_kept() {
    breaks!(308, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::KeepNbls);
        nic.receive(&[frame(MAC)], false);
        pnp::pause_stack(device);
    });
}

#[test]
fn r157_breaks_when_an_oid_request_is_forgotten() {
    breaks!(157, || {
        bench(nic::Fault::ForgetOid, stack::Fault::None);
    });
}

/// The card, its traffic, a pause and its end.
fn live(fault: Fault) {
    let (_, stack, device) = card(fault, Power::Running);
    stack.send(&[frame([0xff; 6])]);
    sched::sleep(ONE_SECOND);
    pnp::pause_stack(device);
    pnp::restart_stack(device);
    pnp::remove_device(device);
}

#[test]
fn r308_holds_when_everything_is_in_time() {
    holds!(|| live(Fault::None));
}

#[test]
fn r308_breaks_when_a_pause_is_forgotten() {
    breaks!(308, || live(Fault::PauseForgotten));
}

#[test]
fn r308_breaks_when_a_restart_is_forgotten() {
    breaks!(308, || live(Fault::RestartForgotten));
}

#[test]
fn r308_breaks_when_a_halt_does_not_end() {
    breaks!(308, || live(Fault::HaltHangs));
}

#[test]
fn r308_breaks_when_a_reset_is_forgotten() {
    breaks!(308, || {
        let (card, ..) = card_that_may_hang(Fault::ResetForgotten);
        card.hang();
        sched::sleep(60 * ONE_SECOND);
    });
}

#[test]
fn r308_breaks_when_an_idle_notification_is_forgotten() {
    breaks!(308, || {
        let (_, _, device) = card(Fault::IdleForgotten, Power::Running);
        pnp::suspend_idle(device, false);
    });
}

#[test]
fn r308_breaks_when_an_idle_card_does_not_wake() {
    breaks!(308, || {
        let (_, _, device) = card(Fault::NeverWakes, Power::Running);
        pnp::suspend_idle(device, false);
        pnp::wake_idle(device);
    });
}

#[test]
fn r308_breaks_when_a_dpc_takes_a_second() {
    breaks!(308, || live(Fault::LongDpc));
}
