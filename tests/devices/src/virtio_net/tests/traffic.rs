//! Frames both ways, interrupts, doorbells, and chains that are wrong.

use super::super::*;
use super::driver::{BASE, Driver, F_INDIRECT, F_NEXT, F_WRITE, MAC, Used, buffer, frame};

const BASIC: u128 = feature::VERSION_1 | feature::MAC;
const MERGEABLE: u128 = BASIC | feature::MRG_RXBUF;

fn running(features: u128) -> Driver {
    let mut driver = Driver::running(VirtioNetConfig::new(MAC), features);
    driver.settle();
    driver.take_events();
    driver
}

fn used(id: u32, len: u32) -> Used {
    Used { id, len }
}

#[test]
fn a_frame_goes_out_without_its_header() {
    let mut driver = running(BASIC);
    driver.offer_frame(3, &frame(100, 7));
    driver.kick(1);
    driver.settle();

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
    assert_eq!(driver.take_used(1), [used(3, 0)]);
    assert_eq!(driver.take_messages(), [0x42]);
    let tx = driver.control.counters().tx;
    assert_eq!(
        (tx.doorbells, tx.interrupts, tx.frames, tx.bytes),
        (1, 1, 1, 100)
    );
}

#[test]
fn nothing_goes_out_without_a_doorbell() {
    let mut driver = running(BASIC);
    driver.offer_frame(0, &frame(100, 7));
    driver.settle();
    driver.receive(&frame(60, 1));

    assert!(driver.arrived.lock().unwrap().is_empty());
}

#[test]
fn what_was_offered_before_driver_ok_goes_out_at_driver_ok() {
    let mut driver = Driver::new(VirtioNetConfig::new(MAC));
    driver.negotiate(BASIC);
    driver.set_up_queue(1);
    driver.offer_frame(0, &frame(100, 7));
    driver.set_status(15);
    driver.settle();

    assert_eq!(driver.arrived.lock().unwrap().len(), 1);
}

#[test]
fn header_and_frame_may_be_split_anywhere() {
    let mut driver = running(BASIC);
    driver.offer_frame(0, &frame(100, 7));
    let at = buffer(1, 0);
    driver.descriptor(1, 0, at, 5, F_NEXT, 8);
    driver.descriptor(1, 8, at + 5, 20, F_NEXT, 2);
    driver.descriptor(1, 2, at + 25, 87, 0, 0);
    driver.kick(1);
    driver.settle();

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
    assert_eq!(driver.control.counters().tx.descriptors, 3);
}

#[test]
fn an_indirect_table_works_if_negotiated() {
    let mut driver = running(BASIC | feature::INDIRECT_DESC);
    driver.offer_frame(0, &frame(100, 7));
    let (table, data) = (BASE + 0x8000, buffer(1, 0));
    driver.put(table, data);
    driver.put(table + 8, 112_u32);
    driver.put(table + 12, 0_u32);
    driver.descriptor(1, 0, table, 16, F_INDIRECT, 0);
    driver.kick(1);
    driver.settle();

    assert_eq!(*driver.arrived.lock().unwrap(), [frame(100, 7)]);
}

#[test]
fn more_than_a_burst_goes_out_with_one_doorbell() {
    let config = VirtioNetConfig {
        queue_size: 512,
        ..VirtioNetConfig::new(MAC)
    };
    let mut driver = Driver::running(config, BASIC);
    driver.settle();
    for head in 0..512 {
        driver.offer_frame(head, &frame(64, head as u8));
    }
    driver.kick(1);
    driver.settle();

    let expected: Vec<_> = (0..512).map(|head| frame(64, head as u8)).collect();
    assert_eq!(*driver.arrived.lock().unwrap(), expected);
    assert_eq!(driver.control.counters().tx.doorbells, 1);
}

#[test]
fn a_received_frame_lies_behind_a_header() {
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..4, 2048);
    driver.kick(0);
    driver.receive(&frame(100, 9));

    let chain = driver.take_used(0);
    assert_eq!(chain, [used(0, 112)]);
    let (header, bytes) = driver.received(&chain);
    assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(bytes, frame(100, 9));
    assert_eq!(driver.take_messages(), [0x41]);
}

#[test]
fn a_long_frame_is_spread_over_mergeable_buffers() {
    let config = VirtioNetConfig::new(MAC);
    let mut driver = Driver::running(config, MERGEABLE);
    driver.offer_buffers(0..8, 2048);
    driver.kick(0);
    driver.receive(&frame(9014, 5));

    let chain = driver.take_used(0);
    assert_eq!(
        chain,
        [
            used(0, 2048),
            used(1, 2048),
            used(2, 2048),
            used(3, 2048),
            used(4, 834)
        ]
    );
    let (header, bytes) = driver.received(&chain);
    assert_eq!(header[10], 5);
    assert_eq!(bytes, frame(9014, 5));
}

#[test]
fn without_merging_a_frame_that_does_not_fit_is_dropped_and_the_buffer_kept() {
    let mut driver = running(BASIC);
    driver.offer_buffers(0..1, 256);
    driver.kick(0);
    driver.receive(&frame(300, 1));
    driver.receive(&frame(200, 2));

    let chain = driver.take_used(0);
    assert_eq!(driver.received(&chain).1, frame(200, 2));
    assert_eq!(driver.control.counters().rx_dropped_too_large, 1);
}

#[test]
fn frames_wait_for_buffers_and_for_the_doorbell() {
    let mut driver = running(MERGEABLE);
    driver.receive(&frame(100, 1));
    driver.receive(&frame(100, 2));
    driver.offer_buffers(0..4, 2048);
    driver.receive(&frame(100, 3));
    assert!(driver.take_used(0).is_empty());
    assert_eq!(driver.control.state().backlog, 3);

    driver.kick(0);
    driver.settle();

    assert_eq!(driver.take_used(0).len(), 3);
    assert_eq!(driver.control.state().backlog, 0);
}

#[test]
fn the_backlog_is_bounded() {
    let mut driver = running(MERGEABLE);
    for _ in 0..300 {
        driver.receive(&frame(100, 1));
    }
    assert_eq!(driver.control.state().backlog, 256);
    assert_eq!(driver.control.counters().rx_dropped_backlog, 44);
}

#[test]
fn some_buffers_are_not_enough_and_the_next_one_gets_its_doorbell() {
    let mut driver = running(MERGEABLE | feature::EVENT_IDX);
    driver.offer_buffers(0..2, 2048);
    driver.receive(&frame(9014, 1));
    assert!(driver.take_used(0).is_empty());

    assert_eq!(
        driver.avail_event(0),
        2,
        "the doorbell is due at the third buffer"
    );
    driver.offer_buffers(2..5, 2048);
    driver.kick(0);
    driver.settle();

    assert_eq!(driver.take_used(0).len(), 5);
}

#[test]
fn event_index_tells_when_to_interrupt() {
    let mut driver = running(MERGEABLE | feature::EVENT_IDX);
    driver.offer_buffers(0..8, 2048);
    driver.set_used_event(0, 2);

    driver.receive(&frame(100, 1));
    driver.receive(&frame(100, 2));
    assert!(driver.take_messages().is_empty());
    driver.receive(&frame(100, 3));
    assert_eq!(driver.take_messages(), [0x41]);
    driver.receive(&frame(100, 4));
    assert!(driver.take_messages().is_empty());
}

#[test]
fn the_no_interrupt_flag_holds_without_event_index() {
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..8, 2048);
    driver.put(super::driver::ring(0) + 0x4000, 1_u16);

    driver.receive(&frame(100, 1));

    assert_eq!(driver.take_used(0).len(), 1);
    assert!(driver.take_messages().is_empty());
}

#[test]
fn a_ring_wraps() {
    let mut driver = running(MERGEABLE);
    for round in 0..1000_u16 {
        driver.offer_buffers(round % 256..round % 256 + 1, 2048);
        driver.receive(&frame(100, round as u8));
        let chain = driver.take_used(0);
        assert_eq!(driver.received(&chain).1, frame(100, round as u8));
    }
}

#[test]
fn without_a_link_nothing_passes() {
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..4, 2048);
    driver.control.set_link(false);

    driver.receive(&frame(100, 1));
    driver.offer_frame(0, &frame(100, 2));
    driver.kick(1);
    driver.settle();

    assert!(driver.take_used(0).is_empty());
    assert_eq!(
        driver.take_used(1),
        [used(0, 0)],
        "sent frames complete all the same"
    );
    assert!(driver.arrived.lock().unwrap().is_empty());
    let counters = driver.control.counters();
    assert_eq!((counters.rx_dropped_link_down, counters.tx_dropped), (1, 1));
}

#[test]
fn frames_for_a_driver_that_is_not_there_are_dropped() {
    let mut driver = Driver::new(VirtioNetConfig::new(MAC));
    driver.receive(&frame(100, 1));
    assert_eq!(driver.control.counters().rx_dropped_not_ready, 1);
}

#[test]
fn a_reset_empties_the_backlog() {
    let mut driver = running(MERGEABLE);
    driver.receive(&frame(100, 1));
    driver.set_status(0);
    assert_eq!(driver.control.counters().rx_dropped(), 1);

    driver.bring_up(MERGEABLE);
    driver.offer_buffers(0..1, 2048);
    driver.kick(0);
    driver.settle();
    assert!(driver.take_used(0).is_empty());
}

#[test]
fn a_masked_vector_keeps_its_interrupt_until_it_is_unmasked() {
    use crate::pci::PciFunction;
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..4, 2048);
    driver.device.bar_write(1, 16 + 12, &1_u32.to_le_bytes());
    driver.receive(&frame(100, 1));
    assert!(driver.take_messages().is_empty());

    driver.device.bar_write(1, 16 + 12, &0_u32.to_le_bytes());

    assert_eq!(driver.take_messages(), [0x41]);
}

/// Runs `spoil` on a driver with one frame to send, and returns what broke.
fn broken_by(features: u128, spoil: impl FnOnce(&mut Driver)) -> String {
    let mut driver = running(features);
    driver.offer_frame(0, &frame(100, 1));
    spoil(&mut driver);
    driver.kick(1);
    driver.settle();

    assert_eq!(
        driver.take_messages(),
        [0x40],
        "the driver is told to reset"
    );
    assert!(driver.control.state().broken);
    driver.broken().expect("the device broke")
}

/// What the reason says, and how to spoil the frame to send.
type BadChain<'a> = (&'a str, &'a dyn Fn(&mut Driver));

#[test]
fn bad_chains_break_the_device() {
    let at = buffer(1, 0);
    let cases: [BadChain<'_>; 9] = [
        ("head 256", &|driver| driver.offer(1, 256)),
        ("wrong direction", &|driver| {
            driver.descriptor(1, 0, at, 112, F_WRITE, 0)
        }),
        ("empty descriptor", &|driver| {
            driver.descriptor(1, 0, at, 0, 0, 0)
        }),
        ("not memory", &|driver| {
            driver.descriptor(1, 0, BASE - 8, 112, 0, 0)
        }),
        ("loops", &|driver| {
            driver.descriptor(1, 0, at, 112, F_NEXT, 0)
        }),
        ("leaves its table", &|driver| {
            driver.descriptor(1, 0, at, 112, F_NEXT, 256)
        }),
        ("a frame of 20 bytes", &|driver| {
            driver.descriptor(1, 0, at, 20, 0, 0)
        }),
        ("not negotiated", &|driver| {
            driver.descriptor(1, 0, at, 16, F_INDIRECT, 0)
        }),
        ("offloads", &|driver| driver.put(at, 1_u8)),
    ];
    for (expected, spoil) in cases {
        let reason = broken_by(BASIC, |driver| spoil(driver));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
}

#[test]
fn an_available_index_that_jumps_breaks_the_device() {
    let reason = broken_by(BASIC, |driver| {
        driver.put(super::driver::ring(1) + 0x4002, 999_u16)
    });
    assert!(reason.contains("available index"), "{reason}");
}

#[test]
fn receive_buffers_must_hold_a_header() {
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..1, 11);
    driver.receive(&frame(100, 1));
    assert!(
        driver
            .broken()
            .unwrap()
            .contains("receive buffer of 11 bytes")
    );
}

#[test]
fn no_message_leaves_without_bus_mastering() {
    use crate::pci::PciFunction;
    let mut driver = running(MERGEABLE);
    driver.offer_buffers(0..4, 2048);
    driver.device.bar_write(1, 16 + 12, &1_u32.to_le_bytes());
    driver.receive(&frame(100, 1));
    driver.device.config_write(0x04, &2_u16.to_le_bytes());

    driver.device.bar_write(1, 16 + 12, &0_u32.to_le_bytes());

    assert!(driver.take_messages().is_empty());
}
