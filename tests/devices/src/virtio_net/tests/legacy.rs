//! The legacy interface.

use super::super::*;
use super::driver::{BASE, Driver, F_NEXT, F_WRITE, MAC, buffer, frame};
use crate::pci::{BarKind, PciFunction};

/// Where the rings of a queue are, as a page.
fn page(queue: u64) -> u32 {
    ((BASE + 0x40_0000 + 0x1_0000 * queue) >> 12) as u32
}

struct Legacy {
    driver: Driver,
    available: [u16; 2],
}

impl Legacy {
    fn new(interface: Interface, features: u128) -> Self {
        let config = VirtioNetConfig::new(MAC).with(features).through(interface);
        let mut driver = Driver::new(config);
        driver.device.config_write(0x04, &7_u16.to_le_bytes());
        Self {
            driver,
            available: [0; 2],
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        self.driver.device.bar_write(0, offset, data);
    }

    fn read<const N: usize>(&mut self, offset: u64) -> [u8; N] {
        let mut data = [0; N];
        self.driver.device.bar_read(0, offset, &mut data);
        data
    }

    /// As legacy drivers do: features, queues, DRIVER_OK.
    fn start(&mut self, features: u32) {
        for status in [0, 1, 3] {
            self.write(0x12, &[status]);
        }
        self.write(0x04, &features.to_le_bytes());
        for queue in 0..2_u16 {
            self.write(0x0E, &queue.to_le_bytes());
            self.write(0x08, &page(queue.into()).to_le_bytes());
            self.write(0x16, &(queue + 1).to_le_bytes());
        }
        self.write(0x12, &[7]);
    }

    /// Offers a chain of pieces: 256 descriptors, then the available ring, then the used ring.
    fn offer(&mut self, queue: u16, head: u16, pieces: &[(u64, u32, u16)]) {
        let table = u64::from(page(queue.into())) << 12;
        for (index, (address, len, flags)) in pieces.iter().enumerate() {
            let number = head + index as u16;
            let more = index + 1 < pieces.len();
            let at = table + 16 * u64::from(number);
            self.driver.put(at, *address);
            self.driver.put(at + 8, *len);
            self.driver
                .put(at + 12, flags | if more { F_NEXT } else { 0 });
            self.driver.put(at + 14, number + 1);
        }
        let next = &mut self.available[usize::from(queue)];
        let slot = table + 0x1004 + 2 * u64::from(*next);
        *next += 1;
        self.driver.put(slot, head);
        self.driver.put(table + 0x1002, *next);
    }

    fn kick(&mut self, queue: u16) {
        self.write(0x10, &queue.to_le_bytes());
        self.driver.settle();
    }

    fn used(&self, queue: u16, number: u64) -> (u32, u32) {
        let element = (u64::from(page(queue.into())) << 12) + 0x2004 + 8 * number;
        (self.driver.get(element), self.driver.get(element + 4))
    }
}

fn config_word(legacy: &mut Legacy, offset: u16) -> u32 {
    let mut data = [0; 4];
    legacy.driver.device.config_read(offset, &mut data);
    u32::from_le_bytes(data)
}

#[test]
fn the_function_looks_like_a_legacy_one() {
    for interface in [Interface::Transitional, Interface::Legacy] {
        let mut legacy = Legacy::new(interface, 0);
        assert_eq!(config_word(&mut legacy, 0x00), 0x1000_1AF4);
        assert_eq!(config_word(&mut legacy, 0x08) & 0xFF, 0);
        assert_eq!(config_word(&mut legacy, 0x2C), 0x0001_1AF4);
        assert_eq!(config_word(&mut legacy, 0x10) & 1, 1, "ports");
        let ports = legacy.driver.device.bars()[0];
        assert_eq!((ports.index, ports.kind), (0, BarKind::Ports));

        let mut virtio = false;
        let mut at = config_word(&mut legacy, 0x34) as u8;
        while at != 0 {
            let word = config_word(&mut legacy, at.into());
            virtio |= word as u8 == 0x09;
            at = (word >> 8) as u8;
        }
        assert_eq!(virtio, interface == Interface::Transitional);
    }
}

#[test]
fn frames_go_both_ways_behind_ten_bytes() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    assert_eq!(
        legacy.read(0x00),
        (legacy.driver.control.offered() as u32).to_le_bytes()
    );
    legacy.start(feature::MAC as u32);
    assert_eq!(legacy.read(0x0C), 256_u16.to_le_bytes());

    let bytes = frame(100, 7);
    legacy.driver.put_bytes(buffer(1, 0), &[0; 10]);
    legacy.driver.put_bytes(buffer(1, 0) + 0x800, &bytes);
    let at = buffer(1, 0);
    legacy.offer(1, 0, &[(at, 10, 0), (at + 0x800, 100, 0)]);
    legacy.kick(1);
    assert_eq!(*legacy.driver.arrived.lock().unwrap(), [bytes]);
    assert_eq!(legacy.used(1, 0), (0, 0));

    let at = buffer(0, 5);
    legacy.offer(0, 5, &[(at, 10, F_WRITE), (at + 0x800, 1514, F_WRITE)]);
    legacy.kick(0);
    legacy.driver.receive(&frame(80, 3));
    assert_eq!(legacy.used(0, 0), (5, 90));
    assert_eq!(legacy.driver.get_bytes(at + 0x800, 80), frame(80, 3));
    assert_eq!(legacy.driver.take_messages(), [0x42, 0x41]);
    assert_eq!(legacy.driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn with_mergeable_buffers_the_header_has_twelve_bytes() {
    let mut legacy = Legacy::new(Interface::Transitional, feature::ANY_LAYOUT);
    let features = feature::MAC | feature::MRG_RXBUF | feature::ANY_LAYOUT;
    legacy.start(features as u32);
    assert!(legacy.driver.control.state().legacy);
    let at = buffer(0, 0);
    legacy.offer(0, 0, &[(at, 2048, F_WRITE)]);
    legacy.kick(0);
    legacy.driver.receive(&frame(80, 3));

    assert_eq!(legacy.used(0, 0), (0, 92));
    assert_eq!(legacy.driver.get_bytes(at + 10, 2), [1, 0]);
    assert_eq!(legacy.driver.get_bytes(at + 12, 80), frame(80, 3));
    assert_eq!(legacy.driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn header_and_frame_share_a_descriptor_only_with_any_layout() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    legacy.start(feature::MAC as u32);
    legacy.driver.put_bytes(buffer(1, 0), &[0; 10]);
    legacy.driver.put_bytes(buffer(1, 0) + 10, &frame(100, 7));
    legacy.offer(1, 0, &[(buffer(1, 0), 110, 0)]);
    legacy.kick(1);

    assert_eq!(legacy.driver.arrived.lock().unwrap().len(), 1);
    assert_eq!(
        legacy.driver.control.misuses(),
        ["Transmit: header and frame share a descriptor"]
    );
}

#[test]
fn the_device_configuration_moves_with_msix() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    assert_eq!(legacy.read(0x18), MAC);
    assert_eq!(legacy.read(0x14), [0xFF, 0xFF], "the configuration vector");
    legacy.driver.device.config_write(0xDE, &[0, 0]);
    assert_eq!(legacy.read(0x14), MAC);
}

#[test]
fn the_address_is_written_byte_by_byte() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    for (at, byte) in (0x18..).zip([2, 0, 0, 0, 0, 1]) {
        legacy.write(at, &[byte]);
    }
    assert_eq!(legacy.driver.control.state().mac, [2, 0, 0, 0, 0, 1]);
    legacy.write(0x1E, &[0]);
    assert_eq!(legacy.driver.control.counters().misuses, 1);
}

#[test]
fn the_isr_register_is_cleared_by_reading() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    legacy.start((feature::MAC | feature::STATUS) as u32);
    legacy.driver.control.set_link(false);
    assert_eq!(legacy.read(0x13), [3]);
    assert_eq!(legacy.read(0x13), [0]);
}

#[test]
fn a_transitional_device_is_driven_by_virtio_1_as_well() {
    let config = VirtioNetConfig::new(MAC).through(Interface::Transitional);
    let mut driver = Driver::running(config, feature::VERSION_1 | feature::MAC);
    driver.offer_frame(0, &frame(100, 7));
    driver.kick(1);
    driver.settle();
    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
    assert!(!driver.control.state().legacy);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());

    driver.device.config_write(0x04, &7_u16.to_le_bytes());
    driver.device.bar_write(0, 0x04, &[0; 4]);
    assert!(driver.control.counters().misuses > 0, "both at once");
}

#[test]
fn a_legacy_device_has_no_other_registers() {
    let mut legacy = Legacy::new(Interface::Legacy, 0);
    assert_eq!(legacy.driver.read(0x14), [0xFF]);
    legacy
        .driver
        .device
        .config_write(0xD4, &4_u32.to_le_bytes());
    legacy.start(feature::MAC as u32);
    assert_eq!(legacy.read(0x12), [7]);
    legacy.write(0x12, &[0]);
    assert_eq!(legacy.read(0x12), [0]);
    legacy.write(0x0E, &0_u16.to_le_bytes());
    assert_eq!(legacy.read(0x08), [0; 4], "the queue is gone");
}
