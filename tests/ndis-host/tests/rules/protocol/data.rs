//! Sends, receives and the end of a binding: rules 238 to 247.

use ndis_host::ndis::api;
use ndis_host::pnp;

use crate::bench::{bench, frame};
use crate::native::breaks;
use crate::native::{nic, nic::MAC, stack};

#[test]
fn r243_breaks_when_a_send_begins_while_paused() {
    breaks!(243, || {
        let (_, stack, device) = bench(nic::Fault::None, stack::Fault::None);
        pnp::pause_stack(device);
        stack.send(&[frame([0xff; 6])]);
    });
}

#[test]
fn r245_breaks_when_a_received_nbl_is_returned_twice() {
    breaks!(245, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::ReturnTwice);
        nic.receive(&[frame(MAC)], false);
    });
}

#[test]
fn r238_breaks_when_a_binding_closes_with_its_filter_set() {
    breaks!(238, || {
        let (_, _, device) = bench(nic::Fault::None, stack::Fault::KeepFilter);
        pnp::remove_device(device);
    });
}

#[test]
fn r240_breaks_when_an_unbind_leaves_the_adapter_open() {
    breaks!(240, || {
        let (_, _, device) = bench(nic::Fault::None, stack::Fault::KeepOpen);
        pnp::remove_device(device);
    });
}

#[test]
fn r239_breaks_when_a_handle_is_used_after_its_end() {
    breaks!(239, || {
        let (_, stack, device) = bench(nic::Fault::None, stack::Fault::None);
        let binding = stack.binding();
        pnp::remove_device(device);
        let pool = api::NblPool::new("a late sender");
        api::send(binding, pool.frame(&frame([0xff; 6])), 0);
    });
}
