//! Rundown protection: an object goes away once nobody uses it any more.
//!
//! The word holds twice the number of users; its lowest bit says that the rundown has begun.

use ndis_sys::{BOOLEAN, EX_RUNDOWN_REF};

use super::wait::refuse_held_locks;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter, objects};
use crate::sched::{self, APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL};
use crate::verifier;

/// The rundown has begun.
const ACTIVE: usize = 1;
/// One user.
const USER: usize = 2;

pub(super) fn exports() -> Table {
    exports! {
        "ExInitializeRundownProtection" => initialize,
        "ExReInitializeRundownProtection" => reinitialize,
        "ExAcquireRundownProtection" => acquire,
        "ExAcquireRundownProtectionEx" => acquire_ex,
        "ExReleaseRundownProtection" => release,
        "ExReleaseRundownProtectionEx" => release_ex,
        "ExRundownCompleted" => completed,
        "ExWaitForRundownProtectionRelease" => wait_for_release,
    }
}

type Reference = *mut EX_RUNDOWN_REF;

/// `ExInitializeRundownProtection`: nobody uses the object. Any level.
///
/// # Safety
///
/// `reference` must be writable.
unsafe extern "efiapi" fn initialize(reference: Reference) {
    enter("ExInitializeRundownProtection", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { write(reference, 0) };
}

/// `ExReInitializeRundownProtection`: after a rundown, the object can be used again. Any level.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn reinitialize(reference: Reference) {
    const CALL: &str = "ExReInitializeRundownProtection";
    enter(CALL, HIGH_LEVEL);
    // SAFETY: as the caller promises.
    let count = unsafe { read(reference) };
    verifier::insist(215, count == ACTIVE, || {
        let place = describe(reference.addr());
        format!("{CALL}: no rundown has been completed at {place}")
    });
    // SAFETY: as the caller promises.
    unsafe { write(reference, 0) };
}

/// `ExAcquireRundownProtection`: one more user, unless the rundown has begun. At DISPATCH or below.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn acquire(reference: Reference) -> BOOLEAN {
    // SAFETY: as the caller promises.
    unsafe { acquire_ex(reference, 1) }
}

/// `ExAcquireRundownProtectionEx`: some more users, unless the rundown has begun. At DISPATCH or
/// below.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn acquire_ex(reference: Reference, count: u32) -> BOOLEAN {
    enter("ExAcquireRundownProtection", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let old = unsafe { read(reference) };
    if old & ACTIVE != 0 {
        return 0;
    }
    // SAFETY: as the caller promises.
    unsafe { write(reference, old + count as usize * USER) };
    1
}

/// `ExReleaseRundownProtection`: one user less. At DISPATCH or below.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn release(reference: Reference) {
    // SAFETY: as the caller promises.
    unsafe { release_ex(reference, 1) };
}

/// `ExReleaseRundownProtectionEx`: some users less. At DISPATCH or below.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn release_ex(reference: Reference, count: u32) {
    const CALL: &str = "ExReleaseRundownProtection";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let old = unsafe { read(reference) };
    let new = old.checked_sub(count as usize * USER);
    let Some(new) = new else {
        let place = describe(reference.addr());
        verifier::fatal(
            215,
            format!("{CALL}: protection at {place} given back and not held"),
        );
    };
    // SAFETY: as the caller promises.
    unsafe { write(reference, new) };
}

/// `ExRundownCompleted`: says that the rundown is over, so that nobody becomes a user. Any level.
///
/// # Safety
///
/// `reference` must point to rundown protection.
unsafe extern "efiapi" fn completed(reference: Reference) {
    enter("ExRundownCompleted", HIGH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { write(reference, ACTIVE) };
}

/// `ExWaitForRundownProtectionRelease`: begins the rundown and waits for its end. At APC or below.
///
/// # Safety
///
/// `reference` must point to rundown protection that stays valid during the wait.
unsafe extern "efiapi" fn wait_for_release(reference: Reference) {
    enter("ExWaitForRundownProtectionRelease", APC_LEVEL);
    refuse_held_locks("rundown");
    // SAFETY: as the caller promises.
    let old = unsafe { read(reference) };
    // SAFETY: as the caller promises.
    unsafe { write(reference, old | ACTIVE) };
    objects::hold(
        reference.addr(),
        size_of::<EX_RUNDOWN_REF>(),
        "rundown protection that a thread waits for",
    );
    // SAFETY: as the caller promises.
    sched::wait("rundown", || unsafe { read(reference) } == ACTIVE, None);
    objects::let_go(reference.addr());
}

/// # Safety
///
/// `reference` must be readable.
unsafe fn read(reference: Reference) -> usize {
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*reference).Count).read_volatile() }
}

/// # Safety
///
/// `reference` must be writable.
unsafe fn write(reference: Reference, count: usize) {
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*reference).Count).write_volatile(count) };
}
