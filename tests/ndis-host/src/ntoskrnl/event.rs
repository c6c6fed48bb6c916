//! Events. Their state is in the driver's KEVENT, where inlined code may look at it.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, EVENT_TYPE, KEVENT, KPRIORITY, KPROCESSOR_MODE, KWAIT_REASON, LARGE_INTEGER,
    LIST_ENTRY, NTSTATUS, NotificationEvent, STATUS_SUCCESS, STATUS_TIMEOUT, SynchronizationEvent,
};

use super::memory::describe;
use super::{enter, require_at_most, time};
use crate::sched::{self, APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

/// Size of a KEVENT in its header, in 32-bit words.
const EVENT_WORDS: u8 = (size_of::<KEVENT>() / 4) as u8;

/// `KeInitializeEvent`: makes an event that stays signalled (notification) or wakes one waiter
/// (synchronization). Any level.
///
/// # Safety
///
/// `event` must be writable.
pub(super) unsafe extern "efiapi" fn ke_initialize_event(
    event: *mut KEVENT,
    kind: EVENT_TYPE,
    state: BOOLEAN,
) {
    enter("KeInitializeEvent", HIGH_LEVEL);
    if kind != NotificationEvent && kind != SynchronizationEvent {
        verifier::breach(
            215,
            format!("KeInitializeEvent: there is no event type {kind}"),
        );
    }
    // SAFETY: the caller promises that it is writable.
    let header = unsafe { &mut (*event).Header };
    header.Type = kind as u8;
    header.Signalling = 0;
    header.Size = EVENT_WORDS;
    header.Reserved1 = 0;
    header.SignalState = i32::from(state != 0);
    let list: *mut LIST_ENTRY = &raw mut header.WaitListHead;
    header.WaitListHead = LIST_ENTRY {
        Flink: list,
        Blink: list,
    };
}

/// `KeSetEvent`: signals an event; returns whether it was before. At DISPATCH or below, at APC or
/// below with `wait`.
///
/// # Safety
///
/// `event` must point to an event.
pub(super) unsafe extern "efiapi" fn ke_set_event(
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

/// `KeResetEvent`: takes the signal back; returns whether it was there. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
pub(super) unsafe extern "efiapi" fn ke_reset_event(event: *mut KEVENT) -> i32 {
    enter("KeResetEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KeResetEvent", 0) }
}

/// `KeClearEvent`: takes the signal back. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
pub(super) unsafe extern "efiapi" fn ke_clear_event(event: *mut KEVENT) {
    enter("KeClearEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { exchange(event, "KeClearEvent", 0) };
}

/// `KeReadStateEvent`: whether an event is signalled. At DISPATCH or below.
///
/// # Safety
///
/// `event` must point to an event.
pub(super) unsafe extern "efiapi" fn ke_read_state_event(event: *mut KEVENT) -> i32 {
    enter("KeReadStateEvent", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { check(event, "KeReadStateEvent") };
    // SAFETY: as the caller promises.
    unsafe { state(event).read_volatile() }
}

/// `KeWaitForSingleObject` for an event: STATUS_SUCCESS, or STATUS_TIMEOUT. At APC or below; at
/// DISPATCH with a timeout of zero (rule 84).
///
/// # Safety
///
/// `object` must point to an event that stays valid during the wait; `timeout` must be null or
/// readable.
pub(super) unsafe extern "efiapi" fn ke_wait_for_single_object(
    object: *mut c_void,
    _wait_reason: KWAIT_REASON,
    _wait_mode: KPROCESSOR_MODE,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
) -> NTSTATUS {
    sched::point();
    let event = object.cast::<KEVENT>();
    // SAFETY: as the caller promises.
    unsafe { check(event, "KeWaitForSingleObject") };
    // SAFETY: as the caller promises.
    let timeout = unsafe { timeout.as_ref() }.map(|timeout| relative_ns(*timeout));
    if timeout == Some(0) {
        require_at_most("KeWaitForSingleObject without waiting", DISPATCH_LEVEL, 84);
    }
    // SAFETY: the event stays valid during the wait.
    let ready = || unsafe { take(event) };
    if sched::wait("a KEVENT", ready, timeout) {
        STATUS_SUCCESS
    } else {
        STATUS_TIMEOUT
    }
}

/// How long a timeout is from now: negative ones are relative, others are system times.
fn relative_ns(timeout: LARGE_INTEGER) -> u64 {
    let units = match u64::try_from(timeout) {
        Ok(absolute) => absolute.saturating_sub(time::system_time()),
        Err(_) => timeout.unsigned_abs(),
    };
    units.saturating_mul(100)
}

/// Passes an event if it is signalled; a synchronization event lets one through.
///
/// # Safety
///
/// `event` must point to an event.
unsafe fn take(event: *mut KEVENT) -> bool {
    // SAFETY: as the caller promises.
    let is_signalled = unsafe { state(event).read_volatile() } != 0;
    // SAFETY: as the caller promises.
    let kind = unsafe { (*event).Header.Type };
    if is_signalled && i32::from(kind) == SynchronizationEvent {
        // SAFETY: as the caller promises.
        unsafe { state(event).write_volatile(0) };
    }
    is_signalled
}

/// Sets the state of an event; returns the old one.
///
/// # Safety
///
/// `event` must point to an event.
unsafe fn exchange(event: *mut KEVENT, routine: &str, new: i32) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { check(event, routine) };
    // SAFETY: as the caller promises.
    let state = unsafe { state(event) };
    // SAFETY: as the caller promises.
    let old = unsafe { state.read_volatile() };
    // SAFETY: as the caller promises.
    unsafe { state.write_volatile(new) };
    old
}

/// # Safety
///
/// `event` must point to an event.
unsafe fn state(event: *mut KEVENT) -> *mut i32 {
    // SAFETY: as the caller promises.
    unsafe { &raw mut (*event).Header.SignalState }
}

/// Fatal breach of rule 215 when there is no initialised event at `event`.
///
/// # Safety
///
/// `event` must be readable.
unsafe fn check(event: *mut KEVENT, routine: &str) {
    // SAFETY: as the caller promises.
    let header = unsafe { &(*event).Header };
    let is_event = i32::from(header.Type) <= SynchronizationEvent && header.Size == EVENT_WORDS;
    if !is_event {
        let place = describe(event.addr());
        verifier::fatal(215, format!("{routine}: no initialised event at {place}"));
    }
}
