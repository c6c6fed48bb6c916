//! What is the same for both ring formats: IN_ORDER on split rings, doorbells with data, resets of
//! single queues, and chains that are with the device already.

use super::super::*;
use super::driver::{Driver, F_NEXT, MAC, Used, buffer, frame, ring};
use super::packed_driver::{PackedQueue, running as running_packed};

const BASIC: u128 = feature::VERSION_1 | feature::MAC;

fn running(features: u128) -> Driver {
    let config = VirtioNetConfig::new(MAC).with(features);
    let mut driver = Driver::running(config, BASIC | features);
    driver.settle();
    driver.take_events();
    driver
}

#[test]
fn a_head_that_is_with_the_device_breaks_it() {
    let mut driver = running(0);
    driver.offer_frame(3, &frame(100, 1));
    driver.offer(1, 3);
    driver.kick(1);
    driver.settle();

    let reason = driver.broken().unwrap();
    assert_eq!(reason, "Transmit: head 3 is with the device already");
}

#[test]
fn in_order_one_used_element_stands_for_several() {
    let mut driver = running(feature::IN_ORDER);
    (0..100).for_each(|head| driver.offer_frame(head, &frame(60, head as u8)));
    driver.kick(1);
    driver.settle();

    assert_eq!(driver.get::<u16>(ring(1) + 0x8002), 100, "the used index");
    let mut named = 0;
    let mut position = 0;
    while position < 100_u32 {
        // An element at the place of the first of a batch names the last.
        let element = ring(1) + 0x8004 + 8 * u64::from(position);
        let id: u32 = driver.get(element);
        assert!(id >= position && id < 100);
        position = id + 1;
        named += 1;
    }
    assert!((2..100).contains(&named), "{named} of 100 were named");
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn in_order_descriptors_are_taken_in_the_order_of_the_table() {
    let mut driver = running(feature::IN_ORDER);
    driver.offer_frame(0, &frame(100, 1));
    driver.descriptor(1, 0, buffer(1, 0), 50, F_NEXT, 1);
    driver.descriptor(1, 1, buffer(1, 0) + 50, 62, 0, 0);
    driver.offer_frame(2, &frame(100, 2));
    driver.kick(1);
    driver.settle();
    assert_eq!(driver.control.misuses(), Vec::<String>::new());

    driver.offer_frame(4, &frame(100, 3));
    driver.kick(1);
    driver.settle();
    assert_eq!(
        driver.control.misuses(),
        ["Transmit: head 4, where 3 is next in order"]
    );
    assert_eq!(driver.arrived.lock().unwrap().len(), 3);
}

#[test]
fn a_doorbell_says_how_far_a_split_ring_is() {
    let mut driver = running(feature::NOTIFICATION_DATA);
    for number in 1..=3 {
        driver.offer_frame(number, &frame(60, 1));
        driver.kick_at(1, number);
        driver.settle();
    }
    driver.kick_at(1, 3);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
    assert_eq!(driver.arrived.lock().unwrap().len(), 3);

    driver.kick_at(1, 2);
    driver.kick_at(1, 4);
    driver.kick(1);
    assert_eq!(
        driver.control.misuses(),
        [
            "doorbell of queue 1 was written with 0x20001 instead of 0x30001",
            "doorbell of queue 1 was written with 0x40001 instead of 0x30001",
            "doorbell of queue 1: 2 bytes",
        ]
    );
}

#[test]
fn a_doorbell_says_how_far_a_packed_ring_is() {
    let (mut driver, _, mut tx) = running_packed(feature::NOTIFICATION_DATA);
    for number in 0..300_u16 {
        tx.offer_frame(&driver, number % 256, &frame(60, 1), 1);
        driver.kick_at(1, tx.word());
        driver.settle();
        tx.take_used(&driver);
    }
    assert_eq!(tx.word(), 300 - 256);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());

    driver.kick_at(1, tx.word() | 0x8000);
    assert_eq!(driver.control.counters().misuses, 1, "the wrong round");
}

fn queue_register(driver: &mut Driver, queue: u16, offset: u64) -> u16 {
    driver.write(0x16, &queue.to_le_bytes());
    u16::from_le_bytes(driver.read(offset))
}

fn reset_queue(driver: &mut Driver, queue: u16) {
    driver.write(0x16, &queue.to_le_bytes());
    driver.write(0x3A, &1_u16.to_le_bytes());
}

#[test]
fn a_queue_that_was_reset_starts_anew() {
    let mut driver = running(feature::RING_RESET);
    driver.offer_frame(0, &frame(60, 1));
    driver.kick(1);
    driver.settle();
    driver.offer_frame(1, &frame(60, 2));

    reset_queue(&mut driver, 1);
    assert_eq!(queue_register(&mut driver, 1, 0x1C), 0, "queue_enable");
    assert_eq!(queue_register(&mut driver, 1, 0x3A), 0, "queue_reset");
    driver.set_up_queue(1);
    assert_eq!(queue_register(&mut driver, 1, 0x1C), 1);
    driver.offer_frame(5, &frame(60, 3));
    driver.kick(1);
    driver.settle();

    assert_eq!(driver.take_used(1), [Used { id: 5, len: 0 }]);
    assert_eq!(
        *driver.arrived.lock().unwrap(),
        [frame(60, 1), frame(60, 3)]
    );
    assert_eq!(driver.control.counters().queue_resets, 1);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn a_packed_queue_that_was_reset_starts_with_its_first_descriptor() {
    let (mut driver, mut rx, _) = running_packed(feature::RING_RESET);
    rx.offer_buffer(&driver, 0, 2048);
    rx.offer_buffer(&driver, 1, 2048);
    driver.receive(&frame(60, 1));

    reset_queue(&mut driver, 0);
    driver.receive(&frame(60, 2));
    assert_eq!(driver.control.counters().rx_dropped_not_ready, 1);
    driver.set_up_queue(0);
    let mut rx = PackedQueue::new(0, 256, false);
    rx.offer_buffer(&driver, 7, 2048);
    driver.kick(0);
    driver.receive(&frame(60, 3));

    assert_eq!(rx.take_used(&driver), [(7, Some(72))]);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn a_reset_of_a_queue_may_never_end() {
    let mut driver = running(feature::RING_RESET);
    driver.control.inject(Fault::QueueNeverResets);
    reset_queue(&mut driver, 1);
    assert_eq!(queue_register(&mut driver, 1, 0x3A), 1);
    assert_eq!(queue_register(&mut driver, 1, 0x1C), 1);
    driver.offer_frame(0, &frame(60, 1));
    driver.kick(1);
    driver.settle();
    assert!(driver.arrived.lock().unwrap().is_empty());

    driver.control.lift_faults();
    assert_eq!(queue_register(&mut driver, 1, 0x3A), 0);
}

#[test]
fn a_reset_of_a_queue_must_be_negotiated() {
    let mut driver = running(0);
    reset_queue(&mut driver, 1);
    assert_eq!(queue_register(&mut driver, 1, 0x1C), 1);
    assert_eq!(driver.control.misuses(), ["queue_reset without RING_RESET"]);
}

#[test]
fn features_beyond_64_have_words_of_their_own() {
    let config = VirtioNetConfig::new(MAC).with(1 << 65 | 1 << 127);
    let mut driver = Driver::new(config.clone());
    assert_eq!(driver.offered(), config.features);
    driver.negotiate(BASIC | 1 << 127);
    assert_eq!(driver.status(), 11);
    assert_eq!(driver.control.state().features, BASIC | 1 << 127);

    driver.negotiate(BASIC | 1 << 126);
    assert_eq!(driver.status(), 3);
}

#[test]
fn a_feature_without_the_one_it_needs_is_misuse() {
    let offer = feature::CTRL_RX | feature::CTRL_VQ;
    let mut driver = Driver::new(VirtioNetConfig::new(MAC).with(offer));
    driver.negotiate(BASIC | feature::CTRL_RX);
    assert_eq!(
        driver.control.misuses(),
        ["features 0x40000 without feature 17"]
    );
}
