//! Where the three parts of a packed queue lie in one region (virtio 1.2, 2.8).
//!
//! ```text
//! 0                      driver                device                bytes
//! | descriptors: 16 n    | off_wrap flags      | off_wrap flags      |
//! ```
//!
//! Each part begins a cache line of its own: the ring is written by both sides, the others by one.

use super::super::QueueSize;
use super::super::memory::{CACHE_LINE, DESCRIPTOR_LEN, line_after};

/// Offsets and sizes, in bytes, for one queue size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PackedLayout {
    driver: usize,
}

impl PackedLayout {
    /// What the region's addresses, for the CPU and for the device, are multiples of.
    ///
    /// The specification asks for 16; this is a cache line.
    pub const ALIGNMENT: usize = CACHE_LINE;

    /// The layout of a queue with `size` descriptors.
    #[must_use]
    pub const fn new(size: QueueSize) -> Self {
        // At most 32768 descriptors: none of this comes near the end of a usize.
        Self {
            driver: line_after((size.get() as usize).saturating_mul(DESCRIPTOR_LEN)),
        }
    }

    /// Bytes that the region has at least.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.device().saturating_add(CACHE_LINE)
    }

    /// Where the descriptor ring starts.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        0
    }

    /// Where the driver's event suppression structure starts.
    #[must_use]
    pub const fn driver(&self) -> usize {
        self.driver
    }

    /// Where the device's event suppression structure starts.
    #[must_use]
    pub const fn device(&self) -> usize {
        self.driver.saturating_add(CACHE_LINE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_aligned_and_apart_for_every_size() {
        for size in (1..=1 << 15).step_by(if cfg!(miri) { 509 } else { 1 }) {
            let layout = PackedLayout::new(QueueSize::packed(size).unwrap());
            let size = usize::from(size);
            assert!(layout.driver() >= 16 * size && layout.driver() < 16 * size + 64);
            assert_eq!(layout.device(), layout.driver() + 64);
            assert_eq!(layout.bytes(), layout.device() + 64);
            assert_eq!(layout.driver() % PackedLayout::ALIGNMENT, 0);
        }
    }
}
