//! A device that lies in the used ring, one lie per test.

use virtio_net::features::Features;
use virtio_net::queue::{DeviceFault, Refusal, Virtqueue};

use crate::memory::{Bench, segment};

/// A queue of four with buffers 0, 1 and 2 (a chain of two) in flight, each of 100 writable bytes.
fn three_in_flight() -> Bench {
    let mut bench = Bench::new(4, Features::NONE);
    bench.queue.add(&[segment(0x1000, 100)], 0, 0).unwrap();
    bench.queue.add(&[segment(0x1000, 100)], 0, 1).unwrap();
    bench
        .queue
        .add(&[segment(0x1000, 40), segment(0x2000, 100)], 1, 2)
        .unwrap();
    assert!(bench.queue.publish().is_needed());
    bench
}

/// The fault is said once; then the queue is as if empty, and takes nothing.
fn assert_latched(bench: &mut Bench, fault: DeviceFault) {
    assert_eq!(bench.queue.pop_used(), Err(fault));
    assert_eq!(bench.queue.fault(), Some(fault));
    assert_eq!(bench.queue.pop_used(), Ok(None));
    assert!(!bench.queue.has_used());
    assert!(!bench.queue.enable_interrupts());
    let refused = bench.queue.add(&[segment(0x1000, 1)], 0, 9).unwrap_err();
    assert_eq!((refused.buffer, refused.why), (9, Refusal::Faulted));
}

#[test]
fn an_id_out_of_range_is_a_fault() {
    let mut bench = three_in_flight();
    bench.use_buffer(4, 0);
    assert_latched(&mut bench, DeviceFault::UnknownBuffer { id: 4 });
}

#[test]
fn an_id_that_is_in_range_only_modulo_65536_is_a_fault() {
    let mut bench = three_in_flight();
    bench.use_buffer(0x1_0000, 0);
    assert_latched(&mut bench, DeviceFault::UnknownBuffer { id: 0x1_0000 });
}

#[test]
fn the_middle_of_a_chain_is_no_buffer() {
    let mut bench = three_in_flight();
    let middle = bench.descriptor(bench.available(2)).next;
    bench.use_buffer(middle.into(), 0);
    assert_latched(&mut bench, DeviceFault::UnknownBuffer { id: middle.into() });
}

#[test]
fn a_buffer_comes_back_once() {
    let mut bench = three_in_flight();
    bench.use_buffer(0, 100);
    bench.use_buffer(0, 100);
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 100))));
    assert_latched(&mut bench, DeviceFault::UnknownBuffer { id: 0 });
    assert_eq!(bench.queue.in_flight(), 2);
}

#[test]
fn more_bytes_than_are_writable_is_a_fault_and_the_buffer_stays() {
    let mut bench = three_in_flight();
    let head = bench.available(2);
    bench.use_buffer(head.into(), 101);
    assert_latched(
        &mut bench,
        DeviceFault::WroteTooMuch {
            claimed: 101,
            writable: 100,
        },
    );
    assert_eq!(bench.queue.in_flight(), 3);
}

#[test]
fn bytes_claimed_of_a_buffer_that_is_only_read_do_not_count() {
    let mut bench = Bench::new(4, Features::NONE);
    let read_only = [segment(0x1000, 40)];
    bench.queue.add(&read_only, read_only.len(), 7).unwrap();
    assert!(bench.queue.publish().is_needed());
    bench.use_buffer(0, 12_345);
    assert_eq!(bench.queue.pop_used(), Ok(Some((7, 0))));
    assert_eq!(bench.queue.fault(), None);
}

#[test]
fn an_index_beyond_what_is_in_flight_is_a_fault() {
    let mut bench = three_in_flight();
    bench.set_used_index(4);
    assert_latched(
        &mut bench,
        DeviceFault::TooManyUsed {
            claimed: 4,
            in_flight: 3,
        },
    );
}

#[test]
fn an_index_that_goes_backwards_is_a_fault() {
    let mut bench = three_in_flight();
    bench.use_buffer(0, 0);
    assert_eq!(bench.queue.pop_used(), Ok(Some((0, 0))));
    bench.set_used_index(0);
    assert_latched(
        &mut bench,
        DeviceFault::TooManyUsed {
            claimed: 0xffff,
            in_flight: 2,
        },
    );
}

#[test]
fn a_descriptor_table_that_the_device_overwrites_changes_nothing() {
    let mut bench = three_in_flight();
    let table = bench.queue.addresses().descriptors;
    bench.shared.write(table, &[0xff; 4 * 16]);
    for id in 0..3 {
        bench.use_buffer(bench.available(id).into(), 1);
    }
    let popped = [(); 3].map(|()| bench.queue.pop_used().unwrap().unwrap().0);
    assert_eq!(popped, [0, 1, 2]);
    assert_eq!(bench.queue.free_slots(), 4);
}

#[test]
fn an_element_that_changes_after_it_was_read_changes_nothing() {
    let mut bench = three_in_flight();
    bench.use_buffer(1, 100);
    assert_eq!(bench.queue.pop_used(), Ok(Some((1, 100))));
    bench.write_used(0, 0, u32::MAX);
    assert_eq!(bench.queue.pop_used(), Ok(None));
}
