//! Where the registers of a virtio device are: from its capabilities (virtio 1.2, 4.1.4), or, of a device
//! that has none, as the legacy interface has them (4.1.4.10).

use anyhow::{Context, Result};
use devices::pci::BarKind;

use crate::bars::PlacedBar;
use crate::bus::{FoundCapability, Port};
use crate::qtest::{Qtest, Width};

const VENDOR_SPECIFIC: u8 = 0x09;
const COMMON: u32 = 1;
const NOTIFY: u32 = 2;
/// `num_queues` in the common configuration.
const NUM_QUEUES: u64 = 0x12;

/// Registers of the legacy interface: the size of the queue that is selected, which one that is, and the
/// doorbell of all.
const LEGACY_QUEUE_SIZE: u64 = 0x0c;
const LEGACY_QUEUE_SELECT: u64 = 0x0e;
const LEGACY_NOTIFY: u64 = 0x10;
/// Their BAR.
const LEGACY_BAR: u8 = 0;
/// Most queues that are looked for.
const MOST_QUEUES: u64 = 64;

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

/// Where the registers are.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// What the capabilities tell. A transitional device is driven so, too.
    Modern {
        /// The common configuration.
        common: Registers,
        /// The doorbells.
        notify: Registers,
        /// Bytes from one doorbell to the next.
        multiplier: u64,
    },
    /// In the I/O ports of BAR 0.
    Legacy,
}

impl Layout {
    /// Reads the capabilities.
    ///
    /// # Errors
    ///
    /// One is missing, or QEMU does not answer.
    pub fn read(
        qtest: &mut Qtest,
        port: Port,
        capabilities: &[FoundCapability],
        bars: &[PlacedBar],
    ) -> Result<Self> {
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
        let is_legacy = |bar: &PlacedBar| bar.index == LEGACY_BAR && bar.kind == BarKind::Ports;
        if common.is_none() && notify.is_none() && bars.iter().any(is_legacy) {
            return Ok(Self::Legacy);
        }
        Ok(Self::Modern {
            common: common.context("no common configuration")?,
            notify: notify.context("no doorbells")?,
            multiplier,
        })
    }

    /// The queue whose doorbell it is to write `value` at an offset of a BAR. QEMU has the doorbell of
    /// queue n in place n; the legacy interface has one, and queues are told apart by what is written.
    #[must_use]
    pub fn doorbell(&self, bar: u8, offset: u64, value: u64) -> Option<u64> {
        match self {
            Self::Modern {
                notify, multiplier, ..
            } => {
                let within = offset.checked_sub(notify.offset)?;
                if bar != notify.bar || within >= notify.length {
                    return None;
                }
                within.checked_div(*multiplier)
            }
            Self::Legacy => (bar == LEGACY_BAR && offset == LEGACY_NOTIFY).then_some(value),
        }
    }

    /// Bytes from one doorbell to the next; 0: all queues have the same.
    #[must_use]
    pub fn doorbell_distance(&self) -> u64 {
        match self {
            Self::Modern { multiplier, .. } => *multiplier,
            Self::Legacy => 0,
        }
    }

    /// The BAR that tells how many queues there are.
    #[must_use]
    pub fn registers_bar(&self) -> u8 {
        match self {
            Self::Modern { common, .. } => common.bar,
            Self::Legacy => LEGACY_BAR,
        }
    }

    /// How many queues the device has, as its registers in `bar` tell, which decodes.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn queues(&self, qtest: &mut Qtest, bar: &PlacedBar) -> Result<u64> {
        if let Self::Modern { common, .. } = self {
            return bar.read(qtest, common.offset + NUM_QUEUES, Width::Word);
        }
        // The first that has no descriptors is none.
        let mut queue = 0;
        while queue < MOST_QUEUES {
            bar.write(qtest, LEGACY_QUEUE_SELECT, Width::Word, queue)?;
            if bar.read(qtest, LEGACY_QUEUE_SIZE, Width::Word)? == 0 {
                break;
            }
            queue += 1;
        }
        Ok(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doorbell_is_told_by_its_place_or_by_what_is_written() {
        let registers = |offset| Registers {
            bar: 4,
            offset,
            length: 0x1000,
        };
        let modern = Layout::Modern {
            common: registers(0),
            notify: registers(0x3000),
            multiplier: 4,
        };
        assert_eq!(modern.doorbell(4, 0x3008, 9), Some(2));
        assert_eq!(modern.doorbell(4, 0x2ffc, 9), None);
        assert_eq!(modern.doorbell(1, 0x3008, 9), None);

        assert_eq!(Layout::Legacy.doorbell(0, 0x10, 1), Some(1));
        assert_eq!(Layout::Legacy.doorbell(0, 0x12, 1), None);
        assert_eq!(Layout::Legacy.doorbell(1, 0x10, 1), None);
    }
}
