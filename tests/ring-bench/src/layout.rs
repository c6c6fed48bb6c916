//! The shared structures of both queue formats, for queues of [`QUEUE`] descriptors.
//!
//! Written from the specification (virtio 1.2, 2.7 and 2.8) for the device models and the floor.
//! Every field is an atomic, so that both sides may hold references to it. Little-endian machines
//! only, which is all that this crate runs on.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use crate::case::QUEUE;

/// Turns an index into a place in a ring.
pub const MASK: u16 = QUEUE as u16 - 1;

/// The chain goes on in the next descriptor.
pub const NEXT: u16 = 1 << 0;
/// The device writes the buffer.
pub const WRITE: u16 = 1 << 1;
/// Packed: available, if it equals the driver's wrap counter.
pub const AVAILABLE: u16 = 1 << 7;
/// Packed: used, if it equals the driver's wrap counter, too.
pub const USED: u16 = 1 << 15;

/// Flag of a split ring: no notification wanted.
pub const NO_NOTIFICATION: u16 = 1;

/// Packed, in [`Event::flags`]: notify always.
pub const EVENT_ENABLE: u16 = 0;
/// Never.
pub const EVENT_DISABLE: u16 = 1;
/// When a given descriptor is reached.
pub const EVENT_DESCRIPTOR: u16 = 2;
/// Packed: the wrap counter, in a position.
pub const WRAP: u16 = 1 << 15;

/// Where the three areas of a queue are; device addresses are addresses of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Areas {
    /// Descriptors.
    pub descriptors: u64,
    /// What the driver writes besides.
    pub driver: u64,
    /// What the device writes.
    pub device: u64,
}

/// A descriptor of either format: the address, then the length and two numbers of 16 bits.
///
/// In a split ring these are flags and the next descriptor, in a packed one the buffer's identifier
/// and flags.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Descriptor {
    /// Where the buffer is.
    pub address: AtomicU64,
    /// See [`Words`].
    pub rest: AtomicU64,
}

/// The second half of a [`Descriptor`].
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// Bytes.
    pub len: u32,
    /// Split: flags. Packed: identifier.
    pub third: u16,
    /// Split: next descriptor. Packed: flags.
    pub fourth: u16,
}

impl Words {
    /// As it is stored.
    #[inline]
    #[must_use]
    pub const fn pack(self) -> u64 {
        self.len as u64 | (self.third as u64) << 32 | (self.fourth as u64) << 48
    }

    /// The inverse of [`pack`](Self::pack).
    #[inline]
    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self {
            len: word as u32,
            third: (word >> 32) as u16,
            fourth: (word >> 48) as u16,
        }
    }
}

/// The descriptors of a queue.
pub type Table = [Descriptor; QUEUE];

/// The available ring of a split queue (virtio 1.2, 2.7.6).
#[derive(Debug)]
#[repr(C)]
pub struct Available {
    /// [`NO_NOTIFICATION`] or 0.
    pub flags: AtomicU16,
    /// Entries so far, modulo 65536.
    pub index: AtomicU16,
    /// Heads of chains.
    pub ring: [AtomicU16; QUEUE],
    /// The used entry that the driver wants to hear of.
    pub used_event: AtomicU16,
}

/// The used ring of a split queue (virtio 1.2, 2.7.8).
#[derive(Debug)]
#[repr(C)]
pub struct UsedRing {
    /// [`NO_NOTIFICATION`] or 0.
    pub flags: AtomicU16,
    /// Entries so far, modulo 65536.
    pub index: AtomicU16,
    /// Head of a chain, and bytes written into it.
    pub ring: [[AtomicU32; 2]; QUEUE],
    /// The available entry that the device wants to hear of.
    pub available_event: AtomicU16,
}

/// Event suppression of a packed queue (virtio 1.2, 2.8.14).
#[derive(Debug)]
#[repr(C, align(4))]
pub struct Event {
    /// A place in the ring and, in [`WRAP`], the wrap counter.
    pub position: AtomicU16,
    /// [`EVENT_ENABLE`], [`EVENT_DISABLE`] or [`EVENT_DESCRIPTOR`].
    pub flags: AtomicU16,
}

/// Whether `event` is one of the entries `old..new`, all modulo 65536 (virtio 1.2, 2.7.10).
#[inline]
#[must_use]
pub const fn crosses(event: u16, old: u16, new: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The same in a packed ring, where places run from 0 to [`QUEUE`] and a wrap counter turns.
///
/// `new` is the place after the last entry, `wrap` the counter that belongs to it, and `count` the
/// number of entries that were added.
#[inline]
#[must_use]
pub const fn crosses_packed(event: u16, new: u16, wrap: bool, count: u16) -> bool {
    let turned = (event & WRAP != 0) != wrap;
    let place = event & !WRAP;
    let place = if turned {
        place.wrapping_sub(QUEUE as u16)
    } else {
        place
    };
    new.wrapping_sub(place).wrapping_sub(1) < count
}

#[cfg(test)]
mod tests {
    use std::mem::{offset_of, size_of};

    use super::*;

    #[test]
    fn the_structures_are_laid_out_as_specified() {
        assert_eq!(size_of::<Table>(), 16 * QUEUE);
        assert_eq!(offset_of!(Available, ring), 4);
        assert_eq!(offset_of!(Available, used_event), 4 + 2 * QUEUE);
        assert_eq!(offset_of!(UsedRing, ring), 4);
        assert_eq!(offset_of!(UsedRing, available_event), 4 + 8 * QUEUE);
        assert_eq!(size_of::<Event>(), 4);
    }

    #[test]
    fn words_survive_packing() {
        let words = Words {
            len: 0x1234_5678,
            third: 0x9abc,
            fourth: 0xdef0,
        };
        let back = Words::unpack(words.pack());
        assert_eq!(format!("{back:?}"), format!("{words:?}"));
    }

    /// Walks the entries and compares each with the event.
    #[test]
    fn crossing_in_a_packed_ring_agrees_with_walking() {
        let entries = 2 * QUEUE as u16;
        let position = |at: u16| {
            let wrap = (at / QUEUE as u16).is_multiple_of(2);
            (at % QUEUE as u16) | if wrap { WRAP } else { 0 }
        };
        for old in 0..entries {
            for count in [0, 1, 2, 40, QUEUE as u16] {
                let new = position(old + count);
                for event in (0..entries).step_by(7).map(position) {
                    let walked = (0..count).any(|i| position(old + i) == event);
                    let crossed = crosses_packed(event, new & !WRAP, new & WRAP != 0, count);
                    assert_eq!(crossed, walked, "{event:#x}: {old} + {count}");
                }
            }
        }
    }
}
