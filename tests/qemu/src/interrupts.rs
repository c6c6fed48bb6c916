//! MSI-X messages of QEMU's function.
//!
//! A message is a store, so the vectors of QEMU's table point into memory that the host can read: each
//! has a slot in low memory. What the host's PnP manager wrote into the table is kept here, and is what
//! a message says when it is passed on. Mask bits and pending bits stay QEMU's.

use std::fs::File;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use crate::bus::{Config, FoundCapability};
use crate::qtest::{Qtest, Width};
use crate::virtio::Registers;

/// The slots, 4 bytes each: below the hole that PCs have at 640 KiB.
const SLOTS: u64 = 0x8_0000;
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

/// The vectors of a function.
pub struct Messages {
    low: GuestMemoryMmap,
    table: Registers,
    programmed: Vec<Message>,
    counts: Vec<u64>,
}

impl Messages {
    /// Finds the table. `file` holds the low memory, `low` bytes.
    ///
    /// # Errors
    ///
    /// There is no MSI-X, or the memory can't be mapped.
    pub fn find(
        qtest: &mut Qtest,
        capabilities: &[FoundCapability],
        file: File,
        low: usize,
    ) -> Result<Self> {
        const MSIX: u8 = 0x11;
        let msix = capabilities.iter().find(|one| one.id == MSIX);
        let at = msix.context("the function has no MSI-X")?.at;
        let config = Config::function();
        let control = config.read(qtest, at + 2, Width::Word)?;
        let table = config.read(qtest, at + 4, Width::Long)?;
        let vectors = (control & 0x7ff) as usize + 1;
        let range = (GuestAddress(0), low, Some(FileOffset::new(file, 0)));
        let low = GuestMemoryMmap::from_ranges_with_files([range]).context("low memory")?;
        Ok(Self {
            low,
            table: Registers {
                bar: (table & 7) as u8,
                offset: u64::from(table & !7),
                length: ENTRY * vectors as u64,
            },
            programmed: vec![Message::default(); vectors],
            counts: vec![0; vectors],
        })
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
        let Some(message) = self.programmed.get_mut(vector) else {
            return value;
        };
        const UPPER: u64 = 0xffff_ffff << 32;
        match word {
            Word::Address => {
                message.address = message.address & UPPER | u64::from(value);
                slot(vector) as u32
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
    pub fn take(&mut self) -> Result<Vec<Message>> {
        let mut taken = Vec::new();
        let vectors = self.programmed.iter().zip(&mut self.counts);
        for (vector, (message, count)) in vectors.enumerate() {
            let at = GuestAddress(slot(vector));
            let stored: u32 = self.low.load(at, Ordering::SeqCst)?;
            if stored == 0 {
                continue;
            }
            anyhow::ensure!(stored == mark(vector), "vector {vector} stored {stored:#x}");
            // Before it is passed on: a message from here on is a new one.
            self.low.store(0u32, at, Ordering::SeqCst)?;
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
}

fn slot(vector: usize) -> u64 {
    SLOTS + WORD * vector as u64
}

/// What a vector stores: never zero, which is an empty slot.
fn mark(vector: usize) -> u32 {
    0x1000 + vector as u32
}
