//! Misbehaviour on packed rings, and the batches of IN_ORDER.

use super::super::*;
use super::driver::{Driver, Used, frame};
use super::packed_driver::{PackedQueue, running};

fn offer(driver: &Driver, tx: &mut PackedQueue, ids: std::ops::Range<u16>) {
    for id in ids {
        tx.offer_frame(driver, id, &frame(60, id as u8), 2);
    }
}

#[test]
fn a_used_id_beyond_the_ring_strikes_once() {
    let (mut driver, _, mut tx) = running(0);
    let fault = Fault::UsedIdOutOfRange(QueueRole::Transmit);
    driver.control.inject(fault);
    offer(&driver, &mut tx, 3..5);
    driver.kick(1);
    driver.settle();

    assert_eq!(tx.peek(&driver), Some(Used { id: 259, len: 0 }));
    tx.skip_used(2);
    assert_eq!(tx.peek(&driver), Some(Used { id: 4, len: 0 }));
    assert_eq!(driver.control.counters().faults, 1);
    assert_eq!(driver.take_messages(), [0x42]);
}

#[test]
fn a_used_length_exceeds_its_buffer() {
    let (mut driver, mut rx, _) = running(0);
    let fault = Fault::UsedLengthTooLong(QueueRole::Receive);
    driver.control.inject(fault);
    rx.offer_buffer(&driver, 6, 2048);
    driver.receive(&frame(100, 1));

    let len = 2048 + 0x1000;
    assert_eq!(rx.take_used(&driver), [(6, Some(len))]);
}

#[test]
fn a_used_id_appears_twice_where_the_driver_looks() {
    let (mut driver, mut rx, _) = running(0);
    let fault = Fault::UsedIdTwice(QueueRole::Receive);
    driver.control.inject(fault);
    rx.offer_buffer(&driver, 0, 2048);
    driver.receive(&frame(100, 1));
    assert_eq!(rx.take_used(&driver), [(0, Some(112))]);
    assert_eq!(driver.control.active_faults(), 1, "nobody would look");

    rx.offer_buffer(&driver, 1, 2048);
    rx.offer_buffer(&driver, 2, 2048);
    driver.receive(&frame(100, 1));

    let element = Used { id: 1, len: 112 };
    assert_eq!(rx.peek(&driver), Some(element));
    rx.skip_used(1);
    assert_eq!(rx.peek(&driver), Some(element));
    assert_eq!(driver.control.active_faults(), 0);
}

#[test]
fn in_order_not_every_chain_is_named() {
    let (mut driver, _, mut tx) = running(feature::IN_ORDER);
    offer(&driver, &mut tx, 0..100);
    driver.kick(1);
    driver.settle();

    let used = tx.take_used(&driver);
    let ids: Vec<u16> = used.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    let named = used.iter().filter(|(_, len)| len.is_some()).count();
    assert!((1..100).contains(&named), "{named} of 100 were named");
    assert_eq!(tx.free(), 256);
    assert_eq!(driver.arrived.lock().unwrap().len(), 100);
}

#[test]
fn in_order_received_frames_are_named_unless_they_fill_their_buffers() {
    let (mut driver, mut rx, _) = running(feature::IN_ORDER | feature::MRG_RXBUF);
    (0..60).for_each(|id| rx.offer_buffer(&driver, id, 256));
    for _ in 0..20 {
        driver.receive(&frame(600, 1));
    }

    let used = rx.take_used(&driver);
    assert_eq!(used.len(), 60);
    for (index, (_, len)) in used.iter().enumerate() {
        match index % 3 {
            // Header and frame are 612 bytes: 256, 256, 100.
            2 => assert_eq!(*len, Some(100)),
            _ => assert!(matches!(len, None | Some(256)), "{index}: {len:?}"),
        }
    }
    assert!(used.iter().any(|(_, len)| len.is_none()));
}
