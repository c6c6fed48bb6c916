//! A device that misbehaves on demand.
//!
//! Faults of the rings are armed and strike once, at the next opportunity; the others last until
//! they are lifted.

use virtio_queue::QueueT;

use super::core::Core;
use super::layout;
use super::ring::{Chain, QueueRole};
use crate::pci::DmaMemory;

/// What can go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The next used element of a queue names a descriptor beyond the ring.
    UsedIdOutOfRange(QueueRole),
    /// The next used element of a queue appears twice.
    UsedIdTwice(QueueRole),
    /// The next used element of a queue claims more bytes than its chain has.
    UsedLengthTooLong(QueueRole),
    /// The next received frame claims to lie in no buffer.
    NumBuffersZero,
    /// The next received frame claims to lie in far more buffers than there are.
    NumBuffersHuge,
    /// FEATURES_OK does not stick. Lasts.
    FeaturesRefused,
    /// The status never becomes 0. Lasts.
    NeverResets,
    /// The doorbells are said to be outside of their BAR. Lasts.
    CapabilityOutsideBar,
    /// The function is gone: reads give ones, nothing else happens. Lasts.
    AllOnes,
}

/// Bytes that a used element claims too many.
const EXCESS: u32 = 0x1000;

/// Offset that lies outside of the register BAR.
const OUTSIDE: u32 = 0x0100_0000;

/// The faults that are armed or last.
#[derive(Default)]
pub(super) struct Faults {
    active: Vec<Fault>,
    /// A ring was written past `virtio-queue`, which therefore can't say whether to interrupt.
    forced_interrupt: bool,
}

impl Faults {
    pub(super) fn has(&self, fault: Fault) -> bool {
        self.active.contains(&fault)
    }

    pub(super) fn take_forced_interrupt(&mut self) -> bool {
        std::mem::take(&mut self.forced_interrupt)
    }

    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    fn take(&mut self, fault: Fault) -> bool {
        let found = self.active.iter().position(|active| *active == fault);
        found.map(|at| self.active.remove(at)).is_some()
    }
}

impl Core {
    pub(super) fn inject(&mut self, fault: Fault) {
        self.faults.active.push(fault);
        if fault == Fault::CapabilityOutsideBar {
            self.space
                .put(layout::NOTIFY_OFFSET_FIELD, &OUTSIDE.to_le_bytes());
            self.counters.faults += 1;
        }
        if fault == Fault::AllOnes {
            self.counters.rx_dropped_not_ready += self.backlog.len() as u64;
            self.backlog.clear();
            self.counters.faults += 1;
        }
    }

    pub(super) fn lift_faults(&mut self) {
        self.faults = Faults::default();
        let notify = (layout::NOTIFY as u32).to_le_bytes();
        self.space.put(layout::NOTIFY_OFFSET_FIELD, &notify);
    }

    /// Whether an armed fault strikes now.
    pub(super) fn take_fault(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.take(fault);
        if strikes {
            self.counters.faults += 1;
        }
        strikes
    }

    /// Hands a chain back, the wrong way if that was asked for.
    pub(super) fn complete(
        &mut self,
        memory: &DmaMemory,
        role: QueueRole,
        chain: &Chain,
        written: u32,
    ) -> Result<(), String> {
        let counters = self.queue_counters(role);
        counters.chains += 1;
        counters.descriptors += chain.segments.len() as u64;

        let head = u32::from(chain.head);
        if self.take_fault(Fault::UsedIdOutOfRange(role)) {
            let beyond = u32::from(self.ring(role).queue.size()) + head;
            return self.push_raw(memory, role, beyond, written);
        }
        if self.take_fault(Fault::UsedLengthTooLong(role)) {
            let too_long = chain.len() as u32 + EXCESS;
            return self.push_raw(memory, role, head, too_long);
        }
        self.ring(role).push_used(memory, chain.head, written)?;
        if self.take_fault(Fault::UsedIdTwice(role)) {
            self.push_raw(memory, role, head, written)?;
        }
        Ok(())
    }

    fn push_raw(
        &mut self,
        memory: &DmaMemory,
        role: QueueRole,
        id: u32,
        len: u32,
    ) -> Result<(), String> {
        self.faults.forced_interrupt = true;
        self.ring(role).push_used_raw(memory, id, len)
    }
}
