//! A NIC with a protocol on it, of which one may break a rule.

use std::sync::Arc;

use ndis_host::ndis::adversary::{self, Adversary};
use ndis_host::pnp::{self, DeviceId};

use crate::native::nic::{self, Nic};
use crate::native::stack::{self, Stack};

/// A second, ns.
pub(crate) const ONE_SECOND: u64 = 1_000_000_000;

/// The two, as far as they get.
pub(crate) fn bench(
    nic: nic::Fault,
    stack: stack::Fault,
) -> (&'static Nic, &'static Stack, DeviceId) {
    // What a test breaks must not depend on what the seed makes of NDIS.
    adversary::set(Adversary {
        raise_one_in: 2,
        omit_level_bit_one_in: 4,
        split_one_in: 6,
        ..Adversary::PLAIN
    });
    let nic: &'static Nic = Box::leak(Box::new(Nic::new(nic)));
    let stack: &'static Stack = Box::leak(Box::new(Stack::new(stack)));
    pnp::add_native_protocol("STACK", Arc::new(stack));
    let device = pnp::add_native_device("NIC", &[], move || Arc::new(nic));
    pnp::start_device(device).expect("the NIC starts");
    pnp::settle();
    (nic, stack, device)
}

/// A frame of the least length.
pub(crate) fn frame(destination: [u8; 6]) -> Vec<u8> {
    let mut frame = Vec::from(destination);
    frame.extend([0x02, 0, 0, 0, 0, 1, 0x08, 0x00]);
    frame.resize(60, 0);
    frame
}
