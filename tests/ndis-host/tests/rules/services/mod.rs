//! 1.M, the part of NDIS: timers, work items, events, locks, memory.

mod memory;
mod sync;
mod timers;

use std::ptr;

use ndis_host::pnp;
use ndis_sys::NDIS_HANDLE;

use crate::bench::bench;
use crate::buffers::calls::routines;
use crate::native::{nic, stack};

/// DISPATCH_LEVEL.
const DISPATCH: u8 = 2;

routines! {
    /// KfRaiseIrql.
    raise = KfRaiseIrql(level: u8) -> u8;
    /// KeLowerIrql.
    lower = KeLowerIrql(level: u8);
}

/// The adapter of a NIC.
fn adapter() -> (NDIS_HANDLE, pnp::DeviceId) {
    let (nic, _, device) = bench(nic::Fault::None, stack::Fault::None);
    (
        ptr::without_provenance_mut(nic.adapter().0 as usize),
        device,
    )
}
