//! Reading the device configuration as it was at one moment (virtio 1.2, 2.5.1 and 2.5.3).

use super::{Layout, PciTransport, common};
use crate::registers::{RegisterAddress, Registers};

/// How often a configuration that changes under the reading is read again.
const TRIES: u32 = 16;

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
    /// Reads the device configuration through `read` until no change interfered: until the
    /// generation is the same before and after, or, on the legacy interface, which has none, until
    /// two readings agree.
    ///
    /// # Errors
    ///
    /// Passes on what `read` reports, and gives up after a bounded number of changes.
    pub(crate) fn read_config<T: PartialEq>(
        &self,
        read: impl Fn(&ConfigFields<'_, R>) -> Result<T, ReadConfigError>,
    ) -> Result<T, ReadConfigError> {
        for _ in 0..TRIES {
            let before = self.read_generation();
            let value = read(&self.config_fields())?;
            if self.is_off_the_bus() {
                return Err(ReadConfigError::Gone);
            }
            let is_stable = match before {
                Some(_) => self.read_generation() == before,
                None => read(&self.config_fields())? == value,
            };
            if is_stable {
                return Ok(value);
            }
        }
        Err(ReadConfigError::Unstable)
    }

    fn read_generation(&self) -> Option<u8> {
        match &self.layout {
            Layout::Modern(structures) => {
                let at = structures.common.within(common::CONFIG_GENERATION);
                Some(self.registers.read8(at))
            }
            Layout::Legacy(_) => None,
        }
    }

    fn config_fields(&self) -> ConfigFields<'_, R> {
        let (start, len) = match &self.layout {
            Layout::Modern(structures) => (structures.device, structures.device_len),
            Layout::Legacy(legacy) => legacy.device_config(&self.registers),
        };
        ConfigFields {
            registers: &self.registers,
            start,
            len,
        }
    }
}

/// The fields of the device configuration, each inside the bytes that the device has.
pub(crate) struct ConfigFields<'a, R> {
    registers: &'a R,
    start: RegisterAddress,
    len: u32,
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

    /// Reads the four bytes at `offset`, which is a multiple of four.
    pub(crate) fn double(&self, offset: u32) -> Result<u32, ReadConfigError> {
        Ok(self.registers.read32(self.at(offset, 4)?))
    }

    fn at(&self, offset: u32, bytes: u32) -> Result<RegisterAddress, ReadConfigError> {
        let len = self.len;
        match offset.checked_add(bytes) {
            Some(end) if end <= len => Ok(self.start.within(offset)),
            _ => Err(ReadConfigError::Outside { offset, len }),
        }
    }
}
