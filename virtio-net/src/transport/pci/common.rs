//! Offsets in the common configuration structure, `virtio_pci_common_cfg` (virtio 1.2, 4.1.4.3).

pub(super) const DEVICE_FEATURE_SELECT: u32 = 0x00;
pub(super) const DEVICE_FEATURE: u32 = 0x04;
pub(super) const DRIVER_FEATURE_SELECT: u32 = 0x08;
pub(super) const DRIVER_FEATURE: u32 = 0x0c;
pub(super) const CONFIG_MSIX_VECTOR: u32 = 0x10;
pub(super) const NUM_QUEUES: u32 = 0x12;
pub(super) const DEVICE_STATUS: u32 = 0x14;
pub(super) const CONFIG_GENERATION: u32 = 0x15;
pub(super) const QUEUE_SELECT: u32 = 0x16;
pub(super) const QUEUE_SIZE: u32 = 0x18;
pub(super) const QUEUE_MSIX_VECTOR: u32 = 0x1a;
pub(super) const QUEUE_ENABLE: u32 = 0x1c;
pub(super) const QUEUE_NOTIFY_OFF: u32 = 0x1e;
pub(super) const QUEUE_DESC: u32 = 0x20;
pub(super) const QUEUE_DRIVER: u32 = 0x28;
pub(super) const QUEUE_DEVICE: u32 = 0x30;

/// Bytes that a driver without `NOTIF_CONFIG_DATA` and `RING_RESET` uses.
pub(super) const LEN: u32 = 0x38;

/// With `NOTIF_CONFIG_DATA` only.
pub(super) const QUEUE_NOTIF_CONFIG_DATA: u32 = 0x38;
/// With `RING_RESET` only.
pub(super) const QUEUE_RESET: u32 = 0x3a;

/// Bytes up to the end of each of the two.
pub(super) const LEN_WITH_NOTIF_CONFIG_DATA: u32 = 0x3a;
pub(super) const LEN_WITH_RESET: u32 = 0x3c;

#[cfg(test)]
mod tests {
    use virtio_spec::pci::CommonCfg;

    use super::*;

    #[test]
    fn the_structure_of_the_specification_goes_on_where_ours_ends() {
        // Four 16-bit fields follow: queue_notif_config_data, queue_reset, admin_queue_index, _num.
        assert_eq!(size_of::<CommonCfg>() as u32, LEN + 4 * 2);
        assert_eq!(LEN_WITH_RESET, LEN + 2 * 2);
        assert_eq!(QUEUE_RESET, LEN_WITH_NOTIF_CONFIG_DATA);
    }
}
