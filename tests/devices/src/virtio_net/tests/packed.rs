//! Packed rings: frames both ways, notifications, and chains that are wrong.

use super::super::*;
use super::driver::{BASE, Driver, F_INDIRECT, F_NEXT, F_WRITE, MAC, Used, buffer, frame, ring};
use super::packed_driver::{AVAIL, PackedQueue, USED, running};

const MERGEABLE: u128 = feature::MRG_RXBUF;

fn send(driver: &mut Driver, tx: &mut PackedQueue, id: u16, bytes: &[u8]) {
    tx.offer_frame(driver, id, bytes, 1);
    driver.kick(1);
    driver.settle();
}

#[test]
fn a_frame_goes_out_and_its_descriptor_is_used() {
    let (mut driver, _, mut tx) = running(0);
    send(&mut driver, &mut tx, 7, &frame(100, 1));

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 1)]);
    assert_eq!(driver.get::<u16>(ring(1) + 12), 7);
    assert_eq!(driver.get::<u16>(ring(1) + 14), AVAIL | USED, "no WRITE");
    assert_eq!(tx.take_used(&driver), [(7, Some(0))]);
    assert_eq!(driver.take_messages(), [0x42]);
}

#[test]
fn the_second_round_has_the_other_marks() {
    let (mut driver, _, mut tx) = running(0);
    for round in 0..600 {
        send(&mut driver, &mut tx, round % 256, &frame(60, round as u8));
        assert_eq!(tx.take_used(&driver), [(round % 256, Some(0))]);
    }
    assert_eq!(driver.arrived.lock().unwrap().len(), 600);
    assert_eq!(driver.get::<u16>(ring(1) + 16 * 200 + 14), 0);
}

#[test]
fn a_chain_goes_round_the_end_of_a_ring_of_any_size() {
    let config = VirtioNetConfig::new(MAC).with(feature::RING_PACKED);
    let mut driver = Driver::new(config);
    driver.negotiate(feature::VERSION_1 | feature::RING_PACKED);
    driver.write(0x16, &1_u16.to_le_bytes());
    driver.write(0x18, &7_u16.to_le_bytes());
    driver.set_up_queue(1);
    driver.set_status(15);
    let mut tx = PackedQueue::new(1, 7, false);

    for round in 0..20 {
        tx.offer_frame(&driver, 3, &frame(90, round), 3);
        driver.kick(1);
        driver.settle();
        assert_eq!(tx.take_used(&driver), [(3, Some(0))]);
    }

    let expected: Vec<_> = (0..20).map(|round| frame(90, round)).collect();
    assert_eq!(*driver.arrived.lock().unwrap(), expected);
    assert_eq!(driver.control.counters().tx.descriptors, 60);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn a_ring_of_no_power_of_two_needs_packed_rings() {
    let mut driver = Driver::new(VirtioNetConfig::new(MAC));
    driver.negotiate(feature::VERSION_1);
    driver.write(0x18, &7_u16.to_le_bytes());
    assert_eq!(driver.read(0x18), 256_u16.to_le_bytes());
    assert_eq!(driver.control.counters().misuses, 1);
}

#[test]
fn a_long_frame_is_spread_over_mergeable_buffers() {
    let (mut driver, mut rx, _) = running(MERGEABLE);
    for id in [9, 4, 250, 0, 1] {
        rx.offer_buffer(&driver, id, 2048);
    }
    driver.kick(0);
    driver.receive(&frame(9014, 5));

    let used = rx.take_used(&driver);
    let expected = [
        (9, Some(2048)),
        (4, Some(2048)),
        (250, Some(2048)),
        (0, Some(2048)),
        (1, Some(834)),
    ];
    assert_eq!(used, expected);
    let used = used.iter().map(|(id, len)| Used {
        id: u32::from(*id),
        len: len.unwrap(),
    });
    let (header, bytes) = driver.received(&used.collect::<Vec<_>>());
    assert_eq!((header[10], bytes), (5, frame(9014, 5)));
    assert_eq!(driver.get::<u16>(ring(0) + 14) & F_WRITE, F_WRITE);
}

#[test]
fn buffers_that_were_too_few_are_kept() {
    let (mut driver, mut rx, _) = running(MERGEABLE | feature::EVENT_IDX);
    rx.offer_buffer(&driver, 0, 2048);
    rx.offer_buffer(&driver, 1, 2048);
    driver.receive(&frame(9014, 5));
    assert_eq!(rx.take_used(&driver), []);
    let event: u16 = driver.get(ring(0) + 0x8000);
    assert_eq!(
        event,
        2 | 0x8000,
        "the doorbell is due at the third descriptor"
    );

    let before = rx.word();
    (2..5).for_each(|id| rx.offer_buffer(&driver, id, 2048));
    assert!(rx.wants_kick(&driver, before));
    driver.kick(0);
    driver.settle();

    assert_eq!(rx.take_used(&driver).len(), 5);
}

#[test]
fn an_indirect_table_takes_one_descriptor() {
    let (mut driver, _, mut tx) = running(feature::INDIRECT_DESC);
    let pieces = tx.lay_out(&driver, 0, &frame(100, 7), 4);
    tx.offer_indirect(&driver, 0, &pieces);
    driver.kick(1);
    driver.settle();

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
    assert_eq!(tx.take_used(&driver), [(0, Some(0))]);
    assert_eq!(tx.free(), 256);
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
}

#[test]
fn flags_in_an_indirect_table_are_ignored_and_counted() {
    let (mut driver, _, mut tx) = running(feature::INDIRECT_DESC);
    let mut pieces = tx.lay_out(&driver, 0, &frame(100, 7), 2);
    pieces[0].2 = F_NEXT;
    tx.offer_indirect(&driver, 0, &pieces);
    driver.kick(1);
    driver.settle();

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
    assert_eq!(
        driver.control.misuses(),
        ["Transmit: flags 0x0001 in an indirect table"]
    );
}

#[test]
fn interrupts_come_as_the_driver_wants_them() {
    let (mut driver, _, mut tx) = running(0);
    tx.set_interrupts(&driver, false, false);
    send(&mut driver, &mut tx, 0, &frame(100, 1));
    assert!(driver.take_messages().is_empty());

    tx.set_interrupts(&driver, true, false);
    send(&mut driver, &mut tx, 1, &frame(100, 1));
    assert_eq!(driver.take_messages(), [0x42]);
}

#[test]
fn an_interrupt_comes_at_the_descriptor_that_was_named() {
    let (mut driver, _, mut tx) = running(feature::EVENT_IDX);
    let events = ring(1) + 0x4000;
    // The second descriptor of the second round, and not of the first.
    driver.put(events, 1_u16);
    driver.put(events + 2, 2_u16);
    for number in 0..258_u16 {
        assert!(driver.take_messages().is_empty(), "{number}");
        send(&mut driver, &mut tx, number % 256, &frame(60, 1));
        tx.take_used(&driver);
    }
    assert_eq!(driver.take_messages(), [0x42]);
    send(&mut driver, &mut tx, 2, &frame(60, 1));
    assert!(driver.take_messages().is_empty());
}

#[test]
fn an_idle_queue_asks_for_a_doorbell() {
    for (features, flags) in [(0, 0_u16), (feature::EVENT_IDX, 2)] {
        let (mut driver, _, mut tx) = running(features);
        send(&mut driver, &mut tx, 0, &frame(100, 1));
        assert_eq!(driver.get::<u16>(ring(1) + 0x8002), flags);
        let old = tx.word();
        tx.offer_frame(&driver, 1, &frame(100, 1), 1);
        assert!(tx.wants_kick(&driver, old));
    }
}

#[test]
fn event_flags_that_mean_nothing_break_the_device() {
    for (features, flags) in [(0, 2_u16), (feature::EVENT_IDX, 3), (0, 0x10)] {
        let (mut driver, _, mut tx) = running(features);
        driver.put(ring(1) + 0x4002, flags);
        send(&mut driver, &mut tx, 0, &frame(100, 1));
        assert!(driver.broken().unwrap().contains("event suppression"));
    }
    let (mut driver, _, mut tx) = running(feature::EVENT_IDX);
    driver.put(ring(1) + 0x4000, 256_u16);
    driver.put(ring(1) + 0x4002, 2_u16);
    send(&mut driver, &mut tx, 0, &frame(100, 1));
    assert!(driver.broken().unwrap().contains("descriptor 256 of 256"));
}

#[test]
fn a_ring_outside_memory_or_off_its_alignment_breaks_the_device() {
    for (low, reason) in [(8_u32, "alignment"), (0, "outside memory")] {
        let mut driver = Driver::new(VirtioNetConfig::new(MAC).with(feature::RING_PACKED));
        driver.negotiate(feature::VERSION_1 | feature::RING_PACKED);
        driver.write(0x20, &low.to_le_bytes());
        driver.write(0x1C, &1_u16.to_le_bytes());
        assert!(driver.broken().unwrap().contains(reason));
    }
}

/// What the reason says, the features, and how to spoil a frame that lies at descriptor 0.
type BadChain<'a> = (&'a str, u128, &'a dyn Fn(&Driver, &mut PackedQueue));

#[test]
fn bad_chains_break_the_device() {
    let slot = ring(1);
    let flags = slot + 14;
    let cases: [BadChain<'_>; 13] = [
        ("wrong direction", 0, &|driver, _| {
            driver.put(flags, AVAIL | F_WRITE)
        }),
        ("empty descriptor", 0, &|driver, _| {
            driver.put(slot + 8, 0_u32)
        }),
        ("not memory", 0, &|driver, _| driver.put(slot, BASE - 8)),
        ("flags 0x0088", 0, &|driver, _| {
            driver.put(flags, AVAIL | 0x08)
        }),
        ("a frame of 20 bytes", 0, &|driver, _| {
            driver.put(slot + 8, 20_u32)
        }),
        ("not available", 0, &|driver, _| {
            driver.put(flags, AVAIL | F_NEXT)
        }),
        ("was not negotiated", 0, &|driver, _| {
            driver.put(flags, AVAIL | F_INDIRECT)
        }),
        ("mixes", feature::INDIRECT_DESC, &|driver, _| {
            driver.put(flags, AVAIL | F_INDIRECT | F_NEXT)
        }),
        (
            "table has 24 bytes",
            feature::INDIRECT_DESC,
            &|driver, _| {
                driver.put(flags, AVAIL | F_INDIRECT);
                driver.put(slot + 8, 24_u32);
            },
        ),
        (
            "longer than the queue",
            feature::INDIRECT_DESC,
            &|driver, _| {
                driver.put(flags, AVAIL | F_INDIRECT);
                driver.put(slot + 8, 16 * 257_u32);
            },
        ),
        ("more than the 256", 0, &|driver, _| {
            // Round and round: all 256 descriptors go on.
            (0..256).for_each(|at| {
                driver.put(slot + 16 * at, buffer(1, 0));
                driver.put(slot + 16 * at + 8, 10_u32);
                driver.put(slot + 16 * at + 14, AVAIL | F_NEXT);
            });
        }),
        ("with the device already", 0, &|driver, tx| {
            let pieces = tx.lay_out(driver, 1, &frame(60, 1), 1);
            tx.offer(driver, 1, &pieces);
            driver.put(slot + 16 + 12, 0_u16);
        }),
        ("offloads", 0, &|driver, _| driver.put(buffer(1, 0), 1_u8)),
    ];
    for (expected, features, spoil) in cases {
        let (mut driver, _, mut tx) = running(features);
        tx.offer_frame(&driver, 0, &frame(100, 1), 1);
        spoil(&driver, &mut tx);
        driver.kick(1);
        driver.settle();
        assert!(driver.control.state().broken, "{expected}");
        let reason = driver.broken().unwrap();
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn descriptors_that_the_device_has_are_not_written_again() {
    let (mut driver, mut rx, _) = running(MERGEABLE);
    (0..256).for_each(|id| rx.offer_buffer(&driver, id, 16));
    // More than the buffers hold, so that the device sees all of them and uses none.
    driver.receive(&frame(9014, 1));
    assert_eq!(driver.take_events(), []);
    driver.put(rx.next_slot() + 14, rx.mark() | F_WRITE);
    driver.kick(0);
    driver.settle();
    assert!(driver.broken().unwrap().contains("that were not used"));
}

#[test]
fn receive_buffers_must_hold_a_header() {
    let (mut driver, mut rx, _) = running(0);
    rx.offer_buffer(&driver, 0, 11);
    driver.receive(&frame(100, 1));
    assert!(driver.broken().unwrap().contains("buffer of 11 bytes"));
}
