//! The misbehaving device.

use super::super::*;
use super::driver::{Driver, MAC, Used, frame};
use crate::pci::PciFunction;

const FEATURES: u128 = feature::VERSION_1 | feature::MAC | feature::MRG_RXBUF | feature::EVENT_IDX;

/// A running driver with eight receive buffers.
fn running() -> Driver {
    let mut driver = Driver::running(VirtioNetConfig::new(MAC), FEATURES);
    driver.offer_buffers(0..8, 2048);
    driver.settle();
    driver
}

fn send(driver: &mut Driver, head: u16) {
    driver.offer_frame(head, &frame(100, 1));
    driver.kick(1);
    driver.settle();
}

/// The `num_buffers` field of the next received frame.
fn num_buffers(driver: &mut Driver) -> u16 {
    driver.receive(&frame(100, 1));
    let chain = driver.take_used(0);
    let (header, _) = driver.received(&chain);
    u16::from_le_bytes([header[10], header[11]])
}

#[test]
fn a_used_id_beyond_the_ring_strikes_once() {
    let mut driver = running();
    driver
        .control
        .inject(Fault::UsedIdOutOfRange(QueueRole::Transmit));

    send(&mut driver, 3);
    send(&mut driver, 4);

    let expected = [Used { id: 259, len: 0 }, Used { id: 4, len: 0 }];
    assert_eq!(driver.take_used(1), expected);
    assert_eq!(driver.control.counters().faults, 1);
    assert_eq!(driver.control.active_faults(), 0);
}

#[test]
fn a_used_id_appears_twice() {
    let mut driver = running();
    driver
        .control
        .inject(Fault::UsedIdTwice(QueueRole::Receive));

    driver.receive(&frame(100, 1));

    let element = Used { id: 0, len: 112 };
    assert_eq!(driver.take_used(0), [element, element]);
    assert_eq!(driver.take_messages(), [0x41]);
}

#[test]
fn a_used_length_exceeds_its_buffer() {
    let mut driver = running();
    driver
        .control
        .inject(Fault::UsedLengthTooLong(QueueRole::Receive));

    driver.receive(&frame(100, 1));

    assert_eq!(
        driver.take_used(0),
        [Used {
            id: 0,
            len: 2048 + 0x1000
        }]
    );
}

#[test]
fn a_fault_of_one_queue_leaves_the_other_alone() {
    let mut driver = running();
    driver
        .control
        .inject(Fault::UsedIdTwice(QueueRole::Transmit));

    driver.receive(&frame(100, 1));

    assert_eq!(driver.take_used(0).len(), 1);
    assert_eq!(driver.control.active_faults(), 1);
}

#[test]
fn a_misbehaving_ring_interrupts_even_if_nobody_asked() {
    let mut driver = running();
    driver.set_used_event(1, 100);
    driver
        .control
        .inject(Fault::UsedIdOutOfRange(QueueRole::Transmit));

    send(&mut driver, 0);

    assert_eq!(driver.take_messages(), [0x42]);
}

#[test]
fn num_buffers_may_be_zero_or_huge_for_one_frame() {
    let mut driver = running();
    driver.control.inject(Fault::NumBuffersZero);
    driver.control.inject(Fault::NumBuffersHuge);

    assert_eq!(num_buffers(&mut driver), 0);
    assert_eq!(num_buffers(&mut driver), 0xFFF0);
    assert_eq!(num_buffers(&mut driver), 1);
}

#[test]
fn one_frame_may_be_scattered() {
    let mut driver = running();
    driver.control.inject(Fault::FrameScattered);

    assert_eq!(num_buffers(&mut driver), 2);
    assert_eq!(num_buffers(&mut driver), 1);
}

#[test]
fn features_are_refused_until_the_fault_is_lifted() {
    let mut driver = Driver::new(VirtioNetConfig::new(MAC));
    driver.control.inject(Fault::FeaturesRefused);
    driver.negotiate(FEATURES);
    assert_eq!(driver.status(), 3);

    driver.control.lift_faults();
    driver.negotiate(FEATURES);
    assert_eq!(driver.status(), 11);
}

#[test]
fn a_reset_may_never_finish() {
    let mut driver = running();
    driver.control.inject(Fault::NeverResets);

    driver.set_status(0);

    assert_eq!(driver.status(), 15);
}

#[test]
fn the_doorbells_may_be_said_to_lie_outside() {
    let mut driver = Driver::new(VirtioNetConfig::new(MAC));
    let mut offset = || {
        let mut raw = [0; 4];
        driver.device.config_read(0xB4 + 8, &mut raw);
        u32::from_le_bytes(raw)
    };
    assert_eq!(offset(), 0x3000);
    driver.control.inject(Fault::CapabilityOutsideBar);
    let mut raw = [0; 4];
    driver.device.config_read(0xB4 + 8, &mut raw);
    assert!(u32::from_le_bytes(raw) >= 16 << 10);

    driver.control.lift_faults();
    driver.device.config_read(0xB4 + 8, &mut raw);
    assert_eq!(u32::from_le_bytes(raw), 0x3000);
}

#[test]
fn a_function_that_is_gone_reads_as_ones_and_does_nothing() {
    let mut driver = running();
    driver.control.inject(Fault::AllOnes);

    let mut id = [0; 4];
    driver.device.config_read(0, &mut id);
    assert_eq!(id, [0xFF; 4]);
    assert_eq!(driver.read(0x14), [0xFF]);
    send(&mut driver, 0);
    driver.receive(&frame(100, 1));
    driver.device.process();

    assert!(driver.take_used(0).is_empty() && driver.take_used(1).is_empty());
    assert!(driver.arrived.lock().unwrap().is_empty());
}
