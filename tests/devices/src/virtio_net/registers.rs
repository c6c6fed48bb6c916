//! The common configuration registers (virtio 1.2, 4.1.4.3), decoded.

/// A register of the common configuration structure, with the half for those of 64 bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Register {
    DeviceFeatureSelect,
    DeviceFeature,
    DriverFeatureSelect,
    DriverFeature,
    ConfigVector,
    NumQueues,
    DeviceStatus,
    ConfigGeneration,
    QueueSelect,
    QueueSize,
    QueueVector,
    QueueEnable,
    QueueNotifyOff,
    /// Which area (descriptor, driver, device) and whether its high half.
    QueueAddress {
        area: usize,
        high: bool,
    },
    QueueNotifyData,
    QueueReset,
}

impl Register {
    /// The register at `offset`, if it is accessed in its own width: 64-bit registers take two
    /// accesses of 32 bits (virtio 1.2, 4.1.3.1).
    pub(super) fn decode(offset: u64, width: usize) -> Option<Self> {
        use Register::*;
        let register = match (offset, width) {
            (0x00, 4) => DeviceFeatureSelect,
            (0x04, 4) => DeviceFeature,
            (0x08, 4) => DriverFeatureSelect,
            (0x0C, 4) => DriverFeature,
            (0x10, 2) => ConfigVector,
            (0x12, 2) => NumQueues,
            (0x14, 1) => DeviceStatus,
            (0x15, 1) => ConfigGeneration,
            (0x16, 2) => QueueSelect,
            (0x18, 2) => QueueSize,
            (0x1A, 2) => QueueVector,
            (0x1C, 2) => QueueEnable,
            (0x1E, 2) => QueueNotifyOff,
            (0x20..0x38, 4) if offset.is_multiple_of(4) => QueueAddress {
                area: ((offset - 0x20) / 8) as usize,
                high: offset % 8 == 4,
            },
            (0x38, 2) => QueueNotifyData,
            (0x3A, 2) => QueueReset,
            _ => return None,
        };
        Some(register)
    }
}

/// The little-endian number in `data`.
pub(super) fn number(data: &[u8]) -> u64 {
    data.iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Fills `data` with `value`, little endian; what does not fit is cut off.
pub(super) fn fill(data: &mut [u8], value: u64) {
    for (byte, from) in data.iter_mut().zip(value.to_le_bytes()) {
        *byte = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_answer_in_their_own_width_only() {
        assert_eq!(Register::decode(0x14, 1), Some(Register::DeviceStatus));
        assert_eq!(Register::decode(0x14, 4), None);
        assert_eq!(Register::decode(0x20, 8), None);
    }

    #[test]
    fn queue_addresses_are_three_pairs_of_halves() {
        let address = |area, high| Some(Register::QueueAddress { area, high });
        assert_eq!(Register::decode(0x20, 4), address(0, false));
        assert_eq!(Register::decode(0x2C, 4), address(1, true));
        assert_eq!(Register::decode(0x34, 4), address(2, true));
        assert_eq!(Register::decode(0x38, 4), None);
        assert_eq!(Register::decode(0x3A, 2), Some(Register::QueueReset));
    }

    #[test]
    fn numbers_are_little_endian() {
        let mut data = [0; 4];
        fill(&mut data, 0xAABB_CCDD);
        assert_eq!(data, [0xDD, 0xCC, 0xBB, 0xAA]);
        assert_eq!(number(&data), 0xAABB_CCDD);
    }
}
