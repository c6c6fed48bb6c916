//! Semaphores.

use ndis_sys::{BOOLEAN, KPRIORITY, KSEMAPHORE};

use super::dispatcher::{self, Kind};
use crate::ntoskrnl::{Table, enter, require_at_most};
use crate::sched::{APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeSemaphore" => ke_initialize_semaphore,
        "KeReleaseSemaphore" => ke_release_semaphore,
        "KeReadStateSemaphore" => ke_read_state_semaphore,
    }
}

/// `KeInitializeSemaphore`: makes a semaphore with a count and its limit. Any level.
///
/// # Safety
///
/// `semaphore` must be writable.
unsafe extern "efiapi" fn ke_initialize_semaphore(
    semaphore: *mut KSEMAPHORE,
    count: i32,
    limit: i32,
) {
    const CALL: &str = "KeInitializeSemaphore";
    enter(CALL, HIGH_LEVEL);
    verifier::insist(215, limit > 0 && (0..=limit).contains(&count), || {
        format!("{CALL}: a count of {count} with a limit of {limit}")
    });
    // SAFETY: the caller promises that it is writable.
    unsafe { dispatcher::initialize(semaphore.cast(), Kind::Semaphore, count) };
    // SAFETY: the caller promises that it is writable.
    unsafe { (*semaphore).Limit = limit };
}

/// `KeReleaseSemaphore`: raises the count; returns the old one. At DISPATCH or below, at APC or
/// below with `wait`. A count above the limit raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which no
/// driver survives.
///
/// # Safety
///
/// `semaphore` must point to a semaphore.
unsafe extern "efiapi" fn ke_release_semaphore(
    semaphore: *mut KSEMAPHORE,
    _increment: KPRIORITY,
    adjustment: i32,
    wait: BOOLEAN,
) -> i32 {
    const CALL: &str = "KeReleaseSemaphore";
    enter(CALL, DISPATCH_LEVEL);
    if wait != 0 {
        require_at_most("KeReleaseSemaphore(Wait = TRUE)", APC_LEVEL, 79);
    }
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(semaphore.cast(), CALL, &[Kind::Semaphore]) };
    // SAFETY: as the caller promises.
    let limit = unsafe { (*semaphore).Limit };
    // SAFETY: as the caller promises.
    let old = unsafe { dispatcher::read_state(semaphore.cast()) };
    let new = old.checked_add(adjustment).filter(|new| *new <= limit);
    let Some(new) = new.filter(|_| adjustment > 0) else {
        verifier::fatal(
            215,
            format!("{CALL}: {old} plus {adjustment} with a limit of {limit}"),
        );
    };
    // SAFETY: as the caller promises.
    unsafe { dispatcher::set_state(semaphore.cast(), new) }
}

/// `KeReadStateSemaphore`: the count. Any level.
///
/// # Safety
///
/// `semaphore` must point to a semaphore.
unsafe extern "efiapi" fn ke_read_state_semaphore(semaphore: *mut KSEMAPHORE) -> i32 {
    const CALL: &str = "KeReadStateSemaphore";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(semaphore.cast(), CALL, &[Kind::Semaphore]) };
    // SAFETY: as the caller promises.
    unsafe { dispatcher::read_state(semaphore.cast()) }
}
