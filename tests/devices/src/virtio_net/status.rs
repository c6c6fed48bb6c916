//! Features and the status machine (virtio 1.2, 2.1, 2.2 and 3.1).

use super::core::Core;
use super::ring::{NO_VECTOR, Ring};
use super::{DeviceEvent, Fault, device_status, feature, layout};

impl Core {
    /// Takes a word of the driver's features.
    ///
    /// As in QEMU, each word that is written sets the features anew, from both words as they
    /// are: the other one may be a leftover of an earlier negotiation. Once negotiation is
    /// complete, words are kept but no longer mean anything.
    pub(super) fn write_features(&mut self, select: u32, word: u32) {
        let Some(slot) = self.driver_words.get_mut(select as usize) else {
            return;
        };
        *slot = word;
        if self.status & device_status::FEATURES_OK != 0 {
            return self.misuse("features were written after FEATURES_OK".to_owned());
        }

        let [low, high] = self.driver_words.map(u64::from);
        let wanted = high << 32 | low;
        self.features = wanted & self.config.features;
        self.features_unoffered = wanted & !self.config.features;
        if self.features & feature::STANDBY != 0 {
            self.outbox.events.push(DeviceEvent::FailoverNegotiated);
        }
    }

    /// Takes a new status; 0 resets.
    pub(super) fn write_status(&mut self, value: u8) {
        if value == 0 {
            return self.reset();
        }
        let cleared = self.status & !value & !device_status::NEEDS_RESET;
        if cleared != 0 {
            self.misuse(format!(
                "status bits {cleared:#04x} were cleared without a reset"
            ));
        }

        let risen = value & !self.status;
        let mut status = value | self.status & device_status::NEEDS_RESET;
        if risen & device_status::FEATURES_OK != 0 && !self.accepts_features() {
            status &= !device_status::FEATURES_OK;
        }
        self.status = status;

        if risen & device_status::DRIVER_OK != 0 {
            self.start();
        }
    }

    fn accepts_features(&mut self) -> bool {
        if self.faults.has(Fault::FeaturesRefused) {
            self.counters.faults += 1;
            return false;
        }
        let platform = self.config.features & !self.features & feature::ACCESS_PLATFORM == 0;
        self.features & feature::VERSION_1 != 0 && self.features_unoffered == 0 && platform
    }

    fn start(&mut self) {
        if self.status & device_status::FEATURES_OK == 0 {
            return self.break_down("DRIVER_OK without FEATURES_OK".to_owned());
        }
        // Like QEMU, look at each queue once by ourselves.
        self.rx.doorbell = true;
        self.tx.doorbell = true;
        self.outbox.wake = true;
        self.outbox.events.push(DeviceEvent::DriverOk);
    }

    fn reset(&mut self) {
        if self.faults.has(Fault::NeverResets) {
            self.counters.faults += 1;
            return;
        }
        self.clear();
        self.outbox.events.push(DeviceEvent::Reset);
    }

    /// Power was gone: what a reset leaves alone is lost, too. The device may be another one now.
    pub(super) fn power_cycle(&mut self) {
        if let Some(config) = self.next_config.take() {
            self.config = config;
        }
        self.clear();
        self.driver_words = [0; 2];
        self.msix = layout::msix_table(&self.config);
        self.space = layout::config_space(&self.msix);
        self.outbox.events.push(DeviceEvent::PowerCycled);
    }

    fn clear(&mut self) {
        self.counters.resets += 1;
        if let Some(offer) = self.next_offer.take() {
            self.config.features = offer;
        }
        self.counters.rx_dropped_not_ready += self.backlog.len() as u64;
        self.backlog.clear();
        self.starved = false;

        self.status = 0;
        self.broken = false;
        self.features = 0;
        self.features_unoffered = 0;
        self.isr = 0;
        self.config_vector = NO_VECTOR;
        self.queue_select = 0;
        self.rx = Ring::new(self.config.queue_size);
        self.tx = Ring::new(self.config.queue_size);
        for vector in 0..self.msix.vectors() {
            self.msix.clear_pending(vector);
        }
    }

    /// Stops until the next reset; the driver is told that it has to do one.
    pub(super) fn break_down(&mut self, reason: String) {
        if self.broken {
            return;
        }
        self.broken = true;
        self.status |= device_status::NEEDS_RESET;
        self.configuration_changed();
        self.outbox.events.push(DeviceEvent::Broken(reason));
    }

    /// Whether queues run.
    pub(super) fn is_running(&self) -> bool {
        self.status & device_status::DRIVER_OK != 0
            && !self.broken
            && !self.faults.has(Fault::AllOnes)
            && self.space.is_bus_master()
    }
}
