//! Accesses to the register BAR (virtio 1.2, 4.1.4).

use super::core::Core;
use super::registers::{Register, fill, number};
use super::ring::{Coalescing, NO_VECTOR, QueueRole, Ring};
use super::{Fault, device_status, feature, layout};
use crate::pci::DmaMemory;

impl Core {
    /// Reads the register BAR; at most 4 bytes, the host bridge splits what is larger.
    pub(super) fn read_registers(&mut self, offset: u64, data: &mut [u8]) {
        self.counters.register_accesses += 1;
        let within = offset % 0x1000;
        match offset - within {
            layout::COMMON => {
                let value = match Register::decode(within, data.len()) {
                    Some(register) => self.read_common(register),
                    None => self.odd_access("read", within, data.len()),
                };
                fill(data, value);
            }
            // Reading clears it (virtio 1.2, 4.1.4.5).
            layout::ISR => fill(data, std::mem::take(&mut self.isr).into()),
            layout::DEVICE => self.read_device(within as usize, data),
            _ => data.fill(0),
        }
    }

    /// Writes the register BAR.
    pub(super) fn write_registers(&mut self, offset: u64, data: &[u8], memory: &DmaMemory) {
        self.counters.register_accesses += 1;
        let within = offset % 0x1000;
        match offset - within {
            layout::COMMON => match Register::decode(within, data.len()) {
                Some(register) => self.write_common(register, number(data), memory),
                None => {
                    self.odd_access("written", within, data.len());
                }
            },
            layout::NOTIFY => self.doorbell(within / layout::NOTIFY_MULTIPLIER, data, memory),
            _ => self.misuse(format!("a read-only register was written at {offset:#x}")),
        }
    }

    fn odd_access(&mut self, how: &str, offset: u64, width: usize) -> u64 {
        self.misuse(format!(
            "common register {offset:#x} was {how} with {width} bytes"
        ));
        0
    }

    fn read_common(&mut self, register: Register) -> u64 {
        use Register::*;
        match register {
            DeviceFeatureSelect => self.device_feature_select.into(),
            DeviceFeature => match self.device_feature_select {
                word @ 0..4 => u64::from((self.config.features >> (32 * word)) as u32),
                _ => 0,
            },
            DriverFeatureSelect => self.driver_feature_select.into(),
            DriverFeature => {
                let word = self.driver_words.get(self.driver_feature_select as usize);
                word.copied().unwrap_or(0).into()
            }
            ConfigVector => self.config_vector.into(),
            NumQueues => self.queues.layout.queues().into(),
            DeviceStatus => self.status.into(),
            ConfigGeneration => self.generation.into(),
            QueueSelect => self.queue_select.into(),
            QueueNotifyOff => self.queue_select.into(),
            _ => self.read_queue(register),
        }
    }

    fn read_queue(&mut self, register: Register) -> u64 {
        let Some(ring) = self.selected() else {
            return if register == Register::QueueVector {
                NO_VECTOR.into()
            } else {
                0
            };
        };
        match register {
            Register::QueueSize => ring.size.into(),
            Register::QueueVector => ring.vector.into(),
            Register::QueueEnable => (ring.ready() || ring.resetting).into(),
            Register::QueueReset => ring.resetting.into(),
            Register::QueueNotifyData => self.queue_select.into(),
            Register::QueueAddress { area, high: false } => ring.addresses[area] & 0xFFFF_FFFF,
            Register::QueueAddress { area, high: true } => ring.addresses[area] >> 32,
            _ => 0,
        }
    }

    fn write_common(&mut self, register: Register, value: u64, memory: &DmaMemory) {
        use Register::*;
        if register != DeviceStatus || value != 0 {
            self.check_interface();
        }
        match register {
            DeviceFeatureSelect => self.device_feature_select = value as u32,
            DriverFeatureSelect => self.driver_feature_select = value as u32,
            DriverFeature => self.write_features(self.driver_feature_select, value as u32),
            ConfigVector => self.config_vector = self.usable_vector(value),
            DeviceStatus => self.write_status(value as u8),
            QueueSelect => self.queue_select = value as u16,
            QueueReset => self.reset_queue(value),
            QueueSize | QueueVector | QueueEnable | QueueAddress { .. } => {
                self.write_queue(register, value, memory);
            }
            DeviceFeature | NumQueues | ConfigGeneration | QueueNotifyOff | QueueNotifyData => {
                self.misuse(format!("{register:?} was written"));
            }
        }
    }

    fn write_queue(&mut self, register: Register, value: u64, memory: &DmaMemory) {
        let vector = self.usable_vector(value);
        let packed = self.features & feature::RING_PACKED != 0;
        let index = self.queue_select;
        let Some(ring) = self.selected() else {
            return self.misuse(format!("{register:?} of queue {index}, which is not there"));
        };
        if register == Register::QueueVector {
            ring.vector = vector;
        } else if ring.ready() || ring.resetting {
            self.misuse(format!(
                "{register:?} of queue {index} was written while it is enabled"
            ));
        } else if let Register::QueueAddress { area, high } = register {
            let (keep, shift) = if high {
                (0xFFFF_FFFF, 32)
            } else {
                (!0xFFFF_FFFF, 0)
            };
            ring.addresses[area] = ring.addresses[area] & keep | value << shift;
        } else if register == Register::QueueSize {
            if !ring.try_set_size(value, packed) {
                self.misuse(format!("queue {index} cannot have {value} entries"));
            }
        } else {
            self.enable_queue(value, memory);
        }
    }

    fn enable_queue(&mut self, value: u64, memory: &DmaMemory) {
        let index = self.queue_select;
        if value != 1 {
            return self.misuse(format!(
                "queue {index}: {value} was written to queue_enable"
            ));
        }
        if self.status & device_status::FEATURES_OK == 0 {
            self.misuse(format!("queue {index} was enabled before FEATURES_OK"));
        }
        let features = self.ring_features();
        let Some(ring) = self.selected() else { return };
        if let Err(reason) = ring.enable(memory, features) {
            self.break_down(format!("queue {index}: {reason}"));
        }
    }

    /// Resets a queue (virtio 1.2, 2.6.1 and 4.1.4.3); it can be enabled again afterwards.
    fn reset_queue(&mut self, value: u64) {
        let index = usize::from(self.queue_select);
        if self.features & feature::RING_RESET == 0 || self.status & device_status::FEATURES_OK == 0
        {
            return self.misuse("queue_reset without RING_RESET".to_owned());
        }
        if value != 1 {
            return self.misuse(format!("queue {index}: {value} was written to queue_reset"));
        }
        let never = self.faults.has(Fault::QueueNeverResets);
        let [transmit, receive] = self.coalescing;
        let Some(ring) = self.selected() else {
            return self.misuse(format!("reset of queue {index}, which is not there"));
        };
        ring.reset();
        ring.resetting = never;
        ring.coalescing = match ring.role() {
            QueueRole::Receive => receive,
            QueueRole::Transmit => transmit,
            QueueRole::Control => Coalescing::default(),
        };
        let role = ring.role();
        self.counters.queue_resets += 1;
        self.counters.faults += u64::from(never);
        match role {
            QueueRole::Receive => self.steer_again(),
            QueueRole::Transmit => {}
            QueueRole::Control => (self.held, self.held_due) = (None, false),
        }
    }

    fn selected(&mut self) -> Option<&mut Ring> {
        self.queues.rings.get_mut(usize::from(self.queue_select))
    }
}
