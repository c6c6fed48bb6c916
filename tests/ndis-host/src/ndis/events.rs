//! NDIS_EVENT: a notification event. Its state is in the KEVENT inside of it.

use ndis_sys::{BOOLEAN, FALSE, KEVENT, LIST_ENTRY, NDIS_EVENT, NotificationEvent, TRUE};

use crate::ndis::call::{Level, import};
use crate::{sched, verifier};

/// Nanoseconds in a millisecond.
const MILLISECOND_NS: u64 = 1_000_000;

/// Microsoft Learn, NdisInitializeEvent function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `event` points to memory for an event.
pub(crate) unsafe extern "efiapi" fn initialize(event: *mut NDIS_EVENT) {
    import("NdisInitializeEvent", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    let header = unsafe { &mut (*event).Event.Header };
    header.Type = NotificationEvent as u8;
    header.Size = (size_of::<KEVENT>() / size_of::<u32>()) as u8;
    header.SignalState = 0;
    let list = &raw mut header.WaitListHead;
    header.WaitListHead = LIST_ENTRY {
        Flink: list,
        Blink: list,
    };
}

/// Microsoft Learn, NdisSetEvent function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `event` points to an initialized event.
pub(crate) unsafe extern "efiapi" fn set(event: *mut NDIS_EVENT) {
    import("NdisSetEvent", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe { check("NdisSetEvent", event) };
    // SAFETY: the caller's contract.
    unsafe { state(event).write_volatile(1) };
}

/// Microsoft Learn, NdisResetEvent function (ndis.h). IRQL <= DISPATCH_LEVEL.
///
/// # Safety
///
/// `event` points to an initialized event.
pub(crate) unsafe extern "efiapi" fn reset(event: *mut NDIS_EVENT) {
    import("NdisResetEvent", Level::UpToDispatch);
    // SAFETY: the caller's contract.
    unsafe { check("NdisResetEvent", event) };
    // SAFETY: the caller's contract.
    unsafe { state(event).write_volatile(0) };
}

/// Microsoft Learn, NdisWaitEvent function (ndis.h). IRQL = PASSIVE_LEVEL. TRUE: signaled.
///
/// # Safety
///
/// `event` points to an initialized event, which lives until the wait is over.
pub(crate) unsafe extern "efiapi" fn wait(event: *mut NDIS_EVENT, ms_to_wait: u32) -> BOOLEAN {
    const CALL: &str = "NdisWaitEvent";
    let irql = sched::irql();
    verifier::insist(84, irql < sched::DISPATCH_LEVEL, || {
        format!("{CALL} called at level {irql} (7C/14)")
    });
    verifier::insist(209, irql == sched::PASSIVE_LEVEL, || {
        format!("{CALL} called at level {irql}, not PASSIVE")
    });
    import(CALL, Level::Passive);
    // SAFETY: the caller's contract.
    unsafe { check(CALL, event) };
    // Zero means for ever.
    let timeout_ns = (ms_to_wait != 0).then(|| u64::from(ms_to_wait) * MILLISECOND_NS);
    // SAFETY: the caller's contract.
    let state = unsafe { state(event) };
    // SAFETY: as above.
    let signaled = sched::wait(CALL, || unsafe { state.read_volatile() } != 0, timeout_ns);
    if signaled { TRUE } else { FALSE }
}

/// # Safety
///
/// `event` points to an initialized event.
unsafe fn state(event: *mut NDIS_EVENT) -> *mut i32 {
    // SAFETY: the caller's contract.
    unsafe { &raw mut (*event).Event.Header.SignalState }
}

/// An event is used after NdisInitializeEvent.
///
/// # Safety
///
/// `event` points to memory for an event.
unsafe fn check(call: &str, event: *mut NDIS_EVENT) {
    // SAFETY: the caller's contract.
    let header = unsafe { (*event).Event.Header };
    let words = size_of::<KEVENT>() / size_of::<u32>();
    let initialized = header.Type == NotificationEvent as u8 && usize::from(header.Size) == words;
    verifier::insist(209, initialized, || {
        format!("{call}: the event at {event:p} is not initialized")
    });
}
