//! 1.F: NET_BUFFER_LISTs, NET_BUFFERs and MDLs.

use ndis_host::ndis::api;
use ndis_host::pnp;
use ndis_host::sched;

use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::breaks;
use crate::native::{nic, stack};

#[test]
fn r103_breaks_when_a_slot_of_the_sender_is_written() {
    breaks!(103, || {
        let (_, stack, _) = bench(nic::Fault::SpoilSlot, stack::Fault::None);
        stack.send(&[frame([0xff; 6])]);
        sched::sleep(ONE_SECOND);
    });
}

#[test]
fn r092_breaks_when_an_nbl_is_leaked() {
    breaks!(92, || {
        let (_, _, device) = bench(nic::Fault::LeakNbl, stack::Fault::None);
        pnp::remove_device(device);
    });
}

#[test]
fn r092_breaks_when_an_nbl_is_freed_while_it_is_sent() {
    breaks!(92, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        let pool = api::NblPool::new("a hasty sender");
        let nbl = pool.frame(&frame([0xff; 6]));
        api::send(stack.binding(), nbl, 0);
        pool.release(nbl);
    });
}
