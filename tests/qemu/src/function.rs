//! The PCI function that the host has in its slot: QEMU's, with two things of its own.
//!
//! The host's addresses are not QEMU's: its BAR registers are kept here, and an access to a BAR goes to
//! where QEMU has it, be it memory or I/O ports. All memory BARs are 64-bit ones to the host, as those of
//! the embedded device are.
//! The other is the MSI-X table, see [`crate::interrupts`].

use anyhow::{Context, Result};
use devices::pci::{Bar, BarKind, ConfigSpace, HeaderIds, PciFunction};

use crate::bars::PlacedBar;
use crate::bus::{self, FoundCapability, Port};
use crate::card::{Card, CardSide};
use crate::interrupts::Word;
use crate::qtest::{Qtest, Width};

const COMMAND: u16 = 0x04;
const FIRST_BAR: u16 = 0x10;
const BEHIND_BARS: u16 = 0x28;
const PCI_EXPRESS: u8 = 0x10;
/// Device Control in the PCI Express capability, and its bit that begins a function level reset.
const DEVICE_CONTROL: u16 = 8;
const RESET: u32 = 1 << 15;

/// What the function is to the host where it differs from QEMU's.
pub struct HostSide {
    bars: Vec<PlacedBar>,
    /// Only its command register and BARs are in use.
    registers: ConfigSpace,
    express: Option<u16>,
}

impl HostSide {
    /// Of a function with these BARs and capabilities.
    #[must_use]
    pub fn new(bars: Vec<PlacedBar>, capabilities: &[FoundCapability]) -> Self {
        let express = capabilities.iter().find(|one| one.id == PCI_EXPRESS);
        Self {
            registers: registers(&bars),
            express: express.map(|one| one.at),
            bars,
        }
    }

    /// The BAR of an access, if it answers.
    fn bar(&self, index: u8) -> Result<Option<PlacedBar>> {
        let mut bars = self.bars.iter();
        let found = bars.find(|one| one.index == index);
        let bar = *found.with_context(|| format!("no BAR {index}"))?;
        let answers = match bar.kind {
            BarKind::Memory => self.registers.decodes_memory(),
            BarKind::Ports => self.registers.decodes_ports(),
        };
        Ok(answers.then_some(bar))
    }

    /// Whether the function is PCI Express.
    #[must_use]
    pub fn is_express(&self) -> bool {
        self.express.is_some()
    }

    /// The BARs, for the host.
    #[must_use]
    pub fn list(&self) -> Vec<Bar> {
        self.bars.iter().map(PlacedBar::for_host).collect()
    }
}

fn registers(bars: &[PlacedBar]) -> ConfigSpace {
    // Identifiers are read from QEMU.
    let nobody = HeaderIds {
        vendor: 0,
        device: 0,
        subsystem_vendor: 0,
        subsystem: 0,
        revision: 0,
        class: 0,
    };
    let mut registers = ConfigSpace::new(nobody, 256);
    for bar in bars {
        registers.add_bar(bar.for_host(), bar.is_prefetchable);
    }
    registers
}

/// QEMU's function in a slot of the host. Without its card it answers as an empty slot does.
pub struct Function(pub Card);

impl PciFunction for Function {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        self.0.with(|mut access| access.config_read(offset, data));
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) {
        self.0.with(|mut access| access.config_write(offset, data));
    }

    fn bars(&self) -> Vec<Bar> {
        self.0.bars()
    }

    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        self.0.with(|mut access| access.bar_read(bar, offset, data));
    }

    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]) {
        self.0
            .with(|mut access| access.bar_write(bar, offset, data));
    }

    fn lose_power(&mut self) {
        self.0.with(|mut access| access.lose_power());
    }

    fn process(&mut self) {
        self.0.poll();
    }
}

/// An access of the host to a card.
pub struct CardAccess<'core> {
    /// QEMU.
    pub qtest: &'core mut Qtest,
    /// Where the card is.
    pub port: Port,
    /// What is known of it.
    pub side: &'core mut CardSide,
}

impl CardAccess<'_> {
    fn config_read(&mut self, offset: u16, data: &mut [u8]) -> Result<()> {
        if (FIRST_BAR..BEHIND_BARS).contains(&offset) {
            self.side.host_side.registers.read(offset, data);
            return Ok(());
        }
        let width = width(data)?;
        let value = self.port.function().read(self.qtest, offset, width)?;
        put(data, u64::from(value));
        Ok(())
    }

    fn config_write(&mut self, offset: u16, data: &[u8]) -> Result<()> {
        if (COMMAND..BEHIND_BARS).contains(&offset) {
            self.side.host_side.registers.write(offset, data);
        }
        if (FIRST_BAR..BEHIND_BARS).contains(&offset) {
            return Ok(());
        }
        let value = u32::try_from(get(data)).context("a configuration write of 8 bytes")?;
        let width = width(data)?;
        self.port.function().write(self.qtest, offset, width, value)
    }

    fn bar_read(&mut self, index: u8, offset: u64, data: &mut [u8]) -> Result<()> {
        let side = &mut *self.side;
        let Some(bar) = side.host_side.bar(index)? else {
            return Ok(());
        };
        side.cost.register_reads += 1;
        side.cost.port_accesses += u64::from(bar.kind == BarKind::Ports);
        let width = width(data)?;
        if let Some(place) = side.messages.place(index, offset)
            && let Some(programmed) = side.messages.read(place)
        {
            put(data, u64::from(programmed));
            return Ok(());
        }
        let value = bar.read(self.qtest, offset, width)?;
        put(data, value);
        Ok(())
    }

    fn bar_write(&mut self, index: u8, offset: u64, data: &[u8]) -> Result<()> {
        let side = &mut *self.side;
        let Some(bar) = side.host_side.bar(index)? else {
            return Ok(());
        };
        side.cost.port_accesses += u64::from(bar.kind == BarKind::Ports);
        let width = width(data)?;
        let mut value = get(data);
        if let Some(place) = side.messages.place(index, offset) {
            // The PCI Local Bus Specification 3.0, 6.8.2, knows 4 and 8 bytes; the host uses 4.
            anyhow::ensure!(width == Width::Long, "{} bytes of an entry", data.len());
            value = u64::from(side.messages.write(place, value as u32));
            side.cost.mask_changes += u64::from(place.word == Word::Control);
        } else if let Some(queue) = side.layout.doorbell(index, offset, value) {
            *side.cost.doorbells.entry(queue).or_default() += 1;
        } else {
            side.cost.register_writes += 1;
        }
        bar.write(self.qtest, offset, width, value)
    }

    /// What it was told is forgotten, BARs and messages included: a function level reset, or a reset of the
    /// bus behind its port if it is not PCI Express.
    fn lose_power(&mut self) -> Result<()> {
        let side = &mut *self.side;
        if let Some(express) = side.host_side.express {
            let (config, at) = (self.port.function(), express + DEVICE_CONTROL);
            let control = config.read(self.qtest, at, Width::Word)?;
            config.write(self.qtest, at, Width::Word, control | RESET)?;
        } else {
            bus::reset_behind(self.qtest, self.port)?;
        }
        bus::place(self.qtest, self.port, &side.host_side.bars)?;
        side.host_side.registers = registers(&side.host_side.bars);
        side.messages.forget();
        Ok(())
    }
}

fn width(data: &[u8]) -> Result<Width> {
    Width::of(data.len()).with_context(|| format!("an access of {} bytes", data.len()))
}

fn get(data: &[u8]) -> u64 {
    let bytes = data.iter().rev();
    bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn put(data: &mut [u8], value: u64) {
    for (byte, from) in data.iter_mut().zip(value.to_le_bytes()) {
        *byte = from;
    }
}
