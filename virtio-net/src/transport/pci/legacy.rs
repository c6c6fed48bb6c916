//! The registers of the legacy interface: the start of BAR 0, in I/O ports (virtio 1.2, 4.1.4.10).
//!
//! Everything is in the byte order of the CPU, which on those that this driver runs on is
//! little-endian, as for the modern interface.

use super::capabilities::LayoutError;
use super::chain;
use crate::registers::{RegisterAddress, Registers};

pub(super) const DEVICE_FEATURES: u32 = 0;
pub(super) const DRIVER_FEATURES: u32 = 4;
pub(super) const QUEUE_ADDRESS: u32 = 8;
pub(super) const QUEUE_SIZE: u32 = 12;
pub(super) const QUEUE_SELECT: u32 = 14;
pub(super) const QUEUE_NOTIFY: u32 = 16;
pub(super) const DEVICE_STATUS: u32 = 18;
pub(super) const ISR_STATUS: u32 = 19;
/// These two are there only while MSI-X is enabled.
pub(super) const CONFIG_MSIX_VECTOR: u32 = 20;
pub(super) const QUEUE_MSIX_VECTOR: u32 = 22;

/// Where the device configuration starts, without and with the two.
const DEVICE_CONFIG: u32 = 20;
const DEVICE_CONFIG_WITH_MSIX: u32 = 24;

const BAR: u8 = 0;
const CONFIG_BAR_0: u16 = 0x10;
const BAR_IS_IO: u32 = 1;

const CAPABILITY_ID_MSIX: u8 = 0x11;
const MSIX_MESSAGE_CONTROL: u8 = 2;
const MSIX_ENABLED: u16 = 1 << 15;

/// A function that is driven by the legacy interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LegacyRegisters {
    /// Bytes of BAR 0 that 32 bits can address.
    len: u32,
    /// Where configuration space has the control word of MSI-X, if it does.
    msix_control: Option<u16>,
}

impl LegacyRegisters {
    /// Looks for the registers in BAR 0 of a function that is known to have them.
    pub(super) fn find(registers: &impl Registers, bars: &[u64; 6]) -> Result<Self, LayoutError> {
        let [mapped, ..] = *bars;
        let len = u32::try_from(mapped).unwrap_or(u32::MAX);
        let is_io = registers.config_read32(CONFIG_BAR_0) & BAR_IS_IO != 0;
        if !is_io || len < DEVICE_CONFIG_WITH_MSIX {
            return Err(LayoutError::LegacyRegisters { len: mapped });
        }
        let mut msix_control = None;
        let walked = chain::walk(registers, |at, id| {
            if id == CAPABILITY_ID_MSIX {
                msix_control = Some(u16::from(at | MSIX_MESSAGE_CONTROL));
            }
            Ok(())
        });
        match walked {
            Ok(()) | Err(LayoutError::NoCapabilities) => Ok(Self { len, msix_control }),
            Err(error) => Err(error),
        }
    }

    /// A register of the header.
    pub(super) const fn at(field: u32) -> RegisterAddress {
        RegisterAddress {
            bar: BAR,
            offset: field,
        }
    }

    /// Where the device configuration starts now, and its bytes.
    ///
    /// The system turns MSI-X on and off as it likes, and the fields move with it.
    pub(super) fn device_config(&self, registers: &impl Registers) -> (RegisterAddress, u32) {
        let start = match self.reads_msix_enabled(registers) {
            true => DEVICE_CONFIG_WITH_MSIX,
            false => DEVICE_CONFIG,
        };
        (Self::at(start), self.len.saturating_sub(start))
    }

    /// Whether there are vector registers now.
    pub(super) fn reads_msix_enabled(&self, registers: &impl Registers) -> bool {
        let control = self.msix_control.map(|at| registers.config_read16(at));
        control.is_some_and(|control| control & MSIX_ENABLED != 0)
    }
}
