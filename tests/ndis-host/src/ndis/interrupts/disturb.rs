//! Disturbances of interrupts, on demand: lost, duplicated, late, spurious; DPCs on another CPU.
//!
//! Messages are disturbed on their way to the CPU. A line can't lose an interrupt, since it stays
//! asserted until the device is served; what comes on a line without need comes from a neighbour.

use crate::ndis::adapter::Adapter;
use crate::ndis::handles;
use crate::ndis::native::AdapterHandle;
use crate::sched::{self, BatonCell};
use crate::verifier;

/// How often interrupts are disturbed: one in so many, 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbances {
    /// The message does not arrive. A driver has no duty to live with that, but a host may want to
    /// see that its watchdogs notice.
    pub lost: u64,
    /// The message arrives twice.
    pub duplicated: u64,
    /// The message arrives later, by up to [`Disturbances::delay_ns`].
    pub late: u64,
    /// Most that a late message is late.
    pub delay_ns: u64,
    /// A DPC that the driver wants on the CPU of the interrupt runs on another one.
    pub other_cpu: u64,
}

static SETTING: BatonCell<Disturbances> = BatonCell::new(Disturbances {
    lost: 0,
    duplicated: 0,
    late: 0,
    delay_ns: 0,
    other_cpu: 0,
});

/// Sets how interrupts are disturbed from now on.
pub fn set(disturbances: Disturbances) {
    SETTING.with(|setting| *setting = disturbances);
}

/// Interrupts an adapter though its device has not asked for it (rule 202); on a line a neighbour
/// does. Nothing happens when the adapter has no interrupt registered.
pub fn interrupt(adapter: AdapterHandle) {
    let adapter = handles::lookup::<Adapter>(adapter.0);
    if let Some(interrupt) = adapter.and_then(|adapter| super::of_adapter(adapter.handle)) {
        interrupt.disturb();
    }
}

/// When the message that has come arrives: after each of these delays.
pub(super) fn arrivals() -> Vec<u64> {
    let setting = SETTING.with(|setting| *setting);
    if sched::chance(setting.lost) {
        verifier::note("fault injected: an interrupt is lost");
        return Vec::new();
    }
    let delay_ns = if setting.delay_ns > 0 && sched::chance(setting.late) {
        1 + sched::random_below(setting.delay_ns)
    } else {
        0
    };
    if sched::chance(setting.duplicated) {
        return vec![delay_ns, 0];
    }
    vec![delay_ns]
}

/// The CPU on which a DPC runs that was wanted on `cpu`.
pub(super) fn dpc_cpu(cpu: usize) -> usize {
    let other_cpu = SETTING.with(|setting| setting.other_cpu);
    if sched::chance(other_cpu) {
        sched::random_below(sched::cpu_count() as u64) as usize
    } else {
        cpu
    }
}
