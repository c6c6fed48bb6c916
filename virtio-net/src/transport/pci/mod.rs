//! Virtio over PCI (virtio 1.2, 4.1): status, reset, features, configuration, interrupts.
//!
//! [`PciTransport`] owns the [`Registers`] and knows where the device's registers lie: in structures
//! that [`capabilities`] finds, or, for a device of before virtio 1.0, where the legacy interface has
//! them. [`queues`] sets up virtqueues, [`ring_reset`] takes one back, [`window`] is a way to the
//! registers where BARs are none. The order of the steps is the business of
//! [`bring_up`](crate::bring_up).

pub mod capabilities;
mod chain;
mod common;
mod device_config;
mod doorbell;
mod exchange;
mod legacy;
pub mod queues;
pub mod ring_reset;
pub mod window;

pub use virtio_spec::DeviceStatus;
pub use virtio_spec::pci::IsrStatus;

use self::capabilities::{LayoutError, Structure, Structures};
pub(crate) use self::device_config::ConfigFields;
pub use self::device_config::ReadConfigError;
use self::legacy::LegacyRegisters;
use crate::dma::Quiesced;
use crate::features::Interface;
use crate::registers::{RegisterAddress, Registers};

/// Every defined and reserved bit of the status at once: no device says that, a dead bus does.
const STATUS_ALL_ONES: u8 = 0xff;

/// The device as seen through its PCI function.
#[derive(Debug)]
pub struct PciTransport<R> {
    registers: R,
    layout: Layout,
}

/// Where the registers lie. Nothing on the way of a packet asks: a doorbell knows its own place.
#[derive(Debug)]
enum Layout {
    Modern(Structures),
    Legacy(LegacyRegisters),
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

impl<R: Registers> PciTransport<R> {
    /// Finds the registers of a function.
    ///
    /// `bars` holds, for each base address register, be it of memory or of I/O ports, the bytes that
    /// `registers` can reach through it, and 0 where it reaches nothing. The device is not touched
    /// beyond reads of its configuration space.
    ///
    /// A device that speaks both interfaces is driven by the modern one; by the legacy one if
    /// nothing of the other is there, or none of its BARs can be reached.
    ///
    /// # Errors
    ///
    /// Says which capability is missing or wrong; `registers` is dropped then.
    pub fn open(registers: R, bars: &[u64; 6]) -> Result<Self, LayoutError> {
        let layout = match capabilities::find(&registers, bars) {
            Ok(structures) => Layout::Modern(structures),
            Err(LayoutError::NoCapabilities | LayoutError::Missing(Structure::Common))
                if chain::is_transitional_net(&registers) =>
            {
                Layout::Legacy(LegacyRegisters::find(&registers, bars)?)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { registers, layout })
    }

    /// Which interface the device is driven by.
    #[must_use]
    pub const fn interface(&self) -> Interface {
        match self.layout {
            Layout::Modern(_) => Interface::Modern,
            Layout::Legacy(_) => Interface::Legacy,
        }
    }

    /// What the caller gave to [`open`](Self::open).
    pub const fn registers(&self) -> &R {
        &self.registers
    }

    /// Where the structures lie; `None` on the legacy interface.
    pub const fn structures(&self) -> Option<&Structures> {
        match &self.layout {
            Layout::Modern(structures) => Some(structures),
            Layout::Legacy(_) => None,
        }
    }

    /// Reads the device status.
    pub fn read_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.registers.read8(self.status_register()))
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
            self.registers.write8(self.status_register(), status.bits());
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
        self.registers.write8(self.status_register(), 0);
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

    /// Reads the interrupt status, which clears it (virtio 1.2, 4.1.4.5).
    ///
    /// For line interrupts and single messages; with MSI-X a queue interrupt needs no such read. A
    /// device that is gone has no interrupt pending.
    pub fn read_isr(&self) -> IsrStatus {
        let at = match &self.layout {
            Layout::Modern(structures) => structures.isr,
            Layout::Legacy(_) => LegacyRegisters::at(legacy::ISR_STATUS),
        };
        match self.registers.read8(at) {
            0xff => IsrStatus::empty(),
            bits => IsrStatus::from_bits_retain(bits),
        }
    }

    fn is_off_the_bus(&self) -> bool {
        chain::is_off_the_bus(&self.registers)
    }

    fn status_register(&self) -> RegisterAddress {
        match &self.layout {
            Layout::Modern(structures) => structures.common.within(common::DEVICE_STATUS),
            Layout::Legacy(_) => LegacyRegisters::at(legacy::DEVICE_STATUS),
        }
    }
}
