//! Events, waiting, and reader/writer locks: rules 209 and 212.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::sched;
use ndis_sys::{BOOLEAN, LOCK_STATE, LOCK_STATE_EX, NDIS_EVENT, NDIS_HANDLE, NDIS_RW_LOCK, Zeroed};

use super::{DISPATCH, lower, raise};
use crate::buffers::calls::routines;
use crate::native::{breaks, holds};

routines! {
    /// NdisInitializeEvent.
    initialize_event = NdisInitializeEvent(event: *mut NDIS_EVENT);
    /// NdisSetEvent.
    set_event = NdisSetEvent(event: *mut NDIS_EVENT);
    /// NdisWaitEvent.
    wait_event = NdisWaitEvent(event: *mut NDIS_EVENT, ms: u32) -> BOOLEAN;
    /// NdisAllocateRWLock.
    allocate_lock = NdisAllocateRWLock(handle: NDIS_HANDLE) -> NDIS_HANDLE;
    /// NdisFreeRWLock.
    free_lock = NdisFreeRWLock(lock: NDIS_HANDLE);
    /// NdisAcquireRWLockRead.
    read = NdisAcquireRWLockRead(lock: NDIS_HANDLE, state: *mut LOCK_STATE_EX, flags: u8);
    /// NdisAcquireRWLockWrite.
    write = NdisAcquireRWLockWrite(lock: NDIS_HANDLE, state: *mut LOCK_STATE_EX, flags: u8);
    /// NdisReleaseRWLock.
    release = NdisReleaseRWLock(lock: NDIS_HANDLE, state: *mut LOCK_STATE_EX);
    /// NdisInitializeReadWriteLock.
    initialize_old = NdisInitializeReadWriteLock(lock: *mut NDIS_RW_LOCK);
    /// NdisAcquireReadWriteLock.
    acquire_old = NdisAcquireReadWriteLock(lock: *mut NDIS_RW_LOCK, write: BOOLEAN, state: *mut LOCK_STATE);
    /// NdisReleaseReadWriteLock.
    release_old = NdisReleaseReadWriteLock(lock: *mut NDIS_RW_LOCK, state: *mut LOCK_STATE);
    /// NdisDprAcquireReadWriteLock.
    acquire_old_dpr = NdisDprAcquireReadWriteLock(lock: *mut NDIS_RW_LOCK, write: BOOLEAN, state: *mut LOCK_STATE);
    /// NdisDprReleaseReadWriteLock.
    release_old_dpr = NdisDprReleaseReadWriteLock(lock: *mut NDIS_RW_LOCK, state: *mut LOCK_STATE);
    /// NdisMSleep.
    sleep = NdisMSleep(microseconds: u32);
    /// KeStallExecutionProcessor.
    stall = KeStallExecutionProcessor(microseconds: u32);
}

#[test]
fn r209_breaks_when_an_event_is_not_initialized() {
    breaks!(209, || {
        let mut event = NDIS_EVENT::zeroed();
        set_event(&raw mut event);
    });
}

#[test]
fn r209_breaks_when_an_event_is_waited_for_at_apc_level() {
    breaks!(209, || wait_at(1));
}

#[test]
fn r209_holds_when_an_event_is_waited_for_at_passive() {
    holds!(|| wait_at(0));
}

fn wait_at(level: u8) {
    let mut event = NDIS_EVENT::zeroed();
    initialize_event(&raw mut event);
    let old = raise(level);
    assert_eq!(wait_event(&raw mut event, 5), 0);
    set_event(&raw mut event);
    assert_eq!(wait_event(&raw mut event, 5), 1);
    lower(old);
}

#[test]
fn r209_breaks_when_a_stall_is_long() {
    breaks!(209, || stall(51));
}

#[test]
fn r209_holds_when_stalls_and_sleeps_are_short() {
    holds!(|| {
        stall(50);
        sleep(10_000);
    });
}

#[test]
fn r212_breaks_when_a_reader_becomes_a_writer() {
    breaks!(212, || {
        let (mut first, mut second) = (LOCK_STATE_EX::zeroed(), LOCK_STATE_EX::zeroed());
        let lock = allocate_lock(ptr::null_mut());
        read(lock, &raw mut first, 0);
        write(lock, &raw mut second, 1);
    });
}

#[test]
fn r212_breaks_when_a_lock_is_released_with_another_state() {
    breaks!(212, || {
        let (mut first, mut second) = (LOCK_STATE_EX::zeroed(), LOCK_STATE_EX::zeroed());
        let lock = allocate_lock(ptr::null_mut());
        read(lock, &raw mut first, 0);
        release(lock, &raw mut second);
    });
}

#[test]
fn r212_breaks_when_a_lock_is_released_below_dispatch() {
    breaks!(212, || {
        let mut state = LOCK_STATE_EX::zeroed();
        let lock = allocate_lock(ptr::null_mut());
        read(lock, &raw mut state, 0);
        lower(0);
        release(lock, &raw mut state);
    });
}

#[test]
fn r212_breaks_when_a_held_lock_is_freed() {
    breaks!(212, || {
        let mut state = LOCK_STATE_EX::zeroed();
        let lock = allocate_lock(ptr::null_mut());
        write(lock, &raw mut state, 0);
        free_lock(lock);
    });
}

#[test]
fn r212_breaks_when_an_old_lock_is_not_initialized() {
    breaks!(212, || {
        let (mut lock, mut state) = (NDIS_RW_LOCK::zeroed(), LOCK_STATE::zeroed());
        acquire_old(&raw mut lock, 0, &raw mut state);
    });
}

#[test]
fn r212_holds_when_readers_and_writers_take_turns() {
    holds!(|| {
        let lock = allocate_lock(ptr::null_mut());
        let address = lock.addr();
        let inside: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                sched::spawn("user of a lock", move || {
                    for _ in 0..50 {
                        turn(
                            ptr::without_provenance_mut(address),
                            number % 2 == 0,
                            inside,
                        );
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(sched::join);
        free_lock(lock);
    });
}

/// Takes a lock once; a writer is alone, readers are with readers.
fn turn(lock: NDIS_HANDLE, writes: bool, inside: &AtomicUsize) {
    const WRITER: usize = 1000;
    let mut state = LOCK_STATE_EX::zeroed();
    let mut again = LOCK_STATE_EX::zeroed();
    let share = if writes { WRITER } else { 1 };
    if writes {
        write(lock, &raw mut state, 0);
    } else {
        read(lock, &raw mut state, 0);
        read(lock, &raw mut again, 1);
    }
    assert_eq!(sched::irql(), DISPATCH);
    let before = inside.fetch_add(share, Ordering::Relaxed);
    assert!(before < if writes { 1 } else { WRITER });
    sched::point();
    inside.fetch_sub(share, Ordering::Relaxed);
    if !writes {
        release(lock, &raw mut again);
    }
    release(lock, &raw mut state);
    assert_eq!(sched::irql(), 0);
}

#[test]
fn r212_holds_when_an_old_lock_is_used_in_both_ways() {
    holds!(|| {
        let (mut lock, mut state) = (NDIS_RW_LOCK::zeroed(), LOCK_STATE::zeroed());
        let (lock, state) = (&raw mut lock, &raw mut state);
        initialize_old(lock);
        acquire_old(lock, 1, state);
        release_old(lock, state);
        let old = raise(DISPATCH);
        acquire_old_dpr(lock, 0, state);
        release_old_dpr(lock, state);
        lower(old);
    });
}
