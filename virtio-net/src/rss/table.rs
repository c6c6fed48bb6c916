//! The indirection table: from a hash to a queue.

use alloc::boxed::Box;

/// Entries of the longest table: twice the usual.
pub const MAX_ENTRIES: usize = 256;

/// Queues by hash: the lower bits of a hash choose an entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IndirectionTable {
    entries: Box<[u16]>,
    mask: usize,
}

/// A table whose length is not a power of two from 1 to [`MAX_ENTRIES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BadTable {
    /// Its length in entries.
    pub len: usize,
}

impl IndirectionTable {
    /// A table of `entries`, what they are is the caller's business. Allocates.
    ///
    /// # Errors
    ///
    /// The length is not one of a table.
    pub fn new(entries: &[u16]) -> Result<Self, BadTable> {
        let len = entries.len();
        match len.checked_sub(1) {
            Some(mask) if len.is_power_of_two() && len <= MAX_ENTRIES => Ok(Self {
                entries: entries.into(),
                mask,
            }),
            _ => Err(BadTable { len }),
        }
    }

    /// The entry for `hash`.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u32) -> u16 {
        // The mask keeps the index inside, so that there is always an entry.
        let entry = self.entries.get(hash as usize & self.mask);
        entry.copied().unwrap_or_default()
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[u16] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_bits_choose() {
        let entries: [u16; 8] = [10, 11, 12, 13, 14, 15, 16, 17];
        let table = IndirectionTable::new(&entries).unwrap();
        assert_eq!(table.lookup(0xffff_fff8), 10);
        assert_eq!(table.lookup(0xffff_ffff), 17);
        assert_eq!(table.lookup(3), 13);
        let one = IndirectionTable::new(&[7]).unwrap();
        assert_eq!(one.lookup(0xdead_beef), 7);
    }

    #[test]
    fn only_powers_of_two_are_lengths() {
        let of = |len| IndirectionTable::new(&[0; 512][..len]).map(|table| table.entries().len());
        for len in [1, 2, 64, 128, 256] {
            assert_eq!(of(len), Ok(len));
        }
        for len in [0, 3, 127, 129, 512] {
            assert_eq!(of(len), Err(BadTable { len }));
        }
    }
}
