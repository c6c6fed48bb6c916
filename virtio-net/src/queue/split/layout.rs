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
//!
//! A device of the legacy interface is told one number, the page that the descriptors start at, and
//! computes the rest (virtio 1.2, 2.7.2): the available ring follows the descriptors, and the used
//! ring begins the next page. So nothing of that can be chosen, the number of descriptors included.

use super::super::memory::{CACHE_LINE, DESCRIPTOR_LEN, IndirectTables};
use super::super::{QueueAddresses, QueueSize};
use crate::features::Interface;

/// `flags` and `idx` before the entries, and the event index after them.
const RING_OVERHEAD: usize = 4 + 2;
const AVAILABLE_ENTRY_LEN: usize = 2;
const USED_ENTRY_LEN: usize = 8;

/// What the legacy interface aligns a queue and its used ring to (virtio 1.2, 2.7.2).
const LEGACY_PAGE: usize = 4096;

/// Offsets and sizes, in bytes, for one queue size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SplitLayout {
    bytes: usize,
    driver: usize,
    device: usize,
    alignment: usize,
}

impl SplitLayout {
    /// What the region's addresses, for the CPU and for the device, are multiples of, unless the
    /// device is of the legacy interface.
    ///
    /// The specification asks for 16; this is a cache line.
    pub const ALIGNMENT: usize = CACHE_LINE;

    /// The same for the legacy interface.
    pub const LEGACY_ALIGNMENT: usize = LEGACY_PAGE;

    /// The layout of a queue with `size` descriptors.
    #[must_use]
    pub const fn new(size: QueueSize) -> Self {
        Self::aligned(size, CACHE_LINE, CACHE_LINE)
    }

    /// The layout of a queue with `size` descriptors as devices of the legacy interface compute it.
    #[must_use]
    pub const fn legacy(size: QueueSize) -> Self {
        // What ends the available ring needs no alignment of its own.
        Self::aligned(size, 2, LEGACY_PAGE)
    }

    /// The layout for devices that are driven by `interface`.
    #[must_use]
    pub const fn of(interface: Interface, size: QueueSize) -> Self {
        match interface {
            Interface::Modern => Self::new(size),
            Interface::Legacy => Self::legacy(size),
        }
    }

    /// The available ring begins a multiple of `inner`, the used ring one of `outer`.
    const fn aligned(size: QueueSize, inner: usize, outer: usize) -> Self {
        // At most 32768 entries: none of this comes near the end of a usize.
        let entries = size.get() as usize;
        let driver = after(entries.saturating_mul(DESCRIPTOR_LEN), inner);
        let driver_len = entries
            .saturating_mul(AVAILABLE_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        let device = after(driver.saturating_add(driver_len), outer);
        let device_len = entries
            .saturating_mul(USED_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        Self {
            bytes: after(device.saturating_add(device_len), outer),
            driver,
            device,
            alignment: outer,
        }
    }

    /// What the region's addresses are multiples of.
    #[must_use]
    pub const fn alignment(&self) -> usize {
        self.alignment
    }

    /// The addresses of a queue whose region the device sees at `start`, or `None` where they run
    /// over the end of 64 bits.
    #[must_use]
    pub const fn addresses_at(&self, start: u64) -> Option<QueueAddresses> {
        if start.checked_add(self.bytes as u64).is_none() {
            return None;
        }
        Some(QueueAddresses {
            descriptors: start,
            driver: start.wrapping_add(self.driver as u64),
            device: start.wrapping_add(self.device as u64),
        })
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

/// The first multiple of `unit`, a power of two, from `offset` on.
const fn after(offset: usize, unit: usize) -> usize {
    let mask = unit.wrapping_sub(1);
    offset.saturating_add(mask) & !mask
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

    #[test]
    fn a_legacy_ring_of_256_takes_what_one_can_count_on_paper() {
        let layout = SplitLayout::legacy(QueueSize::new(256).unwrap());
        let places = (layout.descriptors(), layout.driver(), layout.device());
        assert_eq!(places, (0, 4096, 8192));
        assert_eq!((layout.bytes(), layout.alignment()), (3 * 4096, 4096));
    }

    #[test]
    fn legacy_rings_lie_where_devices_compute_them() {
        // As devices do it: the used ring follows the last entry of the available ring.
        for size in (1..=15).map(|bit| 1_usize << bit) {
            let layout = SplitLayout::legacy(QueueSize::new(size as u16).unwrap());
            let entries_end = 16 * size + 4 + 2 * size;
            assert_eq!(layout.driver(), 16 * size);
            assert_eq!(layout.device(), entries_end.next_multiple_of(4096));
            assert!(layout.device() >= layout.driver() + 6 + 2 * size);
            let used_end = layout.device() + 6 + 8 * size;
            assert_eq!(layout.bytes(), used_end.next_multiple_of(4096));
        }
    }

    #[test]
    fn addresses_do_not_run_over_the_end() {
        let layout = SplitLayout::legacy(QueueSize::new(256).unwrap());
        assert_eq!(layout.addresses_at(u64::MAX - 4096), None);
        let addresses = layout.addresses_at(0x1000).unwrap();
        assert_eq!((addresses.driver, addresses.device), (0x2000, 0x3000));
    }
}
