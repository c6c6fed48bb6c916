//! Where the registers of a virtio device are, from its capabilities (virtio 1.2, 4.1.4).

use anyhow::{Context, Result};

use crate::bus::{FoundCapability, Port};
use crate::qtest::{Qtest, Width};

const VENDOR_SPECIFIC: u8 = 0x09;
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;
/// `num_queues` in the common configuration.
const NUM_QUEUES: u64 = 0x12;

/// A range of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The BAR.
    pub bar: u8,
    /// First byte in it.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// What the capabilities tell.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The common configuration.
    pub common: Registers,
    /// The doorbells.
    pub notify: Registers,
    /// Bytes from one doorbell to the next.
    pub multiplier: u64,
}

impl Layout {
    /// Reads the capabilities.
    ///
    /// # Errors
    ///
    /// One is missing, or QEMU does not answer.
    pub fn read(qtest: &mut Qtest, port: Port, capabilities: &[FoundCapability]) -> Result<Self> {
        let config = port.function();
        let (mut common, mut notify, mut multiplier) = (None, None, 0);
        let ours = capabilities.iter().filter(|one| one.id == VENDOR_SPECIFIC);
        for FoundCapability { at, .. } in ours {
            let kind = config.read(qtest, at + 3, Width::Byte)?;
            let registers = Registers {
                bar: config.read(qtest, at + 4, Width::Byte)? as u8,
                offset: u64::from(config.read(qtest, at + 8, Width::Long)?),
                length: u64::from(config.read(qtest, at + 12, Width::Long)?),
            };
            match kind {
                COMMON => common = Some(registers),
                NOTIFY => {
                    notify = Some(registers);
                    multiplier = u64::from(config.read(qtest, at + 16, Width::Long)?);
                }
                _ => {}
            }
        }
        Ok(Self {
            common: common.context("no common configuration")?,
            notify: notify.context("no doorbells")?,
            multiplier,
        })
    }

    /// The queue whose doorbell is at an offset of a BAR. QEMU has the doorbell of queue n in place n.
    #[must_use]
    pub fn doorbell(&self, bar: u8, offset: u64) -> Option<u64> {
        let within = offset.checked_sub(self.notify.offset)?;
        if bar != self.notify.bar || within >= self.notify.length {
            return None;
        }
        within.checked_div(self.multiplier)
    }

    /// How many queues the device has, as its registers at `base`, the address of their BAR, tell.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn queues(&self, qtest: &mut Qtest, base: u64) -> Result<u64> {
        qtest.read(base + self.common.offset + NUM_QUEUES, Width::Word)
    }
}
