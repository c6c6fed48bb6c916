//! The data of a NET_BUFFER: rules 107 to 112.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use ndis_host::memory;
use ndis_host::ndis::api::{self, NblPool};
use ndis_host::ndis::faults::{self, Faults};
use ndis_host::sched;
use ndis_sys::{
    FALSE, MDL, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NET_BUFFER, NET_BUFFER_LIST, TRUE,
};

use super::calls::*;
use super::fields::send_one;
use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::{breaks, holds, nic, stack};

/// Sends an NBL that `prepare` has had.
fn send_prepared(prepare: impl FnOnce(*mut NET_BUFFER)) {
    let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
    let pool = NblPool::new("a sender");
    let bytes = frame([0xff; 6]);
    let nbl = pool.fragments(&[&bytes[..20], &bytes[20..]]);
    prepare(first(nbl));
    api::send(stack.binding(), nbl, 0);
    sched::sleep(ONE_SECOND);
}

#[test]
fn r107_breaks_when_the_data_offset_is_wrong() {
    breaks!(107, || {
        send_prepared(|nb| {
            // SAFETY: the NET_BUFFER is ours.
            unsafe {
                (*nb).DataOffset += 22;
                (*nb).DataLength -= 22;
            }
        });
    });
}

#[test]
fn r107_holds_when_the_current_mdl_is_adjusted() {
    holds!(|| {
        send_prepared(|nb| {
            // SAFETY: the NET_BUFFER is ours.
            unsafe {
                (*nb).DataOffset += 22;
                (*nb).DataLength -= 22;
            }
            adjust(nb);
        });
    });
}

#[test]
fn r107_breaks_when_the_data_is_longer_than_its_mdls() {
    breaks!(107, || {
        send_prepared(|nb| {
            // SAFETY: the NET_BUFFER is ours.
            unsafe { (*nb).DataLength += 1 };
        });
    });
}

#[test]
fn r107_breaks_when_the_current_mdl_is_of_another_chain() {
    breaks!(107, || {
        let mdl = new_mdl(100);
        send_prepared(|nb| {
            // SAFETY: the NET_BUFFER is ours.
            unsafe { (*nb).CurrentMdl = mdl };
        });
    });
}

#[test]
fn r108_breaks_when_the_data_start_passes_the_end() {
    breaks!(108, || {
        let pool = NblPool::new("a driver");
        advance(first(pool.frame(&[0; 60])), 61, FALSE, None);
    });
}

#[test]
fn r108_breaks_when_a_retreat_is_never_undone() {
    breaks!(108, || {
        let pool = NblPool::new("a driver");
        let nbl = pool.frame(&[0; 60]);
        retreat(first(nbl), 14, 0, None);
        pool.release(nbl);
    });
}

#[test]
fn r108_holds_when_a_retreat_is_undone() {
    holds!(|| {
        let pool = NblPool::new("a driver");
        let nbl = pool.frame(&[7; 60]);
        // SAFETY: the NBL is ours.
        let before = unsafe { (*first(nbl)).MdlChain };
        assert_eq!(retreat(first(nbl), 14, 20, None), NDIS_STATUS_SUCCESS);
        assert_eq!(api::read_frames(nbl)[0].len(), 74);
        advance(first(nbl), 14, TRUE, None);
        assert_eq!(api::read_frames(nbl), [vec![7; 60]]);
        // SAFETY: as above.
        assert_eq!(unsafe { (*first(nbl)).MdlChain }, before);
        pool.release(nbl);
        pool.free();
    });
}

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "efiapi" fn allocate_front(size: *mut u32) -> *mut MDL {
    ALLOCATED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: NDIS passes a size.
    new_mdl(unsafe { *size })
}

unsafe extern "efiapi" fn allocate_short_front(size: *mut u32) -> *mut MDL {
    // SAFETY: NDIS passes a size.
    new_mdl(unsafe { *size } - 1)
}

unsafe extern "efiapi" fn free_front(mdl: *mut MDL) {
    ALLOCATED.fetch_sub(1, Ordering::Relaxed);
    free_mdl_and_memory(mdl);
}

#[test]
fn r108_breaks_when_a_drivers_mdl_has_no_one_to_free_it() {
    breaks!(108, || {
        let pool = NblPool::new("a driver");
        let nb = first(pool.frame(&[7; 60]));
        retreat(nb, 14, 0, Some(allocate_front));
        advance(nb, 14, TRUE, None);
    });
}

#[test]
fn r108_breaks_when_a_drivers_mdl_is_too_short() {
    breaks!(108, || {
        let pool = NblPool::new("a driver");
        retreat(
            first(pool.frame(&[7; 60])),
            14,
            0,
            Some(allocate_short_front),
        );
    });
}

#[test]
fn r108_holds_when_a_driver_allocates_and_frees() {
    holds!(|| {
        let pool = NblPool::new("a driver");
        let nbl = pool.frames(&[vec![1; 60], vec![2; 60]]);
        let (allocate, free) = (Some(allocate_front as _), Some(free_front as _));
        assert_eq!(
            retreat_list(nbl, 14, 0, allocate, free),
            NDIS_STATUS_SUCCESS
        );
        assert_eq!(ALLOCATED.load(Ordering::Relaxed), 2);
        advance_list(nbl, 14, TRUE, free);
        assert_eq!(ALLOCATED.load(Ordering::Relaxed), 0);
        pool.release(nbl);
    });
}

#[test]
fn r108_holds_when_a_retreat_fails_half_way() {
    holds!(|| {
        let pool = NblPool::new("a driver");
        let nbl = pool.frames(&[vec![1; 60], vec![2; 60]]);
        faults::set(Faults::Nth(1));
        assert_eq!(retreat_list(nbl, 14, 0, None, None), NDIS_STATUS_RESOURCES);
        faults::set(Faults::Never);
        assert_eq!(api::read_frames(nbl), [vec![1; 60], vec![2; 60]]);
        pool.release(nbl);
    });
}

#[test]
fn r109_breaks_when_a_miniport_advances_what_it_was_sent() {
    breaks!(109, || {
        nic::meddle_with_sends(|nbl| advance_list(nbl, 14, FALSE, None));
        send_one();
    });
}

#[test]
fn r109_holds_when_a_miniport_retreats_again() {
    holds!(|| {
        nic::meddle_with_sends(|nbl| {
            advance_list(nbl, 14, FALSE, None);
            retreat_list(nbl, 14, 0, None, None);
        });
        send_one();
    });
}

#[test]
fn r110_breaks_when_memory_is_not_nonpaged() {
    breaks!(110, || {
        let mut on_the_stack = [0u8; 64];
        allocate_mdl(ptr::null_mut(), on_the_stack.as_mut_ptr().cast(), 64);
    });
}

/// Sends a frame in an MDL that `change` has had.
fn send_with_mdl(change: fn(&mut MDL)) {
    send_prepared(|nb| {
        // SAFETY: the NET_BUFFER and its MDLs are ours.
        change(unsafe { &mut *(*nb).MdlChain });
    });
}

#[test]
fn r110_breaks_when_an_mdl_was_never_built() {
    breaks!(110, || send_with_mdl(|mdl| mdl.MdlFlags = 0));
}

#[test]
fn r110_breaks_when_an_mdl_begins_in_a_page() {
    breaks!(110, || {
        send_with_mdl(|mdl| mdl.StartVa = mdl.StartVa.wrapping_byte_add(16));
    });
}

#[test]
fn r110_breaks_when_a_miniport_changes_an_mdl() {
    breaks!(110, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*(*first(nbl)).MdlChain).Size += 8 };
        });
        send_one();
    });
}

#[test]
fn r110_holds_when_mdls_are_left_as_they_were_built() {
    holds!(|| send_with_mdl(|_| ()));
}

/// Asks for `bytes` of a frame of 30 and 30 bytes in two MDLs.
fn data_of(bytes: u32, storage: *mut u8, multiple: u32) -> (*mut u8, *mut NET_BUFFER_LIST) {
    let pool = NblPool::new("a driver");
    let nbl = pool.fragments(&[&[1; 30], &[2; 30]]);
    let data = data_buffer(first(nbl), bytes, storage.cast(), multiple, 0);
    (data.cast(), nbl)
}

#[test]
fn r112_breaks_when_the_alignment_is_no_power_of_two() {
    breaks!(112, || {
        data_of(14, ptr::null_mut(), 3);
    });
}

#[test]
fn r112_holds_when_data_is_asked_for_in_every_way() {
    holds!(|| {
        let mut storage = [0u8; 60];
        let place = storage.as_mut_ptr();
        let (data, nbl) = data_of(30, ptr::null_mut(), 1);
        // SAFETY: the NBL is ours.
        assert_eq!(data, unsafe {
            (*(*first(nbl)).MdlChain).MappedSystemVa.cast()
        });
        assert!(data_of(31, ptr::null_mut(), 1).0.is_null());
        assert!(data_of(61, place, 1).0.is_null());
        assert_eq!(data_of(31, place, 1).0, place);
        assert_eq!((storage[29], storage[30]), (1, 2));
    });
}

#[test]
fn r107_holds_when_data_is_copied_from_one_to_the_other() {
    holds!(|| {
        let pool = new_data_pool(64);
        let to = allocate_nbl(pool, 0, 0);
        let from = NblPool::new("a source").fragments(&[&[1; 30], &[2; 30]]);
        let mut copied = 0;
        let status = copy_data(first(to), 4, 100, first(from), 20, &raw mut copied);
        assert_eq!((status, copied), (NDIS_STATUS_SUCCESS, 40));
        let mut storage = [0u8; 64];
        // SAFETY: the NBL is ours.
        unsafe { (*first(to)).DataLength = 64 };
        let data: *mut u8 = data_buffer(first(to), 44, storage.as_mut_ptr().cast(), 1, 0).cast();
        // SAFETY: the routine gives 44 bytes.
        let data = unsafe { std::slice::from_raw_parts(data, 44) };
        assert_eq!(data[4..14], [1; 10]);
        assert_eq!(data[14..], [2; 30]);
        // The destination has 64 bytes of room, the last 4 of them here.
        copy_data(first(to), 60, 100, first(from), 0, &raw mut copied);
        assert_eq!(copied, 4);
        assert_eq!(physical_count(first(from)), pages_of(from));
    });
}

/// The pages that the MDLs of an NBL touch, each MDL for itself.
fn pages_of(nbl: *mut NET_BUFFER_LIST) -> u32 {
    let mut count = 0;
    // SAFETY: the NBL is ours.
    let mut next = unsafe { (*first(nbl)).MdlChain };
    while !next.is_null() {
        // SAFETY: the chain is valid.
        let mdl = unsafe { *next };
        let pages = (mdl.ByteOffset + mdl.ByteCount).div_ceil(memory::PAGE_SIZE as u32);
        count += pages;
        next = mdl.Next;
    }
    assert!(count >= 2, "there are two MDLs");
    count
}
