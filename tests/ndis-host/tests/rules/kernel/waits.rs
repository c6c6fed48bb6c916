//! Waits, DPCs, timers, threads.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ndis_host::sched;
use ndis_sys::{
    DISPATCH_LEVEL, HANDLE, KDEFERRED_ROUTINE, KDPC, KEVENT, KMUTANT, KSEMAPHORE, KTIMER, NTSTATUS,
    NotificationTimer, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PROCESSOR_NUMBER, STATUS_SUCCESS,
    STATUS_TIMEOUT, SynchronizationEvent, SynchronizationTimer, Zeroed,
};

use super::{call, place};
use crate::native::holds;

pub(crate) fn new_dpc(routine: KDEFERRED_ROUTINE, context: *mut c_void) -> *mut KDPC {
    let dpc = place();
    call!(KeInitializeDpc: fn(*mut KDPC, Option<KDEFERRED_ROUTINE>, *mut c_void); dpc, Some(routine), context);
    dpc
}

pub(crate) fn insert_dpc(dpc: *mut KDPC) -> bool {
    let null = std::ptr::null_mut();
    call!(KeInsertQueueDpc: fn(*mut KDPC, *mut c_void, *mut c_void) -> u8; dpc, null, null) != 0
}

/// Queues a new DPC.
pub(crate) fn queue_dpc(routine: KDEFERRED_ROUTINE, context: *mut c_void) {
    assert!(insert_dpc(new_dpc(routine, context)));
}

pub(crate) fn wait_for_dpcs() {
    call!(KeFlushQueuedDpcs: fn(););
}

pub(crate) fn wait_for(object: *mut c_void, timeout: Option<i64>) -> NTSTATUS {
    let mut timeout = timeout;
    let timeout = timeout
        .as_mut()
        .map_or(std::ptr::null_mut(), |timeout| &raw mut *timeout);
    call!(KeWaitForSingleObject: fn(*mut c_void, i32, i8, u8, *mut i64) -> NTSTATUS; object, 0, 0, 0, timeout)
}

fn wait_for_several(objects: &mut [*mut c_void], kind: i32, timeout: Option<i64>) -> NTSTATUS {
    let mut timeout = timeout;
    let timeout = timeout
        .as_mut()
        .map_or(std::ptr::null_mut(), |timeout| &raw mut *timeout);
    let (count, null) = (objects.len() as u32, std::ptr::null_mut());
    call!(KeWaitForMultipleObjects: fn(u32, *mut *mut c_void, i32, i32, i8, u8, *mut i64, *mut c_void) -> NTSTATUS;
        count, objects.as_mut_ptr(), kind, 0, 0, 0, timeout, null)
}

pub(crate) fn new_event() -> *mut KEVENT {
    let event = place();
    call!(KeInitializeEvent: fn(*mut KEVENT, i32, u8); event, SynchronizationEvent, 0);
    event
}

pub(crate) fn set(event: *mut KEVENT) {
    call!(KeSetEvent: fn(*mut KEVENT, i32, u8) -> i32; event, 0, 0);
}

pub(crate) fn new_timer(kind: i32) -> *mut KTIMER {
    let timer = place();
    call!(KeInitializeTimerEx: fn(*mut KTIMER, i32); timer, kind);
    timer
}

pub(crate) fn set_timer(timer: *mut KTIMER, due: i64, period_ms: i32, dpc: *mut KDPC) -> bool {
    call!(KeSetTimerEx: fn(*mut KTIMER, i64, i32, *mut KDPC) -> u8; timer, due, period_ms, dpc) != 0
}

pub(crate) fn new_mutex() -> *mut KMUTANT {
    let mutex = place();
    call!(KeInitializeMutex: fn(*mut KMUTANT, u32); mutex, 0);
    mutex
}

pub(crate) fn release_mutex(mutex: *mut KMUTANT) -> i32 {
    call!(KeReleaseMutex: fn(*mut KMUTANT, u8) -> i32; mutex, 0)
}

pub(crate) fn new_semaphore(count: i32, limit: i32) -> *mut KSEMAPHORE {
    let semaphore = place();
    call!(KeInitializeSemaphore: fn(*mut KSEMAPHORE, i32, i32); semaphore, count, limit);
    semaphore
}

pub(crate) fn release_semaphore(semaphore: *mut KSEMAPHORE, count: i32) -> i32 {
    call!(KeReleaseSemaphore: fn(*mut KSEMAPHORE, i32, i32, u8) -> i32; semaphore, 0, count, 0)
}

/// Starts a system thread; a handle to it.
pub(crate) fn create_thread(routine: ndis_sys::KSTART_ROUTINE, context: *mut c_void) -> HANDLE {
    let mut attributes = OBJECT_ATTRIBUTES::zeroed();
    attributes.Length = size_of::<OBJECT_ATTRIBUTES>() as u32;
    attributes.Attributes = OBJ_KERNEL_HANDLE;
    let (mut handle, null) = (std::ptr::null_mut(), std::ptr::null_mut());
    type Start = Option<ndis_sys::KSTART_ROUTINE>;
    let status = call!(PsCreateSystemThread: fn(*mut HANDLE, u32, *mut OBJECT_ATTRIBUTES, HANDLE, *mut c_void, Start, *mut c_void) -> NTSTATUS;
        &raw mut handle, 0, &raw mut attributes, null, null, Some(routine), context);
    assert_eq!(status, STATUS_SUCCESS);
    handle
}

/// Waits for the end of a thread, and closes its handle.
pub(crate) fn join(handle: HANDLE) {
    let mut object = std::ptr::null_mut();
    let null = std::ptr::null_mut();
    let status = call!(ObReferenceObjectByHandle: fn(HANDLE, u32, *mut c_void, i8, *mut *mut c_void, *mut c_void) -> NTSTATUS;
        handle, 0, null, 0, &raw mut object, null);
    assert_eq!(status, STATUS_SUCCESS);
    let old = call!(KeSetPriorityThread: fn(*mut c_void, i32) -> i32; object, 16);
    assert_eq!(old, 8);
    assert_eq!(wait_for(object, None), STATUS_SUCCESS);
    assert_eq!(
        call!(ZwClose: fn(HANDLE) -> NTSTATUS; handle),
        STATUS_SUCCESS
    );
    assert_eq!(
        call!(ObfDereferenceObject: fn(*mut c_void) -> isize; object),
        0
    );
}

#[test]
fn r215_holds_when_objects_are_waited_for_one_by_one() {
    holds!(|| {
        let mutex = new_mutex();
        assert_eq!(wait_for(mutex.cast(), None), STATUS_SUCCESS);
        assert_eq!(
            wait_for(mutex.cast(), Some(0)),
            STATUS_SUCCESS,
            "by its owner"
        );
        assert_eq!(release_mutex(mutex), -1);
        assert_eq!(release_mutex(mutex), 0);

        let semaphore = new_semaphore(1, 2);
        assert_eq!(wait_for(semaphore.cast(), Some(0)), STATUS_SUCCESS);
        assert_eq!(wait_for(semaphore.cast(), Some(-10)), STATUS_TIMEOUT);
        assert_eq!(release_semaphore(semaphore, 2), 0);
        assert_eq!(wait_for(semaphore.cast(), None), STATUS_SUCCESS);
    });
}

#[test]
fn r215_holds_when_several_objects_are_waited_for() {
    const ALL: i32 = 0;
    const ANY: i32 = 1;
    holds!(|| {
        let (first, second) = (new_event(), new_event());
        let mut both: [*mut c_void; 2] = [first.cast(), second.cast()];
        set(second);
        assert_eq!(wait_for_several(&mut both, ALL, Some(-10)), STATUS_TIMEOUT);
        assert_eq!(wait_for_several(&mut both, ANY, None), 1);
        assert_eq!(wait_for_several(&mut both, ANY, Some(0)), STATUS_TIMEOUT);
        set(first);
        set(second);
        assert_eq!(wait_for_several(&mut both, ALL, None), STATUS_SUCCESS);
        assert_eq!(wait_for_several(&mut both, ANY, Some(0)), STATUS_TIMEOUT);
    });
}

static CALLS: AtomicU32 = AtomicU32::new(0);
static CPUS: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn count_dpc(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _first: *mut c_void,
    _second: *mut c_void,
) {
    assert_eq!(sched::irql(), DISPATCH_LEVEL);
    CALLS.fetch_add(1, Ordering::Relaxed);
    CPUS.fetch_or(1 << sched::current_cpu(), Ordering::Relaxed);
}

#[test]
fn r215_holds_when_a_dpc_is_queued_once_and_on_its_target() {
    holds!(|| {
        let dpc = new_dpc(count_dpc, std::ptr::null_mut());
        let mut target = PROCESSOR_NUMBER::zeroed();
        target.Number = 1;
        let status = call!(KeSetTargetProcessorDpcEx: fn(*mut KDPC, *mut PROCESSOR_NUMBER) -> NTSTATUS; dpc, &raw mut target);
        assert_eq!(status, STATUS_SUCCESS);
        call!(KeSetImportanceDpc: fn(*mut KDPC, i32); dpc, 2);
        let old = super::raise(DISPATCH_LEVEL);
        assert!(insert_dpc(dpc));
        super::lower(old);
        wait_for_dpcs();
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
        assert_eq!(CPUS.load(Ordering::Relaxed), 1 << 1);
        assert_eq!(call!(KeRemoveQueueDpc: fn(*mut KDPC) -> u8; dpc), 0);
    });
}

#[test]
fn r215_holds_when_timers_expire_repeat_and_are_cancelled() {
    holds!(|| {
        let timer = new_timer(SynchronizationTimer);
        let dpc = new_dpc(count_dpc, std::ptr::null_mut());
        assert!(!set_timer(timer, -10_000, 1, dpc));
        for _ in 0..3 {
            assert_eq!(wait_for(timer.cast(), None), STATUS_SUCCESS);
        }
        assert_eq!(call!(KeCancelTimer: fn(*mut KTIMER) -> u8; timer), 1);
        assert_eq!(call!(KeCancelTimer: fn(*mut KTIMER) -> u8; timer), 0);
        wait_for_dpcs();
        assert_eq!(CALLS.load(Ordering::Relaxed), 3);

        let once = new_timer(NotificationTimer);
        assert!(!set_timer(once, -1_000_000, 0, std::ptr::null_mut()));
        assert!(set_timer(once, -10, 0, std::ptr::null_mut()));
        assert_eq!(wait_for(once.cast(), None), STATUS_SUCCESS);
        assert_eq!(call!(KeReadStateTimer: fn(*mut KTIMER) -> u8; once), 1);
    });
}

unsafe extern "efiapi" fn count_expiry(_timer: *mut c_void, _context: *mut c_void) {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn r215_holds_when_a_timer_object_is_allocated_and_deleted() {
    holds!(|| {
        type Callback = Option<ndis_sys::EXT_CALLBACK>;
        let null: *mut c_void = std::ptr::null_mut();
        let timer = call!(ExAllocateTimer: fn(Callback, *mut c_void, u32) -> *mut c_void; Some(count_expiry), null, 8);
        let was_set = call!(ExSetTimer: fn(*mut c_void, i64, i64, *mut c_void) -> u8; timer, -10_000, 10_000, null);
        assert_eq!(was_set, 0);
        sched::sleep(3_500_000);
        let cancelled =
            call!(ExDeleteTimer: fn(*mut c_void, u8, u8, *mut c_void) -> u8; timer, 1, 1, null);
        assert_eq!(cancelled, 1);
        let calls = CALLS.load(Ordering::Relaxed);
        assert_eq!(calls, 3);
        sched::sleep(10_000_000);
        assert_eq!(CALLS.load(Ordering::Relaxed), calls);
    });
}

unsafe extern "efiapi" fn count_and_terminate(event: *mut c_void) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    assert_eq!(wait_for(event, None), STATUS_SUCCESS);
    call!(PsTerminateSystemThread: fn(NTSTATUS) -> NTSTATUS; STATUS_SUCCESS);
    CALLS.fetch_add(100, Ordering::Relaxed);
}

#[test]
fn r215_holds_when_a_thread_terminates_itself() {
    holds!(|| {
        let event = new_event();
        let handle = create_thread(count_and_terminate, event.cast());
        sched::sleep(1_000);
        set(event);
        join(handle);
        assert_eq!(CALLS.load(Ordering::Relaxed), 1);
    });
}

unsafe extern "efiapi" fn note_cpu(argument: usize) -> usize {
    CPUS.fetch_or(1 << sched::current_cpu(), Ordering::Relaxed);
    argument + sched::irql() as usize
}

#[test]
fn r079_holds_when_all_processors_are_interrupted() {
    holds!(|| {
        let result = call!(KeIpiGenericCall: fn(ndis_sys::KIPI_BROADCAST_WORKER, usize) -> usize; note_cpu, 100);
        assert_eq!(result, 114);
        assert_eq!(CPUS.load(Ordering::Relaxed), 0b11);
    });
}

#[test]
fn r209_holds_when_clocks_are_read() {
    holds!(|| {
        assert_eq!(call!(KeQueryTimeIncrement: fn() -> u32;), 156_250);
        let (mut counter, mut time) = (0, 0);
        let before = call!(KeQueryInterruptTimePrecise: fn(*mut u64) -> u64; &raw mut counter);
        sched::sleep(1_000_000);
        let after = call!(KeQueryUnbiasedInterruptTime: fn() -> u64;);
        assert!(
            (10_000..11_000).contains(&(after - before)),
            "{before} {after}"
        );
        call!(KeQuerySystemTimePrecise: fn(*mut i64); &raw mut time);
        assert!(time > 134_116_992_000_000_000);
    });
}
