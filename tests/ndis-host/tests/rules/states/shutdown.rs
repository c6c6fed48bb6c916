//! Shutdown and crash.

use ndis_host::{pnp, sched, verifier};
use ndis_sys::{
    NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK, NdisShutdownBugCheck, NdisShutdownPowerOff,
};

use crate::bench::ONE_SECOND;
use crate::card::{Fault, Power, card};
use crate::native::{breaks, holds};

/// The card is shut down and, a while later, does what its fault says.
fn shut_down(fault: Fault) {
    let (card, ..) = card(fault, Power::Unaware);
    pnp::shut_down_all();
    assert_eq!(card.log().shutdowns, [NdisShutdownPowerOff]);
    sched::sleep(ONE_SECOND);
    card.misbehave();
}

#[test]
fn r052_breaks_when_a_frame_is_indicated_after_shutdown() {
    breaks!(52, || shut_down(Fault::IndicatesAfterShutdown));
}

#[test]
fn r069_holds_when_nothing_happens_after_shutdown() {
    holds!(|| shut_down(Fault::None));
}

/// The system crashes at some time of the card's life.
fn crash(fault: Fault) {
    let (card, ..) = card(fault, Power::CrashCallback);
    let most = 3 * ONE_SECOND;
    sched::after(sched::random_below(most), move || {
        pnp::crash(move || {
            assert_eq!(card.log().shutdowns, [NdisShutdownBugCheck]);
            verifier::exit_code()
        });
    });
    sched::sleep(2 * most);
    unreachable!("the crash ends the process");
}

#[test]
fn r069_holds_when_the_crash_is_at_high_level() {
    const { assert!(NDIS_MINIPORT_ATTRIBUTES_REGISTER_BUGCHECK_CALLBACK != 0) };
    holds!(|| crash(Fault::None));
}

#[test]
fn r084_breaks_when_a_crashing_miniport_waits() {
    breaks!(84, || crash(Fault::WaitsInCrash));
}

#[test]
fn r070_breaks_when_a_crashing_miniport_sets_an_event() {
    breaks!(70, || crash(Fault::SetsEventInCrash));
}
