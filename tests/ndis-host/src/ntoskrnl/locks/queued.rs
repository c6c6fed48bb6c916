//! In-stack queued spin locks: fair, and with a handle on the caller's stack for each acquisition.

use ndis_sys::{KLOCK_QUEUE_HANDLE, KSPIN_LOCK};

use super::spin_lock::mark_taken;
use super::{
    Acquisition, Family, How, Mode, raise_for, require_dispatch, require_exactly_dispatch,
};
use crate::ntoskrnl::Table;
use crate::ntoskrnl::memory::describe;
use crate::sched::{self, DISPATCH_LEVEL};
use crate::verifier;

pub(super) fn exports() -> Table {
    exports! {
        "KeAcquireInStackQueuedSpinLock" => acquire_raising,
        "KeAcquireInStackQueuedSpinLockAtDpcLevel" => acquire_at_dpc_level,
        "KeAcquireInStackQueuedSpinLockForDpc" => acquire_for_dpc,
        "KeReleaseInStackQueuedSpinLock" => release_lowering,
        "KeReleaseInStackQueuedSpinLockFromDpcLevel" => release_from_dpc_level,
        "KeReleaseInStackQueuedSpinLockForDpc" => release_for_dpc,
    }
}

type Handle = *mut KLOCK_QUEUE_HANDLE;

/// `KeAcquireInStackQueuedSpinLock`: raises the level to DISPATCH and takes the lock. At DISPATCH
/// or below.
///
/// # Safety
///
/// `lock` must point to a spin lock, `handle` be writable until the release.
unsafe extern "efiapi" fn acquire_raising(lock: *mut KSPIN_LOCK, handle: Handle) {
    sched::point();
    let irql = raise_for(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { acquire(lock, handle, How::Raised(irql)) };
}

/// `KeAcquireInStackQueuedSpinLockAtDpcLevel`: takes the lock. At DISPATCH or above.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn acquire_at_dpc_level(lock: *mut KSPIN_LOCK, handle: Handle) {
    sched::point();
    require_dispatch(lock.addr(), "acquired", "0xC4/41");
    // SAFETY: as the caller promises.
    unsafe { acquire(lock, handle, How::AtDpcLevel) };
}

/// `KeAcquireInStackQueuedSpinLockForDpc`: takes the lock in a DPC, threaded or not, so it raises
/// the level only where that is needed. At DISPATCH or below.
///
/// # Safety
///
/// As above.
unsafe extern "efiapi" fn acquire_for_dpc(lock: *mut KSPIN_LOCK, handle: Handle) {
    // SAFETY: as the caller promises.
    unsafe { acquire_raising(lock, handle) };
}

/// # Safety
///
/// As above.
unsafe fn acquire(lock: *mut KSPIN_LOCK, handle: Handle, how: How) {
    super::acquire(Acquisition {
        lock: lock.addr(),
        family: Family::Queued(handle.addr()),
        mode: Mode::Exclusive,
        how,
    });
    // SAFETY: as the caller promises.
    let handle = unsafe { &mut *handle };
    handle.LockQueue.Next = std::ptr::null_mut();
    handle.LockQueue.Lock = lock;
    handle.OldIrql = match how {
        How::Raised(old) => old,
        How::AtDpcLevel => DISPATCH_LEVEL,
    };
    // SAFETY: as the caller promises.
    unsafe { mark_taken(lock, (&raw mut *handle).addr()) };
}

/// `KeReleaseInStackQueuedSpinLock`: gives the lock back and restores the level. At DISPATCH.
///
/// # Safety
///
/// `handle` is that of the acquisition.
unsafe extern "efiapi" fn release_lowering(handle: Handle) {
    sched::point();
    // SAFETY: as the caller promises.
    let (lock, old) = unsafe { ((*handle).LockQueue.Lock, (*handle).OldIrql) };
    require_exactly_dispatch(lock.addr());
    // SAFETY: as the caller promises.
    unsafe { release(lock, handle, How::Raised(old)) };
}

/// `KeReleaseInStackQueuedSpinLockFromDpcLevel`: gives the lock back. At DISPATCH or above.
///
/// # Safety
///
/// `handle` is that of the acquisition.
unsafe extern "efiapi" fn release_from_dpc_level(handle: Handle) {
    sched::point();
    // SAFETY: as the caller promises.
    let lock = unsafe { (*handle).LockQueue.Lock };
    require_dispatch(lock.addr(), "released", "0xC4/42");
    // SAFETY: as the caller promises.
    unsafe { release(lock, handle, How::AtDpcLevel) };
}

/// `KeReleaseInStackQueuedSpinLockForDpc`: gives a lock of the "for DPC" routine back. At DISPATCH.
///
/// # Safety
///
/// `handle` is that of the acquisition.
unsafe extern "efiapi" fn release_for_dpc(handle: Handle) {
    // SAFETY: as the caller promises.
    unsafe { release_lowering(handle) };
}

/// # Safety
///
/// `handle` is that of the acquisition.
unsafe fn release(lock: *mut KSPIN_LOCK, handle: Handle, how: How) {
    let taken = super::release(lock.addr());
    if taken.family != Family::Queued(handle.addr()) {
        let lock = describe(lock.addr());
        verifier::fatal(
            211,
            format!("queued spin lock {lock} released with another handle than it was taken with"),
        );
    }
    // SAFETY: the lock is held by the caller, so it is there.
    unsafe { lock.write_volatile(0) };
    super::settle(taken, how);
}
