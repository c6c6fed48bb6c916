//! Who may touch an NBL: rules 94 and 95.

use std::ptr;

use ndis_host::ndis::{Ownership, api, set_ownership};
use ndis_host::sched;
use ndis_sys::NET_BUFFER_LIST;

use super::calls::first;
use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::nic::{self, MAC};
use crate::native::{breaks, holds, stack};

/// Hands every NBL over by a stand-in.
fn always_stand_in() {
    set_ownership(Ownership::StandInsOneIn(1));
}

/// Sends an NBL, and does something to it at once; the NIC has it, or it has been freed.
fn send_and(then: impl FnOnce(*mut NET_BUFFER_LIST)) {
    always_stand_in();
    let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
    let pool = api::NblPool::new("a restless sender");
    let nbl = pool.frame(&frame([0xff; 6]));
    api::send(stack.binding(), nbl, 0);
    then(nbl);
    sched::sleep(ONE_SECOND);
    pool.free();
}

/// Indicates NBLs, and does something to each at once; the protocol has it, or it has been freed.
fn indicate_and(count: usize, then: impl Fn(*mut NET_BUFFER_LIST)) {
    always_stand_in();
    let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
    let pool = api::NblPool::new("a restless NIC");
    for _ in 0..count {
        let nbl = pool.frame(&frame(MAC));
        nic.lend(nbl);
        then(nbl);
        sched::sleep(ONE_SECOND);
    }
    pool.free();
}

#[test]
fn r094_breaks_when_a_sender_writes_what_it_has_sent() {
    breaks!(94, || {
        send_and(|nbl| {
            // SAFETY: the memory is there; that it is not ours is the fault.
            unsafe { (*nbl).Scratch = ptr::null_mut() };
        });
    });
}

#[test]
fn r094_breaks_when_a_sender_follows_what_it_has_sent() {
    breaks!(94, || {
        always_stand_in();
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        let pool = api::NblPool::new("a curious sender");
        let nbl = pool.frame(&frame([0xff; 6]));
        api::send(stack.binding(), nbl, 0);
        // SAFETY: the first read is of memory that is there; the second faults, as it has to.
        let length = unsafe { (&raw const (*first(nbl)).DataLength).read_volatile() };
        println!("read {length}");
    });
}

#[test]
fn r094_breaks_when_an_nbl_is_sent_twice() {
    breaks!(94, || {
        let (_, stack, _) = bench(nic::Fault::ForgetSends, stack::Fault::None);
        let pool = api::NblPool::new("a confused sender");
        let nbl = pool.frame(&frame([0xff; 6]));
        api::send(stack.binding(), nbl, 0);
        api::send(stack.binding(), nbl, 0);
    });
}

#[test]
fn r094_holds_when_a_sender_leaves_what_it_has_sent() {
    holds!(|| send_and(|_| ()));
}

#[test]
fn r094_breaks_when_a_miniport_writes_what_it_has_indicated() {
    breaks!(94, || {
        indicate_and(1, |nbl| {
            // SAFETY: the memory is there; that it is not ours is the fault.
            unsafe { (*nbl).Status = 1 };
        });
    });
}

#[test]
fn r094_breaks_when_data_is_written_that_was_indicated() {
    breaks!(94, || {
        always_stand_in();
        let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("a NIC that posts its buffers too early");
        for _ in 0..32 {
            let nbl = pool.frame(&frame(MAC));
            // SAFETY: the NBL is ours still.
            let data: *mut u8 = unsafe { (*(*first(nbl)).MdlChain).MappedSystemVa.cast() };
            nic.lend(nbl);
            // SAFETY: the memory is there; that it is not ours is the fault.
            unsafe { data.add(20).write_volatile(0x77) };
            sched::sleep(ONE_SECOND);
        }
    });
}

#[test]
fn r094_holds_when_a_miniport_leaves_what_it_has_indicated() {
    holds!(|| indicate_and(32, |_| ()));
}

#[test]
fn r094_breaks_when_a_freed_nbl_is_written() {
    breaks!(94, || {
        let pool = api::NblPool::new("a careless driver");
        let nbl = pool.frame(&frame(MAC));
        pool.release(nbl);
        // SAFETY: the memory is there; that it is not ours is the fault.
        unsafe { (*nbl).Status = 1 };
        pool.free();
    });
}

#[test]
fn r094_holds_when_frames_pass_by_stand_ins() {
    holds!(|| {
        always_stand_in();
        let (nic, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        let sent: Vec<_> = (0..8)
            .map(|n| [frame([0xff; 6]), vec![n; 90]].concat())
            .collect();
        stack.send(&sent[..4]);
        stack.send_together(&sent[4..]);
        let received: Vec<_> = (0..8)
            .map(|n| [frame(MAC), vec![n; 300]].concat())
            .collect();
        nic.receive(&received[..4], false);
        nic.receive(&received[4..], true);
        sched::sleep(ONE_SECOND);
        assert_eq!(nic.transmitted(), sent);
        let mut got = stack.received();
        got.sort();
        assert_eq!(got, received);
        assert_eq!(stack.completed(), [0; 5]);
        assert_eq!(nic.receives_out(), 0);
    });
}

#[test]
fn r095_breaks_when_a_list_has_no_end() {
    breaks!(95, || {
        let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("a sender in circles");
        let nbls = [pool.frame(&frame([0xff; 6])), pool.frame(&frame([0xff; 6]))];
        let list = api::chain(&nbls);
        // SAFETY: the NBLs are ours.
        unsafe { (*nbls[1]).Next = nbls[0] };
        api::send(stack.binding(), list, 0);
    });
}

#[test]
fn r095_breaks_when_a_list_is_empty() {
    breaks!(95, || {
        let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        api::send(stack.binding(), ptr::null_mut(), 0);
    });
}

#[test]
fn r095_holds_when_a_list_ends() {
    holds!(|| {
        let (_, stack, _) = bench(nic::Fault::None, stack::Fault::None);
        let pool = api::NblPool::new("a sender");
        let nbls = [pool.frame(&frame([0xff; 6])), pool.frame(&frame([0xff; 6]))];
        api::send(stack.binding(), api::chain(&nbls), 0);
        sched::sleep(ONE_SECOND);
    });
}
