//! A packed queue, step by step: what the device finds in the ring, what the driver gets back.

use virtio_net::dma::Quiesced;
use virtio_net::features::Features;
use virtio_net::queue::packed::{PackedLayout, PackedQueue};
use virtio_net::queue::{
    IndirectTables, Notify, QueueError, QueueSize, Refusal, Refused, StillInFlight, Virtqueue,
};

use crate::memory::{DEVICE_BASE, INDIRECT, NEXT, Shared, WRITE, segment};
use crate::packed_model::{PackedDevice, Place, Wish};

const PLAIN: Features = Features::NONE;
const EVENTS: Features = Features::RING_EVENT_IDX;
const TABLES: Features = Features::RING_INDIRECT_DESC;
const AVAIL: u16 = 1 << 7;

fn quiesced() -> Quiesced {
    // SAFETY: the devices in these tests are the tests.
    unsafe { Quiesced::assume() }
}

pub(crate) fn memory(size: u16) -> Shared {
    let size = QueueSize::packed(size).unwrap();
    Shared::new(PackedLayout::new(size).bytes() + IndirectTables::bytes(size, 6))
}

/// A queue of `u32` buffers and its device; tables of six.
pub(crate) fn connect(
    shared: &Shared,
    size: u16,
    features: Features,
) -> (PackedQueue<u32>, PackedDevice<'_>) {
    let queue_size = QueueSize::packed(size).unwrap();
    let ring = PackedLayout::new(queue_size).bytes();
    let tables = shared.region(ring, IndirectTables::bytes(queue_size, 6));
    let tables = IndirectTables::new(tables, queue_size, 6).unwrap();
    let ring = shared.region(0, ring);
    let queue = PackedQueue::new(queue_size, features, ring, Some(tables)).unwrap();
    let events = features.contains(EVENTS);
    let device = PackedDevice::new(shared, size, queue.addresses(), events);
    (queue, device)
}

/// Address, length, id, flags of the descriptor at `offset` of the ring or of a table.
fn descriptor(shared: &Shared, table: u64, offset: u64) -> (u64, u32, u16, u16) {
    let at = table + 16 * offset;
    let words = (shared.read_u16(at + 12), shared.read_u16(at + 14));
    (
        shared.read_u64(at),
        shared.read_u32(at + 8),
        words.0,
        words.1,
    )
}

#[test]
fn of_a_batch_the_first_descriptor_gets_its_flags_at_publication() {
    let shared = memory(4);
    let (mut queue, device) = connect(&shared, 4, PLAIN);
    queue.add(&[segment(0x5000, 60)], 1, 7).unwrap();
    queue.add(&[segment(0x6000, 100)], 0, 8).unwrap();
    assert_eq!(descriptor(&shared, DEVICE_BASE, 0), (0x5000, 0, 0, 0));
    assert_eq!(
        descriptor(&shared, DEVICE_BASE, 1),
        (0x6000, 100, 1, AVAIL | WRITE)
    );
    assert!(!device.is_available(Place::START));

    assert_eq!(queue.publish(), Notify::Needed);
    assert_eq!(descriptor(&shared, DEVICE_BASE, 0), (0x5000, 60, 0, AVAIL));
    assert_eq!(queue.publish(), Notify::Suppressed);
}

#[test]
fn a_chain_lies_in_the_ring_and_its_last_descriptor_has_the_id() {
    let shared = memory(5);
    let (mut queue, _device) = connect(&shared, 5, TABLES);
    queue.add(&[segment(0x4000, 1)], 1, 6).unwrap();
    let segments = [
        segment(0x1000, 12),
        segment(0x2000, 100),
        segment(0x3000, 200),
    ];
    queue.add(&segments, 1, 7).unwrap();
    assert!(queue.publish().is_needed());

    let found = [1, 2, 3].map(|offset| descriptor(&shared, DEVICE_BASE, offset));
    let expected = [
        (0x1000, 12, 1, AVAIL | NEXT),
        (0x2000, 100, 1, AVAIL | NEXT | WRITE),
        (0x3000, 200, 1, AVAIL | WRITE),
    ];
    assert_eq!(found, expected);
    assert_eq!(queue.free_slots(), 1);
}

#[test]
fn five_segments_go_into_a_table() {
    let shared = memory(8);
    let (mut queue, mut device) = connect(&shared, 8, TABLES);
    let segments = [10, 20, 30, 40, 50].map(|len| segment(0x1000, len));
    queue.add(&segments, 3, 7).unwrap();
    assert!(queue.publish().is_needed());

    let (table, len, id, flags) = descriptor(&shared, DEVICE_BASE, 0);
    assert_eq!((len, id, flags), (5 * 16, 0, AVAIL | INDIRECT));
    assert_eq!(descriptor(&shared, table, 2), (0x1000, 30, 0, 0));
    assert_eq!(descriptor(&shared, table, 3), (0x1000, 40, 0, WRITE));
    assert_eq!(device.take().unwrap().parts.len(), 5);
    assert_eq!(queue.free_slots(), 7);
}

#[test]
fn two_segments_go_into_a_table_when_descriptors_are_scarce() {
    let shared = memory(8);
    let (mut queue, _device) = connect(&shared, 8, TABLES);
    let free_after = [(); 5].map(|()| {
        queue.add(&[segment(0x1000, 12); 2], 2, 0).unwrap();
        queue.free_slots()
    });
    assert_eq!(free_after, [6, 4, 2, 1, 0]);
}

#[test]
fn a_refused_buffer_comes_back_and_leaves_no_trace() {
    let shared = memory(4);
    let (mut queue, mut device) = connect(&shared, 4, PLAIN);
    let good = segment(0x1000, 10);
    let none = segment(0x1000, 0);
    let huge = segment(0x1000, u32::MAX);
    let refused = |why| Err(Refused { buffer: 9, why });
    assert_eq!(queue.add(&[], 0, 9), refused(Refusal::NoSegments));
    assert_eq!(queue.add(&[none], 0, 9), refused(Refusal::EmptySegment));
    assert_eq!(
        queue.add(&[good, good, none], 2, 9),
        refused(Refusal::EmptySegment)
    );
    assert_eq!(
        queue.add(&[good, good, huge], 0, 9),
        refused(Refusal::TooManyBytes)
    );
    assert_eq!(
        queue.add(&[good; 5], 0, 9),
        refused(Refusal::TooManySegments)
    );
    assert_eq!((queue.free_slots(), queue.in_flight()), (4, 0));
    assert_eq!(queue.publish(), Notify::Suppressed);

    queue.add(&[good], 0, 1).unwrap();
    assert!(queue.publish().is_needed());
    assert_eq!(device.take().unwrap().descriptors, 1);
    assert!(device.take().is_none(), "left over from what was refused");
    queue.add(&[good; 3], 0, 2).unwrap();
    assert_eq!(queue.add(&[good], 0, 9), refused(Refusal::Full));
}

#[test]
fn buffers_come_back_in_the_devices_order_lap_after_lap() {
    let shared = memory(3);
    let (mut queue, mut device) = connect(&shared, 3, PLAIN);
    let laps = if cfg!(miri) { 8 } else { 70_000 };
    for lap in 0..laps {
        queue.add(&[segment(0x1000, 64)], 0, 2 * lap).unwrap();
        queue
            .add(&[segment(0x1000, 64); 2], 0, 2 * lap + 1)
            .unwrap();
        assert!(queue.publish().is_needed());
        let [one, two] = [(); 2].map(|()| device.take().unwrap());
        device.give_back(two.id, 100, two.descriptors);
        assert!(queue.has_used());
        assert_eq!(queue.pop_used(), Ok(Some((2 * lap + 1, 100))));
        assert_eq!(queue.pop_used(), Ok(None));
        assert_eq!((queue.in_flight(), queue.free_slots()), (1, 2));
        device.give_back(one.id, 64, one.descriptors);
        assert_eq!(queue.pop_used(), Ok(Some((2 * lap, 64))));
        assert!(!queue.has_used());
    }
}

#[test]
fn doorbells_say_where_the_next_buffer_goes() {
    let shared = memory(3);
    let (mut queue, mut device) = connect(&shared, 3, PLAIN);
    let said = [(); 5].map(|()| {
        let before = queue.notification_data();
        queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
        assert_eq!(queue.notification_data(), before, "not shown yet");
        let _ = queue.publish();
        let request = device.take().unwrap();
        device.give_back(request.id, 0, 1);
        queue.pop_used().unwrap();
        queue.notification_data()
    });
    assert_eq!(said, [0x8001, 0x8002, 0, 1, 2]);
}

#[test]
fn the_device_hears_of_what_it_asked_for() {
    for (features, wish, expected) in [
        (PLAIN, Wish::All, [true, true, true]),
        (PLAIN, Wish::Nothing, [false, false, false]),
        // Means nothing without the feature; one too many does no harm.
        (PLAIN, Wish::When(1 | 1 << 15), [true, true, true]),
        (EVENTS, Wish::All, [true, true, true]),
        (EVENTS, Wish::Nothing, [false, false, false]),
        (EVENTS, Wish::When(2 | 1 << 15), [false, true, false]),
        (EVENTS, Wish::When(1), [false, false, true]),
    ] {
        let shared = memory(4);
        let (mut queue, mut device) = connect(&shared, 4, features);
        device.wish(wish);
        let heard = [2, 1, 3].map(|count| {
            for buffer in 0..count {
                queue.add(&[segment(0x1000, 64)], 0, buffer).unwrap();
            }
            let notify = queue.publish();
            while let Some(request) = device.take() {
                device.give_back(request.id, 0, 1);
                queue.pop_used().unwrap();
            }
            notify.is_needed()
        });
        assert_eq!(heard, expected, "{features:?} {wish:?}");
    }
}

#[test]
fn a_wish_that_has_no_meaning_is_taken_for_any() {
    let shared = memory(4);
    let (mut queue, _device) = connect(&shared, 4, EVENTS);
    shared.store_u16(queue.addresses().device + 2, 3);
    queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
    assert_eq!(queue.publish(), Notify::Needed);
}

#[test]
fn the_device_is_told_whether_to_interrupt() {
    let shared = memory(4);
    let (mut queue, device) = connect(&shared, 4, PLAIN);
    assert_eq!(device.drivers_wish(), Wish::All);
    queue.disable_interrupts();
    assert_eq!(device.drivers_wish(), Wish::Nothing);
    assert!(!queue.enable_interrupts());
    assert_eq!(device.drivers_wish(), Wish::All);

    let (mut queue, device) = connect(&shared, 4, EVENTS);
    assert_eq!(device.drivers_wish(), Wish::When(0x8000));
    queue.disable_interrupts();
    assert_eq!(device.drivers_wish(), Wish::Nothing);
    assert!(!queue.enable_interrupts());
    assert_eq!(device.drivers_wish(), Wish::When(0x8000));
}

#[test]
fn taking_buffers_with_interrupts_on_asks_for_the_next_interrupt() {
    let shared = memory(2);
    let (mut queue, mut device) = connect(&shared, 2, EVENTS);
    let wishes = [(); 4].map(|()| {
        queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
        let _ = queue.publish();
        let request = device.take().unwrap();
        device.give_back(request.id, 0, 1);
        assert!(device.is_interrupt_due());
        assert_eq!(queue.pop_used(), Ok(Some((0, 0))));
        assert_eq!(queue.pop_used(), Ok(None));
        device.drivers_wish()
    });
    assert_eq!(wishes, [0x8001, 0, 1, 0x8000].map(Wish::When));
}

#[test]
fn enabling_interrupts_tells_of_what_came_meanwhile() {
    for features in [PLAIN, EVENTS] {
        let shared = memory(4);
        let (mut queue, mut device) = connect(&shared, 4, features);
        queue.disable_interrupts();
        queue.add(&[segment(0x1000, 64)], 0, 0).unwrap();
        assert!(queue.publish().is_needed());
        let request = device.take().unwrap();
        device.give_back(request.id, 0, 1);
        assert!(!device.is_interrupt_due());
        assert!(queue.enable_interrupts());
        assert_eq!(queue.pop_used(), Ok(Some((0, 0))));
        assert!(!queue.enable_interrupts());
    }
}

#[test]
fn after_a_reset_everything_in_flight_comes_back_and_the_queue_starts_over() {
    let shared = memory(6);
    let (mut queue, mut device) = connect(&shared, 6, EVENTS);
    for (buffer, count) in [(1, 1), (2, 3), (3, 2)] {
        queue
            .add(&[segment(0x1000, 64); 3][..count], 0, buffer)
            .unwrap();
    }
    assert!(queue.publish().is_needed());
    let _ = device.take();
    let two = device.take().unwrap();
    device.give_back(two.id, 0, 3);
    assert_eq!(queue.pop_used(), Ok(Some((2, 0))));
    device.give_back(77, 0, 1);
    assert!(queue.pop_used().is_err());
    queue.disable_interrupts();
    assert_eq!(queue.reset(), Err(StillInFlight(2)));

    let mut buffers: Vec<u32> = queue.take_all(&quiesced()).collect();
    buffers.sort_unstable();
    assert_eq!(buffers, [1, 3]);
    queue.reset().unwrap();
    assert_eq!(
        (queue.in_flight(), queue.free_slots(), queue.fault()),
        (0, 6, None)
    );
    assert_eq!(queue.notification_data(), 0x8000);

    let mut device = PackedDevice::new(&shared, 6, queue.addresses(), true);
    assert_eq!(device.drivers_wish(), Wish::When(0x8000));
    queue.add(&[segment(0x1000, 64)], 0, 4).unwrap();
    assert!(queue.publish().is_needed());
    let request = device.take().unwrap();
    device.give_back(request.id, 5, 1);
    assert_eq!(queue.pop_used(), Ok(Some((4, 5))));
}

#[test]
fn memory_that_does_not_fit_is_refused() {
    let size = QueueSize::packed(5).unwrap();
    let needed = PackedLayout::new(size).bytes();
    assert_eq!(needed, 128 + 64 + 64);
    let shared = Shared::new(2 * needed);
    let queue = |region| PackedQueue::<u32>::new(size, PLAIN, region, None).map(drop);
    let given = needed - 1;
    let too_small = QueueError::TooSmall { needed, given };
    assert_eq!(queue(shared.region(0, given)), Err(too_small));
    assert_eq!(
        queue(shared.region(16, needed)),
        Err(QueueError::BadAddress)
    );
    assert_eq!(queue(shared.region(0, needed)), Ok(()));

    let other = QueueSize::new(2).unwrap();
    let tables = IndirectTables::new(shared.region(needed, 64), other, 2).unwrap();
    let queue = PackedQueue::<u32>::new(size, TABLES, shared.region(0, needed), Some(tables));
    assert_eq!(queue.map(drop), Err(QueueError::TablesOfAnotherSize));
}
