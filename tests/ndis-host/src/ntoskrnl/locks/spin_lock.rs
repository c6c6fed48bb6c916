//! Ordinary spin locks.

use ndis_sys::{BOOLEAN, KIRQL, KSPIN_LOCK};

use super::{
    Acquisition, Family, How, Mode, raise_for, require_dispatch, require_exactly_dispatch,
};
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter};
use crate::sched::{self, HIGH_LEVEL};
use crate::verifier;

/// Word of a held lock.
const TAKEN: KSPIN_LOCK = 1;

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeSpinLock" => ke_initialize_spin_lock,
        "KeAcquireSpinLockRaiseToDpc" => ke_acquire_spin_lock_raise_to_dpc,
        "KeAcquireSpinLockAtDpcLevel" => ke_acquire_spin_lock_at_dpc_level,
        "KeTryToAcquireSpinLockAtDpcLevel" => ke_try_to_acquire_spin_lock_at_dpc_level,
        "KeTestSpinLock" => ke_test_spin_lock,
        "KeReleaseSpinLock" => ke_release_spin_lock,
        "KeReleaseSpinLockFromDpcLevel" => ke_release_spin_lock_from_dpc_level,
    }
}

fn acquisition(lock: *mut KSPIN_LOCK, how: How) -> Acquisition {
    Acquisition {
        lock: lock.addr(),
        family: Family::Plain,
        mode: Mode::Exclusive,
        how,
    }
}

/// `KeInitializeSpinLock`: makes a free lock. Any level.
///
/// # Safety
///
/// `lock` must be writable.
pub(crate) unsafe extern "efiapi" fn ke_initialize_spin_lock(lock: *mut KSPIN_LOCK) {
    enter("KeInitializeSpinLock", HIGH_LEVEL);
    if super::holders(lock.addr()) > 0 {
        let lock = describe(lock.addr());
        verifier::fatal(
            210,
            format!("spin lock {lock} initialised while it is held"),
        );
    }
    super::forget(lock.addr(), size_of::<KSPIN_LOCK>());
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(0) };
}

/// `KeAcquireSpinLockRaiseToDpc`: raises the level to DISPATCH and takes the lock; returns the old
/// level. At DISPATCH or below.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(crate) unsafe extern "efiapi" fn ke_acquire_spin_lock_raise_to_dpc(
    lock: *mut KSPIN_LOCK,
) -> KIRQL {
    sched::point();
    let irql = raise_for(lock.addr());
    super::acquire(acquisition(lock, How::Raised(irql)));
    // SAFETY: as the caller promises.
    unsafe { mark_taken(lock, TAKEN) };
    irql
}

/// `KeAcquireSpinLockAtDpcLevel`: takes the lock. At DISPATCH or above.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(crate) unsafe extern "efiapi" fn ke_acquire_spin_lock_at_dpc_level(lock: *mut KSPIN_LOCK) {
    sched::point();
    require_dispatch(lock.addr(), "acquired", "0xC4/41");
    super::acquire(acquisition(lock, How::AtDpcLevel));
    // SAFETY: as the caller promises.
    unsafe { mark_taken(lock, TAKEN) };
}

/// `KeTryToAcquireSpinLockAtDpcLevel`: takes the lock if it is free; tells whether it was. At
/// DISPATCH or above.
///
/// # Safety
///
/// `lock` must point to a spin lock.
unsafe extern "efiapi" fn ke_try_to_acquire_spin_lock_at_dpc_level(
    lock: *mut KSPIN_LOCK,
) -> BOOLEAN {
    sched::point();
    require_dispatch(lock.addr(), "acquired", "0xC4/41");
    let is_taken = super::try_acquire(acquisition(lock, How::AtDpcLevel));
    if is_taken {
        // SAFETY: as the caller promises.
        unsafe { mark_taken(lock, TAKEN) };
    }
    BOOLEAN::from(is_taken)
}

/// `KeTestSpinLock`: whether the lock is free. Any level.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
unsafe extern "efiapi" fn ke_test_spin_lock(lock: *mut KSPIN_LOCK) -> BOOLEAN {
    enter("KeTestSpinLock", HIGH_LEVEL);
    BOOLEAN::from(super::holders(lock.addr()) == 0)
}

/// Sets the word of a lock that was free; a word that is not zero was never initialised.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(super) unsafe fn mark_taken(lock: *mut KSPIN_LOCK, value: KSPIN_LOCK) {
    // SAFETY: as the caller promises.
    let word = unsafe { lock.read_volatile() };
    if word != 0 {
        let lock = describe(lock.addr());
        verifier::breach(
            210,
            format!("spin lock {lock} is not initialised: its word is {word:#x}"),
        );
    }
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(value) };
}

/// `KeReleaseSpinLock`: gives a lock back that was taken with the level raised, and restores the
/// level. At DISPATCH.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(crate) unsafe extern "efiapi" fn ke_release_spin_lock(lock: *mut KSPIN_LOCK, new_irql: KIRQL) {
    sched::point();
    require_exactly_dispatch(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { release(lock, How::Raised(new_irql)) };
}

/// `KeReleaseSpinLockFromDpcLevel`: gives a lock back that was taken without raising the level. At
/// DISPATCH or above.
///
/// # Safety
///
/// `lock` must point to a spin lock.
pub(crate) unsafe extern "efiapi" fn ke_release_spin_lock_from_dpc_level(lock: *mut KSPIN_LOCK) {
    sched::point();
    require_dispatch(lock.addr(), "released", "0xC4/42");
    // SAFETY: as the caller promises.
    unsafe { release(lock, How::AtDpcLevel) };
}

/// # Safety
///
/// `lock` must point to a spin lock.
unsafe fn release(lock: *mut KSPIN_LOCK, how: How) {
    let taken = super::release(lock.addr());
    if taken.family != Family::Plain {
        let lock = describe(lock.addr());
        verifier::breach(
            210,
            format!("queued spin lock {lock} released by an ordinary routine"),
        );
    }
    // SAFETY: as the caller promises.
    unsafe { lock.write_volatile(0) };
    super::settle(taken, how);
}
