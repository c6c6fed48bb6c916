//! Events.

use ndis_sys::{BOOLEAN, EVENT_TYPE, KEVENT, KPRIORITY, NotificationEvent, SynchronizationEvent};

use super::dispatcher::{self, Kind};
use crate::ntoskrnl::{Table, enter, require_at_most};
use crate::sched::{APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

const KINDS: [Kind; 2] = [Kind::NotificationEvent, Kind::SynchronizationEvent];

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeEvent" => ke_initialize_event,
        "KeSetEvent" => ke_set_event,
        "KePulseEvent" => ke_pulse_event,
        "KeResetEvent" => ke_reset_event,
        "KeClearEvent" => ke_clear_event,
        "KeReadStateEvent" => ke_read_state_event,
    }
}

/// `KeInitializeEvent`: makes an event that stays signalled (notification) or wakes one waiter
/// (synchronization). Any level.
///
/// # Safety
///
/// `event` must be writable.
unsafe extern "efiapi" fn ke_initialize_event(
    event: *mut KEVENT,
    kind: EVENT_TYPE,
    state: BOOLEAN,
) {
    enter("KeInitializeEvent", HIGH_LEVEL);
    let kind = match kind {
        NotificationEvent => Kind::NotificationEvent,
        SynchronizationEvent => Kind::SynchronizationEvent,
        _ => verifier::fatal(
            215,
            format!("KeInitializeEvent: there is no event type {kind}"),
        ),
    };
    // SAFETY: the caller promises that it is writable.
    unsafe { dispatcher::initialize(event.cast(), kind, i32::from(state != 0)) };
}

/// `KeSetEvent`: signals an event; returns whether it was before. At DISPATCH or below, at APC or
/// below with `wait`.
///
/// # Safety
///
/// `event` must point to an event.
unsafe extern "efiapi" fn ke_set_event(
    event: *mut KEVENT,
    _increment: KPRIORITY,
    wait: BOOLEAN,
) -> i32 {
    enter("KeSetEvent", DISPATCH_LEVEL);
    if wait != 0 {
        require_at_most("KeSetEvent(Wait = TRUE)", APC_LEVEL, 79);
    }
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KeSetEvent", 1) }
}

/// Sets an event for the host's own code. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
pub(in super::super) unsafe fn set(event: *mut KEVENT) {
    // SAFETY: as the caller promises.
    unsafe { ke_set_event(event, 0, 0) };
}

/// `KePulseEvent`: lets through who waits now; the event is not signalled afterwards. Returns
/// whether it was before. Levels as above.
///
/// # Safety
///
/// `event` must point to an event.
unsafe extern "efiapi" fn ke_pulse_event(
    event: *mut KEVENT,
    _increment: KPRIORITY,
    wait: BOOLEAN,
) -> i32 {
    enter("KePulseEvent", DISPATCH_LEVEL);
    if wait != 0 {
        require_at_most("KePulseEvent(Wait = TRUE)", APC_LEVEL, 79);
    }
    // SAFETY: as the caller promises.
    let old = unsafe { exchange(event, "KePulseEvent", 1) };
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KePulseEvent", 0) };
    old
}

/// `KeResetEvent`: takes the signal back; returns whether it was there. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
unsafe extern "efiapi" fn ke_reset_event(event: *mut KEVENT) -> i32 {
    enter("KeResetEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KeResetEvent", 0) }
}

/// `KeClearEvent`: takes the signal back. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
unsafe extern "efiapi" fn ke_clear_event(event: *mut KEVENT) {
    enter("KeClearEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KeClearEvent", 0) };
}

/// `KeReadStateEvent`: whether an event is signalled. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
unsafe extern "efiapi" fn ke_read_state_event(event: *mut KEVENT) -> i32 {
    enter("KeReadStateEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(event.cast(), "KeReadStateEvent", &KINDS) };
    // SAFETY: as the caller promises.
    unsafe { dispatcher::read_state(event.cast()) }
}

/// Sets the state of an event; returns the old one.
///
/// # Safety
///
/// `event` must point to an event.
unsafe fn exchange(event: *mut KEVENT, routine: &str, new: i32) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(event.cast(), routine, &KINDS) };
    // SAFETY: as the caller promises.
    unsafe { dispatcher::set_state(event.cast(), new) }
}
