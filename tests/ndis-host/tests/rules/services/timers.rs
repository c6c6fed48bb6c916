//! Timers and work items: rules 204 to 208.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::sched;
use ndis_sys::{
    BOOLEAN, NDIS_HANDLE, NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS, NDIS_STATUS,
    NDIS_TIMER_CHARACTERISTICS, Zeroed,
};

use super::{DISPATCH, adapter, lower, raise};
use crate::bench::{ONE_SECOND, bench};
use crate::buffers::calls::{TAG, routines};
use crate::native::{breaks, holds, nic, stack};

routines! {
    /// NdisSetTimerObject.
    set_timer = NdisSetTimerObject(timer: NDIS_HANDLE, due: i64, period: i32, context: *mut c_void) -> BOOLEAN;
    /// NdisSetCoalescableTimerObject.
    set_coalescable = NdisSetCoalescableTimerObject(timer: NDIS_HANDLE, due: i64, period: i32, context: *mut c_void, tolerance: u32) -> BOOLEAN;
    /// NdisCancelTimerObject.
    cancel_timer = NdisCancelTimerObject(timer: NDIS_HANDLE) -> BOOLEAN;
    /// NdisFreeTimerObject.
    free_timer = NdisFreeTimerObject(timer: NDIS_HANDLE);
    /// NdisAllocateIoWorkItem.
    allocate_item = NdisAllocateIoWorkItem(object: NDIS_HANDLE) -> NDIS_HANDLE;
    /// NdisQueueIoWorkItem.
    queue_item = NdisQueueIoWorkItem(item: NDIS_HANDLE, routine: unsafe extern "efiapi" fn(*mut c_void, NDIS_HANDLE), context: *mut c_void);
    /// NdisFreeIoWorkItem.
    free_item = NdisFreeIoWorkItem(item: NDIS_HANDLE);
}

/// A millisecond in the system's unit of time.
const MS: i64 = 10_000;

/// How often the routine below has run.
static RUNS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn count_expiry(
    _: *mut c_void,
    _context: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
) {
    assert_eq!(sched::irql(), DISPATCH);
    RUNS.fetch_add(1, Ordering::Relaxed);
}

fn timer(adapter: NDIS_HANDLE, tag: u32) -> NDIS_HANDLE {
    routines! {
        /// The routine itself.
        raw = NdisAllocateTimerObject(handle: NDIS_HANDLE, given: *mut NDIS_TIMER_CHARACTERISTICS, timer: *mut NDIS_HANDLE) -> NDIS_STATUS;
    }
    let mut given = NDIS_TIMER_CHARACTERISTICS::zeroed();
    given.Header.Type = NDIS_OBJECT_TYPE_TIMER_CHARACTERISTICS;
    given.Header.Revision = 1;
    given.Header.Size = size_of::<NDIS_TIMER_CHARACTERISTICS>() as u16;
    given.AllocationTag = tag;
    given.TimerFunction = Some(count_expiry);
    let mut timer = ptr::null_mut();
    raw(adapter, &raw mut given, &raw mut timer);
    timer
}

#[test]
fn r204_breaks_when_a_timer_has_no_tag() {
    breaks!(204, || {
        timer(adapter().0, 0);
    });
}

#[test]
fn r204_breaks_when_a_timer_belongs_to_nobody() {
    breaks!(204, || {
        timer(ptr::null_mut(), TAG);
    });
}

#[test]
fn r204_holds_when_timers_expire() {
    holds!(|| {
        let timer = timer(adapter().0, TAG);
        assert_eq!(set_timer(timer, -5 * MS, 0, ptr::null_mut()), 0);
        sched::sleep(ONE_SECOND);
        assert_eq!(RUNS.load(Ordering::Relaxed), 1);
        set_coalescable(timer, -5 * MS, 0, ptr::null_mut(), 20);
        sched::sleep(ONE_SECOND);
        assert_eq!(RUNS.load(Ordering::Relaxed), 2);
        assert_eq!(cancel_timer(timer), 0);
        free_timer(timer);
    });
}

/// Cancels a periodic timer.
fn cancel_periodic_at(level: u8) {
    let timer = timer(adapter().0, TAG);
    set_timer(timer, -MS, 1, ptr::null_mut());
    sched::sleep(ONE_SECOND / 100);
    assert!(RUNS.load(Ordering::Relaxed) > 1);
    let old = raise(level);
    cancel_timer(timer);
    lower(old);
    free_timer(timer);
}

#[test]
fn r205_breaks_when_a_periodic_timer_is_cancelled_at_dispatch() {
    breaks!(205, || cancel_periodic_at(DISPATCH));
}

#[test]
fn r205_holds_when_a_periodic_timer_is_cancelled_at_passive() {
    holds!(|| cancel_periodic_at(0));
}

#[test]
fn r206_breaks_when_a_timer_is_freed_that_is_set() {
    breaks!(206, || {
        let timer = timer(adapter().0, TAG);
        set_timer(timer, -1000 * MS, 0, ptr::null_mut());
        free_timer(timer);
    });
}

#[test]
fn r206_holds_when_a_timer_is_cancelled_and_freed() {
    holds!(|| {
        let timer = timer(adapter().0, TAG);
        set_timer(timer, -1000 * MS, 0, ptr::null_mut());
        assert_eq!(cancel_timer(timer), 1);
        free_timer(timer);
    });
}

unsafe extern "efiapi" fn count_run(_context: *mut c_void, _item: NDIS_HANDLE) {
    assert_eq!(sched::irql(), 0);
    RUNS.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "efiapi" fn free_itself(_context: *mut c_void, item: NDIS_HANDLE) {
    free_item(item);
    RUNS.fetch_add(1, Ordering::Relaxed);
}

unsafe extern "efiapi" fn stay_raised(_context: *mut c_void, _item: NDIS_HANDLE) {
    raise(DISPATCH);
}

#[test]
fn r207_breaks_when_a_protocol_allocates_a_work_item() {
    breaks!(207, || {
        let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        allocate_item(ptr::without_provenance_mut(stack.binding().0 as usize));
    });
}

#[test]
fn r207_breaks_when_a_work_item_is_queued_twice() {
    breaks!(207, || {
        let item = allocate_item(adapter().0);
        raise(DISPATCH);
        for _ in 0..100 {
            queue_item(item, count_run, ptr::null_mut());
        }
    });
}

#[test]
fn r207_breaks_when_a_queued_work_item_is_freed() {
    breaks!(207, || {
        // The thread of an item may run before it is freed; one of a hundred does not.
        let adapter = adapter().0;
        raise(DISPATCH);
        for _ in 0..100 {
            let item = allocate_item(adapter);
            queue_item(item, count_run, ptr::null_mut());
            free_item(item);
        }
    });
}

#[test]
fn r207_holds_when_a_work_item_frees_itself() {
    holds!(|| {
        let item = allocate_item(adapter().0);
        queue_item(item, count_run, ptr::null_mut());
        sched::sleep(ONE_SECOND);
        queue_item(item, free_itself, ptr::null_mut());
        sched::sleep(ONE_SECOND);
        assert_eq!(RUNS.load(Ordering::Relaxed), 2);
    });
}

#[test]
fn r208_breaks_when_a_work_item_returns_at_dispatch() {
    breaks!(208, || {
        queue_item(allocate_item(adapter().0), stay_raised, ptr::null_mut());
        sched::sleep(ONE_SECOND);
    });
}
