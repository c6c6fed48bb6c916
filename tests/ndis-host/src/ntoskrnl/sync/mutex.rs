//! Mutexes: owned by one thread, which may take them again.

use std::collections::BTreeMap;

use ndis_sys::{BOOLEAN, KMUTANT};

use super::dispatcher::{self, Kind};
use crate::ntoskrnl::memory::describe;
use crate::ntoskrnl::{Table, enter, objects, require_at_most};
use crate::sched::{self, APC_LEVEL, BatonCell, DISPATCH_LEVEL, HIGH_LEVEL, ThreadId};
use crate::verifier;

/// Who owns a mutex.
static OWNERS: BatonCell<BTreeMap<usize, ThreadId>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Table {
    exports! {
        "KeInitializeMutex" => ke_initialize_mutex,
        "KeReleaseMutex" => ke_release_mutex,
        "KeReadStateMutex" => ke_read_state_mutex,
    }
}

/// Whether a thread owns the mutex at an address.
pub(super) fn is_owned_by(mutex: usize, thread: ThreadId) -> bool {
    OWNERS.with(|owners| owners.get(&mutex) == Some(&thread))
}

/// Makes a thread the owner of the mutex at an address.
pub(super) fn own(mutex: usize, thread: ThreadId) {
    let before = OWNERS.with(|owners| owners.insert(mutex, thread));
    if before.is_none() {
        objects::hold(mutex, size_of::<KMUTANT>(), "a mutex that is owned");
    }
}

/// A thread that ends must not own a mutex (bug check 0x4D is for users; the kernel's is fatal).
pub(super) fn check_end_of_thread() {
    let me = sched::current_thread();
    let owned = OWNERS.with(|owners| {
        let owned = owners.iter().find(|(_, owner)| **owner == me);
        owned.map(|(mutex, _)| *mutex)
    });
    if let Some(mutex) = owned {
        let mutex = describe(mutex);
        verifier::fatal(215, format!("a thread ends and owns the mutex at {mutex}"));
    }
}

/// `KeInitializeMutex`: makes a mutex that nobody owns. At PASSIVE, says the page; its header
/// allows any level.
///
/// # Safety
///
/// `mutex` must be writable.
unsafe extern "efiapi" fn ke_initialize_mutex(mutex: *mut KMUTANT, _level: u32) {
    enter("KeInitializeMutex", HIGH_LEVEL);
    objects::require_none(mutex.addr(), size_of::<KMUTANT>(), || {
        let place = describe(mutex.addr());
        format!("KeInitializeMutex of the memory at {place}")
    });
    // SAFETY: the caller promises that it is writable.
    unsafe { dispatcher::initialize(mutex.cast(), Kind::Mutant, 1) };
    // SAFETY: the caller promises that it is writable.
    let mutex = unsafe { &mut *mutex };
    mutex.MutantListEntry.Flink = std::ptr::null_mut();
    mutex.MutantListEntry.Blink = std::ptr::null_mut();
    mutex.OwnerThread = std::ptr::null_mut();
    mutex.Abandoned = 0;
    mutex.ApcDisable = 1;
}

/// `KeReleaseMutex`: gives up one ownership; returns the old state, which is zero when the mutex is
/// free now. At DISPATCH or below, at APC or below with `wait`; by its owner.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ke_release_mutex(mutex: *mut KMUTANT, wait: BOOLEAN) -> i32 {
    const CALL: &str = "KeReleaseMutex";
    enter(CALL, DISPATCH_LEVEL);
    if wait != 0 {
        require_at_most("KeReleaseMutex(Wait = TRUE)", APC_LEVEL, 79);
    }
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(mutex.cast(), CALL, &[Kind::Mutant]) };
    if !is_owned_by(mutex.addr(), sched::current_thread()) {
        let place = describe(mutex.addr());
        verifier::fatal(
            215,
            format!("{CALL}: the caller does not own the mutex at {place}"),
        );
    }
    // SAFETY: as the caller promises.
    let old = unsafe { dispatcher::read_state(mutex.cast()) };
    if old == 0 {
        OWNERS.with(|owners| owners.remove(&mutex.addr()));
        objects::let_go(mutex.addr());
    }
    // SAFETY: as the caller promises.
    unsafe { dispatcher::set_state(mutex.cast(), old + 1) }
}

/// `KeReadStateMutex`: 1 when nobody owns the mutex. At DISPATCH or below.
///
/// # Safety
///
/// `mutex` must point to a mutex.
unsafe extern "efiapi" fn ke_read_state_mutex(mutex: *mut KMUTANT) -> i32 {
    const CALL: &str = "KeReadStateMutex";
    enter(CALL, DISPATCH_LEVEL);
    // SAFETY: as the caller promises.
    unsafe { dispatcher::require(mutex.cast(), CALL, &[Kind::Mutant]) };
    // SAFETY: as the caller promises.
    unsafe { dispatcher::read_state(mutex.cast()) }
}
