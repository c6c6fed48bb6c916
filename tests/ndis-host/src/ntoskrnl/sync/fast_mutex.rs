//! Fast and guarded mutexes: owned by one thread, once.

use std::collections::BTreeMap;

use ndis_sys::{BOOLEAN, FAST_MUTEX, SynchronizationEvent};

use super::critical_region::apcs_are_off;
use super::dispatcher::{self, Kind};
use super::wait::refuse_held_locks;
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter, objects};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, Irql, ThreadId};
use crate::verifier;

/// Who owns a mutex.
static OWNERS: BatonCell<BTreeMap<usize, ThreadId>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "ExAcquireFastMutex" => ex_acquire_fast_mutex,
        "ExTryToAcquireFastMutex" => ex_try_to_acquire_fast_mutex,
        "ExReleaseFastMutex" => ex_release_fast_mutex,
        "ExAcquireFastMutexUnsafe" => ex_acquire_fast_mutex_unsafe,
        "ExReleaseFastMutexUnsafe" => ex_release_fast_mutex_unsafe,
        "KeInitializeGuardedMutex" => ke_initialize_guarded_mutex,
        "KeAcquireGuardedMutex" => ex_acquire_fast_mutex,
        "KeTryToAcquireGuardedMutex" => ex_try_to_acquire_fast_mutex,
        "KeReleaseGuardedMutex" => ex_release_fast_mutex,
    }
}

type Mutex = *mut FAST_MUTEX;

/// `KeInitializeGuardedMutex`: what the inline `ExInitializeFastMutex` does. Any level.
///
/// # Safety
///
/// `mutex` must be writable.
unsafe extern "efiapi" fn ke_initialize_guarded_mutex(mutex: Mutex) {
    enter("KeInitializeGuardedMutex", DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    let value = unsafe { &mut *mutex };
    value.Count = 1;
    value.Owner = std::ptr::null_mut();
    value.Contention = 0;
    value.OldIrql = 0;
    // SAFETY: as the caller promises.
    unsafe { dispatcher::initialize((&raw mut value.Event).cast(), Kind::SynchronizationEvent, 0) };
}

/// `ExAcquireFastMutex`: waits for the mutex and raises the level to APC. At APC or below.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ex_acquire_fast_mutex(mutex: Mutex) {
    enter("ExAcquireFastMutex", APC_LEVEL);
    let old = sched::irql();
    // SAFETY: as the caller promises.
    unsafe { acquire("ExAcquireFastMutex", mutex) };
    // SAFETY: as the caller promises.
    unsafe { raise(mutex, old) };
}

/// `ExTryToAcquireFastMutex`: takes the mutex if it is free, and then raises the level to APC. At
/// APC or below.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ex_try_to_acquire_fast_mutex(mutex: Mutex) -> BOOLEAN {
    enter("ExTryToAcquireFastMutex", APC_LEVEL);
    let (old, me) = (sched::irql(), sched::current_thread());
    // SAFETY: as the caller promises.
    let is_taken = unsafe { take(mutex, me) };
    if is_taken {
        // SAFETY: as the caller promises.
        unsafe { raise(mutex, old) };
    }
    BOOLEAN::from(is_taken)
}

/// `ExReleaseFastMutex`: gives the mutex back and restores the level. At APC, by its owner.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ex_release_fast_mutex(mutex: Mutex) {
    const CALL: &str = "ExReleaseFastMutex";
    sched::point();
    let irql = sched::irql();
    verifier::insist(79, irql == APC_LEVEL, || {
        format!("{CALL} called at level {irql}, which is not APC_LEVEL (0xC4/34)")
    });
    // SAFETY: as the caller promises.
    let old = unsafe { (*mutex).OldIrql } as Irql;
    // SAFETY: as the caller promises.
    unsafe { release(CALL, mutex) };
    sched::lower(old);
}

/// `ExAcquireFastMutexUnsafe`: waits for the mutex. At APC, or below in a critical region.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ex_acquire_fast_mutex_unsafe(mutex: Mutex) {
    const CALL: &str = "ExAcquireFastMutexUnsafe";
    enter(CALL, APC_LEVEL);
    verifier::require(79, apcs_are_off(), || {
        format!("{CALL} called with procedure calls enabled (0xC4/38)")
    });
    // SAFETY: as the caller promises.
    unsafe { acquire(CALL, mutex) };
}

/// `ExReleaseFastMutexUnsafe`: gives the mutex back. At APC, or below in a critical region.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ex_release_fast_mutex_unsafe(mutex: Mutex) {
    const CALL: &str = "ExReleaseFastMutexUnsafe";
    enter(CALL, APC_LEVEL);
    verifier::require(79, apcs_are_off(), || {
        format!("{CALL} called with procedure calls enabled (0xC4/39)")
    });
    // SAFETY: as the caller promises.
    unsafe { release(CALL, mutex) };
}

/// # Safety
///
/// `mutex` must point to a mutex.
unsafe fn acquire(routine: &str, mutex: Mutex) {
    let me = sched::current_thread();
    // SAFETY: as the caller promises.
    let kind = unsafe { (*mutex).Event.Header.Type };
    verifier::insist(215, i32::from(kind) == SynchronizationEvent, || {
        let place = describe(mutex.addr());
        format!("{routine}: no initialised fast mutex at {place}")
    });
    let is_recursion = OWNERS.with(|owners| owners.get(&mutex.addr()) == Some(&me));
    verifier::insist(85, !is_recursion, || {
        let place = describe(mutex.addr());
        format!("{routine}: the caller owns the mutex at {place} already: it waits for itself")
    });
    refuse_held_locks("a fast mutex");
    // SAFETY: as the caller promises; it stays valid during the wait.
    sched::wait("a fast mutex", || unsafe { take(mutex, me) }, None);
}

/// Takes a mutex for `thread` if it is free.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe fn take(mutex: Mutex, thread: ThreadId) -> bool {
    // SAFETY: as the caller promises.
    let count = unsafe { &raw mut (*mutex).Count };
    // SAFETY: as the caller promises.
    let is_free = unsafe { count.read_volatile() } == 1;
    if is_free {
        // SAFETY: as the caller promises.
        unsafe { count.write_volatile(0) };
        OWNERS.with(|owners| owners.insert(mutex.addr(), thread));
        objects::hold(
            mutex.addr(),
            size_of::<FAST_MUTEX>(),
            "a mutex that is owned",
        );
    }
    is_free
}

/// # Safety
///
/// `mutex` must point to a mutex that the caller owns.
unsafe fn raise(mutex: Mutex, old: Irql) {
    // SAFETY: as the caller promises.
    unsafe { (*mutex).OldIrql = u32::from(old) };
    sched::raise(APC_LEVEL);
}

/// # Safety
///
/// `mutex` must point to a mutex.
unsafe fn release(routine: &str, mutex: Mutex) {
    let me = sched::current_thread();
    let is_mine = OWNERS.with(|owners| {
        let is_mine = owners.get(&mutex.addr()) == Some(&me);
        if is_mine {
            owners.remove(&mutex.addr());
        }
        is_mine
    });
    verifier::insist(215, is_mine, || {
        let place = describe(mutex.addr());
        format!("{routine}: the caller does not own the mutex at {place}")
    });
    objects::let_go(mutex.addr());
    // SAFETY: as the caller promises.
    unsafe { (&raw mut (*mutex).Count).write_volatile(1) };
}
