//! 1.G: the send path.

use ndis_host::ndis::api;
use ndis_host::sched;

use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::breaks;
use crate::native::{nic, stack};

#[test]
fn r114_breaks_when_a_send_is_completed_twice() {
    breaks!(114, || {
        let (_, stack, _) = bench(nic::Fault::CompleteTwice, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r114_breaks_when_a_send_is_completed_that_was_never_given() {
    breaks!(114, || {
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("nobody");
        api::send_complete(nic.adapter(), pool.frame(&frame([0xff; 6])), 0);
    });
}

#[test]
fn r115_breaks_when_a_send_is_completed_with_pending() {
    breaks!(115, || {
        let (_, stack, _) = bench(nic::Fault::CompletePending, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}
