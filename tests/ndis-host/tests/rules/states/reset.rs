//! MiniportCheckForHangEx and MiniportResetEx.

use ndis_host::ndis::api;
use ndis_host::sched;
use ndis_sys::{NDIS_STATUS_RESET_IN_PROGRESS, NDIS_STATUS_SUCCESS};

use crate::bench::ONE_SECOND;
use crate::card::{Card, Fault, card_that_may_hang};
use crate::native::stack::Stack;
use crate::native::{breaks, holds};

/// A card that hangs with a send out, and is reset.
fn reset(fault: Fault) -> (&'static Card, &'static Stack) {
    let (card, stack, _) = card_that_may_hang(fault);
    card.keep_a_send_of(stack);
    card.hang();
    sched::sleep(5 * ONE_SECOND);
    (card, stack)
}

#[test]
fn r071_holds_when_a_reset_ends_what_was_pending() {
    holds!(|| {
        let (card, stack) = reset(Fault::None);
        assert_eq!(card.log().resets, 1);
        assert_eq!(stack.completed(), [NDIS_STATUS_RESET_IN_PROGRESS]);
        let filters = card.log().filters;
        let last = filters.len() - 1;
        assert!(
            last > 0 && filters[last] == filters[last - 1],
            "NDIS sets it again"
        );
    });
}

#[test]
fn r071_holds_when_the_miniport_asks_for_its_reset() {
    holds!(|| {
        let (card, ..) = card_that_may_hang(Fault::None);
        api::reset_miniport(card.adapter());
        sched::sleep(ONE_SECOND);
        assert_eq!(card.log().resets, 1);
    });
}

#[test]
fn r071_breaks_when_a_reset_ends_with_another_status() {
    breaks!(71, || {
        reset(Fault::ResetStatus);
    });
}

#[test]
fn r071_breaks_when_a_reset_completes_twice() {
    breaks!(71, || {
        reset(Fault::ResetCompletesTwice);
    });
}

#[test]
fn r071_breaks_when_a_reset_completes_that_nobody_asked_for() {
    breaks!(71, || {
        let (card, ..) = card_that_may_hang(Fault::None);
        api::reset_complete(card.adapter(), NDIS_STATUS_SUCCESS, false);
    });
}

#[test]
fn r071_breaks_when_a_send_outlives_a_reset() {
    breaks!(71, || {
        reset(Fault::ResetKeepsSends);
    });
}

#[test]
fn r072_breaks_when_the_miniport_tells_of_its_reset() {
    breaks!(72, || {
        reset(Fault::TellsOfReset);
    });
}

#[test]
fn r073_holds_when_the_miniport_is_asked_every_two_seconds() {
    holds!(|| {
        let (card, ..) = card_that_may_hang(Fault::None);
        sched::sleep(11 * ONE_SECOND);
        let log = card.log();
        let apart: Vec<_> = log.checks.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(log.checks.len() >= 4 && log.resets == 0);
        let regular = |ns: &u64| (2 * ONE_SECOND..3 * ONE_SECOND).contains(ns);
        assert!(apart.iter().all(regular), "{apart:?}");
    });
}
