//! 1.U: what takes too long.

use ndis_host::pnp;
use ndis_host::sched;

use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::breaks;
use crate::native::{nic, nic::MAC, stack};

#[test]
fn r116_breaks_when_a_send_is_never_completed() {
    breaks!(116, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(60 * ONE_SECOND);
    });
}

#[test]
fn r308_breaks_when_a_pause_ends_with_a_send_out() {
    breaks!(308, || {
        let (_, stack, device) = bench(nic::Fault::PauseTooEarly, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        // The binding's pause waits for the send first, so that is what is late.
        pnp::pause_stack(device);
    });
}

#[test]
fn r308_breaks_when_a_received_nbl_is_kept() {
    breaks!(308, || {
        let (nic, _, device) = bench(nic::Fault::None, stack::Fault::KeepNbls);
        nic.receive(&[frame(MAC)], false);
        pnp::pause_stack(device);
    });
}

#[test]
fn r157_breaks_when_an_oid_request_is_forgotten() {
    breaks!(157, || {
        bench(nic::Fault::ForgetOid, stack::Fault::None);
    });
}
