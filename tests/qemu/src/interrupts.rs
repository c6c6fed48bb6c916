//! MSI-X messages of QEMU's function.
//!
//! A message is a store, so the vectors of QEMU's table point into memory that the host can read: each
//! has a slot in low memory. What the host's PnP manager wrote into the table is kept here, and is what
//! a message says when it is passed on. Mask bits and pending bits stay QEMU's.

use std::fs::File;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use crate::bus::{FoundCapability, Port};
use crate::qtest::{Qtest, Width};
use crate::virtio::Registers;

/// The slots of the vectors, 4 bytes each, in a page for each card: below the hole that PCs have at 640 KiB.
const SLOTS: u64 = 0x8_0000;
const CARD_BYTES: u64 = 0x1000;
/// Bytes of a table entry, and of one of its words.
const ENTRY: u64 = 16;
const WORD: u64 = 4;

/// A message as the host programmed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub address: u64,
    /// What.
    pub data: u32,
}

/// The words of a table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Lower half of the address.
    Address,
    /// Upper half of it.
    UpperAddress,
    /// What is stored there.
    Data,
    /// Mask bit.
    Control,
}

/// A word in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The vector.
    pub vector: usize,
    /// Which of its words.
    pub word: Word,
}

/// The memory that QEMU stores messages to.
pub struct LowMemory(GuestMemoryMmap);

impl LowMemory {
    /// Maps the first `low` bytes of `file`.
    ///
    /// # Errors
    ///
    /// It can't be mapped.
    pub fn map(file: File, low: u64) -> Result<Self> {
        let range = (
            GuestAddress(0),
            usize::try_from(low)?,
            Some(FileOffset::new(file, 0)),
        );
        let memory = GuestMemoryMmap::from_ranges_with_files([range]);
        memory.map(Self).context("low memory")
    }
}

/// The addresses of the pages that messages of `cards` cards are in.
pub fn pages(cards: usize) -> impl Iterator<Item = u64> {
    (0..cards as u64).map(|card| SLOTS + card * CARD_BYTES)
}

/// The vectors of a function.
pub struct Messages {
    /// Where their slots begin.
    slots: u64,
    table: Registers,
    programmed: Vec<Message>,
    counts: Vec<u64>,
}

impl Messages {
    /// Finds the table of the card behind a port. A card without MSI-X has no vectors.
    ///
    /// # Errors
    ///
    /// QEMU does not answer.
    pub fn find(qtest: &mut Qtest, port: Port, capabilities: &[FoundCapability]) -> Result<Self> {
        const MSIX: u8 = 0x11;
        let slots = SLOTS + port.number() as u64 * CARD_BYTES;
        let Some(msix) = capabilities.iter().find(|one| one.id == MSIX) else {
            return Ok(Self::of(slots, 0, 0));
        };
        let config = port.function();
        let control = config.read(qtest, msix.at + 2, Width::Word)?;
        let table = config.read(qtest, msix.at + 4, Width::Long)?;
        Ok(Self::of(slots, (control & 0x7ff) as usize + 1, table))
    }

    /// Of so many vectors, whose `table` is where the capability says.
    fn of(slots: u64, vectors: usize, table: u32) -> Self {
        Self {
            slots,
            table: Registers {
                bar: (table & 7) as u8,
                offset: u64::from(table & !7),
                length: ENTRY * vectors as u64,
            },
            programmed: vec![Message::default(); vectors],
            counts: vec![0; vectors],
        }
    }

    /// The word of the table at an offset of a BAR.
    #[must_use]
    pub fn place(&self, bar: u8, offset: u64) -> Option<Place> {
        let within = offset.checked_sub(self.table.offset)?;
        if bar != self.table.bar || within >= self.table.length {
            return None;
        }
        let word = match within % ENTRY / WORD {
            0 => Word::Address,
            1 => Word::UpperAddress,
            2 => Word::Data,
            _ => Word::Control,
        };
        Some(Place {
            vector: usize::try_from(within / ENTRY).ok()?,
            word,
        })
    }

    /// What the host reads of a word; `None`: what QEMU has there.
    #[must_use]
    pub fn read(&self, place: Place) -> Option<u32> {
        let Message { address, data } = self.programmed.get(place.vector)?;
        match place.word {
            Word::Address => Some(*address as u32),
            Word::UpperAddress => Some((*address >> 32) as u32),
            Word::Data => Some(*data),
            Word::Control => None,
        }
    }

    /// The host writes a word; what QEMU gets in place of it.
    pub fn write(&mut self, place: Place, value: u32) -> u32 {
        let Place { vector, word } = place;
        let slot = self.slot(vector);
        let Some(message) = self.programmed.get_mut(vector) else {
            return value;
        };
        const UPPER: u64 = 0xffff_ffff << 32;
        match word {
            Word::Address => {
                message.address = message.address & UPPER | u64::from(value);
                slot as u32
            }
            Word::UpperAddress => {
                message.address = message.address & !UPPER | u64::from(value) << 32;
                0
            }
            Word::Data => {
                message.data = value;
                mark(vector)
            }
            Word::Control => value,
        }
    }

    /// Forgets what was programmed.
    pub fn forget(&mut self) {
        self.programmed.fill(Message::default());
    }

    /// Takes the messages that QEMU has stored. Several of one vector are one, as in an interrupt
    /// controller.
    ///
    /// # Errors
    ///
    /// A slot holds what no vector stores there.
    pub fn take(&mut self, LowMemory(low): &LowMemory) -> Result<Vec<Message>> {
        let mut taken = Vec::new();
        let slots = self.slots;
        let vectors = self.programmed.iter().zip(&mut self.counts);
        for (vector, (message, count)) in vectors.enumerate() {
            let at = GuestAddress(slots + WORD * vector as u64);
            let stored: u32 = low.load(at, Ordering::SeqCst)?;
            if stored == 0 {
                continue;
            }
            anyhow::ensure!(stored == mark(vector), "vector {vector} stored {stored:#x}");
            // Before it is passed on: a message from here on is a new one.
            low.store(0u32, at, Ordering::SeqCst)?;
            *count += 1;
            taken.push(*message);
        }
        Ok(taken)
    }

    /// Messages so far, by vector.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    fn slot(&self, vector: usize) -> u64 {
        self.slots + WORD * vector as u64
    }
}

/// What a vector stores: never zero, which is an empty slot.
fn mark(vector: usize) -> u32 {
    0x1000 + vector as u32
}
