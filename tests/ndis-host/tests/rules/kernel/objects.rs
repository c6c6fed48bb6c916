//! Objects of the kernel in a driver's memory (R215).

use std::ffi::c_void;

use ndis_sys::{
    ALLOCATE_FUNCTION, EX_RUNDOWN_REF, FAST_MUTEX, FREE_FUNCTION, GENERAL_LOOKASIDE, KDPC, KEVENT,
    KTIMER, NPAGED_LOOKASIDE_LIST, NTSTATUS, NonPagedPoolNx, NotificationTimer, SINGLE_LIST_ENTRY,
    SLIST_HEADER, STATUS_SUCCESS,
};

use super::waits::{
    create_thread, join, new_event, new_mutex, new_semaphore, new_timer, release_mutex,
    release_semaphore, set, set_timer, wait_for,
};
use super::{TAG, allocate, allocate_object, call, free, lower, place, raise};
use crate::native::{breaks, holds};

fn armed_timer() -> *mut KTIMER {
    let timer = allocate_object();
    call!(KeInitializeTimerEx: fn(*mut KTIMER, i32); timer, NotificationTimer);
    set_timer(timer, -10_000_000, 0, std::ptr::null_mut());
    timer
}

#[test]
fn r215_breaks_when_memory_is_freed_with_a_timer_set() {
    breaks!(215, || free(armed_timer()));
}

#[test]
fn r215_holds_when_the_timer_is_cancelled_before_its_memory_is_freed() {
    holds!(|| {
        let timer = armed_timer();
        call!(KeCancelTimer: fn(*mut KTIMER) -> u8; timer);
        free(timer);
    });
}

unsafe extern "efiapi" fn nothing(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _first: *mut c_void,
    _second: *mut c_void,
) {
}

fn queued_dpc() -> *mut KDPC {
    let (dpc, null) = (allocate_object(), std::ptr::null_mut());
    call!(KeInitializeDpc: fn(*mut KDPC, Option<ndis_sys::KDEFERRED_ROUTINE>, *mut c_void); dpc, Some(nothing), null);
    raise(2);
    call!(KeInsertQueueDpc: fn(*mut KDPC, *mut c_void, *mut c_void) -> u8; dpc, null, null);
    dpc
}

#[test]
fn r215_breaks_when_memory_is_freed_with_a_dpc_queued() {
    breaks!(215, || free(queued_dpc()));
}

#[test]
fn r215_holds_when_the_dpc_has_run_before_its_memory_is_freed() {
    holds!(|| {
        let dpc = queued_dpc();
        lower(0);
        free(dpc);
    });
}

#[test]
fn r215_breaks_when_a_set_timer_is_initialized() {
    breaks!(215, || {
        let timer = new_timer(NotificationTimer);
        set_timer(timer, -10_000_000, 0, std::ptr::null_mut());
        call!(KeInitializeTimerEx: fn(*mut KTIMER, i32); timer, NotificationTimer);
    });
}

fn new_lookaside() -> *mut NPAGED_LOOKASIDE_LIST {
    type Allocate = Option<ALLOCATE_FUNCTION>;
    type Free = Option<FREE_FUNCTION>;
    // Pool is aligned to 16 bytes, the list to a cache line.
    let block = allocate(NonPagedPoolNx, 2 * size_of::<NPAGED_LOOKASIDE_LIST>());
    let list = block.wrapping_add(block.align_offset(64));
    let list = list.cast::<NPAGED_LOOKASIDE_LIST>();
    call!(ExInitializeNPagedLookasideList: fn(*mut NPAGED_LOOKASIDE_LIST, Allocate, Free, u32, usize, u32, u16);
        list, None, None, 512, 100, TAG, 0);
    list
}

/// What `ExAllocateFromNPagedLookasideList` of the headers does.
fn take_entry(list: *mut GENERAL_LOOKASIDE) -> *mut c_void {
    let entry =
        call!(ExpInterlockedPopEntrySList: fn(*mut SLIST_HEADER) -> *mut c_void; list.cast());
    if !entry.is_null() {
        return entry;
    }
    // SAFETY: the list lives.
    let (allocate, kind, size, tag) =
        unsafe { ((*list).Allocate, (*list).Type, (*list).Size, (*list).Tag) };
    // SAFETY: the list was made for functions of this type.
    let allocate: ALLOCATE_FUNCTION = unsafe { std::mem::transmute(allocate) };
    // SAFETY: the arguments are the list's.
    unsafe { allocate(kind, size as usize, tag) }
}

/// What `ExFreeToNPagedLookasideList` of the headers does.
fn give_entry(list: *mut GENERAL_LOOKASIDE, entry: *mut c_void) {
    type Entry = *mut SINGLE_LIST_ENTRY;
    let depth = call!(ExQueryDepthSList: fn(*mut SLIST_HEADER) -> u16; list.cast());
    // SAFETY: the list lives.
    let (limit, free) = unsafe { ((*list).Depth, (*list).Free) };
    if depth < limit {
        call!(ExpInterlockedPushEntrySList: fn(*mut SLIST_HEADER, Entry) -> Entry; list.cast(), entry.cast());
        return;
    }
    // SAFETY: the list was made for functions of this type.
    let free: FREE_FUNCTION = unsafe { std::mem::transmute(free) };
    // SAFETY: the entry is the list's.
    unsafe { free(entry) };
}

#[test]
fn r215_holds_when_a_lookaside_list_is_deleted_with_entries() {
    holds!(|| {
        let list = new_lookaside();
        let entries: Vec<_> = (0..10).map(|_| take_entry(list.cast())).collect();
        for entry in entries {
            give_entry(list.cast(), entry);
        }
        let again = take_entry(list.cast());
        give_entry(list.cast(), again);
        call!(ExDeleteNPagedLookasideList: fn(*mut NPAGED_LOOKASIDE_LIST); list);
        let left = ndis_host::memory::pool::outstanding("host");
        assert_eq!(left.len(), 1, "only the list itself: {left:?}");
    });
}

#[test]
fn r215_breaks_when_a_lookaside_list_is_freed_and_not_deleted() {
    breaks!(215, || {
        let list = new_lookaside();
        let block = ndis_host::memory::pool::block_at(list.cast()).expect("a block");
        free(block.address as *mut u8);
    });
}

/// An ERESOURCE.
type Resource = [u64; 13];

fn new_resource() -> *mut Resource {
    let resource = allocate_object();
    call!(ExInitializeResourceLite: fn(*mut Resource) -> NTSTATUS; resource);
    resource
}

fn hold_resource(resource: *mut Resource) {
    call!(KeEnterCriticalRegion: fn(););
    let taken = call!(ExAcquireResourceExclusiveLite: fn(*mut Resource, u8) -> u8; resource, 1);
    assert_eq!(taken, 1);
    call!(ExReleaseResourceLite: fn(*mut Resource); resource);
    call!(KeLeaveCriticalRegion: fn(););
}

#[test]
fn r215_holds_when_a_resource_is_deleted() {
    holds!(|| {
        let resource = new_resource();
        hold_resource(resource);
        call!(ExDeleteResourceLite: fn(*mut Resource) -> NTSTATUS; resource);
        free(resource);
    });
}

#[test]
fn r215_breaks_when_a_resource_is_freed_and_not_deleted() {
    breaks!(215, || {
        let resource = new_resource();
        hold_resource(resource);
        free(resource);
    });
}

#[test]
fn r215_breaks_when_an_event_was_not_initialized() {
    breaks!(215, || {
        let event = allocate_object::<KEVENT>();
        set(event);
    });
}

#[test]
fn r215_breaks_when_another_thread_releases_a_mutex() {
    unsafe extern "efiapi" fn release(mutex: *mut c_void) {
        release_mutex(mutex.cast());
    }
    breaks!(215, || {
        let mutex = new_mutex();
        assert_eq!(wait_for(mutex.cast(), None), STATUS_SUCCESS);
        join(create_thread(release, mutex.cast()));
    });
}

#[test]
fn r215_breaks_when_a_thread_ends_and_owns_a_mutex() {
    unsafe extern "efiapi" fn keep(mutex: *mut c_void) {
        assert_eq!(wait_for(mutex, None), STATUS_SUCCESS);
    }
    breaks!(215, || join(create_thread(keep, new_mutex().cast())));
}

#[test]
fn r215_breaks_when_a_semaphore_exceeds_its_limit() {
    breaks!(215, || {
        release_semaphore(new_semaphore(1, 2), 2);
    });
}

fn new_fast_mutex() -> *mut FAST_MUTEX {
    let mutex = place();
    call!(KeInitializeGuardedMutex: fn(*mut FAST_MUTEX); mutex);
    mutex
}

#[test]
fn r215_holds_when_fast_mutexes_exclude() {
    unsafe extern "efiapi" fn work(shared: *mut c_void) {
        let shared = shared.cast::<(FAST_MUTEX, u32)>();
        for _ in 0..50 {
            call!(ExAcquireFastMutex: fn(*mut FAST_MUTEX); shared.cast());
            assert_eq!(ndis_host::sched::irql(), 1);
            // SAFETY: it lives for ever, and the mutex keeps others out.
            let count = unsafe { &raw mut (*shared).1 };
            // SAFETY: as above.
            let before = unsafe { count.read_volatile() };
            ndis_host::sched::yield_now();
            // SAFETY: as above.
            unsafe { count.write_volatile(before + 1) };
            call!(ExReleaseFastMutex: fn(*mut FAST_MUTEX); shared.cast());
        }
    }
    holds!(|| {
        // SAFETY: the mutex lives for ever.
        let mutex = unsafe { new_fast_mutex().read() };
        let shared: *mut (FAST_MUTEX, u32) = Box::leak(Box::new((mutex, 0)));
        let threads = [(); 3].map(|()| create_thread(work, shared.cast()));
        threads.into_iter().for_each(join);
        // SAFETY: the threads have ended.
        assert_eq!(unsafe { (*shared).1 }, 150);
    });
}

#[test]
fn r215_breaks_when_a_fast_mutex_is_released_and_not_owned() {
    breaks!(215, || {
        raise(1);
        call!(ExReleaseFastMutex: fn(*mut FAST_MUTEX); new_fast_mutex());
    });
}

type Rundown = *mut EX_RUNDOWN_REF;

#[test]
fn r215_holds_when_a_rundown_waits_for_the_last_user() {
    unsafe extern "efiapi" fn leave(reference: *mut c_void) {
        ndis_host::sched::sleep(1_000_000);
        call!(ExReleaseRundownProtection: fn(Rundown); reference.cast());
    }
    holds!(|| {
        let reference: Rundown = place();
        call!(ExInitializeRundownProtection: fn(Rundown); reference);
        assert_eq!(
            call!(ExAcquireRundownProtection: fn(Rundown) -> u8; reference),
            1
        );
        let thread = create_thread(leave, reference.cast());
        call!(ExWaitForRundownProtectionRelease: fn(Rundown); reference);
        assert!(ndis_host::sched::now() >= 1_000_000);
        assert_eq!(
            call!(ExAcquireRundownProtection: fn(Rundown) -> u8; reference),
            0
        );
        join(thread);
    });
}

#[test]
fn r215_breaks_when_rundown_protection_is_given_back_twice() {
    breaks!(215, || {
        let reference: Rundown = place();
        call!(ExInitializeRundownProtection: fn(Rundown); reference);
        call!(ExAcquireRundownProtection: fn(Rundown) -> u8; reference);
        call!(ExReleaseRundownProtection: fn(Rundown); reference);
        call!(ExReleaseRundownProtection: fn(Rundown); reference);
    });
}

#[test]
fn r215_holds_when_a_pulse_releases_who_waits() {
    unsafe extern "efiapi" fn wait(event: *mut c_void) {
        assert_eq!(wait_for(event, None), STATUS_SUCCESS);
    }
    holds!(|| {
        let event = new_event();
        let thread = create_thread(wait, event.cast());
        ndis_host::sched::sleep(1_000_000);
        call!(KePulseEvent: fn(*mut KEVENT, i32, u8) -> i32; event, 0, 0);
        join(thread);
        assert_eq!(call!(KeReadStateEvent: fn(*mut KEVENT) -> i32; event), 0);
    });
}

#[test]
fn r215_breaks_when_a_mutex_is_freed_and_owned() {
    breaks!(215, || {
        let mutex = allocate_object::<ndis_sys::KMUTANT>();
        call!(KeInitializeMutex: fn(*mut ndis_sys::KMUTANT, u32); mutex, 0);
        assert_eq!(wait_for(mutex.cast(), None), STATUS_SUCCESS);
        free(mutex);
    });
}
