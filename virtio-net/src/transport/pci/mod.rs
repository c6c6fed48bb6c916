//! Virtio over PCI (virtio 1.2, 4.1): status, reset, features, configuration, interrupts.
//!
//! [`PciTransport`] owns the [`Registers`] and knows where the device's structures lie;
//! [`capabilities`] finds them, [`queues`] sets up virtqueues. The order of the steps is the business
//! of [`bring_up`](crate::bring_up).

pub mod capabilities;
mod common;
pub mod queues;

pub use virtio_spec::DeviceStatus;
pub use virtio_spec::pci::IsrStatus;

use self::capabilities::{LayoutError, Structures};
use crate::dma::Quiesced;
use crate::features::Features;
use crate::registers::{RegisterAddress, Registers};

/// Offset of the vendor ID in configuration space; all ones there mean that nobody answers.
const CONFIG_VENDOR_ID: u16 = 0;
/// Every defined and reserved bit of the status at once: no device says that, a dead bus does.
const STATUS_ALL_ONES: u8 = 0xff;
/// How often a configuration that changes under the reading is read again.
const CONFIG_READ_TRIES: u32 = 16;
/// Words of feature bits that this driver knows (see [`Features`]).
const FEATURE_WORDS: u8 = 4;

/// The device as seen through its PCI function.
#[derive(Debug)]
pub struct PciTransport<R> {
    registers: R,
    structures: Structures,
}

/// Whether the device does its work.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// It answers and reports no error.
    Good,
    /// It has met an error that only a reset mends (`DEVICE_NEEDS_RESET`).
    NeedsReset,
    /// Configuration space reads all ones: removed from the bus.
    Gone,
    /// Configuration space answers but the registers do not: memory decoding is off.
    NotDecoding,
}

/// A reset that was not confirmed.
#[derive(Debug)]
pub enum ResetError {
    /// The device has left the bus, which is as good as a reset for the memory it used.
    Gone(Quiesced),
    /// Its registers do not answer; it may still use memory.
    NotDecoding,
    /// It showed this status until the end; it may still use memory.
    TimedOut(DeviceStatus),
}

/// A device configuration that could not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadConfigError {
    /// The registers do not answer.
    Gone,
    /// A field lies beyond the `len` bytes that the device has.
    Outside {
        /// Offset of the field.
        offset: u32,
        /// Bytes of the device configuration.
        len: u32,
    },
    /// The configuration changed during each of many readings.
    Unstable,
}

impl<R: Registers> PciTransport<R> {
    /// Finds the virtio structures of a function.
    ///
    /// `bars` holds, for each base address register, the bytes that `registers` can reach through
    /// it, and 0 where there is no mapped memory. The device is not touched beyond reads of its
    /// configuration space.
    ///
    /// # Errors
    ///
    /// Says which capability is missing or wrong; `registers` is dropped then.
    pub fn open(registers: R, bars: &[u64; 6]) -> Result<Self, LayoutError> {
        let structures = capabilities::find(&registers, bars)?;
        Ok(Self {
            registers,
            structures,
        })
    }

    /// What the caller gave to [`open`](Self::open).
    pub const fn registers(&self) -> &R {
        &self.registers
    }

    /// Where the structures lie.
    pub const fn structures(&self) -> &Structures {
        &self.structures
    }

    /// Reads the device status.
    pub fn read_status(&self) -> DeviceStatus {
        let bits = self.registers.read8(self.common(common::DEVICE_STATUS));
        DeviceStatus::from_bits_retain(bits)
    }

    /// Reads how the device is.
    pub fn read_health(&self) -> Health {
        let status = self.read_status();
        if status.bits() == STATUS_ALL_ONES {
            return if self.is_off_the_bus() {
                Health::Gone
            } else {
                Health::NotDecoding
            };
        }
        if status.contains(DeviceStatus::DEVICE_NEEDS_RESET) {
            return Health::NeedsReset;
        }
        Health::Good
    }

    /// Sets `bits` in the status, keeping those that are set (virtio 1.2, 2.1.1).
    ///
    /// Writes nothing when the registers do not answer.
    pub(crate) fn add_status(&mut self, bits: DeviceStatus) {
        let status = self.read_status();
        if status.bits() != STATUS_ALL_ONES {
            let status = status | bits;
            self.registers
                .write8(self.common(common::DEVICE_STATUS), status.bits());
        }
    }

    /// Resets the device and waits until it confirms (virtio 1.2, 2.4.2 and 4.1.4.3.2).
    ///
    /// Reads the status at most `tries` times (and at least once), with `stall` between two reads.
    ///
    /// # Errors
    ///
    /// Says what the device did instead. Unless it is gone, its memory must stay allocated.
    pub fn reset(&self, tries: u32, mut stall: impl FnMut()) -> Result<Quiesced, ResetError> {
        self.registers.write8(self.common(common::DEVICE_STATUS), 0);
        let mut status = DeviceStatus::empty();
        for attempt in 0..tries.max(1) {
            if attempt > 0 {
                stall();
            }
            status = self.read_status();
            if status.is_empty() {
                return Ok(Quiesced::observed());
            }
            if self.is_off_the_bus() {
                return Err(ResetError::Gone(Quiesced::observed()));
            }
        }

        Err(match status.bits() {
            STATUS_ALL_ONES => ResetError::NotDecoding,
            _ => ResetError::TimedOut(status),
        })
    }

    /// Reads the features that the device offers.
    pub(crate) fn read_offered(&mut self) -> Features {
        (0..FEATURE_WORDS).fold(Features::NONE, |offered, word| {
            self.registers
                .write32(self.common(common::DEVICE_FEATURE_SELECT), word.into());
            let bits = self.registers.read32(self.common(common::DEVICE_FEATURE));
            offered | Features::from_word(word, bits)
        })
    }

    /// Writes the accepted features, **the highest word first**.
    ///
    /// A device keeps the words of an earlier driver through a reset, and QEMU acts on
    /// `VIRTIO_NET_F_STANDBY` (it plugs the primary) at the write of *any* word while bit 62 is in
    /// its copy. Were the low word written first, a stale high word would still count.
    ///
    /// Words above the second are written only to devices that offer something there.
    pub(crate) fn write_accepted(&mut self, accepted: Features, offered: Features) {
        for word in (0..FEATURE_WORDS).rev() {
            if word < 2 || offered.word(word) != 0 {
                self.registers
                    .write32(self.common(common::DRIVER_FEATURE_SELECT), word.into());
                self.registers
                    .write32(self.common(common::DRIVER_FEATURE), accepted.word(word));
            }
        }
    }

    /// Reads the interrupt status, which clears it (virtio 1.2, 4.1.4.5).
    ///
    /// For line interrupts and single messages; with MSI-X a queue interrupt needs no such read. A
    /// device that is gone has no interrupt pending.
    pub fn read_isr(&self) -> IsrStatus {
        match self.registers.read8(self.structures.isr) {
            0xff => IsrStatus::empty(),
            bits => IsrStatus::from_bits_retain(bits),
        }
    }

    /// Reads the device configuration through `read` until no change interfered
    /// (virtio 1.2, 2.5.1).
    ///
    /// # Errors
    ///
    /// Passes on what `read` reports, and gives up after a bounded number of changes.
    pub(crate) fn read_config<T>(
        &self,
        read: impl Fn(&ConfigFields<'_, R>) -> Result<T, ReadConfigError>,
    ) -> Result<T, ReadConfigError> {
        let fields = ConfigFields {
            registers: &self.registers,
            structures: &self.structures,
        };
        for _ in 0..CONFIG_READ_TRIES {
            let before = self.read_generation();
            let value = read(&fields)?;
            if self.is_off_the_bus() {
                return Err(ReadConfigError::Gone);
            }
            if self.read_generation() == before {
                return Ok(value);
            }
        }
        Err(ReadConfigError::Unstable)
    }

    fn read_generation(&self) -> u8 {
        self.registers.read8(self.common(common::CONFIG_GENERATION))
    }

    fn is_off_the_bus(&self) -> bool {
        self.registers.config_read16(CONFIG_VENDOR_ID) == u16::MAX
    }

    fn common(&self, field: u32) -> RegisterAddress {
        self.structures.common.within(field)
    }
}

/// The fields of the device configuration, each inside the bytes that the device has.
pub(crate) struct ConfigFields<'a, R> {
    registers: &'a R,
    structures: &'a Structures,
}

impl<R: Registers> ConfigFields<'_, R> {
    /// Reads the byte at `offset`.
    pub(crate) fn byte(&self, offset: u32) -> Result<u8, ReadConfigError> {
        Ok(self.registers.read8(self.at(offset, 1)?))
    }

    /// Reads the two bytes at `offset`, which is even.
    pub(crate) fn word(&self, offset: u32) -> Result<u16, ReadConfigError> {
        Ok(self.registers.read16(self.at(offset, 2)?))
    }

    fn at(&self, offset: u32, bytes: u32) -> Result<RegisterAddress, ReadConfigError> {
        let len = self.structures.device_len;
        match offset.checked_add(bytes) {
            Some(end) if end <= len => Ok(self.structures.device.within(offset)),
            _ => Err(ReadConfigError::Outside { offset, len }),
        }
    }
}
