//! `IN_ORDER`: one used element for several buffers, in both formats; and a ring of either.

use virtio_net::dma::Quiesced;
use virtio_net::features::Features;
use virtio_net::queue::{DeviceFault, QueueError, QueueSize, Ring, RingLayout, Virtqueue};

use crate::memory::{Bench, NEXT, Shared, segment};
use crate::packed_queue::connect;

const IN_ORDER: Features = Features::IN_ORDER;

/// A split queue of eight with buffers 0 to 3 in flight: one, three, one, two descriptors of 100
/// bytes each.
fn split() -> Bench {
    let mut bench = Bench::new(8, IN_ORDER);
    for (buffer, count) in [(0, 1), (1, 3), (2, 1), (3, 2)] {
        bench
            .queue
            .add(&[segment(0x1000, 100); 3][..count], 0, buffer)
            .unwrap();
    }
    assert!(bench.queue.publish().is_needed());
    bench
}

/// The device writes one element at `index`, for all up to `used`.
fn use_up_to(bench: &mut Bench, index: u16, id: u32, written: u32, used: u16) {
    bench.write_used(index, id, written);
    bench.set_used_index(used);
}

#[test]
fn descriptors_of_a_split_queue_go_round() {
    let mut bench = split();
    let heads = [0, 1, 2, 3].map(|index| bench.available(index));
    assert_eq!(heads, [0, 1, 4, 5]);
    use_up_to(&mut bench, 0, 1, 0, 2);
    use_up_to(&mut bench, 2, 4, 0, 3);
    assert_eq!(bench.queue.reap(9, |_, _| ()), Ok(3));
    assert_eq!((bench.queue.free_slots(), bench.queue.in_flight()), (6, 1));

    // Over the end of the table.
    bench.queue.add(&[segment(0x1000, 100); 3], 0, 4).unwrap();
    let _ = bench.queue.publish();
    assert_eq!(bench.available(4), 7);
    let chain = [7, 0, 1].map(|index| bench.descriptor(index));
    assert_eq!(chain.map(|part| part.flags & NEXT), [NEXT, NEXT, 0]);
    assert_eq!([chain[0].next, chain[1].next], [0, 1]);
}

#[test]
fn skipped_buffers_of_a_split_queue_count_as_written_completely() {
    let mut bench = split();
    use_up_to(&mut bench, 0, 4, 33, 3);
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 100))));
    assert_eq!(bench.queue.pop_used(), Ok(Some((1, 300))));
    bench.write_used(0, 99, 99); // is not read again
    assert!(bench.queue.has_used());
    assert_eq!(bench.queue.pop_used(), Ok(Some((2, 33))));
    assert_eq!(bench.queue.pop_used(), Ok(None));
    use_up_to(&mut bench, 3, 5, 7, 4);
    assert_eq!(bench.queue.pop_used(), Ok(Some((3, 7))));
    assert_eq!(bench.queue.free_slots(), 8);
}

#[test]
fn an_element_for_each_buffer_does_as_well() {
    let mut bench = split();
    for id in [0, 1, 4, 5] {
        bench.use_buffer(id, 1);
    }
    let mut taken = Vec::new();
    let count = bench
        .queue
        .reap(9, |buffer, written| taken.push((buffer, written)));
    assert_eq!(count, Ok(4));
    assert_eq!(taken, [(0, 1), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn what_the_index_does_not_reach_is_out_of_order() {
    let mut bench = split();
    use_up_to(&mut bench, 0, 4, 0, 2); // buffer 2 is the third
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 100))));
    let fault = DeviceFault::OutOfOrder { id: 4 };
    assert_eq!(bench.queue.pop_used(), Err(fault));
    assert_eq!(bench.queue.pop_used(), Ok(None));
    assert_eq!(bench.queue.in_flight(), 3);
}

#[test]
fn what_is_not_in_flight_is_unknown_before_anything_is_given_back() {
    for id in [2, 7, 8] {
        let mut bench = split();
        use_up_to(&mut bench, 0, id, 0, 4);
        let fault = DeviceFault::UnknownBuffer { id };
        assert_eq!(bench.queue.pop_used(), Err(fault));
        assert_eq!(bench.queue.in_flight(), 4);
    }
}

#[test]
fn after_a_reset_a_split_queue_begins_with_the_first_descriptor() {
    let mut bench = split();
    use_up_to(&mut bench, 0, 1, 0, 2);
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 100))));
    // SAFETY: the device is this test.
    let proof = unsafe { Quiesced::assume() };
    assert_eq!(bench.queue.take_all(&proof).next(), Some(1));
    assert_eq!(bench.queue.take_all(&proof).collect::<Vec<_>>(), [2, 3]);
    bench.reset();
    assert_eq!(bench.queue.free_slots(), 8);
    bench.queue.add(&[segment(0x1000, 100)], 0, 9).unwrap();
    let _ = bench.queue.publish();
    assert_eq!(bench.available(0), 0);
    bench.use_buffer(0, 5);
    assert_eq!(bench.queue.pop_used(), Ok(Some((9, 5))));
}

#[test]
fn one_used_descriptor_of_a_packed_queue_stands_for_several_buffers() {
    let size = QueueSize::packed(7).unwrap();
    let shared = Shared::new(RingLayout::new(size, Features::RING_PACKED).bytes() + 7 * 6 * 16);
    let (mut queue, mut device) = connect(&shared, 7, IN_ORDER);
    for lap in 0..if cfg!(miri) { 5 } else { 50_000 } {
        for (buffer, count) in [(lap, 1), (lap + 1, 3), (lap + 2, 2)] {
            queue
                .add(&[segment(0x1000, 100); 3][..count], 0, buffer)
                .unwrap();
        }
        assert!(queue.publish().is_needed());
        let [_, _, last] = [(); 3].map(|()| device.take().unwrap());
        device.give_back(last.id, 44, 6);
        assert_eq!(queue.pop_used(), Ok(Some((lap, 100))));
        assert!(queue.has_used());
        assert_eq!(queue.pop_used(), Ok(Some((lap + 1, 300))));
        assert_eq!(queue.pop_used(), Ok(Some((lap + 2, 44))));
        assert_eq!(queue.pop_used(), Ok(None));
        assert_eq!(queue.free_slots(), 7);
    }
}

#[test]
fn a_ring_has_the_format_that_was_negotiated() {
    let odd = QueueSize::packed(6).unwrap();
    let size = QueueSize::new(8).unwrap();
    let packed = RingLayout::new(odd, Features::RING_PACKED).bytes();
    let split = RingLayout::new(size, Features::NONE).bytes();
    assert_eq!((packed, split), (128 + 128, 128 + 64 + 128));
    let shared = Shared::new(512);
    let ring = |size, features| Ring::<u32>::new(size, features, shared.region(0, 320), None);
    assert!(matches!(
        ring(odd, Features::RING_PACKED),
        Ok(Ring::Packed(_))
    ));
    assert!(matches!(ring(size, Features::NONE), Ok(Ring::Split(_))));
    let refused = ring(odd, Features::NONE).map(drop);
    assert_eq!(refused, Err(QueueError::BadSize(odd)));

    let mut ring = ring(size, Features::NONE).unwrap();
    assert_eq!(ring.notification_data(), 0);
    ring.add(&[segment(0x1000, 1)], 0, 3).unwrap();
    assert!(ring.publish().is_needed());
    assert_eq!((ring.notification_data(), ring.in_flight()), (1, 1));
    // SAFETY: the device is this test.
    let proof = unsafe { Quiesced::assume() };
    assert_eq!(ring.take_all(&proof).collect::<Vec<_>>(), [3]);
    assert_eq!(ring.reset(), Ok(()));
}
