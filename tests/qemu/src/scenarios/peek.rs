//! A look at registers of a device, as its driver would see them.

use anyhow::{Context, Result};

use crate::bus::{self, Port};
use crate::machine::Machine;
use crate::qtest::Width;

/// The vendor capability, and the kind that is the device's own configuration (virtio 1.2, 4.1.4).
const VENDOR_SPECIFIC: u8 = 0x09;
const DEVICE: u32 = 4;
/// The first BAR.
const FIRST_BAR: u16 = 0x10;
/// `status` in the configuration of a network device, and its bit for an announcement (5.1.4).
const STATUS: u64 = 6;
const ANNOUNCE: u64 = 2;

/// Whether the network device behind a port waits for an announcement.
///
/// # Errors
///
/// There is none, or QEMU does not answer.
pub(super) fn wants_announcement(machine: &Machine, port: Port) -> Result<bool> {
    machine.try_with(|core| {
        let (qtest, _) = core.split(port)?;
        let config = port.function();
        let mut status = None;
        for one in config.capabilities(qtest)? {
            let kind = config.read(qtest, one.at + 3, Width::Byte)?;
            if one.id == VENDOR_SPECIFIC && kind == DEVICE {
                let bar = config.read(qtest, one.at + 4, Width::Byte)? as u16;
                let register = FIRST_BAR + 4 * bar;
                let low = config.read(qtest, register, Width::Long)?;
                let high = config.read(qtest, register + 4, Width::Long)?;
                let offset = config.read(qtest, one.at + 8, Width::Long)?;
                let base = u64::from(high) << 32 | u64::from(low & !0xf);
                let at = base + u64::from(offset) + STATUS;
                status = Some(qtest.read(at, Width::Word)?);
            }
        }
        let status = status.context("no configuration of the device's own")?;
        Ok(status & ANNOUNCE != 0)
    })
}

/// Registers that a card has been told something by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// Command.
    pub(super) command: u32,
    /// BARs.
    pub(super) bars: [u32; 6],
}

/// What the card behind a port was told. `None`: there is none that answers.
///
/// # Errors
///
/// QEMU does not answer.
pub(super) fn registers(machine: &Machine, port: Port) -> Result<Option<Told>> {
    const COMMAND: u16 = 4;
    machine.try_with(|core| {
        let (qtest, _) = core.split(port)?;
        if !bus::is_occupied(qtest, port)? {
            return Ok(None);
        }
        let config = port.function();
        let command = config.read(qtest, COMMAND, Width::Word)?;
        let mut bars = [0; 6];
        for (bar, at) in bars.iter_mut().zip((FIRST_BAR..).step_by(4)) {
            *bar = config.read(qtest, at, Width::Long)? & !0xf;
        }
        Ok(Some(Told { command, bars }))
    })
}
