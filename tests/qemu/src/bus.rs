//! What firmware does before a driver sees a card: the root ports' bus numbers and windows, and the
//! addresses of a function's BARs, be they of memory or of I/O ports.
//!
//! The first card is at 01:00.0, behind the root port at 00:01.0, the second at 02:00.0 behind 00:02.0.
//! Their BARs lie in their port's windows at QEMU's addresses, which the host never sees: the host gives
//! each function addresses of its own.

use anyhow::{Context, Result, ensure};
use devices::pci::command;

use crate::bars::{PlacedBar, Windows};
use crate::qtest::{Qtest, Width};

const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
/// PCIEXBAR of q35's memory controller, at 00:00.0.
const PCIEXBAR: u32 = 0x60;
/// Where configuration space is, 256 buses of it.
const ECAM: u64 = 0xb000_0000;
/// The windows of the first port, 16 MiB each: memory, and prefetchable memory. Those of the next follow.
/// A doorbell in a page of its own for each queue that could be takes 8 MiB.
const WINDOW: u64 = 0xc000_0000;
const PREFETCHABLE: u64 = 0xd000_0000;
const WINDOW_BYTES: u64 = 1 << 24;
/// The window of I/O ports of the first port, where the board has none of its own; those of the next follow.
const IO_WINDOW: u64 = 0xc000;
/// The smallest that a bridge can have.
const IO_WINDOW_BYTES: u64 = 1 << 12;

const COMMAND: u16 = 0x04;
/// Ports, memory, bus master, and system errors, which the port passes on.
const PORT_COMMAND: u16 = 0x107;
const BUS_NUMBERS: u16 = 0x18;
const PORTS_WINDOW: u16 = 0x1c;
const MEMORY_WINDOW: u16 = 0x20;
const PREFETCHABLE_WINDOW: u16 = 0x24;
const PREFETCHABLE_UPPER: [u16; 2] = [0x28, 0x2c];
const BRIDGE_CONTROL: u16 = 0x3e;
/// Its bit that holds the bus behind in reset.
const BUS_RESET: u32 = 1 << 6;
const FIRST_BAR: u16 = 0x10;
const BARS: u8 = 6;
const CAPABILITIES: u16 = 0x34;

/// A capability in the list.
#[derive(Clone, Copy, Debug)]
pub struct FoundCapability {
    /// What it is.
    pub id: u8,
    /// Where it is in configuration space.
    pub at: u16,
}

/// A root port, with room for one card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    number: u8,
}

impl Port {
    /// The port of that number; the first is 0.
    #[must_use]
    pub fn at(number: usize) -> Self {
        Self {
            number: number as u8,
        }
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> usize {
        usize::from(self.number)
    }

    /// Its slot on bus 0, which is also the number of the bus behind it.
    #[must_use]
    pub fn slot(self) -> u8 {
        self.number + 1
    }

    /// Its own configuration space.
    #[must_use]
    pub fn own(self) -> Config {
        Config::of(0, self.slot())
    }

    /// The configuration space of the card behind it.
    #[must_use]
    pub fn function(self) -> Config {
        Config::of(self.slot(), 0)
    }

    /// Its windows.
    fn windows(self) -> Windows {
        let window = |first: u64, bytes: u64| {
            let start = first + u64::from(self.number) * bytes;
            start..start + bytes
        };
        Windows {
            plain: window(WINDOW, WINDOW_BYTES),
            prefetchable: window(PREFETCHABLE, WINDOW_BYTES),
            ports: window(IO_WINDOW, IO_WINDOW_BYTES),
        }
    }
}

/// Configuration space of a function.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    base: u64,
}

impl Config {
    fn of(bus: u8, slot: u8) -> Self {
        Self {
            base: ECAM + (u64::from(bus) << 20) + (u64::from(slot) << 15),
        }
    }

    /// Reads.
    ///
    /// # Errors
    ///
    /// QEMU does not answer; so for all that follows.
    pub fn read(self, qtest: &mut Qtest, at: u16, width: Width) -> Result<u32> {
        let value = qtest.read(self.base + u64::from(at), width)?;
        u32::try_from(value).context("more than was asked for")
    }

    /// Writes.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn write(self, qtest: &mut Qtest, at: u16, width: Width, value: u32) -> Result<()> {
        qtest.write(self.base + u64::from(at), width, u64::from(value))
    }

    /// The capabilities, in the order of the list.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn capabilities(self, qtest: &mut Qtest) -> Result<Vec<FoundCapability>> {
        const MOST: usize = 48;
        let mut found = Vec::new();
        let mut next = self.read(qtest, CAPABILITIES, Width::Byte)? as u16;
        while next != 0 && found.len() < MOST {
            let header = self.read(qtest, next & !3, Width::Word)?;
            found.push(FoundCapability {
                id: header as u8,
                at: next & !3,
            });
            next = (header >> 8) as u16;
        }
        Ok(found)
    }
}

/// Sets up the root ports.
///
/// # Errors
///
/// QEMU does not answer.
pub fn set_up(qtest: &mut Qtest, ports: usize) -> Result<()> {
    open_ecam(qtest)?;
    (0..ports).try_for_each(|number| set_port_up(qtest, Port::at(number)))
}

/// Whether a card is behind a port.
///
/// # Errors
///
/// QEMU does not answer.
pub fn is_occupied(qtest: &mut Qtest, port: Port) -> Result<bool> {
    const NOBODY: u32 = 0xffff;
    Ok(port.function().read(qtest, 0, Width::Word)? != NOBODY)
}

/// Gives the BARs of a card their addresses. Their decoding stays off.
///
/// # Errors
///
/// QEMU does not answer, or there is no card.
pub fn find_bars(qtest: &mut Qtest, port: Port) -> Result<Vec<PlacedBar>> {
    ensure!(
        is_occupied(qtest, port)?,
        "nothing is behind root port {}",
        port.number()
    );
    // A card that comes back is as it was left.
    port.function().write(qtest, COMMAND, Width::Word, 0)?;
    let bars = measure(qtest, port)?;
    place(qtest, port, &bars)?;
    Ok(bars)
}

/// Tells the function the addresses of its BARs, which it forgets when it is reset.
///
/// # Errors
///
/// QEMU does not answer.
pub fn place(qtest: &mut Qtest, port: Port, bars: &[PlacedBar]) -> Result<()> {
    let function = port.function();
    for bar in bars {
        let register = FIRST_BAR + 4 * u16::from(bar.index);
        function.write(qtest, register, Width::Long, bar.address as u32)?;
        if bar.is_64_bit() {
            let upper = (bar.address >> 32) as u32;
            function.write(qtest, register + 4, Width::Long, upper)?;
        }
    }
    Ok(())
}

/// Resets the bus behind a port.
///
/// # Errors
///
/// QEMU does not answer.
pub fn reset_behind(qtest: &mut Qtest, port: Port) -> Result<()> {
    let own = port.own();
    let control = own.read(qtest, BRIDGE_CONTROL, Width::Word)?;
    for control in [control | BUS_RESET, control & !BUS_RESET] {
        own.write(qtest, BRIDGE_CONTROL, Width::Word, control)?;
    }
    Ok(())
}

/// Lets `body` at the function's registers, whose decoding is off before and after.
///
/// # Errors
///
/// QEMU does not answer, or `body` fails.
pub fn decoding<R>(
    qtest: &mut Qtest,
    port: Port,
    body: impl FnOnce(&mut Qtest) -> Result<R>,
) -> Result<R> {
    let function = port.function();
    let decoding = command::MEMORY | command::PORTS;
    function.write(qtest, COMMAND, Width::Word, u32::from(decoding))?;
    let result = body(qtest)?;
    function.write(qtest, COMMAND, Width::Word, 0)?;
    Ok(result)
}

fn open_ecam(qtest: &mut Qtest) -> Result<()> {
    const ENABLED: u32 = 1;
    for (register, value) in [(PCIEXBAR, ECAM as u32 | ENABLED), (PCIEXBAR + 4, 0)] {
        qtest.out_long(CONFIG_ADDRESS, 0x8000_0000 | register)?;
        qtest.out_long(CONFIG_DATA, value)?;
    }
    Ok(())
}

fn set_port_up(qtest: &mut Qtest, port: Port) -> Result<()> {
    let bus = u32::from(port.slot());
    let Windows {
        plain,
        prefetchable,
        ports,
    } = port.windows();
    let own = port.own();
    // Subordinate, secondary and primary bus.
    own.write(qtest, BUS_NUMBERS, Width::Long, bus << 16 | bus << 8)?;
    let ports = ports_window(ports.start);
    own.write(qtest, PORTS_WINDOW, Width::Word, ports)?;
    own.write(qtest, MEMORY_WINDOW, Width::Long, window(plain.start))?;
    own.write(
        qtest,
        PREFETCHABLE_WINDOW,
        Width::Long,
        window(prefetchable.start),
    )?;
    for register in PREFETCHABLE_UPPER {
        own.write(qtest, register, Width::Long, 0)?;
    }
    own.write(qtest, COMMAND, Width::Word, u32::from(PORT_COMMAND))
}

/// Base and limit of a window of a bridge: the upper 12 bits of each address.
fn window(start: u64) -> u32 {
    let last = start + WINDOW_BYTES - 1;
    (start >> 16) as u32 & 0xfff0 | last as u32 & 0xfff0_0000
}

/// Base and limit of a window of I/O ports: the upper 4 bits of each address.
fn ports_window(start: u64) -> u32 {
    let last = start + IO_WINDOW_BYTES - 1;
    (start >> 8) as u32 & 0xf0 | last as u32 & 0xf000
}

/// Finds the BARs, and where they go.
fn measure(qtest: &mut Qtest, port: Port) -> Result<Vec<PlacedBar>> {
    let function = port.function();
    let mut windows = port.windows();
    let mut bars = Vec::new();
    let mut index = 0;
    while index < BARS {
        let register = FIRST_BAR + 4 * u16::from(index);
        function.write(qtest, register, Width::Long, u32::MAX)?;
        let answer = function.read(qtest, register, Width::Long)?;
        let bar = windows.place(index, answer)?;
        index += if bar.is_some_and(|bar| bar.is_64_bit()) {
            2
        } else {
            1
        };
        bars.extend(bar);
    }
    Ok(bars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_told_by_the_upper_bits_of_its_first_and_last_byte() {
        assert_eq!(window(0xc000_0000), 0xc0f0_c000);
        assert_eq!(window(0xd100_0000), 0xd1f0_d100);
        assert_eq!(ports_window(0xc000), 0xc0c0);
        assert_eq!(ports_window(0xd000), 0xd0d0);
    }
}
