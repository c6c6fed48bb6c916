//! A PCI slot: the bus's side of a function.
//!
//! The slot gives the function its BAR addresses, reaches its configuration space, maps its BARs,
//! turns its messages ([`msix`]) and its interrupt pin ([`line`]) into interrupts, and stands
//! between it and memory ([`domain`]).

mod domain;
mod line;
mod msix;

use devices::pci::{Bar, BarKind, DmaMemory, PciFunction, PciHost};
use ndis_sys::{
    PCI_DISABLE_LEVEL_INTERRUPT, PCI_ENABLE_BUS_MASTER, PCI_ENABLE_IO_SPACE,
    PCI_ENABLE_MEMORY_SPACE,
};

use super::register_judge::Registers;
use crate::mmio;
use crate::ndis::node::{Access, Range};
use crate::sched::{self, BatonCell};
use domain::Domain;
use line::Line;
use msix::Messages;

/// Configuration space registers.
const COMMAND: u16 = 0x04;
const BARS: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
/// First physical address for device memory.
const DEVICE_MEMORY: u64 = 0xc0_0000_0000;
/// First port for devices.
const DEVICE_PORTS: u64 = 0xc000;
/// Longest time in which a function gets to its work.
const WAKE_NS: u64 = 2_000;

/// A slot with its function. Slots live as long as the process.
pub(super) struct Slot {
    function: BatonCell<Option<Box<dyn PciFunction>>>,
    state: BatonCell<State>,
    messages: BatonCell<Messages>,
    line: BatonCell<Line>,
    pub(super) domain: Domain,
    registers: Registers,
}

#[derive(Default)]
struct State {
    bars: Vec<(Bar, u64)>,
    waking: bool,
    unplugged: bool,
    asleep: bool,
}

static NEXT_ADDRESS: BatonCell<u64> = BatonCell::new(DEVICE_MEMORY);
static NEXT_PORT: BatonCell<u64> = BatonCell::new(DEVICE_PORTS);

/// The machine as a function sees it.
pub(super) struct HostSide(pub(super) &'static Slot);

impl PciHost for HostSide {
    fn message(&self, address: u64, data: u32) {
        self.0.message(address, data);
    }

    fn wake(&self) {
        self.0.wake();
    }

    fn set_line(&self, asserted: bool) {
        self.0.line_changed(asserted);
    }

    fn memory(&self) -> DmaMemory {
        self.0.domain.memory()
    }
}

impl Slot {
    /// An empty slot.
    pub(super) fn create() -> &'static Self {
        Box::leak(Box::new(Self {
            function: BatonCell::new(None),
            state: BatonCell::new(State::default()),
            messages: BatonCell::new(Messages::default()),
            line: BatonCell::new(Line::default()),
            domain: Domain::new(),
            registers: Registers::new(),
        }))
    }

    /// Plugs a function in: BARs get addresses.
    pub(super) fn plug(&'static self, function: Box<dyn PciFunction>) {
        let bars = function.bars();
        self.function.with(|slot| *slot = Some(function));
        self.assign(bars);
        self.place_bars();
    }

    /// Gives the BARs addresses that nobody has.
    fn assign(&'static self, bars: Vec<Bar>) {
        let place = |bar: Bar| {
            let (next, least) = match bar.kind {
                BarKind::Memory => (&NEXT_ADDRESS, 4096),
                BarKind::Ports => (&NEXT_PORT, 4),
            };
            let address = next.with(|next| {
                let address = next.next_multiple_of(bar.size.max(least));
                *next = address + bar.size;
                address
            });
            (bar, address)
        };
        let bars = bars.into_iter().map(place).collect();
        self.state.with(|state| state.bars = bars);
    }

    /// Gives the BARs their addresses, which a function forgets when its power goes.
    fn place_bars(&'static self) {
        for (bar, address) in self.state.with(|state| state.bars.clone()) {
            let register = BARS + 4 * u16::from(bar.index);
            self.write_word(register, address as u32);
            if bar.kind == BarKind::Memory {
                self.write_word(register + 4, (address >> 32) as u32);
            }
        }
    }

    /// Gives the function other addresses and vectors, as a rebalance does while it is stopped.
    pub(super) fn move_resources(&'static self) {
        let bars = self.state.with(|state| state.bars.clone());
        self.assign(bars.into_iter().map(|(bar, _)| bar).collect());
        self.place_bars();
        self.move_vectors(1 + sched::random_below(0x20) as u32);
    }

    /// D3: nothing answers any more, and the function forgets what it was told.
    pub(super) fn power_off(&'static self) {
        self.state.with(|state| state.asleep = true);
        self.registers.allow(Access::Asleep);
        self.lose_power();
    }

    fn lose_power(&'static self) {
        self.function.with(|function| {
            if let Some(function) = function {
                function.lose_power();
            }
        });
    }

    /// D0: the bus driver restores what is its own, BARs, command register and MSI-X table.
    ///
    /// What comes back from hibernation may be another function, so it begins anew here as well.
    pub(super) fn power_on(&'static self) {
        self.lose_power();
        self.state.with(|state| state.asleep = false);
        self.registers.allow(Access::Free);
        self.set_enabled(true);
    }

    /// The judge of register accesses.
    pub(super) fn registers(&'static self) -> &'static Registers {
        &self.registers
    }

    /// Whether the function was taken out.
    pub(super) fn is_unplugged(&'static self) -> bool {
        self.state.with(|state| state.unplugged)
    }

    /// Whether the function can't be reached.
    fn is_silent(&'static self) -> bool {
        self.state.with(|state| state.asleep || state.unplugged)
    }

    /// Takes the function out; what is read from then on is all ones, and its pin drives nothing.
    pub(super) fn unplug(&'static self) {
        self.state.with(|state| state.unplugged = true);
        self.registers.unplugged();
        let function = self.function.with(Option::take);
        drop(function);
        self.line_changed(false);
    }

    /// Switches decoding and bus mastering on or off, as the bus driver does at start and when
    /// the device's power changes; what a function forgot without power it gets again.
    pub(super) fn set_enabled(&'static self, enabled: bool) {
        let decoding = PCI_ENABLE_IO_SPACE | PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER;
        if enabled {
            self.place_bars();
        }
        let command = self.read_half(COMMAND);
        let pin = if self.is_line_connected() {
            0
        } else {
            PCI_DISABLE_LEVEL_INTERRUPT
        };
        let others = command & !decoding & !PCI_DISABLE_LEVEL_INTERRUPT;
        let command = if enabled {
            others | decoding | pin
        } else {
            others
        };
        self.write_half(COMMAND, command);
        if enabled {
            self.program_messages();
        }
    }

    fn set_pin_enabled(&'static self, enabled: bool) {
        let command = self.read_half(COMMAND) & !PCI_DISABLE_LEVEL_INTERRUPT;
        let disable = if enabled {
            0
        } else {
            PCI_DISABLE_LEVEL_INTERRUPT
        };
        self.write_half(COMMAND, command | disable);
    }

    /// Addresses of the BARs of a kind.
    pub(super) fn ranges(&'static self, kind: BarKind) -> Vec<Range> {
        self.state.with(|state| {
            let of_kind = state.bars.iter().filter(|(bar, _)| bar.kind == kind);
            let range = |(bar, start): &(Bar, u64)| Range {
                start: *start,
                length: bar.size,
            };
            of_kind.map(range).collect()
        })
    }

    /// Reads configuration space; all ones without a function.
    pub(super) fn config_read(&'static self, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        if self.is_silent() {
            return;
        }
        self.function.with(|function| {
            let Some(function) = function else { return };
            for (at, range) in pieces(offset, data.len()) {
                function.config_read(at, &mut data[range]);
            }
        });
    }

    /// Writes configuration space.
    pub(super) fn config_write(&'static self, offset: u16, data: &[u8]) {
        if self.is_silent() {
            return;
        }
        self.function.with(|function| {
            let Some(function) = function else { return };
            for (at, range) in pieces(offset, data.len()) {
                function.config_write(at, &data[range]);
            }
        });
    }

    fn read_half(&'static self, offset: u16) -> u16 {
        let mut data = [0; 2];
        self.config_read(offset, &mut data);
        u16::from_le_bytes(data)
    }

    fn write_half(&'static self, offset: u16, value: u16) {
        self.config_write(offset, &value.to_le_bytes());
    }

    fn read_word(&'static self, offset: u16) -> u32 {
        let mut data = [0; 4];
        self.config_read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn write_word(&'static self, offset: u16, value: u32) {
        self.config_write(offset, &value.to_le_bytes());
    }

    /// Hardware identifiers, the most specific first.
    pub(super) fn hardware_ids(&'static self) -> Vec<String> {
        let (vendor, device) = (self.read_half(0x00), self.read_half(0x02));
        let mut revision = [0; 1];
        self.config_read(0x08, &mut revision);
        let subsystem = self.read_word(0x2c);
        let base = format!(r"PCI\VEN_{vendor:04X}&DEV_{device:04X}");
        let revision = revision[0];
        vec![
            format!("{base}&SUBSYS_{subsystem:08X}&REV_{revision:02X}"),
            format!("{base}&SUBSYS_{subsystem:08X}"),
            format!("{base}&REV_{revision:02X}"),
            base,
        ]
    }

    fn bar_read(&'static self, bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if self.is_silent() {
            return;
        }
        self.function.with(|function| {
            if let Some(function) = function {
                function.bar_read(bar, offset, data);
            }
        });
    }

    fn bar_write(&'static self, bar: u8, offset: u64, data: &[u8]) {
        if self.is_silent() {
            return;
        }
        self.function.with(|function| {
            if let Some(function) = function {
                function.bar_write(bar, offset, data);
            }
        });
    }

    /// Maps device memory; `None` when the range is not inside of one BAR.
    pub(super) fn map(&'static self, start: u64, length: usize) -> Option<*mut u8> {
        let window = self.window(BarKind::Memory, start, length as u64)?;
        Some(mmio::map(length, Box::new(window)))
    }

    /// Claims ports; false when the range is not inside of one BAR.
    pub(super) fn claim_ports(&'static self, first: u64, count: u64) -> bool {
        let Some(window) = self.window(BarKind::Ports, first, count) else {
            return false;
        };
        mmio::ports::claim(first, count, Box::new(window));
        true
    }

    fn window(&'static self, kind: BarKind, start: u64, length: u64) -> Option<BarWindow> {
        let end = start.checked_add(length)?;
        self.state.with(|state| {
            let mut of_kind = state.bars.iter().filter(|(bar, _)| bar.kind == kind);
            let (bar, at) = of_kind.find(|(bar, at)| *at <= start && end <= at + bar.size)?;
            Some(BarWindow {
                slot: self,
                bar: bar.index,
                offset: start - at,
            })
        })
    }

    /// The function has work to do: it gets to it soon.
    fn wake(&'static self) {
        let first = self
            .state
            .with(|state| !std::mem::replace(&mut state.waking, true));
        if first {
            sched::after(1 + sched::random_below(WAKE_NS), || self.process());
        }
    }

    fn process(&'static self) {
        self.state.with(|state| state.waking = false);
        if !self.is_silent() {
            self.function.with(|function| {
                if let Some(function) = function {
                    function.process();
                }
            });
        }
    }
}

/// Cuts an access to configuration space into aligned ones of 1, 2 or 4 bytes.
fn pieces(offset: u16, length: usize) -> Vec<(u16, std::ops::Range<usize>)> {
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < length {
        let at = usize::from(offset) + done;
        let aligned = 1usize << at.trailing_zeros().min(2);
        let left = length - done;
        let here = aligned.min(if left >= 4 {
            4
        } else if left >= 2 {
            2
        } else {
            1
        });
        if let Ok(at) = u16::try_from(at) {
            pieces.push((at, done..done + here));
        }
        done += here;
    }
    pieces
}

/// A mapped part of a BAR.
struct BarWindow {
    slot: &'static Slot,
    bar: u8,
    offset: u64,
}

impl mmio::Window for BarWindow {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        self.slot.registers.used("read", self.offset + offset);
        self.slot.bar_read(self.bar, self.offset + offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.slot.registers.used("written", self.offset + offset);
        self.slot.bar_write(self.bar, self.offset + offset, data);
    }
}
