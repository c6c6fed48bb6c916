//! Drivers that break a rule, and the judge who names it.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

mod native;

use std::sync::Arc;

use native::expect_breach;
use native::nic::{self, MAC, Nic};
use native::stack::{self, Stack};
use ndis_host::ndis::api;
use ndis_host::pnp::{self, DeviceId};
use ndis_host::sched;

/// A NIC and a protocol of which one breaks a rule, as far as they get.
fn bench(nic: nic::Fault, stack: stack::Fault) -> (&'static Nic, &'static Stack, DeviceId) {
    let nic: &'static Nic = Box::leak(Box::new(Nic::new(nic)));
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(stack)));
    pnp::add_native_protocol("STACK", Arc::new(stack));
    let device = pnp::add_native_device("NIC", &[], move || Arc::new(nic));
    pnp::start_device(device).expect("the NIC starts");
    pnp::settle();
    (nic, stack, device)
}

fn frame(destination: [u8; 6]) -> Vec<u8> {
    let mut frame = Vec::from(destination);
    frame.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame.resize(60, 0);
    frame
}

const ONE_SECOND: u64 = 1_000_000_000;

#[test]
fn a_send_is_completed_twice() {
    expect_breach("a_send_is_completed_twice", 114, || {
        let (_, stack, _) = bench(nic::Fault::CompleteTwice, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn a_send_is_completed_that_was_never_given() {
    expect_breach("a_send_is_completed_that_was_never_given", 114, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("nobody");
        api::send_complete(nic.adapter(), pool.frame(&frame([0xff; 6])), 0);
    });
}

#[test]
fn a_send_is_completed_with_pending() {
    expect_breach("a_send_is_completed_with_pending", 115, || {
        let (_, stack, _) = bench(nic::Fault::CompletePending, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn a_send_is_never_completed() {
    expect_breach("a_send_is_never_completed", 116, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(60 * ONE_SECOND);
    });
}

#[test]
fn a_slot_of_the_sender_is_written() {
    expect_breach("a_slot_of_the_sender_is_written", 103, || {
        let (_, stack, _) = bench(nic::Fault::SpoilSlot, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn a_pause_ends_with_a_send_out() {
    expect_breach("a_pause_ends_with_a_send_out", 308, || {
        let (_, stack, device) = bench(nic::Fault::PauseTooEarly, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        // The binding's pause waits for the send first, so that is what is late.
        pnp::pause_stack(device);
    });
}

#[test]
fn a_frame_is_indicated_while_paused() {
    expect_breach("a_frame_is_indicated_while_paused", 58, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
        pnp::pause_stack(device);
        nic.receive(&[frame(MAC)], false);
    });
}

#[test]
fn a_send_begins_while_paused() {
    expect_breach("a_send_begins_while_paused", 243, || {
        let (_, stack, device) = bench(nic::Fault::None, stack::Fault::None);
        pnp::pause_stack(device);
        stack.send(&[frame([0xff; 6])]);
    });
}

#[test]
fn a_frame_comes_that_nobody_asked_for() {
    expect_breach("a_frame_comes_that_nobody_asked_for", 139, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        sched::sleep(ONE_SECOND);
        nic.receive(&[frame([0x02, 0, 0, 0, 0, 9])], false);
    });
}

#[test]
fn an_nbl_is_leaked() {
    expect_breach("an_nbl_is_leaked", 92, || {
        let (_, _, device) = bench(nic::Fault::LeakNbl, stack::Fault::None);
        pnp::remove_device(device);
    });
}

#[test]
fn a_received_nbl_is_returned_twice() {
    expect_breach("a_received_nbl_is_returned_twice", 245, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::ReturnTwice);
        nic.receive(&[frame(MAC)], false);
    });
}

#[test]
fn a_received_nbl_is_kept() {
    expect_breach("a_received_nbl_is_kept", 308, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::KeepNbls);
        nic.receive(&[frame(MAC)], false);
        pnp::pause_stack(device);
    });
}

#[test]
fn a_binding_closes_with_its_filter_set() {
    expect_breach("a_binding_closes_with_its_filter_set", 238, || {
        let (_, _, device) = bench(nic::Fault::None, stack::Fault::KeepFilter);
        pnp::remove_device(device);
    });
}

#[test]
fn an_unbind_leaves_the_adapter_open() {
    expect_breach("an_unbind_leaves_the_adapter_open", 240, || {
        let (_, _, device) = bench(nic::Fault::None, stack::Fault::KeepOpen);
        pnp::remove_device(device);
    });
}

#[test]
fn an_oid_request_is_forgotten() {
    expect_breach("an_oid_request_is_forgotten", 157, || {
        bench(nic::Fault::ForgetOid, stack::Fault::None);
    });
}

#[test]
fn an_oid_request_is_completed_twice() {
    expect_breach("an_oid_request_is_completed_twice", 156, || {
        bench(nic::Fault::CompleteOidTwice, stack::Fault::None);
    });
}

#[test]
fn a_handle_is_used_after_its_end() {
    expect_breach("a_handle_is_used_after_its_end", 239, || {
        let (_, stack, device) = bench(nic::Fault::None, stack::Fault::None);
        let binding = stack.binding();
        pnp::remove_device(device);
        let pool = api::NblPool::new("a late sender");
        api::send(binding, pool.frame(&frame([0xff; 6])), 0);
    });
}

#[test]
fn an_nbl_is_freed_while_it_is_sent() {
    expect_breach("an_nbl_is_freed_while_it_is_sent", 92, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        let pool = api::NblPool::new("a hasty sender");
        let nbl = pool.frame(&frame([0xff; 6]));
        api::send(stack.binding(), nbl, 0);
        pool.release(nbl);
    });
}
