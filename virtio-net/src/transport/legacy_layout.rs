//! How a device of the legacy interface is told where a queue is (virtio 1.2, 4.1.5.1.3.1).

use crate::queue::split::SplitLayout;
use crate::queue::{QueueAddresses, QueueSize};

/// The shift from an address to the number that a legacy device is told.
const PAGE_SHIFT: u32 = SplitLayout::LEGACY_ALIGNMENT.trailing_zeros();

/// The number that tells a legacy device of a queue of `size` at `addresses`.
///
/// # Errors
///
/// The queue is not laid out as the device takes it to be, or lies too high for the register.
pub(crate) fn page(size: QueueSize, addresses: &QueueAddresses) -> Result<u32, LegacyAddressError> {
    let start = addresses.descriptors;
    let expected = SplitLayout::legacy(size).addresses_at(start);
    let is_aligned = start & (SplitLayout::LEGACY_ALIGNMENT as u64).wrapping_sub(1) == 0;
    // Page 0 takes the queue away from the device.
    if expected != Some(*addresses) || !is_aligned || start == 0 {
        return Err(LegacyAddressError::Layout);
    }
    u32::try_from(start >> PAGE_SHIFT).map_err(|_| LegacyAddressError::TooHigh)
}

/// Addresses that a legacy device cannot be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LegacyAddressError {
    /// They are not those of [`SplitLayout::legacy`], or not at a multiple of its alignment, or at
    /// zero.
    Layout,
    /// The page has no 32-bit number: the queue lies at 16 TiB or above.
    TooHigh,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_told_by_its_page() {
        let size = QueueSize::new(128).unwrap();
        let at = |start| SplitLayout::legacy(size).addresses_at(start).unwrap();
        let told = |addresses| page(size, &addresses);
        assert_eq!(told(at(0x1234_5000)), Ok(0x1_2345));
        assert_eq!(told(at(0xfff_ffff_f000)), Ok(u32::MAX));
        let too_high = Err(LegacyAddressError::TooHigh);
        assert_eq!(told(at(0x1000_0000_0000)), too_high);
        let wrong = Err(LegacyAddressError::Layout);
        assert_eq!(told(at(0)), wrong);
        assert_eq!(told(at(0x1234_5800)), wrong);
        let moved = QueueAddresses {
            device: 0x1234_5000,
            ..at(0x1234_5000)
        };
        assert_eq!(told(moved), wrong);
        let modern = SplitLayout::new(size).addresses_at(0x1234_5000).unwrap();
        assert_eq!(told(modern), wrong);
    }
}
