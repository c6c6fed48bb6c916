//! The device itself: registers, interrupts, and what the queues and the status machine share.

use std::collections::VecDeque;

use super::faults::Faults;
use super::outbox::Outbox;
use super::registers::{Register, fill, number};
use super::ring::{NO_VECTOR, QueueRole, Ring};
use super::{DeviceCounters, Fault, QueueCounters, VirtioNetConfig, device_status, layout};
use crate::pci::{ConfigSpace, DmaMemory, MsixTable};
use crate::wire::Frame;

/// ISR bits (virtio 1.2, 4.1.4.5).
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

/// How many misuses are kept in words; all are counted.
const MISUSES_KEPT: usize = 32;

pub(super) struct Core {
    pub(super) config: VirtioNetConfig,
    /// What the device is to be after the next loss of power.
    pub(super) next_config: Option<VirtioNetConfig>,
    pub(super) space: ConfigSpace,
    pub(super) msix: MsixTable,

    pub(super) status: u8,
    pub(super) broken: bool,
    /// What the driver wrote, word by word; a reset leaves it alone, as in QEMU.
    pub(super) driver_words: [u32; 2],
    /// The driver's features as far as they are on offer.
    pub(super) features: u64,
    /// Features that the driver set without an offer.
    pub(super) features_unoffered: u64,
    /// What is on offer from the next reset on.
    pub(super) next_offer: Option<u64>,
    device_feature_select: u32,
    driver_feature_select: u32,

    pub(super) link_up: bool,
    pub(super) generation: u8,
    pub(super) isr: u8,
    /// Whether the interrupt pin is driven.
    line: bool,
    pub(super) config_vector: u16,

    pub(super) queue_select: u16,
    pub(super) rx: Ring,
    pub(super) tx: Ring,
    pub(super) backlog: VecDeque<Frame>,
    /// Frames wait for buffers, and the driver was asked to ring when it adds some.
    pub(super) starved: bool,

    pub(super) faults: Faults,
    pub(super) counters: DeviceCounters,
    pub(super) misuses: Vec<String>,
    pub(super) outbox: Outbox,
}

impl Core {
    pub(super) fn new(config: VirtioNetConfig) -> Self {
        let msix = layout::msix_table(&config);
        Self {
            space: layout::config_space(&msix),
            msix,
            status: 0,
            broken: false,
            driver_words: [0; 2],
            features: 0,
            features_unoffered: 0,
            next_offer: None,
            device_feature_select: 0,
            driver_feature_select: 0,
            link_up: config.link_up,
            generation: 0,
            isr: 0,
            line: false,
            config_vector: NO_VECTOR,
            queue_select: 0,
            rx: Ring::new(config.queue_size),
            tx: Ring::new(config.queue_size),
            backlog: VecDeque::new(),
            starved: false,
            faults: Faults::default(),
            counters: DeviceCounters::default(),
            misuses: Vec::new(),
            outbox: Outbox::default(),
            config,
            next_config: None,
        }
    }

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
            layout::NOTIFY => self.doorbell(within / layout::NOTIFY_MULTIPLIER, number(data)),
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
                0 => self.config.features & 0xFFFF_FFFF,
                1 => self.config.features >> 32,
                _ => 0,
            },
            DriverFeatureSelect => self.driver_feature_select.into(),
            DriverFeature => {
                let word = self.driver_words.get(self.driver_feature_select as usize);
                word.copied().unwrap_or(0).into()
            }
            ConfigVector => self.config_vector.into(),
            NumQueues => 2,
            DeviceStatus => self.status.into(),
            ConfigGeneration => self.generation.into(),
            QueueSelect => self.queue_select.into(),
            QueueNotifyOff => self.queue_select.into(),
            _ => self.read_queue(register),
        }
    }

    fn read_queue(&mut self, register: Register) -> u64 {
        use virtio_queue::QueueT;
        let Some(ring) = self.selected() else {
            return if register == Register::QueueVector {
                NO_VECTOR.into()
            } else {
                0
            };
        };
        match register {
            Register::QueueSize => ring.queue.size().into(),
            Register::QueueVector => ring.vector.into(),
            Register::QueueEnable => ring.queue.ready().into(),
            Register::QueueAddress { area, high: false } => ring.addresses[area] & 0xFFFF_FFFF,
            Register::QueueAddress { area, high: true } => ring.addresses[area] >> 32,
            _ => 0,
        }
    }

    fn write_common(&mut self, register: Register, value: u64, memory: &DmaMemory) {
        use Register::*;
        match register {
            DeviceFeatureSelect => self.device_feature_select = value as u32,
            DriverFeatureSelect => self.driver_feature_select = value as u32,
            DriverFeature => self.write_features(self.driver_feature_select, value as u32),
            ConfigVector => self.config_vector = self.usable_vector(value),
            DeviceStatus => self.write_status(value as u8),
            QueueSelect => self.queue_select = value as u16,
            QueueSize | QueueVector | QueueEnable | QueueAddress { .. } => {
                self.write_queue(register, value, memory);
            }
            DeviceFeature | NumQueues | ConfigGeneration | QueueNotifyOff => {
                self.misuse(format!("{register:?} was written"));
            }
        }
    }

    fn write_queue(&mut self, register: Register, value: u64, memory: &DmaMemory) {
        use virtio_queue::QueueT;
        let vector = self.usable_vector(value);
        let index = self.queue_select;
        let Some(ring) = self.selected() else {
            return self.misuse(format!("{register:?} of queue {index}, which is not there"));
        };
        if register == Register::QueueVector {
            ring.vector = vector;
        } else if ring.queue.ready() {
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
            if ring.queue.try_set_size(value as u16).is_err() {
                self.misuse(format!("queue {index} cannot have {value} entries"));
            }
        } else {
            self.enable_queue(value, memory);
        }
    }

    fn enable_queue(&mut self, value: u64, memory: &DmaMemory) {
        use super::feature;
        let index = self.queue_select;
        if value != 1 {
            return self.misuse(format!(
                "queue {index}: {value} was written to queue_enable"
            ));
        }
        if self.status & device_status::FEATURES_OK == 0 {
            self.misuse(format!("queue {index} was enabled before FEATURES_OK"));
        }
        let event_idx = self.features & feature::EVENT_IDX != 0;
        let indirect = self.features & feature::INDIRECT_DESC != 0;
        let Some(ring) = self.selected() else { return };
        if let Err(reason) = ring.enable(memory, event_idx, indirect) {
            self.break_down(format!("queue {index}: {reason}"));
        }
    }

    fn selected(&mut self) -> Option<&mut Ring> {
        let role = QueueRole::from_index(self.queue_select.into())?;
        Some(self.ring(role))
    }

    pub(super) fn ring(&mut self, role: QueueRole) -> &mut Ring {
        match role {
            QueueRole::Receive => &mut self.rx,
            QueueRole::Transmit => &mut self.tx,
        }
    }

    pub(super) fn queue_counters(&mut self, role: QueueRole) -> &mut QueueCounters {
        match role {
            QueueRole::Receive => &mut self.counters.rx,
            QueueRole::Transmit => &mut self.counters.tx,
        }
    }

    /// `value` if there is such a vector, else the value that tells the driver so.
    fn usable_vector(&self, value: u64) -> u16 {
        let vector = value as u16;
        if vector < self.msix.vectors() {
            vector
        } else {
            NO_VECTOR
        }
    }

    /// Address, link status, number of queue pairs, MTU (virtio 1.2, 5.1.4); zeros behind.
    fn read_device(&self, from: usize, data: &mut [u8]) {
        let mut fields = [0; 12];
        fields[..6].copy_from_slice(&self.config.mac);
        fields[6] = self.link_up.into();
        fields[8] = 1;
        fields[10..].copy_from_slice(&self.config.mtu.to_le_bytes());
        for (byte, at) in data.iter_mut().zip(from..) {
            *byte = fields.get(at).copied().unwrap_or(0);
        }
    }

    fn doorbell(&mut self, index: u64, value: u64) {
        use virtio_queue::QueueT;
        let Some(role) = QueueRole::from_index(index) else {
            return self.misuse(format!("doorbell {index}, which is no queue's"));
        };
        if value != index {
            self.misuse(format!(
                "doorbell of queue {index} was written with {value}"
            ));
        }
        self.queue_counters(role).doorbells += 1;
        if !self.ring(role).queue.ready() || self.status & device_status::DRIVER_OK == 0 {
            // Virtio 1.2, 3.1.1: no notifications before DRIVER_OK.
            return self.misuse(format!("{role:?}: doorbell of a queue that does not run"));
        }
        self.ring(role).doorbell = true;
        self.outbox.wake = true;
    }

    /// Interrupts for a queue, if its driver wants that.
    pub(super) fn interrupt_queue(
        &mut self,
        role: QueueRole,
        memory: &DmaMemory,
    ) -> Result<(), String> {
        let forced = self.faults.take_forced_interrupt();
        if !self.ring(role).wants_interrupt(memory)? && !forced {
            return Ok(());
        }
        self.queue_counters(role).interrupts += 1;
        self.isr |= ISR_QUEUE;
        let vector = self.ring(role).vector;
        self.fire(vector);
        Ok(())
    }

    /// Tells the driver that the configuration changed.
    pub(super) fn configuration_changed(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        if self.status & device_status::DRIVER_OK == 0 {
            return;
        }
        self.counters.config_interrupts += 1;
        self.isr |= ISR_CONFIG | ISR_QUEUE;
        self.fire(self.config_vector);
    }

    fn fire(&mut self, vector: u16) {
        let message = self.msix.fire(vector);
        self.send_messages(message);
    }

    /// Drives the pin, or lets go of it: without MSI-X it follows the ISR register, which a read
    /// clears (virtio 1.2, 4.1.5.1.3).
    pub(super) fn update_line(&mut self) {
        let with_messages = self.msix.is_enabled() || self.faults.has(Fault::AllOnes);
        let asserted = self.isr != 0 && self.space.drives_pin() && !with_messages;
        if asserted != self.line {
            self.line = asserted;
            self.outbox.line = Some(asserted);
        }
    }

    /// Messages are memory writes: they need bus mastering.
    pub(super) fn send_messages(
        &mut self,
        messages: impl IntoIterator<Item = crate::pci::MsixMessage>,
    ) {
        if !self.space.is_bus_master() {
            return;
        }
        for message in messages {
            self.counters.messages += 1;
            self.outbox.messages.push(message);
        }
    }

    /// Notes something that a driver must not do and that the device can live with.
    pub(super) fn misuse(&mut self, what: String) {
        self.counters.misuses += 1;
        if self.misuses.len() < MISUSES_KEPT {
            self.misuses.push(what);
        }
    }
}
