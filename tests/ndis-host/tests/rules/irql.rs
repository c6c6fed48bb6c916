//! 1.E: interrupt levels.

use std::ffi::c_void;

use ndis_host::image::{self, Image, Import};
use ndis_host::sched;
use ndis_sys::{
    APC_LEVEL, DISPATCH_LEVEL, FAST_MUTEX, KDPC, KEVENT, PASSIVE_LEVEL, PagedPool, STATUS_TIMEOUT,
};

use crate::kernel::locks::{acquire, new_lock, release};
use crate::kernel::waits::{new_event, queue_dpc, set, wait_for, wait_for_dpcs};
use crate::kernel::{allocate, allocate_object, call, free, lower, place, raise};
use crate::native::{breaks, holds};
use crate::pe;

#[test]
fn r079_holds_when_routines_are_called_at_their_levels() {
    holds!(|| {
        let event = new_event();
        raise(DISPATCH_LEVEL);
        set(event);
        lower(PASSIVE_LEVEL);
    });
}

#[test]
fn r079_breaks_when_an_event_is_set_above_dispatch() {
    breaks!(79, || {
        let event = new_event();
        raise(DISPATCH_LEVEL + 1);
        set(event);
    });
}

#[test]
fn r079_breaks_when_a_set_event_announces_a_wait_at_dispatch() {
    breaks!(79, || {
        let event = new_event();
        raise(DISPATCH_LEVEL);
        call!(KeSetEvent: fn(*mut KEVENT, i32, u8) -> i32; event, 0, 1);
    });
}

#[test]
fn r079_breaks_when_a_fast_mutex_is_released_below_apc() {
    breaks!(79, || {
        let mutex = place();
        call!(KeInitializeGuardedMutex: fn(*mut FAST_MUTEX); mutex);
        call!(ExAcquireFastMutex: fn(*mut FAST_MUTEX); mutex);
        lower(PASSIVE_LEVEL);
        call!(ExReleaseFastMutex: fn(*mut FAST_MUTEX); mutex);
    });
}

unsafe extern "efiapi" fn raise_and_lower(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _first: *mut c_void,
    _second: *mut c_void,
) {
    let old = raise(DISPATCH_LEVEL + 1);
    lower(old);
}

unsafe extern "efiapi" fn raise_and_return(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _first: *mut c_void,
    _second: *mut c_void,
) {
    raise(DISPATCH_LEVEL + 1);
}

unsafe extern "efiapi" fn lower_in_dpc(
    _dpc: *mut KDPC,
    _context: *mut c_void,
    _first: *mut c_void,
    _second: *mut c_void,
) {
    lower(APC_LEVEL);
}

fn run_dpc(routine: ndis_sys::KDEFERRED_ROUTINE) {
    queue_dpc(routine, std::ptr::null_mut());
    wait_for_dpcs();
}

#[test]
fn r080_holds_when_a_callback_restores_the_level() {
    holds!(|| run_dpc(raise_and_lower));
}

#[test]
fn r080_breaks_when_a_callback_returns_at_another_level() {
    breaks!(80, || run_dpc(raise_and_return));
}

#[test]
fn r081_breaks_when_a_callback_lowers_below_its_entry() {
    breaks!(81, || run_dpc(lower_in_dpc));
}

#[test]
fn r081_holds_when_the_level_goes_up_and_down() {
    holds!(|| {
        let old = call!(KeRaiseIrqlToDpcLevel: fn() -> u8;);
        assert_eq!((old, sched::irql()), (PASSIVE_LEVEL, DISPATCH_LEVEL));
        assert_eq!(raise(DISPATCH_LEVEL), DISPATCH_LEVEL);
        lower(old);
    });
}

#[test]
fn r081_breaks_when_the_level_is_raised_to_a_lower_one() {
    breaks!(81, || {
        raise(DISPATCH_LEVEL);
        raise(APC_LEVEL);
    });
}

#[test]
fn r081_breaks_when_the_level_is_lowered_to_a_higher_one() {
    breaks!(81, || lower(DISPATCH_LEVEL));
}

fn touch(block: *mut u8) {
    // SAFETY: the block is allocated.
    unsafe { block.write_volatile(1) };
}

#[test]
fn r083_holds_when_paged_pool_is_touched_below_dispatch() {
    holds!(|| {
        let block = allocate(PagedPool, 100);
        for _ in 0..10 {
            touch(block);
            raise(DISPATCH_LEVEL);
            lower(APC_LEVEL);
            touch(block);
            lower(PASSIVE_LEVEL);
        }
        free(block);
    });
}

#[test]
fn r083_breaks_when_paged_pool_is_touched_at_dispatch() {
    breaks!(83, || {
        let block = allocate(PagedPool, 100);
        touch(block);
        raise(DISPATCH_LEVEL);
        touch(block);
    });
}

#[test]
fn r083_breaks_when_an_event_is_in_paged_pool() {
    breaks!(83, || {
        let event = allocate(PagedPool, size_of::<KEVENT>());
        call!(KeInitializeEvent: fn(*mut KEVENT, i32, u8); event.cast(), 0, 0);
    });
}

/// A loaded image whose only code is in a section of this name, and that code.
fn image_with(section: &[u8; 5]) -> (Image, unsafe extern "efiapi" fn()) {
    let mut file = pe::Image::with_code(&[0xC3]); // ret
    file.set_section_name(0, section);
    let imports = [Import {
        dll: "ntoskrnl.exe",
        name: "Report",
        address: std::ptr::null(),
    }];
    let image = image::load("test.sys", &file.0, &imports).expect("it loads");
    image.page();
    // SAFETY: the code is a function without arguments.
    let code =
        unsafe { std::mem::transmute::<*const (), unsafe extern "efiapi" fn()>(image.entry()) };
    (image, code)
}

#[test]
fn r083_holds_when_a_pageable_section_runs_below_dispatch() {
    holds!(|| {
        let (_image, code) = image_with(b"PAGE1");
        for _ in 0..3 {
            let old = raise(DISPATCH_LEVEL);
            lower(old);
            // SAFETY: the code is loaded.
            unsafe { code() };
        }
    });
}

#[test]
fn r083_breaks_when_a_pageable_section_runs_at_dispatch() {
    breaks!(83, || {
        let (_image, code) = image_with(b"PAGE1");
        raise(DISPATCH_LEVEL);
        // SAFETY: the code is loaded; that the level is too high is what the test is about.
        unsafe { code() };
    });
}

#[test]
fn r083_holds_when_an_ordinary_section_runs_at_dispatch() {
    holds!(|| {
        let (image, code) = image_with(b".text");
        image.discard_initialization();
        raise(DISPATCH_LEVEL);
        // SAFETY: the code is loaded.
        unsafe { code() };
        lower(PASSIVE_LEVEL);
    });
}

#[test]
fn r083_breaks_when_a_discarded_section_runs() {
    breaks!(83, || {
        let (image, code) = image_with(b"INIT\0");
        image.discard_initialization();
        // SAFETY: that the code is gone is what the test is about.
        unsafe { code() };
    });
}

#[test]
fn r084_holds_when_an_event_is_polled_at_dispatch() {
    holds!(|| {
        let event = new_event();
        raise(DISPATCH_LEVEL);
        assert_eq!(wait_for(event.cast(), Some(0)), STATUS_TIMEOUT);
        lower(PASSIVE_LEVEL);
    });
}

#[test]
fn r084_breaks_when_a_wait_blocks_at_dispatch() {
    breaks!(84, || {
        let event = new_event();
        raise(DISPATCH_LEVEL);
        wait_for(event.cast(), Some(-10));
    });
}

#[test]
fn r084_breaks_when_a_thread_sleeps_at_dispatch() {
    breaks!(84, || {
        raise(DISPATCH_LEVEL);
        let mut interval = -10;
        call!(KeDelayExecutionThread: fn(i8, u8, *mut i64) -> i32; 0, 0, &raw mut interval);
    });
}

fn nest(first: *mut usize, second: *mut usize) {
    let old = acquire(first);
    call!(KeAcquireSpinLockAtDpcLevel: fn(*mut usize); second);
    call!(KeReleaseSpinLockFromDpcLevel: fn(*mut usize); second);
    release(first, old);
}

#[test]
fn r085_holds_when_locks_are_always_taken_in_one_order() {
    holds!(|| {
        let [first, second, third] = [(); 3].map(|()| new_lock());
        nest(first, second);
        nest(second, third);
        nest(first, third);
    });
}

#[test]
fn r085_breaks_when_locks_are_taken_in_a_circle() {
    breaks!(85, || {
        let [first, second, third] = [(); 3].map(|()| new_lock());
        nest(first, second);
        nest(second, third);
        nest(third, first);
    });
}

#[test]
fn r085_holds_when_the_locks_are_new_ones() {
    holds!(|| {
        let (first, second) = (allocate_object::<usize>(), new_lock());
        call!(KeInitializeSpinLock: fn(*mut usize); first);
        nest(first, second);
        call!(KeInitializeSpinLock: fn(*mut usize); first);
        nest(second, first);
        free(first);
    });
}

#[test]
fn r085_breaks_when_a_wait_holds_a_lock() {
    breaks!(85, || {
        acquire(new_lock());
        lower(PASSIVE_LEVEL);
        wait_for(new_event().cast(), Some(-10));
    });
}

#[test]
fn r085_breaks_when_nobody_is_left_to_end_a_wait() {
    breaks!(85, || {
        wait_for(new_event().cast(), None);
    });
}
