//! The legacy interface (virtio 1.2, 4.1.4.10): registers in I/O ports, little endian since the
//! guest is.
//!
//! ```text
//! 00 device features   04 driver features   08 queue address / 4096
//! 0C queue size   0E queue select   10 notify   12 status   13 ISR
//! 14 configuration vector   16 queue vector      only while MSI-X is on
//! 14 or 18 device configuration
//! ```

use super::core::Core;
use super::registers::{fill, number};
use super::ring::NO_VECTOR;
use super::{Interface, device_status, feature, layout};
use crate::pci::DmaMemory;

/// Pages in which queues are placed, and to which their used ring is aligned.
const PAGE: u64 = 4096;

/// Where the device configuration starts without the two vectors.
const DEVICE_CONFIG: u64 = 0x14;
/// Bytes of the two vectors.
const VECTORS: u64 = 4;

impl Core {
    pub(super) fn read_legacy(&mut self, offset: u64, data: &mut [u8]) {
        self.counters.register_accesses += 1;
        if let Some(at) = self.legacy_config(offset) {
            return self.read_device(at, data);
        }
        let index = usize::from(self.queue_select);
        let ring = self.queues.rings.get(index);
        let value = match (offset, data.len()) {
            (0x00, 4) => self.config.features as u32,
            (0x04, 4) => self.driver_words[0],
            (0x08, 4) => ring.map_or(0, |ring| (ring.addresses[0] / PAGE) as u32),
            (0x0C, 2) => ring.map_or(0, |ring| ring.size.into()),
            (0x0E, 2) => self.queue_select.into(),
            (0x12, 1) => self.status.into(),
            (0x13, 1) => std::mem::take(&mut self.isr).into(),
            (0x14, 2) => self.config_vector.into(),
            (0x16, 2) => ring.map_or(NO_VECTOR, |ring| ring.vector).into(),
            (_, width) => {
                self.misuse(format!("legacy register {offset:#x}: {width} bytes read"));
                0
            }
        };
        fill(data, value.into());
    }

    pub(super) fn write_legacy(&mut self, offset: u64, data: &[u8], memory: &DmaMemory) {
        self.counters.register_accesses += 1;
        if let Some(at) = self.legacy_config(offset) {
            return self.write_legacy_config(at, data);
        }
        let value = number(data);
        self.begin_legacy(offset, value);
        match (offset, data.len()) {
            (0x04, 4) => self.write_legacy_features(value as u32),
            (0x08, 4) => self.write_page(value, memory),
            (0x0E, 2) => self.queue_select = value as u16,
            (0x10, 2) => self.doorbell(value, data, memory),
            (0x12, 1) => self.write_legacy_status(value as u8),
            (0x14, 2) => self.config_vector = self.usable_vector(value),
            (0x16, 2) => {
                let vector = self.usable_vector(value);
                let index = usize::from(self.queue_select);
                match self.queues.rings.get_mut(index) {
                    Some(ring) => ring.vector = vector,
                    None => self.misuse(format!("vector of queue {index}, which is not there")),
                }
            }
            (_, width) => {
                self.misuse(format!(
                    "legacy register {offset:#x}: {width} bytes written"
                ));
            }
        }
    }

    /// Offset in the device configuration, if `offset` is there.
    fn legacy_config(&self, offset: u64) -> Option<usize> {
        let vectors = if self.msix.is_enabled() { VECTORS } else { 0 };
        let at = offset.checked_sub(DEVICE_CONFIG + vectors)?;
        Some(at as usize)
    }

    /// The address is the driver's to write, byte by byte (virtio 1.2, 5.1.4.3).
    fn write_legacy_config(&mut self, at: usize, data: &[u8]) {
        let field = self.mac.get_mut(at..).unwrap_or_default();
        if data.len() > field.len() {
            return self.misuse(format!("device configuration was written at {at}"));
        }
        field[..data.len()].copy_from_slice(data);
    }

    /// Which interface drives the device shows when the first of them is used after a reset.
    fn begin_legacy(&mut self, offset: u64, value: u64) {
        let selects = matches!(offset, 0x0E);
        let resets = offset == 0x12 && value == 0;
        if self.legacy || selects || resets {
            return;
        }
        if self.status & device_status::FEATURES_OK != 0 {
            return self.misuse("legacy registers beside those of virtio 1".to_owned());
        }
        self.legacy = true;
        self.take_features(0);
        self.features_are_final();
    }

    fn write_legacy_features(&mut self, word: u32) {
        self.driver_words[0] = word;
        if self.status & device_status::DRIVER_OK != 0 {
            return self.misuse("features were written after DRIVER_OK".to_owned());
        }
        if !self.legacy {
            return;
        }
        self.take_features(word.into());
        if self.features_unoffered != 0 {
            let bits = self.features_unoffered;
            self.misuse(format!("features {bits:#x} were not on offer"));
        }
        self.features_are_final();
    }

    fn write_legacy_status(&mut self, value: u8) {
        if value & device_status::FEATURES_OK != 0 {
            self.misuse("FEATURES_OK through the legacy interface".to_owned());
        }
        self.write_status(value & !device_status::FEATURES_OK);
    }

    /// Places a queue and enables it, or disables it (page 0).
    fn write_page(&mut self, page: u64, memory: &DmaMemory) {
        let index = usize::from(self.queue_select);
        let features = self.ring_features();
        let Some(ring) = self.queues.rings.get_mut(index) else {
            return self.misuse(format!("address of queue {index}, which is not there"));
        };
        if page == 0 {
            let vector = ring.vector;
            ring.reset();
            ring.vector = vector;
            return;
        }
        if ring.ready() {
            return self.misuse(format!("queue {index} was placed while it is enabled"));
        }
        let (table, size) = (page * PAGE, u64::from(ring.size));
        let available = table + 16 * size;
        let used = (available + 2 * (3 + size)).next_multiple_of(PAGE);
        ring.addresses = [table, available, used];
        if let Err(reason) = ring.enable(memory, features) {
            self.break_down(format!("queue {index}: {reason}"));
        }
    }

    /// Whether headers must have descriptors of their own (virtio 1.2, 5.1.6.6).
    pub(super) fn has_fixed_layout(&self) -> bool {
        self.legacy && self.features & feature::ANY_LAYOUT == 0
    }

    /// The registers of virtio 1 are not for a driver that uses the others.
    pub(super) fn check_interface(&mut self) {
        if self.legacy && self.config.interface == Interface::Transitional {
            self.misuse("registers of virtio 1 beside the legacy ones".to_owned());
        }
    }
}

// Everything fits: registers, vectors and all of the device configuration.
const _: () = assert!(
    DEVICE_CONFIG + VECTORS + super::core::DEVICE_CONFIG_LEN as u64 <= layout::LEGACY_BAR.size
);
