//! Pool (R214, R216) and what memory integrity forbids (R217).

use std::ffi::c_void;

use ndis_host::memory::pool;
use ndis_host::ntoskrnl::{self, OsVersion};
use ndis_host::pnp;
use ndis_host::verifier;
use ndis_sys::{
    DISPATCH_LEVEL, NPAGED_LOOKASIDE_LIST, NonPagedPool, NonPagedPoolNx, POOL_TYPE, PagedPool,
};

use super::{TAG, allocate, call, free, place, raise};
use crate::native::{breaks, holds};
use crate::pe;

const PROTECTED: u32 = TAG | 0x8000_0000;

fn allocate_tagged(tag: u32) -> *mut c_void {
    call!(ExAllocatePoolWithTag: fn(POOL_TYPE, usize, u32) -> *mut c_void; NonPagedPoolNx, 100, tag)
}

fn free_tagged(block: *mut c_void, tag: u32) {
    call!(ExFreePoolWithTag: fn(*mut c_void, u32); block, tag);
}

/// Writes, or reads, a byte as a driver does.
fn touch(block: *mut u8, at: isize) {
    // SAFETY: the byte may lie outside of the block; that it is noticed is what the test is about.
    unsafe { block.offset(at).write_volatile(1) };
}

#[test]
fn r214_holds_when_pool_is_allocated_used_and_freed() {
    holds!(|| {
        for size in [1, 15, 16, 100, 4095, 4096, 5000, 8192] {
            for kind in [NonPagedPoolNx, PagedPool] {
                let block = allocate(kind, size);
                assert_eq!(block.addr() % 16, 0);
                touch(block, 0);
                touch(block, size as isize - 1);
                free(block);
            }
        }
        let block = call!(ExAllocatePoolWithTagPriority: fn(POOL_TYPE, usize, u32, i32) -> *mut c_void; NonPagedPoolNx, 64, TAG, 16);
        call!(ExFreePool: fn(*mut c_void); block);
        free_tagged(allocate_tagged(PROTECTED), PROTECTED);
    });
}

#[test]
fn r214_breaks_when_paged_pool_is_allocated_at_dispatch() {
    breaks!(214, || {
        raise(DISPATCH_LEVEL);
        allocate(PagedPool, 64);
    });
}

#[test]
fn r214_breaks_when_paged_pool_is_freed_at_dispatch() {
    breaks!(214, || {
        let block = allocate(PagedPool, 64);
        raise(DISPATCH_LEVEL);
        free(block);
    });
}

#[test]
fn r214_breaks_when_nonpaged_pool_is_allocated_above_dispatch() {
    breaks!(214, || {
        raise(DISPATCH_LEVEL + 1);
        allocate(NonPagedPoolNx, 64);
    });
}

#[test]
fn r214_breaks_when_no_bytes_are_asked_for() {
    breaks!(214, || free(allocate(NonPagedPoolNx, 0)));
}

#[test]
fn r214_breaks_when_a_block_is_freed_twice() {
    breaks!(214, || {
        let block = allocate(NonPagedPoolNx, 64);
        free(block);
        free(block);
    });
}

#[test]
fn r214_breaks_when_a_block_is_freed_with_another_tag() {
    breaks!(214, || free_tagged(allocate_tagged(TAG), TAG + 1));
}

#[test]
fn r214_breaks_when_a_protected_tag_is_not_named() {
    breaks!(214, || free_tagged(allocate_tagged(PROTECTED), 0));
}

#[test]
fn r214_breaks_when_a_block_is_overrun_by_a_byte() {
    breaks!(214, || {
        let block = allocate(NonPagedPoolNx, 96);
        touch(block, 96);
        free(block);
    });
}

#[test]
fn r214_breaks_when_a_block_is_underrun() {
    breaks!(214, || {
        let block = allocate(NonPagedPoolNx, 96);
        touch(block, -1);
        free(block);
    });
}

#[test]
fn r214_breaks_when_a_freed_block_is_written() {
    breaks!(214, || {
        let block = allocate(NonPagedPoolNx, 96);
        free(block);
        touch(block, 50);
        pool::report_leaks("host");
    });
}

#[test]
fn r214_breaks_when_a_freed_block_of_special_pool_is_read() {
    breaks!(214, || {
        pool::set_special(true);
        let block = allocate(NonPagedPoolNx, 96);
        free(block);
        // SAFETY: the block is freed, which is what the test is about.
        unsafe { block.read_volatile() };
    });
}

#[test]
fn r214_breaks_when_special_pool_is_read_behind_its_end() {
    breaks!(214, || {
        pool::set_special(true);
        let block = allocate(NonPagedPoolNx, 96);
        // SAFETY: the byte is behind the block, which is what the test is about.
        unsafe { block.add(96).read_volatile() };
    });
}

#[test]
fn r216_holds_when_the_newer_routine_is_used() {
    holds!(|| {
        ntoskrnl::start(OsVersion::NEWEST);
        let block = call!(ExAllocatePool2: fn(u64, usize, u32) -> *mut c_void; 0x40, 64, TAG);
        free_tagged(block, TAG);
        assert!(verifier::report().advice.is_empty());
    });
}

#[test]
fn r216_advises_against_the_older_routine_once() {
    holds!(|| {
        free_tagged(allocate_tagged(TAG), TAG);
        assert!(
            verifier::report().advice.is_empty(),
            "there is no other on this system"
        );
        ntoskrnl::start(OsVersion::NEWEST);
        for _ in 0..2 {
            free_tagged(allocate_tagged(TAG), TAG);
        }
        let rules: Vec<u16> = verifier::report().advice.iter().map(|it| it.rule).collect();
        assert_eq!(rules, [216]);
    });
}

#[test]
fn r217_breaks_when_pool_is_executable() {
    breaks!(217, || free(allocate(NonPagedPool, 64)));
}

#[test]
fn r217_breaks_when_a_lookaside_list_is_executable() {
    breaks!(217, || {
        type Function = Option<ndis_sys::FREE_FUNCTION>;
        let list = place();
        call!(ExInitializeNPagedLookasideList: fn(*mut NPAGED_LOOKASIDE_LIST, Function, Function, u32, usize, u32, u16);
            list, None, None, 0, 100, TAG, 0);
        call!(ExDeleteNPagedLookasideList: fn(*mut NPAGED_LOOKASIDE_LIST); list);
    });
}

/// `PAGE_READWRITE`.
const READ_WRITE: u32 = 4;
/// `PAGE_EXECUTE_READWRITE`.
const EXECUTE: u32 = 0x40;

fn contiguous(protect: u32) {
    let block = call!(MmAllocateContiguousNodeMemory: fn(usize, i64, i64, i64, u32, u32) -> *mut c_void;
        10_000, 0, i64::MAX, 0x1_0000, protect, 0);
    let first = call!(MmGetPhysicalAddress: fn(*mut c_void) -> i64; block) as u64;
    assert_eq!(first >> 16, (first + 9_999) >> 16, "no boundary is crossed");
    call!(MmFreeContiguousMemory: fn(*mut c_void); block);
}

#[test]
fn r217_holds_when_contiguous_memory_is_not_executable() {
    holds!(|| contiguous(READ_WRITE));
}

#[test]
fn r217_breaks_when_contiguous_memory_is_executable() {
    breaks!(217, || contiguous(EXECUTE));
}

/// A driver whose DriverEntry returns success.
fn driver() -> pe::Image {
    let mut image = pe::Image::with_code(&[0x31, 0xC0, 0xC3]); // xor eax, eax; ret
    image.imports("ntoskrnl.exe", &["KeSetEvent"]);
    image
}

#[test]
fn r217_holds_when_no_section_is_writable_and_executable() {
    holds!(|| {
        pnp::load_driver(&driver().0, "test").expect("it loads");
    });
}

#[test]
fn r217_breaks_when_a_section_is_writable_and_executable() {
    breaks!(217, || {
        let mut image = driver();
        image.set_access(0, 0xE000_0020);
        assert!(pnp::load_driver(&image.0, "test").is_err());
    });
}

#[test]
fn r217_breaks_when_sections_are_not_aligned_to_pages() {
    breaks!(217, || {
        let mut image = driver();
        image.set_section_alignment(0x200);
        assert!(pnp::load_driver(&image.0, "test").is_err());
    });
}
