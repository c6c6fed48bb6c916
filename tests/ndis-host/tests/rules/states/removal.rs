//! Removal, in order and by surprise, and what the miniport is told of it.

use ndis_host::{pnp, sched};
use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_NOT_ACCEPTED, NdisDevicePnPEventPowerProfileChanged,
    NdisDevicePnPEventQueryRemoved, NdisDevicePnPEventQueryStopped,
    NdisDevicePnPEventSurpriseRemoved, NdisHaltDeviceDisabled, NdisHaltDeviceFailed,
    NdisHaltDevicePoweredDown, NdisHaltDeviceStopped, NdisHaltDeviceSurpriseRemoved,
};

use crate::bench::{ONE_SECOND, frame};
use crate::card::{Fault, Power, any_power, card};
use crate::native::linked::import;
use crate::native::nic::MAC;
use crate::native::{breaks, holds};

#[test]
fn r067_holds_when_each_way_to_halt_has_its_reason() {
    holds!(|| {
        let (card, _, device) = card(Fault::None, Power::Unaware);
        pnp::stop_device(device);
        pnp::start_device(device).expect("it starts");
        pnp::settle();
        pnp::disable_device(device);
        pnp::enable_device(device).expect("it starts");
        pnp::settle();
        pnp::sleep_device(device);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        pnp::surprise_remove_device(device);
        let reasons = [
            NdisHaltDeviceStopped,
            NdisHaltDeviceDisabled,
            NdisHaltDevicePoweredDown,
            NdisHaltDeviceSurpriseRemoved,
        ];
        assert_eq!(card.log().halts, reasons);
    });
}

#[test]
fn r078_holds_when_a_card_that_gives_up_is_halted_for_it() {
    holds!(|| {
        let (card, stack, _) = card(Fault::None, any_power());
        let remove = import!(NdisMRemoveMiniport: fn(NDIS_HANDLE) -> NDIS_STATUS);
        let adapter = std::ptr::without_provenance_mut(card.adapter().0 as usize);
        // SAFETY: the handle is that of an adapter.
        unsafe { remove(adapter) };
        card.receive_if_running(&frame(MAC));
        sched::sleep(ONE_SECOND);
        assert_eq!(card.log().halts, [NdisHaltDeviceFailed]);
        assert!(!stack.is_bound());
    });
}

#[test]
fn r074_holds_when_each_removal_is_announced() {
    holds!(|| {
        let (card, stack, device) = card(Fault::None, Power::Unaware);
        pnp::cancel_removal(device);
        pnp::cancel_stop(device);
        assert!(
            stack.is_running(),
            "a removal that was taken back ends nothing"
        );
        pnp::rebalance_device(device).expect("it starts");
        pnp::settle();
        pnp::surprise_remove_device(device);
        let events = [
            NdisDevicePnPEventPowerProfileChanged,
            NdisDevicePnPEventQueryRemoved,
            NdisDevicePnPEventQueryStopped,
            NdisDevicePnPEventQueryStopped,
            NdisDevicePnPEventPowerProfileChanged,
            NdisDevicePnPEventSurpriseRemoved,
        ];
        assert_eq!(card.log().events, events);
    });
}

#[test]
fn r075_holds_when_the_power_profile_is_told_after_each_d0() {
    holds!(|| {
        let (card, _, device) = card(Fault::None, any_power());
        pnp::sleep_device(device);
        pnp::resume_device(device).expect("it resumes");
        pnp::settle();
        let told = [NdisDevicePnPEventPowerProfileChanged; 2];
        assert_eq!(card.log().events, told);
    });
}

#[test]
fn r076_breaks_when_a_card_that_is_gone_aborts_sends() {
    breaks!(76, || {
        lose_with_sends(Fault::AbortsWhenGone);
    });
}

#[test]
fn r076_holds_when_a_card_that_is_gone_does_not_accept_sends() {
    holds!(|| {
        assert_eq!(lose_with_sends(Fault::None), [NDIS_STATUS_NOT_ACCEPTED]);
    });
}

/// The card vanishes with a send out; what that comes back with.
fn lose_with_sends(fault: Fault) -> Vec<i32> {
    let (card, stack, device) = card(fault, Power::Unaware);
    card.keep_a_send_of(stack);
    pnp::surprise_remove_device(device);
    stack.completed()
}
