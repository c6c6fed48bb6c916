//! A PCI slot: the bus's side of a function.
//!
//! The slot gives the function its BAR addresses, reaches its configuration space, maps its BARs,
//! programs its MSI-X table, and turns its messages into interrupts.

use devices::pci::{Bar, BarKind, DmaMemory, PciFunction, PciHost, direct_memory};
use ndis_sys::{
    PCI_CAPABILITY_ID_MSIX, PCI_DISABLE_LEVEL_INTERRUPT, PCI_ENABLE_BUS_MASTER,
    PCI_ENABLE_MEMORY_SPACE,
};

use crate::ndis::node::{MemoryRange, Message, MessageSink};
use crate::sched::{self, BatonCell};
use crate::{memory, mmio, verifier};

/// Configuration space registers.
const COMMAND: u16 = 0x04;
const BARS: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
/// First physical address for device memory.
const DEVICE_MEMORY: u64 = 0xc0_0000_0000;
/// Address of the local interrupt controllers, to which messages are written.
const LOCAL_APIC: u64 = 0xfee0_0000;
const FIRST_VECTOR: u32 = 0x40;
/// Bytes of an MSI-X table entry.
const ENTRY: u64 = 16;
/// Bits of the MSI-X message control word.
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK_ALL: u16 = 1 << 14;
/// Longest time in which a function gets to its work.
const WAKE_NS: u64 = 2_000;

/// A slot with its function. Slots live as long as the process.
pub(super) struct Slot {
    function: BatonCell<Option<Box<dyn PciFunction>>>,
    state: BatonCell<State>,
}

#[derive(Default)]
struct State {
    bars: Vec<(Bar, u64)>,
    messages: Vec<Message>,
    sink: Option<MessageSink>,
    waking: bool,
    line: bool,
    unplugged: bool,
}

static NEXT_ADDRESS: BatonCell<u64> = BatonCell::new(DEVICE_MEMORY);

/// Where the MSI-X table of a function is.
struct MsixPlace {
    control: u16,
    bar: u8,
    offset: u64,
    entries: usize,
}

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
        self.0.state.with(|state| state.line = asserted);
    }

    fn memory(&self) -> DmaMemory {
        direct_memory(memory::guest())
    }
}

impl Slot {
    /// An empty slot.
    pub(super) fn create() -> &'static Self {
        Box::leak(Box::new(Self {
            function: BatonCell::new(None),
            state: BatonCell::new(State::default()),
        }))
    }

    /// Plugs a function in: BARs get addresses, messages get vectors.
    pub(super) fn plug(&'static self, function: Box<dyn PciFunction>) {
        let bars = function.bars();
        self.function.with(|slot| *slot = Some(function));
        for bar in bars {
            let address = NEXT_ADDRESS.with(|next| {
                let address = next.next_multiple_of(bar.size.max(4096));
                *next = address + bar.size;
                address
            });
            self.state.with(|state| state.bars.push((bar, address)));
        }
        self.place_bars();
        let entries = self.msix().map_or(0, |place| place.entries);
        let cpus = sched::cpu_count();
        let message = |index: usize| Message {
            vector: FIRST_VECTOR + index as u32,
            cpu: index % cpus,
            address: LOCAL_APIC | ((index % cpus) as u64) << 12,
            data: FIRST_VECTOR + index as u32,
        };
        self.state
            .with(|state| state.messages = (0..entries).map(message).collect());
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

    /// Takes the function out; what is read from then on is all ones.
    pub(super) fn unplug(&'static self) {
        self.state.with(|state| state.unplugged = true);
        let function = self.function.with(Option::take);
        drop(function);
    }

    /// Switches memory decoding and bus mastering on or off, as the bus driver does at start.
    pub(super) fn set_enabled(&'static self, enabled: bool) {
        let bits = PCI_ENABLE_MEMORY_SPACE | PCI_ENABLE_BUS_MASTER | PCI_DISABLE_LEVEL_INTERRUPT;
        if enabled {
            self.place_bars();
        }
        let command = self.read_half(COMMAND);
        let command = if enabled {
            command | bits
        } else {
            command & !bits
        };
        self.write_half(COMMAND, command);
    }

    pub(super) fn memory(&'static self) -> Vec<MemoryRange> {
        let range = |(bar, start): &(Bar, u64)| MemoryRange {
            start: *start,
            length: bar.size,
        };
        self.state
            .with(|state| state.bars.iter().map(range).collect())
    }

    pub(super) fn messages(&'static self) -> Vec<Message> {
        self.state.with(|state| state.messages.clone())
    }

    /// Reads configuration space; all ones without a function.
    pub(super) fn config_read(&'static self, offset: u16, data: &mut [u8]) {
        data.fill(0xff);
        self.function.with(|function| {
            let Some(function) = function else { return };
            for (at, range) in pieces(offset, data.len()) {
                function.config_read(at, &mut data[range]);
            }
        });
    }

    /// Writes configuration space.
    pub(super) fn config_write(&'static self, offset: u16, data: &[u8]) {
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

    /// Finds the MSI-X capability.
    fn msix(&'static self) -> Option<MsixPlace> {
        let mut at = [0; 1];
        self.config_read(CAPABILITIES, &mut at);
        let mut seen = 0;
        while at[0] != 0 && at[0] != 0xff && seen < 48 {
            let here = u16::from(at[0] & !3);
            let header = self.read_half(here);
            if header as u8 == PCI_CAPABILITY_ID_MSIX {
                let control = self.read_half(here + 2);
                let table = self.read_word(here + 4);
                return Some(MsixPlace {
                    control: here + 2,
                    bar: (table & 7) as u8,
                    offset: u64::from(table & !7),
                    entries: usize::from(control & 0x7ff) + 1,
                });
            }
            at = [(header >> 8) as u8];
            seen += 1;
        }
        None
    }

    /// Programs the MSI-X table and switches it on; messages go to `sink`.
    pub(super) fn connect(&'static self, sink: MessageSink) -> bool {
        let Some(place) = self.msix() else {
            return false;
        };
        let messages = self.messages();
        self.state.with(|state| state.sink = Some(sink));
        self.write_half(place.control, place.control_word(true, true));
        for (index, message) in messages.iter().enumerate() {
            let entry = place.offset + ENTRY * index as u64;
            self.bar_write(place.bar, entry, &(message.address as u32).to_le_bytes());
            self.bar_write(
                place.bar,
                entry + 4,
                &((message.address >> 32) as u32).to_le_bytes(),
            );
            self.bar_write(place.bar, entry + 8, &message.data.to_le_bytes());
            self.bar_write(place.bar, entry + 12, &0u32.to_le_bytes());
        }
        self.write_half(place.control, place.control_word(true, false));
        true
    }

    /// Switches MSI-X off.
    pub(super) fn disconnect(&'static self) {
        if let Some(place) = self.msix() {
            for index in 0..place.entries {
                let control = place.offset + ENTRY * index as u64 + 12;
                self.bar_write(place.bar, control, &1u32.to_le_bytes());
            }
            self.write_half(place.control, place.control_word(false, false));
        }
        let sink = self.state.with(|state| state.sink.take());
        drop(sink);
    }

    fn bar_read(&'static self, bar: u8, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        self.function.with(|function| {
            if let Some(function) = function {
                function.bar_read(bar, offset, data);
            }
        });
    }

    fn bar_write(&'static self, bar: u8, offset: u64, data: &[u8]) {
        self.function.with(|function| {
            if let Some(function) = function {
                function.bar_write(bar, offset, data);
            }
        });
    }

    /// Maps device memory; `None` when the range is not inside of one BAR.
    pub(super) fn map(&'static self, start: u64, length: usize) -> Option<*mut u8> {
        let end = start.checked_add(length as u64)?;
        let (bar, offset) = self.state.with(|state| {
            let found = state
                .bars
                .iter()
                .find(|(bar, at)| *at <= start && end <= at + bar.size);
            found.map(|(bar, at)| (bar.index, start - at))
        })?;
        Some(mmio::map(
            length,
            Box::new(BarWindow {
                slot: self,
                bar,
                offset,
            }),
        ))
    }

    /// A message left the function.
    fn message(&'static self, address: u64, data: u32) {
        self.state.with(|state| {
            let is_this = |message: &Message| (message.address, message.data) == (address, data);
            let Some(index) = state.messages.iter().position(is_this) else {
                verifier::note(format!("message {data:#x} to {address:#x} has no vector"));
                return;
            };
            if let Some(sink) = &state.sink {
                sink(index);
            }
        });
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
        let unplugged = self.state.with(|state| {
            state.waking = false;
            state.unplugged
        });
        if !unplugged {
            self.function.with(|function| {
                if let Some(function) = function {
                    function.process();
                }
            });
        }
    }
}

impl MsixPlace {
    fn control_word(&self, enabled: bool, masked: bool) -> u16 {
        let size = (self.entries - 1) as u16;
        size | if enabled { MSIX_ENABLE } else { 0 } | if masked { MSIX_MASK_ALL } else { 0 }
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
        self.slot.bar_read(self.bar, self.offset + offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.slot.bar_write(self.bar, self.offset + offset, data);
    }
}
