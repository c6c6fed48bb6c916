//! MDLs (R111).

use std::ffi::c_void;

use ndis_host::ndis::faults::{self, Faults};
use ndis_sys::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MdlMappingNoExecute, NonPagedPoolNx, NormalPagePriority,
    PagedPool,
};

use super::{allocate, call, free, lower, raise};
use crate::native::{breaks, holds};

const PRIORITY: u32 = NormalPagePriority as u32 | MdlMappingNoExecute;

fn allocate_mdl(address: *mut u8, length: u32) -> *mut MDL {
    let null = std::ptr::null_mut();
    call!(IoAllocateMdl: fn(*mut c_void, u32, u8, u8, *mut c_void) -> *mut MDL; address.cast(), length, 0, 0, null)
}

fn lock(mdl: *mut MDL) {
    call!(MmProbeAndLockPages: fn(*mut MDL, i8, i32); mdl, 0, 1);
}

fn unlock(mdl: *mut MDL) {
    call!(MmUnlockPages: fn(*mut MDL); mdl);
}

fn build(mdl: *mut MDL) {
    call!(MmBuildMdlForNonPagedPool: fn(*mut MDL); mdl);
}

fn map(mdl: *mut MDL, priority: u32) -> *mut u8 {
    let null = std::ptr::null_mut();
    let address = call!(MmMapLockedPagesSpecifyCache: fn(*mut MDL, i8, i32, *mut c_void, u32, u32) -> *mut c_void;
        mdl, 0, 1, null, 0, priority);
    address.cast()
}

fn unmap(address: *mut u8, mdl: *mut MDL) {
    call!(MmUnmapLockedPages: fn(*mut c_void, *mut MDL); address.cast(), mdl);
}

fn free_mdl(mdl: *mut MDL) {
    call!(IoFreeMdl: fn(*mut MDL); mdl);
}

/// An MDL for pageable memory.
fn new_mdl() -> *mut MDL {
    allocate_mdl(allocate(PagedPool, 6000), 6000)
}

fn new_locked() -> *mut MDL {
    let mdl = new_mdl();
    lock(mdl);
    mdl
}

#[test]
fn r111_holds_when_an_mdl_is_locked_mapped_unlocked_and_freed() {
    holds!(|| {
        let block = allocate(PagedPool, 6000);
        let mdl = allocate_mdl(block, 6000);
        lock(mdl);
        let mapped = map(mdl, PRIORITY);
        let old = raise(2);
        // SAFETY: locked pages may be touched at any level.
        unsafe { mapped.add(5999).write_volatile(7) };
        lower(old);
        unmap(mapped, mdl);
        unlock(mdl);
        free_mdl(mdl);
        // SAFETY: the byte is in the block.
        assert_eq!(unsafe { block.add(5999).read_volatile() }, 7);
        free(block);
    });
}

#[test]
fn r111_holds_when_an_mdl_describes_pool_and_another_a_part_of_it() {
    holds!(|| {
        let block = allocate(NonPagedPoolNx, 10_000);
        let mdl = allocate_mdl(block, 10_000);
        build(mdl);
        assert_eq!(map(mdl, PRIORITY), block);
        let part = allocate_mdl(block.wrapping_add(5000), 1000);
        let address = block.wrapping_add(5000).cast();
        call!(IoBuildPartialMdl: fn(*mut MDL, *mut MDL, *mut c_void, u32); mdl, part, address, 1000);
        // SAFETY: both MDLs live, with a frame number for each page.
        let (whole, first, part_value) = unsafe {
            (
                mdl.add(1).cast::<u64>().add(1).read(),
                part.add(1).cast::<u64>().read(),
                *part,
            )
        };
        assert_eq!(whole, first);
        assert_eq!(part_value.MappedSystemVa, address);
        free_mdl(part);
        free_mdl(mdl);
        free(block);
    });
}

#[test]
fn r111_holds_when_pages_are_allocated_for_an_mdl() {
    holds!(|| {
        let mdl = call!(MmAllocatePagesForMdlEx: fn(i64, i64, i64, usize, i32, u32) -> *mut MDL; 0, i64::MAX, 0, 8192, 1, 4);
        let mapped = map(mdl, PRIORITY);
        // SAFETY: the pages are mapped.
        unsafe { mapped.add(8191).write_volatile(1) };
        let valid =
            |address: *mut u8| call!(MmIsAddressValid: fn(*mut c_void) -> u8; address.cast());
        assert_eq!(valid(mapped), 1);
        unmap(mapped, mdl);
        assert_eq!(valid(mapped), 0);
        call!(MmFreePagesFromMdl: fn(*mut MDL); mdl);
        call!(ExFreePool: fn(*mut c_void); mdl.cast());
    });
}

#[test]
fn r113_holds_when_a_mapping_fails() {
    holds!(|| {
        let mdl = new_locked();
        faults::set(Faults::Nth(0));
        assert!(map(mdl, PRIORITY).is_null());
        // SAFETY: the MDL lives.
        assert_eq!(unsafe { (*mdl).MdlFlags } & MDL_MAPPED_TO_SYSTEM_VA, 0);
        assert!(!map(mdl, PRIORITY).is_null());
        unlock(mdl);
        free_mdl(mdl);
    });
}

#[test]
fn r111_breaks_when_a_locked_mdl_is_freed() {
    breaks!(111, || free_mdl(new_locked()));
}

#[test]
fn r111_breaks_when_an_mdl_is_freed_twice() {
    breaks!(111, || {
        let mdl = new_mdl();
        free_mdl(mdl);
        free_mdl(mdl);
    });
}

#[test]
fn r111_breaks_when_pages_are_locked_twice() {
    breaks!(111, || lock(new_locked()));
}

#[test]
fn r111_breaks_when_pages_are_unlocked_that_are_not_locked() {
    breaks!(111, || unlock(new_mdl()));
}

#[test]
fn r111_breaks_when_pages_are_mapped_twice() {
    breaks!(111, || {
        let mdl = new_locked();
        map(mdl, PRIORITY);
        map(mdl, PRIORITY);
    });
}

#[test]
fn r111_breaks_when_pages_are_mapped_that_are_not_locked() {
    breaks!(111, || {
        map(new_mdl(), PRIORITY);
    });
}

#[test]
fn r111_breaks_when_a_mapping_ends_at_another_address() {
    breaks!(111, || {
        let mdl = new_locked();
        unmap(map(mdl, PRIORITY).wrapping_add(1), mdl);
    });
}

#[test]
fn r111_breaks_when_paged_memory_is_described_as_nonpaged() {
    breaks!(111, || build(new_mdl()));
}

#[test]
fn r217_breaks_when_a_mapping_is_executable() {
    breaks!(217, || {
        map(new_locked(), NormalPagePriority as u32);
    });
}
