//! Telling the device about virtqueues, and the doorbells (virtio 1.2, 4.1.5.1.3 and 4.1.5.2).

use super::{PciTransport, common};
use crate::queue::{QueueAddresses, QueueSize, QueueSizeError};
use crate::registers::{RegisterAddress, Registers};

/// What a vector register reads when the device has no interrupt for the event
/// (`VIRTIO_MSI_NO_VECTOR`).
const NO_VECTOR: u16 = 0xffff;

/// A queue as the device is to see it.
#[derive(Clone, Copy, Debug)]
pub struct QueueSetup {
    /// Which queue; for a network device 0 receives and 1 transmits (virtio 1.2, 5.1.2).
    pub index: u16,
    /// Descriptors; at most what [`max_queue_size`](PciTransport::max_queue_size) says.
    pub size: QueueSize,
    /// Where the rings lie; from [`Virtqueue::addresses`](crate::queue::Virtqueue::addresses).
    pub addresses: QueueAddresses,
    /// Entry of the MSI-X table to signal, or `None` for no message.
    pub vector: Option<u16>,
}

/// A queue that the device did not take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueSetupError {
    /// The device says that the queue is in use.
    AlreadyEnabled,
    /// The queue does not exist, or the device calls it unavailable.
    Absent,
    /// The maximum size is none for a split queue.
    BadMaximum(QueueSizeError),
    /// The queue's doorbell would lie outside the notification structure.
    DoorbellOutside {
        /// The device's offset for the queue, in multiples of the notify multiplier.
        notify_offset: u16,
    },
    /// The device has fewer descriptors than asked for.
    TooLarge {
        /// What the device has.
        max: QueueSize,
    },
    /// The device has no interrupt for the vector.
    VectorRefused {
        /// The vector asked for.
        vector: u16,
    },
}

/// Where and what to write to tell the device of new buffers in one queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Doorbell {
    at: RegisterAddress,
    queue: u16,
}

impl Doorbell {
    /// The queue that the doorbell is for.
    #[must_use]
    pub const fn queue(self) -> u16 {
        self.queue
    }
}

impl<R: Registers> PciTransport<R> {
    /// Reads how many queues the device has.
    pub fn read_queue_count(&self) -> u16 {
        match self.registers().read16(self.common(common::NUM_QUEUES)) {
            u16::MAX => 0,
            count => count,
        }
    }

    /// Reads the most descriptors that queue `index` may have.
    ///
    /// # Errors
    ///
    /// There is no such queue, or the number is not possible for a split queue.
    pub fn max_queue_size(&mut self, index: u16) -> Result<QueueSize, QueueSetupError> {
        if index >= self.read_queue_count() {
            return Err(QueueSetupError::Absent);
        }
        self.select_queue(index);
        match self.registers().read16(self.common(common::QUEUE_SIZE)) {
            0 => Err(QueueSetupError::Absent),
            max => QueueSize::new(max).map_err(QueueSetupError::BadMaximum),
        }
    }

    /// Describes a queue to the device and enables it.
    ///
    /// # Errors
    ///
    /// Says what the device refused; the queue is not enabled then.
    pub(crate) fn set_up_queue(&mut self, setup: &QueueSetup) -> Result<Doorbell, QueueSetupError> {
        let max = self.max_queue_size(setup.index)?;
        if setup.size > max {
            return Err(QueueSetupError::TooLarge { max });
        }
        if self.registers().read16(self.common(common::QUEUE_ENABLE)) != 0 {
            return Err(QueueSetupError::AlreadyEnabled);
        }
        let doorbell = self.read_doorbell(setup.index)?;

        self.write_vector(common::QUEUE_MSIX_VECTOR, setup.vector)?;
        self.registers()
            .write16(self.common(common::QUEUE_SIZE), setup.size.get());
        self.write_address(common::QUEUE_DESC, setup.addresses.descriptors);
        self.write_address(common::QUEUE_DRIVER, setup.addresses.driver);
        self.write_address(common::QUEUE_DEVICE, setup.addresses.device);
        // Everything else comes before (virtio 1.2, 4.1.4.3.2).
        self.registers()
            .write16(self.common(common::QUEUE_ENABLE), 1);
        Ok(doorbell)
    }

    /// Names the vector for configuration changes, or none.
    ///
    /// # Errors
    ///
    /// The device has no interrupt for it.
    pub(crate) fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), QueueSetupError> {
        self.write_vector(common::CONFIG_MSIX_VECTOR, vector)
    }

    /// Tells the device of new buffers (virtio 1.2, 4.1.5.2). Any level, any CPU.
    #[inline]
    pub fn notify(&self, doorbell: Doorbell) {
        self.registers().write16(doorbell.at, doorbell.queue);
    }

    fn select_queue(&mut self, index: u16) {
        self.registers()
            .write16(self.common(common::QUEUE_SELECT), index);
    }

    /// Reads where the selected queue's doorbell lies (virtio 1.2, 4.1.4.4).
    fn read_doorbell(&self, queue: u16) -> Result<Doorbell, QueueSetupError> {
        let notify_offset = self
            .registers()
            .read16(self.common(common::QUEUE_NOTIFY_OFF));
        let structures = self.structures();
        let at = u32::from(notify_offset)
            .checked_mul(structures.notify_multiplier)
            .filter(|offset| {
                offset
                    .checked_add(2)
                    .is_some_and(|end| end <= structures.notify_len)
            })
            .and_then(|offset| structures.notify.checked_add(offset));
        match at {
            Some(at) => Ok(Doorbell { at, queue }),
            None => Err(QueueSetupError::DoorbellOutside { notify_offset }),
        }
    }

    /// Writes a vector and reads it back, which tells whether the device took it
    /// (virtio 1.2, 4.1.5.1.2.2).
    fn write_vector(&mut self, field: u32, vector: Option<u16>) -> Result<(), QueueSetupError> {
        let at = self.common(field);
        self.registers().write16(at, vector.unwrap_or(NO_VECTOR));
        let taken = self.registers().read16(at);
        match vector {
            Some(vector) if taken != vector || vector == NO_VECTOR => {
                Err(QueueSetupError::VectorRefused { vector })
            }
            _ => Ok(()),
        }
    }

    fn write_address(&mut self, field: u32, address: u64) {
        let at = self.common(field);
        self.registers().write32(at, address as u32);
        self.registers()
            .write32(at.within(4), (address >> 32) as u32);
    }
}
