//! Where the three rings of a split queue lie in one region (virtio 1.2, 2.7).
//!
//! ```text
//! 0                      driver                device                bytes
//! | descriptors: 16 n    | flags idx ring[n]   | flags idx ring[n]   |
//! |                      |       used_event    |      avail_event    |
//! ```
//!
//! Each ring begins a cache line of its own, since each is written by one side and read by the
//! other.

use super::super::QueueSize;
use super::super::memory::{CACHE_LINE, DESCRIPTOR_LEN, IndirectTables, line_after};

/// `flags` and `idx` before the entries, and the event index after them.
const RING_OVERHEAD: usize = 4 + 2;
const AVAILABLE_ENTRY_LEN: usize = 2;
const USED_ENTRY_LEN: usize = 8;

/// Offsets and sizes, in bytes, for one queue size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SplitLayout {
    bytes: usize,
    driver: usize,
    device: usize,
}

impl SplitLayout {
    /// What the region's addresses, for the CPU and for the device, are multiples of.
    ///
    /// The specification asks for 16; this is a cache line.
    pub const ALIGNMENT: usize = CACHE_LINE;

    /// The layout of a queue with `size` descriptors.
    #[must_use]
    pub const fn new(size: QueueSize) -> Self {
        // At most 32768 entries: none of this comes near the end of a usize.
        let entries = size.get() as usize;
        let driver = line_after(entries.saturating_mul(DESCRIPTOR_LEN));
        let driver_len = entries
            .saturating_mul(AVAILABLE_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        let device = line_after(driver.saturating_add(driver_len));
        let device_len = entries
            .saturating_mul(USED_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        Self {
            bytes: line_after(device.saturating_add(device_len)),
            driver,
            device,
        }
    }

    /// Bytes that the region has at least.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Where the descriptor table starts.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        0
    }

    /// Where the available ring starts.
    #[must_use]
    pub const fn driver(&self) -> usize {
        self.driver
    }

    /// Where the used ring starts.
    #[must_use]
    pub const fn device(&self) -> usize {
        self.device
    }

    /// Bytes for the indirect tables of a queue: one table of `per_table` descriptors per slot.
    #[must_use]
    pub const fn indirect_bytes(size: QueueSize, per_table: u16) -> usize {
        IndirectTables::bytes(size, per_table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_aligned_and_apart_for_every_size() {
        for size in (1..=15).map(|bit| 1 << bit) {
            let layout = SplitLayout::new(QueueSize::new(size).unwrap());
            let size = usize::from(size);
            assert!(layout.driver() >= 16 * size);
            assert!(layout.device() >= layout.driver() + 6 + 2 * size);
            assert!(layout.bytes() >= layout.device() + 6 + 8 * size);
            for offset in [layout.driver(), layout.device(), layout.bytes()] {
                assert_eq!(offset % SplitLayout::ALIGNMENT, 0);
            }
        }
    }

    #[test]
    fn a_ring_of_256_takes_what_one_can_count_on_paper() {
        let layout = SplitLayout::new(QueueSize::new(256).unwrap());
        assert_eq!(
            (layout.driver(), layout.device(), layout.bytes()),
            (4096, 4672, 6784)
        );
    }
}
