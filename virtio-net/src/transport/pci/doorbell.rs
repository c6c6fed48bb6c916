//! Doorbells: telling the device of new buffers (virtio 1.2, 2.9, 4.1.4.4 and 4.1.5.2).

use super::capabilities::Structures;
use super::legacy::{self, LegacyRegisters};
use super::queues::QueueSetupError;
use super::{PciTransport, common};
use crate::features::Features;
use crate::registers::{RegisterAddress, Registers};

/// Where and what to write to tell the device of new buffers in one queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Doorbell {
    at: RegisterAddress,
    queue: u16,
    /// What the device calls the queue here: its index, unless `NOTIF_CONFIG_DATA` is in use.
    name: u16,
    /// Whether `NOTIFICATION_DATA` is in use.
    is_wide: bool,
}

impl Doorbell {
    /// The queue that the doorbell is for.
    #[must_use]
    pub const fn queue(self) -> u16 {
        self.queue
    }

    /// Whether the doorbell tells how far the queue was filled.
    #[must_use]
    pub const fn tells_progress(self) -> bool {
        self.is_wide
    }

    /// The one of the legacy interface, which all queues share.
    pub(super) const fn legacy(queue: u16) -> Self {
        Self {
            at: LegacyRegisters::at(legacy::QUEUE_NOTIFY),
            queue,
            name: queue,
            is_wide: false,
        }
    }
}

impl<R: Registers> PciTransport<R> {
    /// Tells the device of new buffers. Any level, any CPU.
    ///
    /// `progress` is where the next buffer will be made available, as `next_off` in its low 15 bits
    /// and `next_wrap` in the highest: of a split queue its available index, of a packed one the
    /// place in the ring and the wrap counter. It goes out only if the doorbell
    /// [`tells_progress`](Doorbell::tells_progress), and may be anything otherwise.
    #[inline]
    pub fn notify(&self, doorbell: Doorbell, progress: u16) {
        if doorbell.is_wide {
            let value = u32::from(doorbell.name) | u32::from(progress) << 16;
            self.registers.write32(doorbell.at, value);
        } else {
            self.registers.write16(doorbell.at, doorbell.name);
        }
    }

    /// Reads where the selected queue's doorbell lies and what it says.
    pub(super) fn read_doorbell(
        &self,
        structures: &Structures,
        queue: u16,
        features: Features,
    ) -> Result<Doorbell, QueueSetupError> {
        let is_wide = features.contains(Features::NOTIFICATION_DATA);
        let common = structures.common;
        let notify_offset = self
            .registers
            .read16(common.within(common::QUEUE_NOTIFY_OFF));
        let len = if is_wide { 4 } else { 2 };
        let at = u32::from(notify_offset)
            .checked_mul(structures.notify_multiplier)
            .filter(|offset| {
                let end = offset.checked_add(len);
                end.is_some_and(|end| end <= structures.notify_len)
            })
            .and_then(|offset| structures.notify.checked_add(offset))
            .ok_or(QueueSetupError::DoorbellOutside { notify_offset })?;

        let name = match features.contains(Features::NOTIF_CONFIG_DATA) {
            true => self
                .registers
                .read16(common.within(common::QUEUE_NOTIF_CONFIG_DATA)),
            false => queue,
        };
        Ok(Doorbell {
            at,
            queue,
            name,
            is_wide,
        })
    }
}
