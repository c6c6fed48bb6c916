//! Flags and NblFlags: rule 104.

use ndis_host::ndis::api;
use ndis_host::sched;
use ndis_sys::{
    NDIS_NBL_FLAGS_IS_IPV4, NDIS_NBL_FLAGS_IS_IPV6, NDIS_NBL_FLAGS_IS_TCP, NDIS_NBL_FLAGS_IS_UDP,
};

use super::fields::{receive_one, send_one};
use crate::bench::{ONE_SECOND, bench, frame};
use crate::native::nic::{self, MAC};
use crate::native::{breaks, holds, stack};

/// Sets bits of Flags in every sent NBL, in the NIC's hands.
macro_rules! miniport_sets {
    ($bits:expr) => {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*nbl).Flags |= $bits };
        })
    };
}

#[test]
fn r104_breaks_when_a_miniport_sets_bits_of_protocols() {
    breaks!(104, || {
        miniport_sets!(0x0010_0000);
        send_one();
    });
}

#[test]
fn r104_breaks_when_a_miniport_sets_bits_of_ndis() {
    breaks!(104, || {
        miniport_sets!(0x40);
        send_one();
    });
}

#[test]
fn r104_holds_when_a_miniport_sets_its_own_bits() {
    holds!(|| {
        miniport_sets!(0x000f_f000);
        send_one();
    });
}

#[test]
fn r104_breaks_when_a_protocol_sets_bits_of_miniports() {
    breaks!(104, || {
        stack::meddle_with_receives(|nbl| {
            // SAFETY: the protocol has the NBL.
            unsafe { (*nbl).Flags |= 0x1000 };
        });
        receive_one();
    });
}

#[test]
fn r104_breaks_when_a_miniport_changes_the_hints_of_a_send() {
    breaks!(104, || {
        nic::meddle_with_sends(|nbl| {
            // SAFETY: the NIC has the NBL.
            unsafe { (*nbl).NblFlags |= NDIS_NBL_FLAGS_IS_IPV4 };
        });
        send_one();
    });
}

/// Indicates a frame of IPv4 and TCP with hints.
fn indicate_with(hints: u32) {
    let (nic, ..) = bench(nic::Fault::None, stack::Fault::None);
    let pool = api::NblPool::new("a NIC with hints");
    let mut bytes = frame(MAC);
    bytes[23] = 6;
    let nbl = pool.frame(&bytes);
    // SAFETY: the NBL is ours.
    unsafe { (*nbl).NblFlags = hints };
    nic.lend(nbl);
    sched::sleep(ONE_SECOND);
}

#[test]
fn r104_breaks_when_a_hint_names_another_network_protocol() {
    breaks!(104, || indicate_with(NDIS_NBL_FLAGS_IS_IPV6));
}

#[test]
fn r104_breaks_when_a_hint_names_another_transport_protocol() {
    breaks!(104, || indicate_with(
        NDIS_NBL_FLAGS_IS_IPV4 | NDIS_NBL_FLAGS_IS_UDP
    ));
}

#[test]
fn r104_holds_when_the_hints_are_true() {
    holds!(|| indicate_with(NDIS_NBL_FLAGS_IS_IPV4 | NDIS_NBL_FLAGS_IS_TCP));
}
