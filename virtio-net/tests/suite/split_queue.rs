//! A split queue, step by step: what the device finds in the rings, what the driver gets back.

use virtio_net::dma::{DmaRegion, Quiesced};
use virtio_net::features::{Features, Interface};
use virtio_net::queue::split::{IndirectTables, QueueError, SplitLayout, SplitQueue};
use virtio_net::queue::{
    DeviceFault, Notify, QueueSize, Refusal, Refused, StillInFlight, Virtqueue,
};

use crate::memory::{Bench, DEVICE_BASE, Descriptor, INDIRECT, NEXT, Shared, WRITE, segment};

const PLAIN: Features = Features::NONE;
const EVENTS: Features = Features::RING_EVENT_IDX;
const TABLES: Features = Features::RING_INDIRECT_DESC;

fn quiesced() -> Quiesced {
    // SAFETY: the devices in these tests are the tests.
    unsafe { Quiesced::assume() }
}

#[test]
fn a_buffer_is_shown_at_publication_and_not_before() {
    let mut bench = Bench::new(4, PLAIN);
    bench.queue.add(&[segment(0x5000, 60)], 1, 7).unwrap();
    assert_eq!(bench.available_index(), 0);

    assert_eq!(bench.queue.publish(), Notify::Needed);
    assert_eq!(bench.available_index(), 1);
    let head = bench.available(0);
    let expected = Descriptor {
        address: 0x5000,
        len: 60,
        flags: 0,
        next: 0,
    };
    assert_eq!(bench.descriptor(head), expected);
}

#[test]
fn a_chain_is_linked_and_its_writable_part_comes_last() {
    let mut bench = Bench::new(8, PLAIN);
    let segments = [
        segment(0x1000, 12),
        segment(0x2000, 100),
        segment(0x3000, 200),
    ];
    bench.queue.add(&segments, 1, 7).unwrap();
    assert!(bench.queue.publish().is_needed());

    let first = bench.descriptor(bench.available(0));
    let second = bench.descriptor(first.next);
    let third = bench.descriptor(second.next);
    assert_eq!((first.address, first.len, first.flags), (0x1000, 12, NEXT));
    assert_eq!(
        (second.address, second.len, second.flags),
        (0x2000, 100, NEXT | WRITE)
    );
    assert_eq!(
        (third.address, third.len, third.flags),
        (0x3000, 200, WRITE)
    );
    assert_eq!(bench.queue.free_slots(), 5);
}

#[test]
fn three_segments_go_into_a_table() {
    let mut bench = Bench::new(8, TABLES);
    let segments = [
        segment(0x1000, 12),
        segment(0x2000, 100),
        segment(0x3000, 200),
    ];
    bench.queue.add(&segments, 3, 7).unwrap();
    assert!(bench.queue.publish().is_needed());

    let head = bench.descriptor(bench.available(0));
    assert_eq!((head.len, head.flags), (3 * 16, INDIRECT));
    let entries = [0, 1, 2].map(|entry| bench.descriptor_at(head.address, entry));
    let expected = [
        Descriptor {
            address: 0x1000,
            len: 12,
            flags: NEXT,
            next: 1,
        },
        Descriptor {
            address: 0x2000,
            len: 100,
            flags: NEXT,
            next: 2,
        },
        Descriptor {
            address: 0x3000,
            len: 200,
            flags: 0,
            next: 3,
        },
    ];
    assert_eq!(entries, expected);
    assert_eq!(bench.queue.free_slots(), 7);
}

#[test]
fn two_segments_go_into_a_table_when_descriptors_are_scarce() {
    let mut bench = Bench::new(4, TABLES);
    let two = [segment(0x1000, 12), segment(0x2000, 100)];
    let free_after = [2, 0].map(|_| {
        bench.queue.add(&two, 2, 0).unwrap();
        bench.queue.free_slots()
    });
    assert_eq!(free_after, [2, 0]);

    let mut bench = Bench::new(8, TABLES);
    let free_after = [(); 5].map(|()| {
        bench.queue.add(&two, 2, 0).unwrap();
        bench.queue.free_slots()
    });
    assert_eq!(free_after, [6, 4, 2, 1, 0]);
}

#[test]
fn tables_without_the_feature_stay_unused() {
    let mut bench = Bench::new(4, PLAIN);
    let segments = [
        segment(0x1000, 12),
        segment(0x2000, 100),
        segment(0x3000, 200),
    ];
    bench.queue.add(&segments, 3, 7).unwrap();
    assert_eq!(bench.queue.free_slots(), 1);
    assert_eq!(bench.descriptor(0).flags, NEXT);
}

#[test]
fn a_refused_buffer_comes_back_and_leaves_no_trace() {
    let mut bench = Bench::new(2, TABLES);
    let good = segment(0x1000, 10);
    let none = segment(0x1000, 0);
    let huge = segment(0x1000, u32::MAX);
    let refused = |why| Err(Refused { buffer: 9, why });
    assert_eq!(bench.queue.add(&[], 0, 9), refused(Refusal::NoSegments));
    assert_eq!(
        bench.queue.add(&[good, none], 2, 9),
        refused(Refusal::EmptySegment)
    );
    assert_eq!(
        bench.queue.add(&[huge, good], 0, 9),
        refused(Refusal::TooManyBytes)
    );
    assert_eq!(
        bench.queue.add(&[good; 3], 0, 9),
        refused(Refusal::TooManySegments)
    );
    assert_eq!((bench.queue.free_slots(), bench.queue.in_flight()), (2, 0));
    assert_eq!(bench.queue.publish(), Notify::Suppressed);

    bench.queue.add(&[good], 0, 1).unwrap();
    bench.queue.add(&[good], 0, 2).unwrap();
    assert_eq!(bench.queue.add(&[good], 0, 9), refused(Refusal::Full));
    assert_eq!(bench.queue.in_flight(), 2);
}

#[test]
fn used_buffers_come_back_in_the_devices_order() {
    let mut bench = Bench::new(4, PLAIN);
    for buffer in [10, 11, 12] {
        bench
            .queue
            .add(&[segment(0x1000, 1500)], 0, buffer)
            .unwrap();
    }
    assert!(bench.queue.publish().is_needed());
    assert!(!bench.queue.has_used());

    let [first, second] = [bench.available(0), bench.available(1)];
    bench.use_buffer(second.into(), 1500);
    bench.use_buffer(first.into(), 0);
    assert!(bench.queue.has_used());
    assert_eq!(bench.queue.pop_used(), Ok(Some((11, 1500))));
    assert_eq!(bench.queue.pop_used(), Ok(Some((10, 0))));
    assert_eq!(bench.queue.pop_used(), Ok(None));
    assert_eq!((bench.queue.in_flight(), bench.queue.free_slots()), (1, 3));
}

#[test]
fn indices_wrap_at_65536() {
    let mut bench = Bench::new(2, PLAIN);
    let laps = if cfg!(miri) { 3 } else { 70_000_u32 };
    for buffer in 0..laps {
        bench.queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
        assert!(bench.queue.publish().is_needed());
        assert_eq!(bench.available_index(), (buffer + 1) as u16);
        let head = bench.available(buffer as u16);
        bench.use_buffer(head.into(), 64);
        assert_eq!(bench.queue.pop_used(), Ok(Some((buffer, 64))));
    }
}

#[test]
fn a_device_that_polls_is_not_notified() {
    let mut bench = Bench::new(4, PLAIN);
    bench.set_used_flags(1);
    bench.queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
    assert_eq!(bench.queue.publish(), Notify::Suppressed);
    bench.set_used_flags(0);
    bench.queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
    assert_eq!(bench.queue.publish(), Notify::Needed);
}

#[test]
fn a_device_with_events_is_notified_when_its_entry_is_written() {
    let mut bench = Bench::new(8, EVENTS);
    bench.set_used_flags(1); // means nothing with event indices
    let published_after = |bench: &mut Bench, count: u32| {
        for buffer in 0..count {
            bench.queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
        }
        bench.queue.publish()
    };
    bench.set_available_event(2);
    assert_eq!(published_after(&mut bench, 2), Notify::Suppressed); // entries 0 and 1
    assert_eq!(published_after(&mut bench, 1), Notify::Needed); // entry 2
    assert_eq!(published_after(&mut bench, 1), Notify::Suppressed); // entry 3
    bench.set_available_event(5);
    assert_eq!(published_after(&mut bench, 3), Notify::Needed); // entries 4 to 6
}

#[test]
fn interrupts_are_switched_by_the_flag_without_events() {
    let mut bench = Bench::new(4, PLAIN);
    assert_eq!(bench.available_flags(), 0);
    bench.queue.disable_interrupts();
    assert_eq!(bench.available_flags(), 1);
    assert!(!bench.queue.enable_interrupts());
    assert_eq!(bench.available_flags(), 0);
}

#[test]
fn interrupts_are_switched_by_the_event_with_events() {
    let mut bench = Bench::new(4, EVENTS);
    bench.queue.disable_interrupts();
    assert_eq!((bench.available_flags(), bench.used_event()), (0, 0xffff));
    bench.queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
    assert!(bench.queue.publish().is_needed());
    bench.use_buffer(bench.available(0).into(), 0);
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 0))));
    assert!(!bench.queue.enable_interrupts());
    assert_eq!((bench.available_flags(), bench.used_event()), (0, 1));
}

#[test]
fn enabling_interrupts_tells_of_what_came_meanwhile() {
    for features in [PLAIN, EVENTS] {
        let mut bench = Bench::new(4, features);
        bench.queue.disable_interrupts();
        bench.queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
        assert!(bench.queue.publish().is_needed());
        bench.use_buffer(bench.available(0).into(), 0);
        assert!(bench.queue.enable_interrupts());
        assert_eq!(bench.queue.pop_used(), Ok(Some((0, 0))));
        assert!(!bench.queue.enable_interrupts());
    }
}

#[test]
fn taking_buffers_with_interrupts_on_asks_for_the_next_interrupt() {
    let mut bench = Bench::new(4, EVENTS);
    for lap in 0..3 {
        bench.queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
        let _ = bench.queue.publish();
        bench.use_buffer(bench.available(lap).into(), 0);
        assert_eq!(bench.queue.pop_used(), Ok(Some((0, 0))));
        assert_eq!(bench.queue.pop_used(), Ok(None));
        assert_eq!(bench.used_event(), lap + 1);
    }
}

#[test]
fn after_a_reset_everything_in_flight_comes_back_once() {
    let mut bench = Bench::new(8, TABLES);
    let three = [segment(0x1000, 64); 3];
    bench.queue.add(&three[..1], 0, 1).unwrap();
    bench.queue.add(&three, 0, 2).unwrap();
    bench.queue.add(&three[..2], 0, 3).unwrap();
    assert!(bench.queue.publish().is_needed());
    bench.use_buffer(bench.available(1).into(), 0);
    assert_eq!(bench.queue.pop_used(), Ok(Some((2, 0))));
    assert_eq!(bench.queue.reset(), Err(StillInFlight(2)));

    let mut buffers: Vec<u32> = bench.queue.take_all(&quiesced()).collect();
    buffers.sort_unstable();
    assert_eq!(buffers, [1, 3]);
    assert_eq!(bench.queue.take_all(&quiesced()).count(), 0);
    assert_eq!((bench.queue.in_flight(), bench.queue.free_slots()), (0, 8));
}

#[test]
fn an_iteration_broken_off_leaves_the_rest_in_the_queue() {
    let mut bench = Bench::new(4, PLAIN);
    for buffer in 0..4 {
        bench.queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
    }
    assert!(bench.queue.take_all(&quiesced()).next().is_some());
    assert_eq!(bench.queue.in_flight(), 3);
    assert_eq!(bench.queue.take_all(&quiesced()).count(), 3);
}

#[test]
fn a_queue_starts_over_after_a_reset() {
    let mut bench = Bench::new(2, EVENTS);
    for buffer in 0..2 {
        bench.queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
    }
    let _ = bench.queue.publish();
    bench.use_buffer(77, 0);
    assert!(bench.queue.pop_used().is_err());
    bench.queue.disable_interrupts();

    assert_eq!(bench.queue.take_all(&quiesced()).count(), 2);
    bench.reset();
    let state = (
        bench.available_index(),
        bench.used_event(),
        bench.queue.fault(),
    );
    assert_eq!(state, (0, 0, None));

    for buffer in 0..2 {
        bench.queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
    }
    assert_eq!(bench.queue.publish(), Notify::Needed);
    bench.use_buffer(bench.available(1).into(), 0);
    assert_eq!(bench.queue.pop_used(), Ok(Some((1, 0))));
}

#[test]
fn memory_that_does_not_fit_is_refused() {
    let size = QueueSize::new(4).unwrap();
    let needed = SplitLayout::new(size).bytes();
    let shared = Shared::new(2 * needed);
    let queue = |region| SplitQueue::<u32>::new(size, PLAIN, region, None).map(drop);
    let given = needed - 1;
    assert_eq!(
        queue(shared.region(0, given)),
        Err(QueueError::TooSmall { needed, given })
    );
    assert_eq!(
        queue(shared.region(16, needed)),
        Err(QueueError::BadAddress)
    );
    assert_eq!(queue(shared.region(0, needed)), Ok(()));

    let va = std::ptr::NonNull::<u8>::dangling();
    // SAFETY: refused for its device address before anything is accessed.
    let wrapping = unsafe { DmaRegion::new(va, u64::MAX - 63, needed) };
    assert_eq!(queue(wrapping), Err(QueueError::BadAddress));
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let size = QueueSize::new(4).unwrap();
    let other = QueueSize::new(8).unwrap();
    let shared = Shared::new(4096);
    let tables = |len, per| IndirectTables::new(shared.region(0, len), size, per).map(drop);
    assert_eq!(tables(4096, 0), Err(QueueError::EmptyTables));
    let too_small = QueueError::TooSmall {
        needed: 4 * 2 * 16,
        given: 127,
    };
    assert_eq!(tables(127, 2), Err(too_small));
    assert_eq!(tables(128, 2), Ok(()));

    let tables = IndirectTables::new(shared.region(0, 1024), other, 4).unwrap();
    let queue = SplitQueue::<u32>::new(size, TABLES, shared.region(1024, 1024), Some(tables));
    assert_eq!(queue.map(drop), Err(QueueError::TablesOfAnotherSize));
}

#[test]
fn the_device_is_told_where_the_rings_lie() {
    let bench = Bench::new(256, PLAIN);
    let addresses = bench.queue.addresses();
    assert_eq!(addresses.descriptors, DEVICE_BASE);
    assert_eq!(addresses.driver, DEVICE_BASE + 4096);
    assert_eq!(addresses.device, DEVICE_BASE + 4672);
}

#[test]
fn a_legacy_queue_lies_where_its_device_computes_it() {
    let size = QueueSize::new(8).unwrap();
    let layout = SplitLayout::legacy(size);
    let shared = Shared::new(layout.bytes() + 4096);
    let make = |offset| {
        let region = shared.region(offset, layout.bytes());
        SplitQueue::of(Interface::Legacy, size, PLAIN, region, None)
    };
    assert_eq!(make(64).map(drop), Err(QueueError::BadAddress));

    let mut queue = make(0).unwrap();
    assert_eq!(Some(queue.addresses()), layout.addresses_at(DEVICE_BASE));
    queue.add(&[segment(0x1000, 64)], 0, 7).unwrap();
    assert_eq!(queue.publish(), Notify::Needed);
    let available = DEVICE_BASE + 8 * 16;
    assert_eq!(shared.read_u16(available + 2), 1);
    use_first(&shared, DEVICE_BASE + 4096, 5);
    assert_eq!(queue.pop_used(), Ok(Some((7, 5))));
}

#[test]
fn a_length_that_is_too_long_is_clamped_where_that_was_asked_for() {
    let size = QueueSize::new(8).unwrap();
    let shared = Shared::new(SplitLayout::new(size).bytes());
    for clamps in [false, true] {
        let region = shared.region(0, SplitLayout::new(size).bytes());
        let mut queue = SplitQueue::new(size, PLAIN, region, None).unwrap();
        if clamps {
            queue = queue.clamping_lengths();
        }
        queue.add(&[segment(0x1000, 64)], 0, 7).unwrap();
        assert_eq!(queue.publish(), Notify::Needed);
        use_first(&shared, queue.addresses().device, 65);
        let fault = DeviceFault::WroteTooMuch {
            claimed: 65,
            writable: 64,
        };
        let expected = if clamps {
            Ok(Some((7, 64)))
        } else {
            Err(fault)
        };
        assert_eq!(queue.pop_used(), expected);
    }
}

/// The device uses the first chain, and says that it wrote `len` bytes.
fn use_first(shared: &Shared, used: u64, len: u32) {
    shared.write(used + 4, &0_u32.to_le_bytes());
    shared.write(used + 8, &len.to_le_bytes());
    shared.write(used + 2, &1_u16.to_le_bytes());
}

#[test]
fn a_queue_may_move_to_another_thread() {
    let mut bench = Bench::new(2, PLAIN);
    let queue = &mut bench.queue;
    std::thread::scope(|scope| {
        scope.spawn(move || queue.add(&[segment(0x1000, 64)], 0, 5).unwrap());
    });
    assert_eq!(bench.queue.in_flight(), 1);
}
