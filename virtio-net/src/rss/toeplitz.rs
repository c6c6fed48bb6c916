//! The Toeplitz hash: of each bit that is set in the input, the 32 bits of the key that start at the
//! place of that bit, all added without carry.
//!
//! It is linear, so that a nibble of the input can be looked up as one. The table of a key takes
//! 4.6 KiB; a byte at a time would take sixteen times as much and drive other things from the cache.

use alloc::boxed::Box;

/// Bytes of a key.
pub const KEY_LEN: usize = 40;

/// Bytes of the longest input, that the key suffices for: two IPv6 addresses and two ports.
pub const MAX_INPUT_LEN: usize = 36;

/// By value, the hash of a byte's upper nibble, then of its lower.
type OfByte = [[u32; 16]; 2];

/// A key, made into a table.
#[derive(Clone, Debug)]
pub struct Toeplitz {
    /// By the place of a byte in the input.
    table: Box<[OfByte]>,
}

impl Toeplitz {
    /// The table of `key`. Allocates, and takes some microseconds.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        // One by one: as a whole it would be too much for a kernel's stack.
        let table = (0..MAX_INPUT_LEN).map(|place| {
            // The 40 bits of the key that the bits of this byte see.
            let window = key.iter().skip(place).take(5);
            let window = window.fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            let mut of_byte = [[0; 16]; 2];
            let [upper, lower] = &mut of_byte;
            fill(upper, window >> 4);
            fill(lower, window);
            of_byte
        });
        Self {
            table: table.collect(),
        }
    }

    /// Starts a hash.
    #[inline]
    pub(super) fn start(&self) -> Input<'_> {
        Input {
            rest: &self.table,
            value: 0,
        }
    }

    /// The hash of `input`: addresses and ports as they are in a packet. What is beyond
    /// [`MAX_INPUT_LEN`] does not count.
    #[inline]
    #[must_use]
    pub fn of(&self, input: &[u8]) -> u32 {
        let mut hash = self.start();
        hash.add(input);
        hash.value()
    }
}

/// Hashes every nibble; the first of its four bits sees the bits of `window` from 36 - 1 down.
fn fill(of_nibble: &mut [u32; 16], window: u64) {
    for (nibble, hash) in (0_u64..).zip(of_nibble) {
        let seen = |bit: u64, shift: u32| {
            if nibble & bit != 0 {
                window >> shift
            } else {
                0
            }
        };
        *hash = (seen(8, 4) ^ seen(4, 3) ^ seen(2, 2) ^ seen(1, 1)) as u32;
    }
}

/// A hash under way.
pub(super) struct Input<'a> {
    rest: &'a [OfByte],
    value: u32,
}

impl Input<'_> {
    #[inline]
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let mut value = self.value;
        for (byte, [upper, lower]) in bytes.iter().zip(self.rest) {
            // Four bits are always an index of sixteen.
            let of = |nibbles: &[u32; 16], nibble: u8| {
                nibbles
                    .get(usize::from(nibble & 0xf))
                    .copied()
                    .unwrap_or_default()
            };
            value ^= of(upper, byte >> 4) ^ of(lower, *byte);
        }
        self.value = value;
        self.rest = self.rest.get(bytes.len()..).unwrap_or_default();
    }

    #[inline]
    pub(super) fn value(&self) -> u32 {
        self.value
    }
}
