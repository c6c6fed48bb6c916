//! Spin locks.

use ndis_host::sched;
use ndis_sys::{DISPATCH_LEVEL, KDPC, KLOCK_QUEUE_HANDLE, KSPIN_LOCK, LIST_ENTRY, PASSIVE_LEVEL};

use super::waits::{queue_dpc, wait_for_dpcs};
use super::{call, lower, place, raise};
use crate::native::{breaks, holds};

/// A free lock that lives for ever.
pub(crate) fn new_lock() -> *mut KSPIN_LOCK {
    let lock = Box::leak(Box::new(0xDEAD));
    call!(KeInitializeSpinLock: fn(*mut KSPIN_LOCK); lock);
    lock
}

pub(crate) fn acquire(lock: *mut KSPIN_LOCK) -> u8 {
    call!(KeAcquireSpinLockRaiseToDpc: fn(*mut KSPIN_LOCK) -> u8; lock)
}

pub(crate) fn release(lock: *mut KSPIN_LOCK, level: u8) {
    call!(KeReleaseSpinLock: fn(*mut KSPIN_LOCK, u8); lock, level);
}

fn acquire_at_dpc(lock: *mut KSPIN_LOCK) {
    call!(KeAcquireSpinLockAtDpcLevel: fn(*mut KSPIN_LOCK); lock);
}

fn release_from_dpc(lock: *mut KSPIN_LOCK) {
    call!(KeReleaseSpinLockFromDpcLevel: fn(*mut KSPIN_LOCK); lock);
}

fn acquire_queued(lock: *mut KSPIN_LOCK) -> *mut KLOCK_QUEUE_HANDLE {
    let handle = place();
    call!(KeAcquireInStackQueuedSpinLock: fn(*mut KSPIN_LOCK, *mut KLOCK_QUEUE_HANDLE); lock, handle);
    handle
}

fn release_queued(handle: *mut KLOCK_QUEUE_HANDLE) {
    call!(KeReleaseInStackQueuedSpinLock: fn(*mut KLOCK_QUEUE_HANDLE); handle);
}

#[test]
fn r210_holds_when_locks_are_released_as_they_were_acquired() {
    holds!(|| {
        let (first, second, third) = (new_lock(), new_lock(), new_lock());
        let old = acquire(first);
        acquire_at_dpc(second);
        release_from_dpc(second);
        release(first, old);

        let handle = acquire_queued(third);
        assert_eq!(sched::irql(), DISPATCH_LEVEL);
        release_queued(handle);
        assert_eq!(sched::irql(), PASSIVE_LEVEL);

        let old = raise(DISPATCH_LEVEL);
        let taken = call!(KeTryToAcquireSpinLockAtDpcLevel: fn(*mut KSPIN_LOCK) -> u8; first);
        let is_free = call!(KeTestSpinLock: fn(*mut KSPIN_LOCK) -> u8; first);
        assert_eq!((taken, is_free), (1, 0));
        release_from_dpc(first);
        lower(old);
    });
}

#[test]
fn r210_breaks_when_a_lock_is_acquired_twice() {
    breaks!(210, || {
        let lock = new_lock();
        acquire(lock);
        acquire_at_dpc(lock);
    });
}

#[test]
fn r210_breaks_when_an_older_lock_is_released_first() {
    breaks!(210, || {
        let (first, second) = (new_lock(), new_lock());
        let old = acquire(first);
        acquire_at_dpc(second);
        release(first, old);
    });
}

#[test]
fn r210_breaks_when_raising_and_dpc_calls_are_mixed() {
    breaks!(210, || {
        let lock = new_lock();
        acquire(lock);
        release_from_dpc(lock);
    });
}

#[test]
fn r210_breaks_when_a_queued_lock_is_acquired_as_an_ordinary_one() {
    breaks!(210, || {
        let lock = new_lock();
        release_queued(acquire_queued(lock));
        let old = acquire(lock);
        release(lock, old);
    });
}

#[test]
fn r210_breaks_when_the_level_is_lowered_with_a_lock_held() {
    breaks!(210, || {
        let lock = new_lock();
        acquire(lock);
        lower(PASSIVE_LEVEL);
    });
}

#[test]
fn r210_breaks_when_a_callback_returns_with_a_lock_held() {
    unsafe extern "efiapi" fn keep(
        _dpc: *mut KDPC,
        lock: *mut std::ffi::c_void,
        _first: *mut std::ffi::c_void,
        _second: *mut std::ffi::c_void,
    ) {
        acquire_at_dpc(lock.cast());
    }
    breaks!(210, || {
        queue_dpc(keep, new_lock().cast());
        wait_for_dpcs();
    });
}

#[test]
fn r210_breaks_when_an_interlocked_routine_gets_a_lock_that_is_held() {
    breaks!(210, || {
        let (lock, head) = (new_lock(), place::<LIST_ENTRY>());
        acquire(lock);
        call!(ExInterlockedRemoveHeadList: fn(*mut LIST_ENTRY, *mut KSPIN_LOCK) -> *mut LIST_ENTRY; head, lock);
    });
}

#[test]
fn r211_breaks_when_a_lock_is_released_below_dispatch() {
    breaks!(211, || {
        let lock = new_lock();
        acquire(lock);
        lower(PASSIVE_LEVEL);
        release(lock, PASSIVE_LEVEL);
    });
}

#[test]
fn r211_breaks_when_a_lock_is_acquired_above_dispatch() {
    breaks!(211, || {
        raise(DISPATCH_LEVEL + 1);
        acquire(new_lock());
    });
}

#[test]
fn r211_breaks_when_a_lock_is_acquired_at_dpc_level_below_it() {
    breaks!(211, || acquire_at_dpc(new_lock()));
}

#[test]
fn r211_breaks_when_a_free_lock_is_released() {
    breaks!(211, || {
        raise(DISPATCH_LEVEL);
        release_from_dpc(new_lock());
    });
}

#[test]
fn r211_breaks_when_a_queued_lock_is_released_with_another_handle() {
    breaks!(211, || {
        let handle = acquire_queued(new_lock());
        // SAFETY: both handles live for ever.
        let other = Box::leak(Box::new(unsafe { handle.read() }));
        release_queued(other);
    });
}

fn acquire_shared(lock: *mut i32) -> u8 {
    call!(ExAcquireSpinLockShared: fn(*mut i32) -> u8; lock)
}

fn release_exclusive(lock: *mut i32, level: u8) {
    call!(ExReleaseSpinLockExclusive: fn(*mut i32, u8); lock, level);
}

#[test]
fn r211_breaks_when_a_reader_releases_as_a_writer() {
    breaks!(211, || {
        let lock = Box::leak(Box::new(0));
        let old = acquire_shared(lock);
        release_exclusive(lock, old);
    });
}

#[test]
fn r211_holds_when_a_reader_becomes_the_writer() {
    holds!(|| {
        let lock: *mut i32 = Box::leak(Box::new(0));
        let old = acquire_shared(lock);
        let converted = call!(ExTryConvertSharedSpinLockExclusive: fn(*mut i32) -> u32; lock);
        assert_eq!(converted, 1);
        release_exclusive(lock, old);
        let old = call!(ExAcquireSpinLockExclusive: fn(*mut i32) -> u8; lock);
        release_exclusive(lock, old);
    });
}

#[test]
fn r211_holds_when_readers_share_and_writers_do_not() {
    /// The lock, a sum that only it protects, and the number of readers inside.
    struct Shared(i32, [u32; 2]);
    holds!(|| {
        let shared = (&raw mut *Box::leak(Box::new(Shared(0, [0; 2])))).expose_provenance();
        let work = move || {
            let shared: *mut Shared = std::ptr::with_exposed_provenance_mut(shared);
            // SAFETY: it lives for ever.
            let (lock, sums) = unsafe { (&raw mut (*shared).0, &raw mut (*shared).1) };
            for round in 0..200 {
                if round % 2 == 0 {
                    let old = acquire_shared(lock);
                    // SAFETY: it lives for ever, and writers are out.
                    let before = unsafe { sums.read_volatile() };
                    (0..3).for_each(|_| sched::point());
                    // SAFETY: as above.
                    assert_eq!(before, unsafe { sums.read_volatile() });
                    call!(ExReleaseSpinLockShared: fn(*mut i32, u8); lock, old);
                } else {
                    let old = call!(ExAcquireSpinLockExclusive: fn(*mut i32) -> u8; lock);
                    // SAFETY: it lives for ever, and all others are out.
                    let [sum, other] = unsafe { sums.read_volatile() };
                    (0..3).for_each(|_| sched::point());
                    // SAFETY: as above.
                    unsafe { sums.write_volatile([sum + 1, other]) };
                    release_exclusive(lock, old);
                }
            }
        };
        let threads = ["a", "b", "c"].map(|name| sched::spawn(name, work));
        threads.into_iter().for_each(sched::join);
        let shared: *mut Shared = std::ptr::with_exposed_provenance_mut(shared);
        // SAFETY: the threads have ended.
        assert_eq!(unsafe { (*shared).1[0] }, 300);
    });
}

#[test]
fn r210_holds_when_interlocked_lists_have_a_lock_of_their_own() {
    holds!(|| {
        type Entry = *mut LIST_ENTRY;
        let (lock, head) = (new_lock(), place::<LIST_ENTRY>());
        // SAFETY: it lives for ever.
        unsafe {
            head.write(LIST_ENTRY {
                Flink: head,
                Blink: head,
            });
        }
        let (first, second) = (place::<LIST_ENTRY>(), place::<LIST_ENTRY>());
        let before = call!(ExInterlockedInsertTailList: fn(Entry, Entry, *mut KSPIN_LOCK) -> Entry; head, first, lock);
        assert!(before.is_null());
        let before = call!(ExInterlockedInsertHeadList: fn(Entry, Entry, *mut KSPIN_LOCK) -> Entry; head, second, lock);
        assert_eq!(before, first);
        for expected in [second, first, std::ptr::null_mut()] {
            let removed =
                call!(ExInterlockedRemoveHeadList: fn(Entry, *mut KSPIN_LOCK) -> Entry; head, lock);
            assert_eq!(removed, expected);
        }
        let sum: *mut i64 = Box::leak(Box::new(40));
        let old = call!(ExInterlockedAddLargeInteger: fn(*mut i64, i64, *mut KSPIN_LOCK) -> i64; sum, 2, lock);
        // SAFETY: it lives for ever.
        assert_eq!((old, unsafe { sum.read() }), (40, 42));
    });
}
