//! The device itself: registers, interrupts, and what the queues and the status machine share.

use super::command::Held;
use super::faults::Faults;
use super::filter::ReceiveRules;
use super::outbox::{Outbox, Timer};
use super::queues::{Lane, QueueLayout, Queues};
use super::registers::number;
use super::ring::{Chain, Coalescing, NO_VECTOR, QueueRole, Ring};
use super::{
    DeviceCounters, Fault, Interface, QueueCounters, VirtioNetConfig, device_status, feature,
    layout,
};
use crate::pci::{ConfigSpace, DmaMemory, MsixTable};
use crate::wire::MacAddress;

/// ISR bits (virtio 1.2, 4.1.4.5).
const ISR_QUEUE: u8 = 1;
const ISR_CONFIG: u8 = 2;

/// Bytes of the device configuration.
pub(super) const DEVICE_CONFIG_LEN: usize = 17;

/// Bits of the `status` field in the device configuration.
const LINK_UP: u8 = 1;
const ANNOUNCE: u8 = 2;

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
    pub(super) driver_words: [u32; 4],
    /// The driver's features as far as they are on offer.
    pub(super) features: u128,
    /// Features that the driver set without an offer.
    pub(super) features_unoffered: u128,
    /// What is on offer from the next reset on.
    pub(super) next_offer: Option<u128>,
    pub(super) device_feature_select: u32,
    pub(super) driver_feature_select: u32,
    /// The driver uses the legacy registers.
    pub(super) legacy: bool,

    pub(super) link_up: bool,
    pub(super) generation: u8,
    pub(super) isr: u8,
    /// Whether the interrupt pin is driven.
    line: bool,
    pub(super) config_vector: u16,

    pub(super) queue_select: u16,
    pub(super) queues: Queues,

    /// The address that the device has now; the driver may change it.
    pub(super) mac: MacAddress,
    pub(super) rules: ReceiveRules,
    /// The driver was asked to announce itself and has not said that it knows.
    pub(super) announcing: bool,
    /// Receive offloads that are on, by feature bit.
    pub(super) offloads: u64,
    /// What commands set for all transmit queues, and for all receive queues.
    pub(super) coalescing: [Coalescing; 2],
    /// An answer of the control queue that is late, and whether its time has come.
    pub(super) held: Option<Held>,
    pub(super) held_due: bool,
    /// Timers can be started.
    pub(super) has_clock: bool,
    dice: u64,

    pub(super) faults: Faults,
    pub(super) counters: DeviceCounters,
    pub(super) misuses: Vec<String>,
    pub(super) outbox: Outbox,
}

impl Core {
    pub(super) fn new(config: VirtioNetConfig) -> Self {
        let msix = layout::msix_table(&config);
        let layout = QueueLayout::of(&config, config.features);
        let legacy = config.interface == Interface::Legacy;
        Self {
            space: layout::config_space(&msix, config.interface),
            msix,
            status: 0,
            broken: false,
            driver_words: [0; 4],
            features: 0,
            features_unoffered: 0,
            next_offer: None,
            device_feature_select: 0,
            driver_feature_select: 0,
            legacy,
            link_up: config.link_up,
            generation: 0,
            isr: 0,
            line: false,
            config_vector: NO_VECTOR,
            queue_select: 0,
            queues: Queues::new(&config, layout),
            mac: config.mac,
            rules: ReceiveRules::new(false, config.strict_vlans),
            announcing: false,
            offloads: 0,
            coalescing: [Coalescing::default(); 2],
            held: None,
            held_due: false,
            has_clock: false,
            dice: config.seed,
            faults: Faults::default(),
            counters: DeviceCounters::default(),
            misuses: Vec::new(),
            outbox: Outbox::default(),
            config,
            next_config: None,
        }
    }

    /// The rules for received frames that hold when the driver has negotiated its features.
    pub(super) fn fresh_rules(&self) -> ReceiveRules {
        let filters_vlans = self.features & feature::CTRL_VLAN != 0;
        ReceiveRules::new(filters_vlans, self.config.strict_vlans)
    }

    /// The queue with that index, which must be there.
    pub(super) fn ring(&mut self, index: usize) -> &mut Ring {
        &mut self.queues.rings[index]
    }

    /// Frames on their way into the receive queue of a pair, which must be there.
    pub(super) fn lane(&mut self, pair: u16) -> &mut Lane {
        &mut self.queues.lanes[usize::from(pair)]
    }

    /// Takes the next chain of a queue.
    pub(super) fn pop(
        &mut self,
        memory: &DmaMemory,
        index: usize,
    ) -> Result<Option<Chain>, String> {
        let ring = self.ring(index);
        let chain = ring.pop(memory);
        let role = ring.role();
        for complaint in ring.take_complaints() {
            self.misuse(format!("{role:?}: {complaint}"));
        }
        chain
    }

    /// Legacy drivers without ANY_LAYOUT put the header in a descriptor of its own.
    pub(super) fn check_header(&mut self, index: usize, chain: &Chain) {
        let first = chain.segments.first().map(|segment| segment.len);
        if self.has_fixed_layout() && first != Some(self.header_len()) {
            let role = self.ring(index).role();
            self.misuse(format!("{role:?}: header and frame share a descriptor"));
        }
    }

    /// Lets the driver see what was used, or lets that wait for more, if the ring allows it.
    pub(super) fn flush_by_chance(
        &mut self,
        memory: &DmaMemory,
        index: usize,
    ) -> Result<(), String> {
        if self.ring(index).batches() && self.toss() {
            return Ok(());
        }
        self.ring(index).flush(memory)
    }

    /// Heads or tails, the same for every run (xorshift).
    fn toss(&mut self) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice & 0x100 != 0
    }

    pub(super) fn queue_counters(&mut self, role: QueueRole) -> &mut QueueCounters {
        match role {
            QueueRole::Receive => &mut self.counters.rx,
            QueueRole::Transmit => &mut self.counters.tx,
            QueueRole::Control => &mut self.counters.control,
        }
    }

    /// `value` if there is such a vector, else the value that tells the driver so.
    pub(super) fn usable_vector(&self, value: u64) -> u16 {
        let vector = value as u16;
        if vector < self.msix.vectors() {
            vector
        } else {
            NO_VECTOR
        }
    }

    /// Address, status, number of queue pairs, MTU, speed and duplex (virtio 1.2, 5.1.4); zeros
    /// behind.
    pub(super) fn read_device(&self, from: usize, data: &mut [u8]) {
        let mut fields = [0; DEVICE_CONFIG_LEN];
        fields[..6].copy_from_slice(&self.mac);
        fields[6] = if self.link_up { LINK_UP } else { 0 };
        fields[6] |= if self.announcing { ANNOUNCE } else { 0 };
        fields[8..10].copy_from_slice(&self.config.max_pairs.to_le_bytes());
        fields[10..12].copy_from_slice(&self.config.mtu.to_le_bytes());
        if self.config.features & feature::SPEED_DUPLEX != 0 {
            fields[12..16].copy_from_slice(&self.config.speed.to_le_bytes());
            fields[16] = self.config.duplex;
        }
        for (byte, at) in data.iter_mut().zip(from..) {
            *byte = fields.get(at).copied().unwrap_or(0);
        }
    }

    /// The driver rings for a queue.
    pub(super) fn doorbell(&mut self, queue: u64, data: &[u8], memory: &DmaMemory) {
        let index = queue as usize;
        let Some(role) = self.queues.rings.get(index).map(Ring::role) else {
            return self.misuse(format!("doorbell {queue}, which is no queue's"));
        };
        self.queue_counters(role).doorbells += 1;
        self.check_doorbell(index, data, memory);
        let ready = self.ring(index).ready();
        if !ready || self.status & device_status::DRIVER_OK == 0 && !self.legacy {
            // Virtio 1.2, 3.1.1: no notifications before DRIVER_OK. Legacy drivers did that.
            return self.misuse(format!("{role:?}: doorbell of a queue that does not run"));
        }
        if role == QueueRole::Transmit && self.queues.is_idle(index) {
            return self.misuse(format!(
                "doorbell of queue {index}, whose pair is not in use"
            ));
        }
        self.ring(index).doorbell = true;
        self.outbox.wake = true;
    }

    /// What is written to a doorbell: the queue, and with NOTIFICATION_DATA also how far the
    /// driver is (virtio 1.2, 2.9 and 4.1.5.2).
    fn check_doorbell(&mut self, index: usize, data: &[u8], memory: &DmaMemory) {
        let value = number(data);
        let expected = if self.features & feature::NOTIFICATION_DATA == 0 {
            index as u64
        } else if data.len() != 4 {
            let bytes = data.len();
            return self.misuse(format!("doorbell of queue {index}: {bytes} bytes"));
        } else {
            let word = self.ring(index).available_word(memory).unwrap_or(0);
            index as u64 | u64::from(word) << 16
        };
        if value != expected {
            self.misuse(format!(
                "doorbell of queue {index} was written with {value:#x} instead of {expected:#x}"
            ));
        }
    }

    /// Lets the driver see all that was used, and interrupts if it wants that.
    pub(super) fn interrupt_queue(
        &mut self,
        index: usize,
        memory: &DmaMemory,
    ) -> Result<(), String> {
        let forced = self.faults.take_forced_interrupt();
        self.ring(index).flush(memory)?;
        if !forced && self.waits_for_more(index) {
            return Ok(());
        }
        let ring = self.ring(index);
        (ring.frames, ring.due) = (0, false);
        if !ring.wants_interrupt(memory)? && !forced {
            return Ok(());
        }
        let (role, vector) = (ring.role(), ring.vector);
        self.queue_counters(role).interrupts += 1;
        self.isr |= ISR_QUEUE;
        self.fire(vector);
        Ok(())
    }

    /// Whether an interrupt waits for more frames or for its time, whichever comes first.
    fn waits_for_more(&mut self, index: usize) -> bool {
        let has_clock = self.has_clock;
        let ring = self.ring(index);
        let Coalescing {
            max_packets,
            max_usecs,
        } = ring.coalescing;
        let coalesces = has_clock && max_packets > 0 && max_usecs > 0;
        if !coalesces || ring.due || ring.frames == 0 || ring.frames >= max_packets {
            return false;
        }
        if !std::mem::replace(&mut ring.timer, true) {
            let delay = u64::from(max_usecs) * 1000;
            self.outbox.timers.push((delay, Timer::Interrupt(index)));
        }
        true
    }

    /// Interrupts for queues whose frames waited long enough, or no longer need to.
    pub(super) fn interrupt_after_wait(&mut self, memory: &DmaMemory) -> Result<(), String> {
        for index in 0..self.queues.rings.len() {
            let ring = self.ring(index);
            if ring.ready() && ring.frames > 0 {
                self.interrupt_queue(index, memory)?;
            }
        }
        Ok(())
    }

    pub(super) fn timer_ended(&mut self, timer: Timer) {
        match timer {
            Timer::Control => self.held_due = self.held.is_some(),
            Timer::Interrupt(index) => {
                if let Some(ring) = self.queues.rings.get_mut(index) {
                    ring.due = ring.timer && ring.frames > 0;
                    ring.timer = false;
                }
            }
        }
        self.outbox.wake = true;
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
