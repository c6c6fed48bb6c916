//! Resetting one queue while the others go on (virtio 1.2, 2.6.1 and 4.1.4.3).

use super::{Layout, PciTransport, common};
use crate::dma::Quiesced;
use crate::registers::Registers;

/// Proof that the device touches no memory of one queue: it confirmed the queue's reset, or it has
/// left the bus.
///
/// It is given up where the queue is enabled again.
#[derive(Debug)]
pub struct QueueQuiesced {
    queue: u16,
    proof: Quiesced,
}

impl QueueQuiesced {
    /// The queue that was reset.
    #[must_use]
    pub const fn queue(&self) -> u16 {
        self.queue
    }

    /// The proof as [`take_all`](crate::queue::Virtqueue::take_all) wants it, or `None` when it is
    /// about another queue than number `index`.
    ///
    /// It is to be shown to that queue and no other.
    #[must_use]
    pub fn of(&self, index: u16) -> Option<&Quiesced> {
        (self.queue == index).then_some(&self.proof)
    }
}

/// A queue whose reset was not confirmed. Unless the device is gone, the queue's memory must stay as
/// it is; a reset of the device is the way out.
#[derive(Debug)]
pub enum QueueResetError {
    /// There is no such queue.
    Absent,
    /// Another CPU is resetting or enabling a queue; nothing was done.
    Busy,
    /// The device has left the bus, which is as good as a reset for the memory it used.
    Gone(QueueQuiesced),
    /// `RING_RESET` was not negotiated.
    NotNegotiated,
    /// The registers do not answer.
    NotDecoding,
    /// The queue was still being reset, or still enabled, at the end.
    TimedOut,
}

impl<R: Registers> PciTransport<R> {
    /// Resets queue `index`, for a device with `RING_RESET`, and waits until it confirms.
    ///
    /// Looks at most `tries` times (and at least once), with `stall` between two looks. One caller
    /// at a time.
    ///
    /// # Errors
    ///
    /// Says what the device did instead.
    pub(crate) fn reset_queue(
        &self,
        index: u16,
        tries: u32,
        mut stall: impl FnMut(),
    ) -> Result<QueueQuiesced, QueueResetError> {
        let Layout::Modern(structures) = &self.layout else {
            return Err(QueueResetError::NotNegotiated);
        };
        let quiesced = || QueueQuiesced {
            queue: index,
            proof: Quiesced::observed(),
        };
        if self.is_off_the_bus() {
            return Err(QueueResetError::Gone(quiesced()));
        }
        if self.read_queue_count().is_none_or(|count| index >= count) {
            return Err(QueueResetError::Absent);
        }
        let common = structures.common;
        let select = common.within(common::QUEUE_SELECT);
        let reset = common.within(common::QUEUE_RESET);
        let enable = common.within(common::QUEUE_ENABLE);

        self.registers.write16(select, index);
        self.registers.write16(reset, 1);
        let mut seen = 0;
        for attempt in 0..tries.max(1) {
            if attempt > 0 {
                stall();
            }
            // A device that knows nothing of the reset shows no reset, but goes on.
            seen = self.registers.read16(reset) | self.registers.read16(enable);
            if seen == 0 {
                return Ok(quiesced());
            }
            if self.is_off_the_bus() {
                return Err(QueueResetError::Gone(quiesced()));
            }
        }
        Err(match seen {
            u16::MAX => QueueResetError::NotDecoding,
            _ => QueueResetError::TimedOut,
        })
    }
}
