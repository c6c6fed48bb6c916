//! The driver with its packed queue and the device of `packed_model` on two threads, each at rest
//! unless the other wakes it. See `two_threads`.

use std::sync::atomic::Ordering;
use std::thread;

use virtio_net::features::Features;
use virtio_net::queue::Virtqueue;

use crate::memory::segment;
use crate::packed_model::PackedDevice;
use crate::packed_random::{connect, memory};
use crate::two_threads::{Lines, Over, Patience, ROUNDS, jitter};

/// Returns each buffer at once, and rests when there is none.
fn device(mut device: PackedDevice<'_>, lines: &Lines) {
    let mut random = 1;
    while lines.doorbell.wait(&lines.over) {
        loop {
            while let Some(request) = device.take() {
                jitter(&mut random);
                device.give_back(request.id, 0, request.descriptors);
                if device.is_interrupt_due() {
                    lines.interrupt.ring();
                }
            }
            if !device.sleep() {
                break;
            }
        }
    }
}

fn exchange(size: u16, features: Features, polls: bool) {
    let shared = memory(size);
    let (mut queue, device_end) = connect::<u32>(&shared, size, features);
    let lines = Lines::default();
    let (mut lent, mut returned, mut random) = (0, 0, 7);
    thread::scope(|scope| {
        let _over = Over(&lines.over);
        scope.spawn(|| device(device_end, &lines));
        if polls {
            queue.disable_interrupts();
        }
        for round in 0..ROUNDS {
            for _ in 0..1 + round % 3 {
                let segments = [segment(0x1000, 64); 2];
                let count = 1 + lent as usize % 2;
                queue.add(&segments[..count], count, lent).unwrap();
                lent += 1;
            }
            if queue.publish().is_needed() {
                lines.doorbell.ring();
            }
            let mut patience = Patience::new();
            loop {
                let mut each = |buffer, _| {
                    assert_eq!(buffer, returned, "the device keeps the order");
                    returned += 1;
                };
                queue.reap(64, &mut each).unwrap();
                if returned == lent {
                    break;
                }
                if polls {
                    patience.spin("the device waits for its doorbell");
                } else {
                    jitter(&mut random);
                    if !queue.enable_interrupts() {
                        let rung = lines.interrupt.wait(&lines.over);
                        assert!(rung, "the driver waits for its interrupt");
                    }
                    queue.disable_interrupts();
                }
            }
        }
        assert!(!lines.over.load(Ordering::Relaxed));
    });
}

#[test]
fn no_doorbell_is_missed_with_flags() {
    exchange(13, Features::NONE, true);
}

#[test]
fn no_doorbell_is_missed_with_events() {
    exchange(
        13,
        Features::RING_EVENT_IDX | Features::RING_INDIRECT_DESC,
        true,
    );
}

#[test]
fn no_interrupt_is_missed_with_flags() {
    exchange(13, Features::NONE, false);
}

#[test]
fn no_interrupt_is_missed_with_events() {
    exchange(13, Features::RING_EVENT_IDX | Features::IN_ORDER, false);
}
