//! How a guest learns that a card comes or has to go, and how it lets it go.
//!
//! | | ACPI | native PCI Express |
//! |---|---|---|
//! | registers | ports of the chipset | Slot Control and Slot Status of the root port |
//! | a card has come | a bit in UP | attention button, presence changed; the slot has no power |
//! | a card has to go | a bit in DOWN | attention button, with the power on |
//! | the guest lets it go | a bit in EJECT | power off |
//!
//! What the guest's firmware or its PCI bus driver does is done here; interrupts of the slots stay off,
//! so it has to look.

use anyhow::{Context, Result};
use qapi::qmp;

use crate::bus::Port;
use crate::monitor::Monitor;
use crate::qtest::{Qtest, Width};

/// ACPI hot-plug registers: ports, 32 bits each.
const UP: u16 = 0xcc0;
const DOWN: u16 = 0xcc4;
const EJECT: u16 = 0xcc8;
/// Which bus the others are about.
const SELECT: u16 = 0xcd0;
/// The card is in slot 0 of the bus behind the port.
const CARD: u32 = 1;

/// The capability that has the slot registers, and where they are in it.
const PCI_EXPRESS: u8 = 0x10;
const SLOT_CONTROL: u16 = 0x18;
const SLOT_STATUS: u16 = 0x1a;
/// Slot Control (PCI Express 4.0, 7.5.3.10): power off, with the indicators off.
const POWER_OFF: u32 = 0x07c0;
/// Power on, power indicator on.
const POWER_ON: u32 = 0x01c0;
/// The bit of it that cuts the power.
const NO_POWER: u32 = 1 << 10;
/// Slot Status (7.5.3.11): attention button pressed; presence detect changed.
const ATTENTION: u32 = 1;
const PRESENCE_CHANGED: u32 = 1 << 3;
const IS_PRESENT: u32 = 1 << 6;

/// Which of the two a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// By ACPI, as q35 has it by default.
    Acpi,
    /// By the registers of the root port.
    Native,
}

impl Style {
    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acpi => "acpi",
            Self::Native => "native",
        }
    }
}

/// What happened to a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A card is there that was not.
    Came,
    /// Its card has to go.
    HasToGo,
}

/// Slots whose cards come and go.
#[derive(Clone, Debug)]
pub enum Slots {
    /// By ACPI: the bus selectors of the ports.
    Acpi(Vec<u32>),
    /// By the registers of the root ports: where they are.
    Native(u16),
}

impl Slots {
    /// Finds out what there is to know of the slots of `ports` root ports.
    ///
    /// # Errors
    ///
    /// QEMU does not answer; so for all that follows.
    pub fn find(
        style: Style,
        ports: usize,
        qtest: &mut Qtest,
        monitor: &mut Monitor,
    ) -> Result<Self> {
        match style {
            Style::Acpi => {
                let selector = |port: usize| {
                    let path = format!("/machine/peripheral/port{port}/port{port}");
                    let property = "acpi-pcihp-bsel".to_owned();
                    let told = monitor.execute(&qmp::qom_get { path, property })?;
                    let selector = told.as_u64().context("a bus selector")?;
                    Ok(u32::try_from(selector)?)
                };
                let selectors: Result<_> = (0..ports).map(selector).collect();
                Ok(Self::Acpi(selectors?))
            }
            Style::Native => {
                let capabilities = Port::at(0).own().capabilities(qtest)?;
                let express = capabilities.iter().find(|one| one.id == PCI_EXPRESS);
                let express = express.context("the root port is not PCI Express")?;
                Ok(Self::Native(express.at))
            }
        }
    }

    /// Looks for news of a slot, and takes them.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn look(&self, qtest: &mut Qtest, port: Port) -> Result<Option<News>> {
        match self {
            Self::Acpi(_) => {
                self.select(qtest, port)?;
                // Reading UP clears it; EJECT clears DOWN.
                if qtest.in_long(UP)? & CARD != 0 {
                    return Ok(Some(News::Came));
                }
                let has_to_go = qtest.in_long(DOWN)? & CARD != 0;
                Ok(has_to_go.then_some(News::HasToGo))
            }
            Self::Native(at) => {
                let own = port.own();
                let status = own.read(qtest, at + SLOT_STATUS, Width::Word)?;
                if status & (ATTENTION | PRESENCE_CHANGED) == 0 {
                    return Ok(None);
                }
                own.write(qtest, at + SLOT_STATUS, Width::Word, status)?;
                let control = own.read(qtest, at + SLOT_CONTROL, Width::Word)?;
                let has_power = control & NO_POWER == 0;
                let is_present = status & IS_PRESENT != 0;
                Ok(match (is_present, has_power) {
                    (true, false) => Some(News::Came),
                    (true, true) if status & ATTENTION != 0 => Some(News::HasToGo),
                    _ => None,
                })
            }
        }
    }

    /// Gives a card that came its power.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn power_on(&self, qtest: &mut Qtest, port: Port) -> Result<()> {
        match self {
            // ACPI's slots have power as soon as there is a card.
            Self::Acpi(_) => Ok(()),
            Self::Native(at) => self.set_power(qtest, port, *at, POWER_ON),
        }
    }

    /// Lets a card go.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn eject(&self, qtest: &mut Qtest, port: Port) -> Result<()> {
        match self {
            Self::Acpi(_) => {
                self.select(qtest, port)?;
                qtest.out_long(EJECT, CARD)?;
                // Writes are posted: this waits until it is done.
                qtest.in_long(SELECT).map(drop)
            }
            Self::Native(at) => self.set_power(qtest, port, *at, POWER_OFF),
        }
    }

    fn select(&self, qtest: &mut Qtest, port: Port) -> Result<()> {
        let Self::Acpi(selectors) = self else {
            return Ok(());
        };
        let selector = selectors.get(port.number());
        qtest.out_long(SELECT, *selector.context("a port that is none")?)
    }

    fn set_power(&self, qtest: &mut Qtest, port: Port, at: u16, power: u32) -> Result<()> {
        let own = port.own();
        own.write(qtest, at + SLOT_CONTROL, Width::Word, power)?;
        // What the change itself leaves in the status, command completed among it, is no news.
        let status = own.read(qtest, at + SLOT_STATUS, Width::Word)?;
        own.write(qtest, at + SLOT_STATUS, Width::Word, status)
    }
}
