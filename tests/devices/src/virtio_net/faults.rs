//! A device that misbehaves on demand.
//!
//! Faults of the rings are armed and strike once, at the next opportunity; the others last until
//! they are lifted.

use super::core::Core;
use super::layout;
use super::ring::{Chain, QueueRole, Usage};
use crate::pci::DmaMemory;

/// What can go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The next used element of a queue names a descriptor beyond the ring.
    UsedIdOutOfRange(QueueRole),
    /// The next used element of a queue appears twice. In a packed ring it strikes once more
    /// chains are with the device, since else no driver would look.
    UsedIdTwice(QueueRole),
    /// The next used element of a queue claims more bytes than its chain has.
    UsedLengthTooLong(QueueRole),
    /// The next received frame claims to lie in no buffer.
    NumBuffersZero,
    /// The next received frame claims to lie in far more buffers than there are.
    NumBuffersHuge,
    /// The next received frame leaves most of its first buffer free, and goes on in the next one.
    /// Takes mergeable buffers.
    FrameScattered,
    /// The next control command is answered with an error and not executed.
    ControlRefused,
    /// The next control command is executed, and its answer is neither yes nor no.
    ControlGarbage,
    /// The answer to the next control command comes that many nanoseconds late; until then the
    /// queue stands still. Takes [`VirtioNetControl::use_clock`](super::VirtioNetControl::use_clock).
    ControlLate(u64),
    /// The control queue stands still. Lasts; what waits is executed and answered afterwards.
    ControlNever,
    /// A reset of a queue never ends. Lasts.
    QueueNeverResets,
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

    fn take_delay(&mut self) -> Option<u64> {
        let late = |fault: &Fault| match fault {
            Fault::ControlLate(delay) => Some(*delay),
            _ => None,
        };
        let at = self.active.iter().position(|fault| late(fault).is_some())?;
        late(&self.active.remove(at))
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
            self.counters.rx_dropped_not_ready += self.queues.take_waiting().len() as u64;
            self.counters.faults += 1;
        }
    }

    pub(super) fn lift_faults(&mut self) {
        self.faults = Faults::default();
        let notify = (layout::NOTIFY as u32).to_le_bytes();
        if layout::has_capabilities(self.config.interface) {
            self.space.put(layout::NOTIFY_OFFSET_FIELD, &notify);
        }
        for ring in &mut self.queues.rings {
            ring.resetting = false;
        }
        self.outbox.wake = true;
    }

    /// By how much the next answer of the control queue is late, if it is.
    pub(super) fn take_delay(&mut self) -> Option<u64> {
        let delay = self.faults.take_delay()?;
        self.counters.faults += 1;
        Some(delay)
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
        index: usize,
        chain: Chain,
        written: u32,
    ) -> Result<(), String> {
        let role = self.ring(index).role();
        let counters = self.queue_counters(role);
        counters.chains += 1;
        counters.descriptors += chain.segments.len() as u64;

        let (id, slots) = (u32::from(chain.id), chain.slots);
        if self.take_fault(Fault::UsedIdOutOfRange(role)) {
            let beyond = u32::from(self.ring(index).size) + id;
            return self.push_raw(memory, index, beyond, written, slots);
        }
        if self.take_fault(Fault::UsedLengthTooLong(role)) {
            let len = chain.len() as u32 + EXCESS;
            self.faults.forced_interrupt = true;
            // The element has no other for company, and is right but for the length.
            let ring = self.ring(index);
            ring.flush(memory)?;
            ring.push_used(memory, Usage { chain, len })?;
            return ring.flush(memory);
        }
        let usage = Usage {
            chain,
            len: written,
        };
        self.ring(index).push_used(memory, usage)?;
        let twice = Fault::UsedIdTwice(role);
        if self.faults.has(twice) {
            self.ring(index).flush(memory)?;
            if self.ring(index).shows_surplus() && self.take_fault(twice) {
                self.push_raw(memory, index, id, written, slots)?;
            }
        }
        Ok(())
    }

    fn push_raw(
        &mut self,
        memory: &DmaMemory,
        index: usize,
        id: u32,
        len: u32,
        slots: u16,
    ) -> Result<(), String> {
        self.faults.forced_interrupt = true;
        self.ring(index).push_raw(memory, id, len, slots)
    }
}
