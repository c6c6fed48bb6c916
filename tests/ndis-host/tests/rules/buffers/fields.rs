//! Fields that belong to certain drivers: rules 96 to 103, and 105.

use std::ptr;

use ndis_host::ndis::api;
use ndis_host::sched;
use ndis_sys::{NDIS_HANDLE, NET_BUFFER_LIST};

use super::calls::{first, routines};
use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::nic::{self, MAC};
use crate::native::{breaks, holds, stack};

/// Sends a frame, and waits for its completion.
pub(crate) fn send_one() {
    let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
    stack.send(&[frame([0xff; 6])]);
    sched::sleep(ONE_SECOND);
}

/// Receives a frame, and waits for its return.
pub(crate) fn receive_one() {
    let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
    nic.receive(&[frame(MAC)], false);
    sched::sleep(ONE_SECOND);
}

/// The words that a miniport owns in what it sends, and a protocol owns nothing of.
fn write_miniport_words(nbl: *mut NET_BUFFER_LIST) {
    // SAFETY: the one who meddles has the NBL.
    unsafe {
        (*nbl).MiniportReserved = [ptr::without_provenance_mut(7); 2];
        (*nbl).Scratch = ptr::without_provenance_mut(7);
        (*first(nbl)).MiniportReserved = [ptr::without_provenance_mut(7); 4];
    }
}

#[test]
fn r096_breaks_when_a_miniport_writes_protocol_reserved() {
    breaks!(96, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*nbl).ProtocolReserved[1] = ptr::without_provenance_mut(7) };
        });
        send_one();
    });
}

#[test]
fn r096_breaks_when_ndis_reserved_is_written() {
    breaks!(96, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*nbl).NdisReserved[0] = ptr::null_mut() };
        });
        send_one();
    });
}

#[test]
fn r096_holds_when_a_miniport_writes_its_own_words() {
    holds!(|| {
        nic::meddle_with_sends(write_miniport_words);
        send_one();
    });
}

#[test]
fn r097_breaks_when_a_miniport_writes_protocol_reserved_of_a_net_buffer() {
    breaks!(97, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*first(nbl)).ProtocolReserved[5] = ptr::without_provenance_mut(7) };
        });
        send_one();
    });
}

fn send_with_source(source: impl FnOnce(NDIS_HANDLE) -> NDIS_HANDLE) {
    routines! {
        /// The routine itself.
        send = NdisSendNetBufferLists(binding: NDIS_HANDLE, nbls: *mut NET_BUFFER_LIST, port: u32, flags: u32);
    }
    let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
    let pool = api::NblPool::new("a sender");
    let nbl = pool.frame(&frame([0xff; 6]));
    let binding: NDIS_HANDLE = ptr::without_provenance_mut(stack.binding().0 as usize);
    // SAFETY: the NBL is ours.
    unsafe { (*nbl).SourceHandle = source(binding) };
    send(binding, nbl, 0, 0);
    sched::sleep(ONE_SECOND);
}

#[test]
fn r098_breaks_when_a_send_has_no_source_handle() {
    breaks!(98, || send_with_source(|_| ptr::null_mut()));
}

#[test]
fn r098_holds_when_a_send_has_its_binding_as_source_handle() {
    holds!(|| send_with_source(|binding| binding));
}

#[test]
fn r099_breaks_when_a_miniport_changes_the_source_handle() {
    breaks!(99, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*nbl).SourceHandle = ptr::null_mut() };
        });
        send_one();
    });
}

#[test]
fn r099_holds_when_a_miniport_restores_the_source_handle() {
    holds!(|| {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe {
                let source = (*nbl).SourceHandle;
                (*nbl).SourceHandle = ptr::null_mut();
                (*nbl).SourceHandle = source;
            }
        });
        send_one();
    });
}

#[test]
fn r101_breaks_when_a_protocol_writes_the_status() {
    breaks!(101, || {
        stack::meddle_with_receives(|nbl| api::set_status(nbl, 1));
        receive_one();
    });
}

#[test]
fn r101_holds_when_only_the_miniport_writes_the_status() {
    holds!(|| {
        receive_one();
    });
}

#[test]
fn r102_breaks_when_a_miniport_changes_a_slot_of_the_sender() {
    breaks!(102, || {
        nic::meddle_with_sends(|nbl| api::set_info(nbl, 4, 0x77));
        send_one();
    });
}

#[test]
fn r103_breaks_when_a_slot_of_ndis_is_written() {
    breaks!(103, || {
        let (_, stack, _) = bench(nic::Fault::SpoilSlot, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r105_breaks_when_a_parent_is_returned_with_children() {
    breaks!(105, || {
        stack::meddle_with_receives(|nbl| {
            // SAFETY: the protocol has the NBL.
            unsafe { (*nbl).ChildRefCount = 1 };
        });
        receive_one();
    });
}

#[test]
fn r105_holds_when_the_children_are_gone() {
    holds!(|| {
        stack::meddle_with_receives(|nbl| {
            // SAFETY: the protocol has the NBL.
            unsafe {
                (*nbl).ChildRefCount = 1;
                (*nbl).ChildRefCount = 0;
            }
        });
        receive_one();
    });
}
