//! Descriptors of a packed ring, and places of them.

use std::sync::atomic::Ordering;

use vm_memory::{Bytes, GuestAddress};

use crate::pci::DmaMemory;

pub(super) const NEXT: u16 = 1 << 0;
pub(super) const WRITE: u16 = 1 << 1;
pub(super) const INDIRECT: u16 = 1 << 2;
pub(super) const AVAIL: u16 = 1 << 7;
pub(super) const USED: u16 = 1 << 15;
pub(super) const KNOWN: u16 = NEXT | WRITE | INDIRECT | AVAIL | USED;

/// Bytes of a descriptor.
pub(super) const DESCRIPTOR: u64 = 16;

/// A place in the ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cursor {
    pub(super) at: u16,
    pub(super) wrap: bool,
}

impl Cursor {
    pub(super) const START: Self = Self { at: 0, wrap: true };

    /// `slots` further on, at most once round.
    pub(super) fn plus(self, slots: u16, size: u16) -> Self {
        let at = u32::from(self.at) + u32::from(slots);
        if at >= u32::from(size) {
            Self {
                at: (at - u32::from(size)) as u16,
                wrap: !self.wrap,
            }
        } else {
            Self {
                at: at as u16,
                wrap: self.wrap,
            }
        }
    }

    /// As an event and a notification state it: the wrap counter on top.
    pub(super) fn to_word(self) -> u16 {
        self.at | u16::from(self.wrap) << 15
    }

    pub(super) fn from_word(word: u16) -> Self {
        Self {
            at: word & 0x7FFF,
            wrap: word & 0x8000 != 0,
        }
    }

    /// Counted through both rounds, that with the wrap counter set first.
    pub(super) fn linear(self, size: u16) -> u32 {
        let round = if self.wrap { 0 } else { u32::from(size) };
        u32::from(self.at) + round
    }
}

/// A descriptor of a ring or of an indirect table.
pub(super) struct Descriptor {
    pub(super) address: GuestAddress,
    pub(super) len: u32,
    pub(super) id: u16,
    pub(super) flags: u16,
}

impl Descriptor {
    /// Whether the driver made it available in the round of `wrap`.
    pub(super) fn is_available(&self, wrap: bool) -> bool {
        (self.flags & AVAIL != 0) == wrap && (self.flags & USED != 0) != wrap
    }
}

/// Reads the flags first: what they announce was written before them.
pub(super) fn read_descriptor(memory: &DmaMemory, at: u64) -> Result<Descriptor, String> {
    let flags = read_u16(memory, at + 14)?;
    let mut raw = [0; 14];
    memory
        .read_slice(&mut raw, GuestAddress(at))
        .map_err(|error| format!("descriptor: {error}"))?;
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = raw;
    Ok(Descriptor {
        address: GuestAddress(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
        len: u32::from_le_bytes([i, j, k, l]),
        id: u16::from_le_bytes([m, n]),
        flags,
    })
}

pub(super) fn read_u16(memory: &DmaMemory, at: u64) -> Result<u16, String> {
    let value = memory.load(GuestAddress(at), Ordering::Acquire);
    value
        .map(u16::from_le)
        .map_err(|error| format!("packed ring: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_flips_its_wrap_counter_at_the_end_of_the_ring() {
        let cursor = Cursor::START.plus(5, 7).plus(2, 7);
        assert_eq!(cursor, Cursor { at: 0, wrap: false });
        assert_eq!(cursor.plus(7, 7), Cursor::START);
        assert_eq!(cursor.plus(3, 7).to_word(), 3);
        assert_eq!(Cursor::from_word(0x8003), Cursor { at: 3, wrap: true });
    }
}
