//! A place in a packed ring, with the wrap counter there (virtio 1.2, 2.8.1).

use virtio_spec::virtq::DescF;

/// `AVAIL` of a descriptor.
pub(super) const AVAIL: u16 = DescF::AVAIL.bits().to_ne();
/// `USED` of a descriptor.
pub(super) const USED: u16 = DescF::USED.bits().to_ne();

/// Offset and wrap counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Position {
    offset: u16,
    /// The two flags that the wrap counter is compared with: both set if it is 1, else both clear.
    lap: u16,
}

impl Position {
    /// Where each side begins: at the front, with a wrap counter of 1.
    pub(super) const START: Self = Self {
        offset: 0,
        lap: AVAIL | USED,
    };

    /// In descriptors.
    #[inline]
    pub(super) const fn offset(self) -> u16 {
        self.offset
    }

    /// The two flags of a descriptor that the driver makes available here.
    #[inline]
    pub(super) const fn available(self) -> u16 {
        self.lap ^ USED
    }

    /// The two flags of a descriptor that the device has used here.
    #[inline]
    pub(super) const fn used(self) -> u16 {
        self.lap
    }

    /// The offset, with the wrap counter in bit 15: as events and doorbells name places.
    #[inline]
    pub(super) const fn off_wrap(self) -> u16 {
        self.offset | (self.lap & USED)
    }

    /// `count` descriptors on, no more than `size`, in a ring of `size`.
    #[inline]
    pub(super) const fn advanced(self, count: u16, size: u16) -> Self {
        // Less than 32768 and at most 32768.
        let offset = self.offset.wrapping_add(count);
        if offset < size {
            return Self { offset, ..self };
        }
        Self {
            offset: offset.wrapping_sub(size),
            lap: self.lap ^ (AVAIL | USED),
        }
    }
}

const _: () = assert!(USED == 1 << 15, "the wrap counter's place in `off_wrap`");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_turns_with_the_last_descriptor() {
        for size in [1, 2, 5, 1 << 15] {
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
                assert_eq!(place.advanced(size, size).advanced(size, size), place);
                if offset == size - 1 {
                    wrap ^= 1;
                }
                place = place.advanced(1, size);
            }
        }
    }
}
