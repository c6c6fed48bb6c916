//! Clones, fragments and what is reassembled: rules 105 and 106, and copied information.

use std::ptr;

use ndis_host::ndis::api::{self, NblPool};
use ndis_host::ndis::{Ownership, set_ownership};
use ndis_host::sched;
use ndis_sys::{NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS, NET_BUFFER_LIST};

use super::calls::*;
use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::{breaks, holds, nic, stack};

/// An NBL with one frame of 100 bytes in three MDLs, each byte its place.
fn original() -> (NblPool, *mut NET_BUFFER_LIST) {
    let bytes: Vec<u8> = (0..100).collect();
    let pool = NblPool::new("a driver that derives");
    let nbl = pool.fragments(&[&bytes[..30], &bytes[30..31], &bytes[31..]]);
    (pool, nbl)
}

#[test]
fn r106_breaks_when_a_clone_is_freed_like_an_nbl() {
    breaks!(106, || free_nbl(clone(
        original().1,
        ptr::null_mut(),
        ptr::null_mut(),
        0
    )));
}

#[test]
fn r106_breaks_when_a_clone_is_freed_with_other_flags() {
    breaks!(106, || {
        let clone = clone(original().1, ptr::null_mut(), ptr::null_mut(), 0);
        free_clone(clone, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS);
    });
}

#[test]
fn r106_breaks_when_an_nbl_is_freed_like_a_clone() {
    breaks!(106, || free_clone(original().1, 0));
}

#[test]
fn r106_breaks_when_fragments_are_freed_with_another_delta() {
    breaks!(106, || {
        let null = ptr::null_mut();
        free_fragment(fragment(original().1, null, null, 0, 40, 14, 0, 0), 10, 0);
    });
}

#[test]
fn r106_holds_when_clones_are_freed_as_they_were_made() {
    holds!(|| {
        let (pool, nbl) = original();
        let (lists, buffers) = (new_pool(), new_nb_pool(TAG, 0));
        for flags in [0, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS] {
            let clone = clone(nbl, lists, buffers, flags);
            assert_eq!(pool_of(clone), lists);
            assert_eq!(pool_of_nb(first(clone)), buffers);
            assert_eq!(api::read_frames(clone), api::read_frames(nbl));
            // SAFETY: both are ours.
            let shared = unsafe { (*first(clone)).MdlChain == (*first(nbl)).MdlChain };
            assert_eq!(shared, flags != 0);
            free_clone(clone, flags);
        }
        free_pool(lists);
        free_nb_pool(buffers);
        pool.release(nbl);
        pool.free();
    });
}

#[test]
fn r106_holds_when_fragments_are_cut_and_joined() {
    holds!(|| {
        let (pool, nbl) = original();
        let null = ptr::null_mut();
        let fragments = fragment(nbl, null, null, 10, 40, 14, 6, 0);
        let frames = api::read_frames(fragments);
        let lengths: Vec<_> = frames.iter().map(Vec::len).collect();
        assert_eq!(lengths, [54, 54, 24]);
        assert_eq!(frames[1][14..], (50..90).collect::<Vec<u8>>());

        let lists = new_pool();
        let joined = reassemble(fragments, lists, 14, 4, 0, 0);
        let frames = api::read_frames(joined);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0][4..], (10..100).collect::<Vec<u8>>());
        free_reassembled(joined, 4, 0);
        free_fragment(fragments, 14, 0);
        free_pool(lists);
        pool.release(nbl);
        pool.free();
    });
}

#[test]
fn r105_breaks_when_a_parent_is_freed_before_its_clone() {
    breaks!(105, || {
        let (pool, nbl) = original();
        clone(nbl, ptr::null_mut(), ptr::null_mut(), 0);
        pool.release(nbl);
    });
}

/// Sends a clone, whose sender keeps the relationship or does not.
fn send_clone(keeps: bool) {
    set_ownership(Ownership::StandInsOneIn(2));
    let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
    let pool = NblPool::new("a driver that clones");
    let nbl = pool.frame(&frame([0xff; 6]));
    let clone = clone(nbl, ptr::null_mut(), ptr::null_mut(), 0);
    if keeps {
        // SAFETY: both are ours.
        unsafe {
            (*clone).ParentNetBufferList = nbl;
            (*nbl).ChildRefCount += 1;
        }
    }
    api::send(stack.binding(), clone, 0);
}

#[test]
fn r105_breaks_when_a_clone_names_no_parent() {
    breaks!(105, || send_clone(false));
}

#[test]
fn r105_holds_when_a_clone_names_its_parent() {
    holds!(|| send_clone(true));
}

#[test]
fn r105_breaks_when_a_parent_is_sent_itself() {
    breaks!(105, || {
        let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        let pool = NblPool::new("a driver that clones");
        let nbl = pool.frame(&frame([0xff; 6]));
        clone(nbl, ptr::null_mut(), ptr::null_mut(), 0);
        api::send(stack.binding(), nbl, 0);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r102_holds_when_information_is_copied_to_a_clone() {
    holds!(|| {
        let (pool, nbl) = original();
        for slot in 0..27 {
            api::set_info(nbl, slot, slot + 1);
        }
        let clone = clone(nbl, ptr::null_mut(), ptr::null_mut(), 0);
        copy_send_info(clone, nbl);
        for slot in [0, 2, 4, 5, 7, 10, 13, 14] {
            assert_eq!(api::info(clone, slot), slot + 1);
        }
        // Of a receive, or of the virtual switch: not part of what is sent.
        for slot in [8, 18, 19, 21] {
            assert_eq!(api::info(clone, slot), 0);
        }
        free_clone(clone, 0);
        pool.release(nbl);
    });
}
