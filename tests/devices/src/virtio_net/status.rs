//! Features and the status machine (virtio 1.2, 2.1, 2.2 and 3.1).

use super::core::Core;
use super::queues::{QueueLayout, Queues};
use super::ring::{NO_VECTOR, RingFeatures};
use super::{DeviceEvent, Fault, Interface, device_status, feature, layout};

impl Core {
    /// Takes a word of the driver's features.
    ///
    /// As in QEMU, each word that is written sets the features anew, from all words as they
    /// are: the others may be leftovers of an earlier negotiation. Once negotiation is
    /// complete, words are kept but no longer mean anything.
    pub(super) fn write_features(&mut self, select: u32, word: u32) {
        let Some(slot) = self.driver_words.get_mut(select as usize) else {
            return;
        };
        *slot = word;
        if self.status & device_status::FEATURES_OK != 0 {
            return self.misuse("features were written after FEATURES_OK".to_owned());
        }

        let words = self.driver_words.iter().rev();
        let wanted = words.fold(0, |all, word| all << 32 | u128::from(*word));
        self.take_features(wanted);
    }

    /// Takes the driver's features: those that are on offer.
    pub(super) fn take_features(&mut self, wanted: u128) {
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
        if risen & status & device_status::FEATURES_OK != 0 {
            self.features_are_final();
        }

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

    /// What follows from the driver's features.
    pub(super) fn features_are_final(&mut self) {
        for (dependent, required) in feature::REQUIREMENTS {
            if self.features & dependent != 0 && self.features & required == 0 {
                let (bits, bit) = (self.features & dependent, required.trailing_zeros());
                self.misuse(format!("features {bits:#x} without feature {bit}"));
            }
        }
        self.lay_out_queues(self.features);
        self.rules = self.fresh_rules();
        self.offloads = (self.features & feature::GUEST_OFFLOADS) as u64;
    }

    /// Makes the queues those that `features` mean.
    fn lay_out_queues(&mut self, features: u128) {
        let layout = QueueLayout::of(&self.config, features);
        if layout != self.queues.layout {
            self.queues = Queues::new(&self.config, layout);
        }
    }

    /// What the features mean for the format of rings.
    pub(super) fn ring_features(&self) -> RingFeatures {
        let has = |bit| self.features & bit != 0;
        RingFeatures {
            event_idx: has(feature::EVENT_IDX),
            indirect: has(feature::INDIRECT_DESC),
            packed: has(feature::RING_PACKED),
            in_order: has(feature::IN_ORDER),
        }
    }

    fn start(&mut self) {
        if self.status & device_status::FEATURES_OK == 0 && !self.legacy {
            return self.break_down("DRIVER_OK without FEATURES_OK".to_owned());
        }
        // Like QEMU, look at each queue once by ourselves.
        for ring in &mut self.queues.rings {
            ring.doorbell = true;
        }
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
        self.driver_words = [0; 4];
        self.msix = layout::msix_table(&self.config);
        self.space = layout::config_space(&self.msix, self.config.interface);
        self.outbox.events.push(DeviceEvent::PowerCycled);
    }

    fn clear(&mut self) {
        self.counters.resets += 1;
        if let Some(offer) = self.next_offer.take() {
            self.config.features = offer;
        }
        self.counters.rx_dropped_not_ready += self.queues.waiting() as u64;

        self.status = 0;
        self.broken = false;
        self.features = 0;
        self.features_unoffered = 0;
        self.isr = 0;
        self.config_vector = NO_VECTOR;
        self.queue_select = 0;
        self.legacy = self.config.interface == Interface::Legacy;
        // Until the driver has chosen, all queues are there.
        let features = if self.legacy { 0 } else { self.config.features };
        let layout = QueueLayout::of(&self.config, features);
        self.queues = Queues::new(&self.config, layout);
        self.rules = self.fresh_rules();
        self.mac = self.config.mac;
        self.announcing = false;
        self.offloads = 0;
        self.coalescing = Default::default();
        self.held = None;
        self.held_due = false;
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
