//! A device that lies in a packed ring, one lie per test.

use virtio_net::features::Features;
use virtio_net::queue::packed::PackedQueue;
use virtio_net::queue::{DeviceFault, Refusal, Virtqueue};

use crate::memory::{DEVICE_BASE, Shared, segment};
use crate::packed_model::PackedDevice;
use crate::packed_queue::{connect, memory};

const PLAIN: Features = Features::NONE;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Two buffers in flight, of 100 writable bytes and of none.
fn two_in_flight(shared: &Shared) -> (PackedQueue<u32>, PackedDevice<'_>) {
    let (mut queue, mut device) = connect(shared, 4, PLAIN);
    queue.add(&[segment(0x1000, 100)], 0, 10).unwrap();
    queue.add(&[segment(0x1000, 50)], 1, 11).unwrap();
    assert!(queue.publish().is_needed());
    assert!(device.take().is_some() && device.take().is_some());
    (queue, device)
}

/// The fault is said once; then the queue is as if empty, and takes nothing.
fn assert_latched(queue: &mut PackedQueue<u32>, fault: DeviceFault) {
    assert_eq!(queue.pop_used(), Err(fault));
    assert_eq!(queue.fault(), Some(fault));
    assert_eq!(queue.pop_used(), Ok(None));
    assert!(!queue.has_used() && !queue.enable_interrupts());
    let refused = queue.add(&[segment(0x1000, 1)], 0, 9).unwrap_err();
    assert_eq!((refused.buffer, refused.why), (9, Refusal::Faulted));
}

#[test]
fn an_id_that_is_not_in_flight_is_a_fault() {
    for id in [2, 3, 4, 0xffff] {
        let shared = memory(4);
        let (mut queue, mut device) = two_in_flight(&shared);
        device.give_back(id, 0, 1);
        assert_latched(&mut queue, DeviceFault::UnknownBuffer { id: id.into() });
        assert_eq!(queue.in_flight(), 2);
    }
}

#[test]
fn buffers_before_a_fault_are_given_back() {
    let shared = memory(4);
    let (mut queue, mut device) = two_in_flight(&shared);
    device.give_back(1, 0, 1);
    device.give_back(1, 0, 1);
    let mut taken = Vec::new();
    let result = queue.reap(9, |buffer, written| taken.push((buffer, written)));
    assert_eq!(result, Err(DeviceFault::UnknownBuffer { id: 1 }));
    assert_eq!(taken, [(11, 0)]);
    assert_eq!(queue.reap(9, |_, _| ()), Ok(0));
}

#[test]
fn more_bytes_than_are_writable_is_a_fault_and_the_buffer_stays() {
    let shared = memory(4);
    let (mut queue, mut device) = two_in_flight(&shared);
    device.give_back(0, 101, 1);
    let fault = DeviceFault::WroteTooMuch {
        claimed: 101,
        writable: 100,
    };
    assert_latched(&mut queue, fault);
    assert_eq!(queue.in_flight(), 2);
}

#[test]
fn a_length_that_means_nothing_counts_only_if_it_is_possible() {
    for (said, counts) in [(101, 0), (u32::MAX, 0), (100, 100), (7, 7)] {
        let shared = memory(4);
        let (mut queue, mut device) = two_in_flight(&shared);
        device.marks_length = false;
        device.give_back(0, said, 1);
        device.give_back(1, said, 1);
        assert_eq!(queue.pop_used(), Ok(Some((10, counts))));
        assert_eq!(queue.pop_used(), Ok(Some((11, 0))), "only read");
    }
}

#[test]
fn a_descriptor_that_is_half_of_each_is_not_used() {
    let shared = memory(4);
    let (mut queue, _device) = two_in_flight(&shared);
    for flags in [0, AVAIL, USED] {
        shared.store_u16(DEVICE_BASE + 14, flags);
        assert_eq!(queue.pop_used(), Ok(None));
    }
}
