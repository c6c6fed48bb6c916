//! A place in a packed ring, with the wrap counter there (virtio 1.2, 2.8.1).

use virtio_spec::virtq::DescF;

/// `AVAIL` of a descriptor.
pub(super) const AVAIL: u16 = DescF::AVAIL.bits().to_ne();
/// `USED` of a descriptor.
pub(super) const USED: u16 = DescF::USED.bits().to_ne();

/// Offset and wrap counter.
///
/// In the lowest 16 bits the offset, in the highest the two flags that the counter is compared with,
/// both set if it is 1, else both clear: where a descriptor has its flags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Position(u64);

const BOTH: u64 = ((AVAIL | USED) as u64) << 48;

impl Position {
    /// Where each side begins: at the front, with a wrap counter of 1.
    pub(super) const START: Self = Self(BOTH);

    /// In descriptors.
    #[inline]
    pub(super) const fn offset(self) -> u16 {
        self.0 as u16
    }

    /// The two flags of a descriptor that the driver makes available here.
    #[inline]
    pub(super) const fn available(self) -> u16 {
        self.used() ^ USED
    }

    /// The two flags of a descriptor that the device has used here.
    #[inline]
    const fn used(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Whether the two flags in `rest`, all of a descriptor but its address, are those of one that the
    /// device has used here.
    #[inline]
    pub(super) const fn is_used(self, rest: u64) -> bool {
        (self.0 ^ rest) & BOTH == 0
    }

    /// The offset, with the wrap counter in bit 15: as events and doorbells name places.
    #[inline]
    pub(super) const fn off_wrap(self) -> u16 {
        self.offset() | (self.used() & USED)
    }

    /// Goes on by `count` descriptors, no more than `size`, in a ring of `size`.
    ///
    /// The offset is less than `size` then, whatever it was.
    #[inline]
    pub(super) const fn advance(&mut self, count: u16, size: u16) {
        // Less than 32768 and at most 32768.
        let offset = self.offset().wrapping_add(count);
        if offset < size {
            self.0 = self.0.wrapping_add(count as u64);
        } else {
            self.turn(offset, size);
        }
    }

    /// Turns with `offset`, which is beyond the ring. Out of line, so that the common way is free of
    /// what this one needs.
    #[cold]
    #[inline(never)]
    const fn turn(&mut self, offset: u16, size: u16) {
        let offset = offset.wrapping_sub(size);
        let lap = (self.0 & BOTH) ^ BOTH;
        self.0 = if offset < size {
            offset as u64 | lap
        } else {
            lap
        };
    }
}

const _: () = assert!(USED == 1 << 15, "the wrap counter's place in `off_wrap`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_turns_with_the_last_descriptor() {
        let largest = if cfg!(miri) { 100 } else { 1 << 15 };
        for size in [1, 2, 5, largest] {
            let (mut place, mut wrap) = (Position::START, 1);
            for step in 0..3 * u32::from(size) {
                let offset = (step % u32::from(size)) as u16;
                assert_eq!(place.off_wrap(), offset | wrap << 15);
                let (available, used) = if wrap == 1 {
                    (0x80, 0x8080)
                } else {
                    (0x8000, 0)
                };
                assert_eq!((place.available(), place.used()), (available, used));
                let mut round = place;
                round.advance(size, size);
                round.advance(size, size);
                assert_eq!(round, place);
                if offset == size - 1 {
                    wrap ^= 1;
                }
                place.advance(1, size);
            }
        }
    }
}
