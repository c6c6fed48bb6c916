//! The messages of a function: which it was granted, its MSI-X table, and where they arrive.

use ndis_sys::PCI_CAPABILITY_ID_MSIX;

use super::{CAPABILITIES, Slot};
use crate::ndis::node::{Message, MessageSink, TableChange};
use crate::sched;
use crate::verifier;

/// Address of the local interrupt controllers, to which messages are written.
const LOCAL_APIC: u64 = 0xfee0_0000;
const FIRST_VECTOR: u32 = 0x40;
/// Bytes of an MSI-X table entry.
const ENTRY: u64 = 16;
/// Bits of the MSI-X message control word.
const MSIX_ENABLE: u16 = 1 << 15;
const MSIX_MASK_ALL: u16 = 1 << 14;

/// What the machine knows of a function's messages.
#[derive(Default)]
pub(super) struct Messages {
    /// By how much a rebalance has moved the vectors.
    moved: u32,
    /// Most messages that are granted; all that the function has without a limit.
    limit: Option<usize>,
    /// The CPU of each message, where a driver's filter chose one.
    targets: Vec<usize>,
    sink: Option<MessageSink>,
    /// What is granted, while it is connected. A message leaves from inside of the function, so
    /// that its configuration space can't be asked then.
    granted: Vec<Message>,
    /// Message and mask of each table entry, as programmed.
    table: Vec<(Option<usize>, bool)>,
}

/// Where the MSI-X table of a function is.
struct Place {
    control: u16,
    bar: u8,
    offset: u64,
    entries: usize,
}

impl Slot {
    /// Finds the MSI-X capability.
    fn msix(&'static self) -> Option<Place> {
        let mut at = [0; 1];
        self.config_read(CAPABILITIES, &mut at);
        let mut seen = 0;
        while at[0] != 0 && at[0] != 0xff && seen < 48 {
            let here = u16::from(at[0] & !3);
            let header = self.read_half(here);
            if header as u8 == PCI_CAPABILITY_ID_MSIX {
                let control = self.read_half(here + 2);
                let table = self.read_word(here + 4);
                return Some(Place {
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

    /// Grants at most so many messages from the next start on; with 0 the function gets its line.
    pub(in crate::pnp) fn limit_messages(&'static self, limit: Option<usize>) {
        self.messages.with(|messages| messages.limit = limit);
    }

    /// Moves the vectors, from the next connection on, to `moved` behind the first.
    pub(super) fn move_vectors(&'static self, moved: u32) {
        self.messages.with(|messages| messages.moved = moved);
    }

    /// How many messages the function can send.
    pub(in crate::pnp) fn message_capability(&'static self) -> usize {
        self.msix().map_or(0, |place| place.entries)
    }

    /// Grants exactly these messages, each to its CPU: what a requirements filter asked for.
    pub(in crate::pnp) fn set_message_targets(&'static self, targets: Vec<usize>) {
        self.messages.with(|messages| messages.targets = targets);
    }

    /// The messages that the function was granted.
    pub(in crate::pnp) fn messages(&'static self) -> Vec<Message> {
        let entries = self.message_capability();
        let cpus = sched::cpu_count();
        let (limit, targets, first) = self.messages.with(|messages| {
            let targets = messages.targets.clone();
            (messages.limit, targets, FIRST_VECTOR + messages.moved)
        });
        let wanted = if targets.is_empty() {
            entries
        } else {
            targets.len()
        };
        let message = |index: usize| {
            let cpu = targets.get(index).map_or(index % cpus, |cpu| cpu % cpus);
            Message {
                vector: first + index as u32,
                cpu,
                address: LOCAL_APIC | (cpu as u64) << 12,
                data: first + index as u32,
            }
        };
        let granted = wanted.min(limit.unwrap_or(wanted));
        (0..granted).map(message).collect()
    }

    /// Programs the MSI-X table and switches it on; messages go to `sink`. Entries beyond the
    /// granted messages stay masked.
    pub(in crate::pnp) fn connect_messages(&'static self, sink: MessageSink) -> bool {
        let Some(place) = self.msix() else {
            return false;
        };
        let granted = self.messages();
        let table = (0..place.entries).map(|index| {
            let message = (index < granted.len()).then_some(index);
            (message, message.is_none())
        });
        let table = table.collect();
        self.messages.with(|messages| {
            messages.sink = Some(sink);
            messages.table = table;
            messages.granted = granted;
        });
        self.program_messages();
        true
    }

    /// Writes the whole table, if messages are connected.
    pub(super) fn program_messages(&'static self) {
        let connected = self.messages.with(|messages| messages.sink.is_some());
        let Some(place) = self.msix().filter(|_| connected) else {
            return;
        };
        self.write_half(place.control, place.control_word(true, true));
        for index in 0..place.entries {
            self.program_entry(&place, index);
        }
        self.write_half(place.control, place.control_word(true, false));
    }

    fn program_entry(&'static self, place: &Place, index: usize) {
        let (message, masked) = self.messages.with(|messages| {
            let (number, masked) = messages.table[index];
            let message = number.and_then(|number| messages.granted.get(number).copied());
            (message, masked)
        });
        let entry = place.offset + ENTRY * index as u64;
        if let Some(message) = message {
            let address = message.address.to_le_bytes();
            self.bar_write(place.bar, entry, &address[..4]);
            self.bar_write(place.bar, entry + 4, &address[4..]);
            self.bar_write(place.bar, entry + 8, &message.data.to_le_bytes());
        }
        let control = u32::from(masked).to_le_bytes();
        self.bar_write(place.bar, entry + 12, &control);
    }

    /// Changes one entry of the table; false when there is no such entry or message.
    pub(in crate::pnp) fn change_entry(&'static self, entry: usize, change: TableChange) -> bool {
        let Some(place) = self.msix() else {
            return false;
        };
        let changed = self.messages.with(|messages| {
            let granted = messages.granted.len();
            let slot = messages.table.get_mut(entry)?;
            match change {
                TableChange::Message(number) if number < granted => *slot = (Some(number), false),
                TableChange::Message(_) => return None,
                TableChange::Mask => slot.1 = true,
                TableChange::Unmask if slot.0.is_some() => slot.1 = false,
                TableChange::Unmask => return None,
            }
            Some(())
        });
        if changed.is_some() {
            self.program_entry(&place, entry);
        }
        changed.is_some()
    }

    /// Switches MSI-X off.
    pub(in crate::pnp) fn disconnect_messages(&'static self) {
        if let Some(place) = self.msix() {
            for index in 0..place.entries {
                let control = place.offset + ENTRY * index as u64 + 12;
                self.bar_write(place.bar, control, &1u32.to_le_bytes());
            }
            self.write_half(place.control, place.control_word(false, false));
        }
        let sink = self.messages.with(|messages| messages.sink.take());
        drop(sink);
    }

    /// A message left the function.
    pub(super) fn message(&'static self, address: u64, data: u32) {
        let granted = self.messages.with(|messages| messages.granted.clone());
        let is_this = |message: &Message| (message.address, message.data) == (address, data);
        let Some(index) = granted.iter().position(is_this) else {
            verifier::note(format!("message {data:#x} to {address:#x} has no vector"));
            return;
        };
        self.messages.with(|messages| {
            if let Some(sink) = &messages.sink {
                sink(index);
            }
        });
    }
}

impl Place {
    fn control_word(&self, enabled: bool, masked: bool) -> u16 {
        let size = (self.entries - 1) as u16;
        size | if enabled { MSIX_ENABLE } else { 0 } | if masked { MSIX_MASK_ALL } else { 0 }
    }
}
