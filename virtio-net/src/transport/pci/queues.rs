//! Telling the device about virtqueues (virtio 1.2, 4.1.5.1.3).

use super::capabilities::Structures;
pub use super::doorbell::Doorbell;
use super::legacy::{self, LegacyRegisters};
use super::{Layout, PciTransport, common};
use crate::features::Features;
use crate::queue::{QueueAddresses, QueueSize, QueueSizeError};
use crate::registers::{RegisterAddress, Registers};
use crate::transport::legacy_layout::{self, LegacyAddressError};

/// What a vector register reads when the device has no interrupt for the event
/// (`VIRTIO_MSI_NO_VECTOR`).
const NO_VECTOR: u16 = 0xffff;

/// A queue as the device is to see it.
#[derive(Clone, Copy, Debug)]
pub struct QueueSetup {
    /// Which queue; for a network device 0 receives and 1 transmits (virtio 1.2, 5.1.2).
    pub index: u16,
    /// Descriptors; at most what [`max_queue_size`](PciTransport::max_queue_size) says, and on the
    /// legacy interface exactly that.
    pub size: QueueSize,
    /// Where the rings lie; from [`Virtqueue::addresses`](crate::queue::Virtqueue::addresses). On
    /// the legacy interface those of
    /// [`SplitLayout::legacy`](crate::queue::split::SplitLayout::legacy).
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
    /// The maximum size is none for a queue, nor is a smaller one possible.
    BadMaximum(QueueSizeError),
    /// The queue's doorbell would lie outside the notification structure.
    DoorbellOutside {
        /// The device's offset for the queue, in multiples of the notify multiplier.
        notify_offset: u16,
    },
    /// A device of the legacy interface cannot be told where the queue is.
    LegacyAddresses(LegacyAddressError),
    /// A device of the legacy interface has queues of one size only.
    LegacySize {
        /// What the device has.
        size: QueueSize,
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

/// The two vector registers.
#[derive(Clone, Copy)]
enum Event {
    Configuration,
    Queue,
}

impl<R: Registers> PciTransport<R> {
    /// Reads how many queues the device has; `None` on the legacy interface, which does not say.
    pub fn read_queue_count(&self) -> Option<u16> {
        let Layout::Modern(structures) = &self.layout else {
            return None;
        };
        let count = self
            .registers
            .read16(structures.common.within(common::NUM_QUEUES));
        Some(if count == u16::MAX { 0 } else { count })
    }

    /// Reads the most descriptors that queue `index` may have, rounded down to what is possible in
    /// the format that `features`, the settled ones, say: a power of two for a split queue.
    ///
    /// On the legacy interface there is no choice, and no rounding.
    ///
    /// # Errors
    ///
    /// There is no such queue, or the number is not possible.
    pub(crate) fn max_queue_size(
        &mut self,
        index: u16,
        features: Features,
    ) -> Result<QueueSize, QueueSetupError> {
        self.select_queue(index, features)
    }

    /// Selects queue `index` for the registers that are about one queue, and reads its maximum.
    ///
    /// One caller at a time: the selection is a register of the device.
    fn select_queue(&self, index: u16, features: Features) -> Result<QueueSize, QueueSetupError> {
        if self.read_queue_count().is_some_and(|count| index >= count) {
            return Err(QueueSetupError::Absent);
        }
        let (select, size) = match &self.layout {
            Layout::Modern(structures) => (
                structures.common.within(common::QUEUE_SELECT),
                structures.common.within(common::QUEUE_SIZE),
            ),
            Layout::Legacy(_) => (
                LegacyRegisters::at(legacy::QUEUE_SELECT),
                LegacyRegisters::at(legacy::QUEUE_SIZE),
            ),
        };
        self.registers.write16(select, index);
        let max = match self.registers.read16(size) {
            0 => return Err(QueueSetupError::Absent),
            max => max,
        };
        let usable = match self.layout {
            Layout::Modern(_) => QueueSize::largest(max, features),
            Layout::Legacy(_) => QueueSize::new(max),
        };
        usable.map_err(|_| QueueSetupError::BadMaximum(QueueSizeError(max)))
    }

    /// Chooses how many descriptors queue `index` is to have: at most `wish`, at most what the
    /// device has, and at least what the format needs; on the legacy interface what the device has.
    ///
    /// # Errors
    ///
    /// Those of [`max_queue_size`](Self::max_queue_size).
    pub(crate) fn choose_queue_size(
        &mut self,
        index: u16,
        wish: u16,
        features: Features,
    ) -> Result<QueueSize, QueueSetupError> {
        let max = self.max_queue_size(index, features)?;
        if matches!(self.layout, Layout::Legacy(_)) {
            return Ok(max);
        }
        // The smallest of a split queue is two, of a packed one perhaps all that the device has.
        let wish = wish.max(2).min(max.get());
        QueueSize::largest(wish, features).map_err(QueueSetupError::BadMaximum)
    }

    /// Describes a queue to the device and enables it. `features` are the settled ones. One caller
    /// at a time.
    ///
    /// # Errors
    ///
    /// Says what the device refused; the queue is not enabled then.
    pub(crate) fn set_up_queue(
        &self,
        setup: &QueueSetup,
        features: Features,
    ) -> Result<Doorbell, QueueSetupError> {
        let max = self.select_queue(setup.index, features)?;
        match &self.layout {
            Layout::Modern(structures) => self.set_up_modern(structures, setup, features, max),
            Layout::Legacy(_) => self.set_up_legacy(setup, max),
        }
    }

    fn set_up_modern(
        &self,
        structures: &Structures,
        setup: &QueueSetup,
        features: Features,
        max: QueueSize,
    ) -> Result<Doorbell, QueueSetupError> {
        if setup.size > max {
            return Err(QueueSetupError::TooLarge { max });
        }
        let field = |field| structures.common.within(field);
        if self.registers.read16(field(common::QUEUE_ENABLE)) != 0 {
            return Err(QueueSetupError::AlreadyEnabled);
        }
        let doorbell = self.read_doorbell(structures, setup.index, features)?;

        self.write_vector(Event::Queue, setup.vector)?;
        let size = setup.size.get();
        self.registers.write16(field(common::QUEUE_SIZE), size);
        self.write_address(field(common::QUEUE_DESC), setup.addresses.descriptors);
        self.write_address(field(common::QUEUE_DRIVER), setup.addresses.driver);
        self.write_address(field(common::QUEUE_DEVICE), setup.addresses.device);
        // Everything else comes before (virtio 1.2, 4.1.4.3.2).
        self.registers.write16(field(common::QUEUE_ENABLE), 1);
        Ok(doorbell)
    }

    fn set_up_legacy(
        &self,
        setup: &QueueSetup,
        size: QueueSize,
    ) -> Result<Doorbell, QueueSetupError> {
        if setup.size != size {
            return Err(QueueSetupError::LegacySize { size });
        }
        let page = legacy_layout::page(size, &setup.addresses)
            .map_err(QueueSetupError::LegacyAddresses)?;
        let address = LegacyRegisters::at(legacy::QUEUE_ADDRESS);
        if self.registers.read32(address) != 0 {
            return Err(QueueSetupError::AlreadyEnabled);
        }
        self.write_vector(Event::Queue, setup.vector)?;
        // The address enables the queue.
        self.registers.write32(address, page);
        Ok(Doorbell::legacy(setup.index))
    }

    /// Names the vector for configuration changes, or none.
    ///
    /// # Errors
    ///
    /// The device has no interrupt for it.
    pub(crate) fn set_config_vector(&mut self, vector: Option<u16>) -> Result<(), QueueSetupError> {
        self.write_vector(Event::Configuration, vector)
    }

    /// Writes a vector and reads it back, which tells whether the device took it
    /// (virtio 1.2, 4.1.5.1.2.2).
    ///
    /// The legacy interface has the registers only while MSI-X is enabled; without them there is
    /// no message, and none can be asked for.
    fn write_vector(&self, event: Event, vector: Option<u16>) -> Result<(), QueueSetupError> {
        let taken = self.vector_register(event).map(|at| {
            self.registers.write16(at, vector.unwrap_or(NO_VECTOR));
            self.registers.read16(at)
        });
        match vector {
            Some(vector) if taken != Some(vector) || vector == NO_VECTOR => {
                Err(QueueSetupError::VectorRefused { vector })
            }
            _ => Ok(()),
        }
    }

    fn vector_register(&self, event: Event) -> Option<RegisterAddress> {
        match (&self.layout, event) {
            (Layout::Modern(structures), Event::Configuration) => {
                Some(structures.common.within(common::CONFIG_MSIX_VECTOR))
            }
            (Layout::Modern(structures), Event::Queue) => {
                Some(structures.common.within(common::QUEUE_MSIX_VECTOR))
            }
            (Layout::Legacy(registers), _) if !registers.reads_msix_enabled(&self.registers) => {
                None
            }
            (Layout::Legacy(_), Event::Configuration) => {
                Some(LegacyRegisters::at(legacy::CONFIG_MSIX_VECTOR))
            }
            (Layout::Legacy(_), Event::Queue) => {
                Some(LegacyRegisters::at(legacy::QUEUE_MSIX_VECTOR))
            }
        }
    }

    fn write_address(&self, at: RegisterAddress, address: u64) {
        self.registers.write32(at, address as u32);
        let high = (address >> 32) as u32;
        self.registers.write32(at.within(4), high);
    }
}
