//! How many descriptors a queue has.

use crate::features::Features;

/// Descriptors in a queue.
///
/// Of a split queue a power of two in `2..=32768` (virtio 1.2, 2.7), of a packed one any number in
/// `1..=32768` (virtio 1.2, 2.8.10.1).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct QueueSize(u16);

/// A number that is no size of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueSizeError(
    /// The number.
    pub u16,
);

impl QueueSize {
    /// The largest size.
    pub const MAX: Self = Self(1 << 15);

    /// Accepts `size` if a queue of either format can have it.
    ///
    /// # Errors
    ///
    /// It is not a power of two in `2..=32768`.
    pub const fn new(size: u16) -> Result<Self, QueueSizeError> {
        if size >= 2 && size.is_power_of_two() {
            Ok(Self(size))
        } else {
            Err(QueueSizeError(size))
        }
    }

    /// Accepts `size` if a packed queue can have it.
    ///
    /// # Errors
    ///
    /// It is not in `1..=32768`.
    pub const fn packed(size: u16) -> Result<Self, QueueSizeError> {
        if size >= 1 && size <= Self::MAX.0 {
            Ok(Self(size))
        } else {
            Err(QueueSizeError(size))
        }
    }

    /// The largest size up to `most` that the negotiated format allows.
    ///
    /// # Errors
    ///
    /// There is none: `most` is 0, or 1 and the format is split.
    pub const fn largest(most: u16, features: Features) -> Result<Self, QueueSizeError> {
        let most = if most > Self::MAX.0 {
            Self::MAX.0
        } else {
            most
        };
        if features.contains(Features::RING_PACKED) {
            return Self::packed(most);
        }
        match most.checked_ilog2() {
            Some(bit) => Self::new(1 << bit),
            None => Err(QueueSizeError(most)),
        }
    }

    /// The size as a number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a split queue can have this size.
    #[must_use]
    pub const fn is_split(self) -> bool {
        Self::new(self.0).is_ok()
    }

    /// What an index is masked with to become a place in a ring of a split queue.
    pub(crate) const fn mask(self) -> u16 {
        self.0.wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_sizes_are_powers_of_two_from_two_on() {
        let possible = (0..=u16::MAX).filter(|size| QueueSize::new(*size).is_ok());
        assert!(possible.eq((1..=15).map(|bit| 1 << bit)));
    }

    #[test]
    fn packed_sizes_are_all_up_to_the_largest() {
        let possible = (0..=u16::MAX).filter(|size| QueueSize::packed(*size).is_ok());
        assert!(possible.eq(1..=1 << 15));
    }

    #[test]
    fn the_largest_size_is_rounded_down_only_for_a_split_queue() {
        let split = |most| QueueSize::largest(most, Features::NONE).map(QueueSize::get);
        let packed = |most| QueueSize::largest(most, Features::RING_PACKED).map(QueueSize::get);
        for (most, for_split, for_packed) in [
            (2, 2, 2),
            (3, 2, 3),
            (1000, 512, 1000),
            (1 << 15, 1 << 15, 1 << 15),
            (u16::MAX, 1 << 15, 1 << 15),
        ] {
            assert_eq!((split(most), packed(most)), (Ok(for_split), Ok(for_packed)));
        }
        assert_eq!(
            (split(0), packed(0)),
            (Err(QueueSizeError(0)), Err(QueueSizeError(0)))
        );
        assert_eq!((split(1), packed(1)), (Err(QueueSizeError(1)), Ok(1)));
    }
}
