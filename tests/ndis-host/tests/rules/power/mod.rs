//! 1.P: power.

mod idle;

use ndis_host::pnp::{self, DeviceId};
use ndis_host::sched;
use ndis_sys::{
    NDIS_PAUSE_LOW_POWER, NDIS_STATUS_LOW_POWER_STATE, NdisDeviceStateD0, NdisDeviceStateD3,
    NdisHaltDevicePoweredDown,
};

use crate::bench::{ONE_SECOND, frame};
use crate::card::{Card, Fault, Power, any_power, card};
use crate::native::nic::MAC;
use crate::native::stack::Stack;
use crate::native::{breaks, holds};

/// The card with a send out while it goes to sleep; there it may do what it must not.
fn sleep(fault: Fault, power: Power) -> (&'static Card, &'static Stack, DeviceId) {
    let (card, stack, device) = card(fault, power);
    if power == Power::Running {
        card.keep_a_send_of(stack);
    }
    pnp::sleep_device(device);
    card.misbehave();
    (card, stack, device)
}

/// As [`sleep`], and it resumes.
fn sleep_and_resume(fault: Fault, power: Power) -> (&'static Card, &'static Stack, DeviceId) {
    let (card, stack, device) = sleep(fault, power);
    // Whether it succeeds is for the judge.
    let _ = pnp::resume_device(device);
    pnp::settle();
    sched::sleep(20 * ONE_SECOND);
    (card, stack, device)
}

#[test]
fn r255_holds_when_power_is_set_down_and_up() {
    holds!(|| {
        let (card, stack, _) = sleep_and_resume(Fault::None, Power::Running);
        assert_eq!(card.log().powers, [NdisDeviceStateD3, NdisDeviceStateD0]);
        assert_eq!(stack.completed(), [NDIS_STATUS_LOW_POWER_STATE]);
        card.receive(&frame(MAC));
    });
}

#[test]
fn r255_breaks_when_a_query_of_power_fails() {
    breaks!(255, || {
        sleep(Fault::QueryPowerFails, Power::Running);
    });
}

#[test]
fn r255_breaks_when_low_power_fails() {
    breaks!(255, || {
        sleep(Fault::LowPowerFails, Power::Running);
    });
}

#[test]
fn r256_breaks_when_a_send_is_out_in_low_power() {
    breaks!(256, || {
        sleep(Fault::KeepsSends, Power::Running);
    });
}

#[test]
fn r256_breaks_when_a_timer_is_armed_in_low_power() {
    breaks!(256, || {
        sleep(Fault::KeepsTimer, Power::Running);
    });
}

#[test]
fn r256_breaks_when_a_frame_is_indicated_in_low_power() {
    breaks!(256, || {
        sleep(Fault::IndicatesAsleep, Power::Running);
    });
}

#[test]
fn r192_breaks_when_a_status_is_indicated_in_low_power() {
    breaks!(192, || {
        sleep(Fault::TellsStatusAsleep, Power::Paused);
    });
}

#[test]
fn r252_breaks_when_a_protocol_sends_in_low_power() {
    breaks!(252, || {
        let (_, stack, _) = sleep(Fault::None, Power::Running);
        stack.send(&[frame([0xff; 6])]);
    });
}

#[test]
fn r257_holds_when_no_pause_comes_before_low_power() {
    holds!(|| {
        let (card, stack, _) = sleep_and_resume(Fault::None, Power::Running);
        let log = card.log();
        assert!(!log.pauses.contains(&NDIS_PAUSE_LOW_POWER) && log.halts.is_empty());
        assert!(stack.is_running());
    });
}

#[test]
fn r258_holds_when_a_pause_comes_before_low_power() {
    holds!(|| {
        let (card, stack, device) = card(Fault::None, Power::Paused);
        let restarts = card.log().restarts;
        pnp::sleep_device(device);
        let log = card.log();
        assert_eq!(log.pauses.last(), Some(&NDIS_PAUSE_LOW_POWER));
        assert_eq!(log.powers, [NdisDeviceStateD3]);
        assert!(!stack.is_running() && log.restarts == restarts);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        assert!(stack.is_running() && card.log().restarts == restarts + 1);
    });
}

#[test]
fn r259_holds_when_a_card_without_power_is_halted_and_its_binding_stays() {
    holds!(|| {
        let (card, stack, device) = card(Fault::None, Power::Unaware);
        let (binding, filter) = (stack.binding(), card.log().filters.last().copied());
        pnp::sleep_device(device);
        assert_eq!(card.log().halts, [NdisHaltDevicePoweredDown]);
        assert_eq!(stack.binding(), binding);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        assert!(card.log().initialized == 2 && stack.is_running());
        assert_eq!(stack.binding(), binding);
        assert_eq!(card.log().filters.last().copied(), filter);
        card.receive(&frame(MAC));
        stack.send(&[frame([0xff; 6])]);
    });
}

#[test]
fn r260_breaks_when_the_link_is_known_in_low_power() {
    breaks!(260, || {
        sleep(Fault::KeepsLink, Power::Running);
    });
}

#[test]
fn r260_breaks_when_the_link_is_not_told_in_d0() {
    breaks!(260, || {
        sleep_and_resume(Fault::HidesLink, Power::Running);
    });
}

#[test]
fn r261_breaks_when_the_power_capabilities_are_of_an_old_revision() {
    breaks!(261, || {
        card(Fault::OldCapabilities, Power::Running);
    });
}

#[test]
fn r263_breaks_when_d0_fails() {
    breaks!(263, || {
        sleep_and_resume(Fault::FullPowerFails, Power::Paused);
    });
}

#[test]
fn r263_breaks_when_low_power_fails() {
    breaks!(263, || {
        sleep(Fault::LowPowerFails, Power::Paused);
    });
}

#[test]
fn r263_breaks_when_the_restart_after_a_sleep_fails() {
    breaks!(263, || {
        sleep_and_resume(Fault::RestartFailsAfterSleep, Power::Paused);
    });
}

#[test]
fn r263_holds_when_a_device_vanishes_in_its_sleep() {
    holds!(|| {
        let (_, stack, device) = card(Fault::None, any_power());
        pnp::sleep_system();
        pnp::unplug_device(device);
        pnp::resume_system();
        pnp::settle();
        assert!(!stack.is_bound());
    });
}
