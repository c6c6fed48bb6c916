//! A device that writes anything anywhere it can, at any time; with queues of either format.

use std::cell::Cell;
use std::rc::Rc;

use proptest::collection::vec;
use proptest::prelude::*;
use virtio_net::dma::Quiesced;
use virtio_net::features::Features;
use virtio_net::queue::{IndirectTables, QueueSize, Ring, RingLayout, Virtqueue};

use crate::memory::{DEVICE_BASE, Shared, segment};

#[derive(Clone, Debug)]
enum Step {
    /// The driver lends a buffer of so many segments, the first `writable_from` of them readable.
    Add {
        segments: usize,
        writable_from: usize,
    },
    Publish,
    Pop,
    /// The driver takes up to so many buffers.
    Reap(usize),
    EnableInterrupts,
    DisableInterrupts,
    /// The device writes a byte at a fraction (of 65536) of the memory.
    Scribble {
        place: u16,
        byte: u8,
    },
    /// The device writes a used element, often a plausible one.
    UsedElement {
        index: u16,
        id: u32,
        written: u32,
    },
    /// The device moves its used index.
    UsedIndex(u16),
    /// The device overwrites all but the address of a descriptor, often plausibly.
    Descriptor {
        index: u16,
        id: u16,
        written: u32,
        flags: u16,
    },
    /// The driver resets the device and starts over.
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_usize, 0..6_usize)
            .prop_map(|(segments, writable_from)| Step::Add { segments, writable_from }),
        4 => Just(Step::Publish),
        8 => Just(Step::Pop),
        2 => (0..6_usize).prop_map(Step::Reap),
        1 => Just(Step::EnableInterrupts),
        1 => Just(Step::DisableInterrupts),
        2 => any::<(u16, u8)>().prop_map(|(place, byte)| Step::Scribble { place, byte }),
        6 => (0..10_u16, prop_oneof![0..10_u32, any::<u32>()], prop_oneof![0..300_u32, any::<u32>()])
            .prop_map(|(index, id, written)| Step::UsedElement { index, id, written }),
        6 => prop_oneof![0..12_u16, any::<u16>()].prop_map(Step::UsedIndex),
        6 => (
            0..10_u16,
            prop_oneof![0..10_u16, any::<u16>()],
            prop_oneof![0..300_u32, any::<u32>()],
            prop_oneof![Just(0x8080_u16), Just(0x8082), Just(0), Just(2), any::<u16>()],
        )
            .prop_map(|(index, id, written, flags)| Step::Descriptor { index, id, written, flags }),
        1 => Just(Step::Reset),
    ]
}

/// A buffer that knows where it is: dropped in the queue or given back twice would show.
struct Buffer {
    number: usize,
    writable: u32,
    alive: Rc<Cell<usize>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

struct Run {
    queue: Ring<Buffer>,
    bytes: usize,
    shared: Shared,
    /// Which buffers are lent, by number.
    lent: Vec<bool>,
    alive: Rc<Cell<usize>>,
    faulted: bool,
}

impl Run {
    fn new(size: QueueSize, features: Features) -> Self {
        let bytes = RingLayout::new(size, features).bytes();
        let tables = IndirectTables::bytes(size, 3);
        let shared = Shared::new(bytes + tables);
        let tables = IndirectTables::new(shared.region(bytes, tables), size, 3).unwrap();
        let rings = shared.region(0, bytes);
        let queue = Ring::new(size, features, rings, Some(tables)).unwrap();
        Self {
            queue,
            bytes,
            shared,
            lent: Vec::new(),
            alive: Rc::default(),
            faulted: false,
        }
    }

    fn add(&mut self, segments: usize, writable_from: usize) {
        self.alive.set(self.alive.get() + 1);
        let buffer = Buffer {
            number: self.lent.len(),
            writable: 50 * segments.saturating_sub(writable_from) as u32,
            alive: Rc::clone(&self.alive),
        };
        let segments = vec![segment(DEVICE_BASE, 50); segments];
        let accepted = self.queue.add(&segments, writable_from, buffer).is_ok();
        self.lent.push(accepted);
    }

    fn pop(&mut self) {
        let popped = self.queue.pop_used();
        assert!(
            !self.faulted || matches!(popped, Ok(None)),
            "a failed queue gives nothing"
        );
        match popped {
            Ok(Some((buffer, written))) => {
                assert!(written <= buffer.writable);
                self.returned(&buffer);
            }
            Ok(None) => {}
            Err(_) => self.faulted = true,
        }
    }

    fn reap(&mut self, limit: usize) {
        let mut taken = Vec::new();
        let result = self
            .queue
            .reap(limit, |buffer, written| taken.push((buffer, written)));
        assert!(!self.faulted || taken.is_empty() && result == Ok(0));
        assert!(result.is_err() || result == Ok(taken.len()) && taken.len() <= limit);
        self.faulted |= result.is_err();
        for (buffer, written) in taken {
            assert!(written <= buffer.writable);
            self.returned(&buffer);
        }
    }

    fn returned(&mut self, buffer: &Buffer) {
        let lent = std::mem::replace(&mut self.lent[buffer.number], false);
        assert!(
            lent,
            "buffer {} came back without being lent",
            buffer.number
        );
    }

    fn reset(&mut self) {
        // SAFETY: this test is the device, and does nothing meanwhile.
        let proof = unsafe { Quiesced::assume() };
        let buffers: Vec<_> = self.queue.take_all(&proof).collect();
        for buffer in buffers {
            self.returned(&buffer);
        }
        self.queue.reset().unwrap();
        self.faulted = false;
        assert_eq!(self.queue.free_slots(), self.queue.size().get());
        assert!(self.lent.iter().all(|lent| !lent));
    }

    fn take(&mut self, step: &Step) {
        let device = self.queue.addresses().device;
        match *step {
            Step::Add {
                segments,
                writable_from,
            } => self.add(segments, writable_from),
            Step::Publish => drop(self.queue.publish()),
            Step::Pop => self.pop(),
            Step::Reap(limit) => self.reap(limit),
            Step::EnableInterrupts => drop(self.queue.enable_interrupts()),
            Step::DisableInterrupts => self.queue.disable_interrupts(),
            Step::Scribble { place, byte } => {
                let place = u64::from(place) * self.bytes as u64 / 65536;
                self.shared.write(DEVICE_BASE + place, &[byte]);
            }
            Step::UsedElement { .. } | Step::UsedIndex(_)
                if matches!(self.queue, Ring::Packed(_)) => {}
            Step::UsedElement { index, id, written } => {
                let slot = u64::from(index % self.queue.size().get());
                self.shared.write(device + 4 + 8 * slot, &id.to_le_bytes());
                self.shared
                    .write(device + 8 + 8 * slot, &written.to_le_bytes());
            }
            Step::UsedIndex(index) => self.shared.write(device + 2, &index.to_le_bytes()),
            Step::Descriptor {
                index,
                id,
                written,
                flags,
            } => {
                let slot = u64::from(index % self.queue.size().get());
                let at = self.queue.addresses().descriptors + 16 * slot;
                self.shared.write(at + 8, &written.to_le_bytes());
                self.shared.write(at + 12, &id.to_le_bytes());
                self.shared.write(at + 14, &flags.to_le_bytes());
            }
            Step::Reset => self.reset(),
        }
        assert_eq!(self.faulted, self.queue.fault().is_some());
        let in_flight = self.lent.iter().filter(|lent| **lent).count();
        assert_eq!(usize::from(self.queue.in_flight()), in_flight);
        assert_eq!(
            self.alive.get(),
            in_flight,
            "a buffer is lost or in two places"
        );
    }
}

fn features(events: bool, tables: bool, in_order: bool) -> Features {
    let chosen = |wanted, feature| if wanted { feature } else { Features::NONE };
    chosen(events, Features::RING_EVENT_IDX)
        | chosen(tables, Features::RING_INDIRECT_DESC)
        | chosen(in_order, Features::IN_ORDER)
}

fn misuse(size: QueueSize, features: Features, steps: &[Step]) {
    let mut run = Run::new(size, features);
    for step in steps {
        run.take(step);
    }
    run.reset();
    assert_eq!(run.alive.get(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_a_device_writes_breaks_a_split_queue(
        size in (1..=3_u32).prop_map(|bit| 1_u16 << bit),
        events in any::<bool>(),
        tables in any::<bool>(),
        in_order in any::<bool>(),
        steps in vec(step(), 1..120),
    ) {
        let size = QueueSize::new(size).unwrap();
        misuse(size, features(events, tables, in_order), &steps);
    }

    #[test]
    fn nothing_a_device_writes_breaks_a_packed_queue(
        size in 1..=9_u16,
        events in any::<bool>(),
        tables in any::<bool>(),
        in_order in any::<bool>(),
        steps in vec(step(), 1..120),
    ) {
        let size = QueueSize::packed(size).unwrap();
        let features = features(events, tables, in_order) | Features::RING_PACKED;
        misuse(size, features, &steps);
    }
}
