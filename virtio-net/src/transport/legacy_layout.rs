//! Where the rings of a split queue lie for the legacy interface (virtio 1.2, 2.7.2).
//!
//! ```text
//! 0                 driver               device (next multiple of 4096)   bytes
//! | descriptors 16n | flags idx ring[n]  | flags idx ring[n]              |
//! ```
//!
//! The device is told one number, the page that the descriptors start at, and computes the rest. So
//! nothing of this can be chosen, the number of descriptors included.

use crate::queue::{QueueAddresses, QueueSize};

/// The shift from an address to the number that a legacy device is told (virtio 1.2, 4.1.5.1.3.1).
const PAGE_SHIFT: u32 = 12;

const DESCRIPTOR_LEN: usize = 16;
const AVAILABLE_ENTRY_LEN: usize = 2;
const USED_ENTRY_LEN: usize = 8;
/// `flags` and `idx` before the entries, and the event index after them.
const RING_OVERHEAD: usize = 3 * 2;

/// Offsets and sizes, in bytes, for one queue size.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LegacyLayout {
    bytes: usize,
    driver: usize,
    device: usize,
}

impl LegacyLayout {
    /// What the address of the queue, and the place of its used ring, are multiples of.
    pub const ALIGNMENT: usize = 1 << PAGE_SHIFT;

    /// The layout of a queue with `size` descriptors.
    #[must_use]
    pub const fn new(size: QueueSize) -> Self {
        // At most 32768 entries: none of this comes near the end of a usize.
        let entries = size.get() as usize;
        let driver = entries.saturating_mul(DESCRIPTOR_LEN);
        let driver_len = entries
            .saturating_mul(AVAILABLE_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        let device = page_after(driver.saturating_add(driver_len));
        let device_len = entries
            .saturating_mul(USED_ENTRY_LEN)
            .saturating_add(RING_OVERHEAD);
        Self {
            bytes: page_after(device.saturating_add(device_len)),
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

    /// The number that tells a legacy device of a queue at `addresses`.
    ///
    /// # Errors
    ///
    /// The queue is not laid out like this, or lies too high for the register.
    pub(crate) fn page(&self, addresses: &QueueAddresses) -> Result<u32, LegacyAddressError> {
        let start = addresses.descriptors;
        let is_ours = self
            .addresses_at(start)
            .is_some_and(|ours| ours == *addresses);
        // Page 0 takes the queue away from the device.
        if !is_ours || start & (Self::ALIGNMENT as u64).wrapping_sub(1) != 0 || start == 0 {
            return Err(LegacyAddressError::Layout);
        }
        u32::try_from(start >> PAGE_SHIFT).map_err(|_| LegacyAddressError::TooHigh)
    }
}

/// Addresses that a legacy device cannot be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegacyAddressError {
    /// They are not those of [`LegacyLayout`], or not at a multiple of its alignment, or at zero.
    Layout,
    /// The page has no 32-bit number: the queue lies at 16 TiB or above.
    TooHigh,
}

const fn page_after(offset: usize) -> usize {
    offset.saturating_add(LegacyLayout::ALIGNMENT - 1) & !(LegacyLayout::ALIGNMENT - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: u16) -> LegacyLayout {
        LegacyLayout::new(QueueSize::new(size).unwrap())
    }

    #[test]
    fn a_ring_of_256_takes_what_one_can_count_on_paper() {
        let layout = layout(256);
        let places = (layout.descriptors(), layout.driver(), layout.device());
        assert_eq!(places, (0, 4096, 8192));
        assert_eq!(layout.bytes(), 3 * 4096);
    }

    #[test]
    fn rings_lie_where_devices_compute_them() {
        // As devices do it: the used ring follows the last entry of the available ring.
        for size in (1..=15).map(|bit| 1_usize << bit) {
            let layout = layout(size as u16);
            let entries_end = 16 * size + 4 + 2 * size;
            assert_eq!(layout.driver(), 16 * size);
            assert_eq!(layout.device(), entries_end.next_multiple_of(4096));
            assert!(layout.device() >= layout.driver() + 6 + 2 * size);
            let used_end = layout.device() + 6 + 8 * size;
            assert_eq!(layout.bytes(), used_end.next_multiple_of(4096));
        }
    }

    #[test]
    fn a_queue_is_told_by_its_page() {
        let layout = layout(128);
        let at = |start| layout.addresses_at(start).unwrap();
        assert_eq!(layout.page(&at(0x1234_5000)), Ok(0x1_2345));
        assert_eq!(layout.page(&at(0xfff_ffff_f000)), Ok(u32::MAX));
        let too_high = Err(LegacyAddressError::TooHigh);
        assert_eq!(layout.page(&at(0x1000_0000_0000)), too_high);
        let wrong = Err(LegacyAddressError::Layout);
        assert_eq!(layout.page(&at(0)), wrong);
        assert_eq!(layout.page(&at(0x1234_5800)), wrong);
        let moved = QueueAddresses {
            device: 0x1234_5000,
            ..at(0x1234_5000)
        };
        assert_eq!(layout.page(&moved), wrong);
        assert_eq!(layout.addresses_at(u64::MAX - 4096), None);
    }
}
