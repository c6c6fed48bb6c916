//! Random traffic between the packed queue and the device of `packed_model`.
//!
//! The device checks that each buffer holds what was lent, and returns it in an order of its own; the
//! driver checks that each comes back once, with what the device says. Doorbells and interrupts are
//! compared with what the other side wished, so none that is due is missed and none comes that was
//! suppressed.

use std::collections::{BTreeMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use virtio_net::features::Features;
use virtio_net::queue::packed::{PackedLayout, PackedQueue};
use virtio_net::queue::{IndirectTables, QueueSize, Refusal, Virtqueue};

use crate::memory::{Shared, segment};
use crate::packed_model::{PackedDevice, Part, Place, Request, Wish, is_due};

const PER_TABLE: u16 = 6;

/// Memory for a queue of `size`: the ring, then tables.
pub(crate) fn memory(size: u16) -> Shared {
    let size = QueueSize::packed(size).unwrap();
    Shared::new(PackedLayout::new(size).bytes() + IndirectTables::bytes(size, PER_TABLE))
}

/// Both ends of a queue of `size`.
pub(crate) fn connect<T>(
    shared: &Shared,
    size: u16,
    features: Features,
) -> (PackedQueue<T>, PackedDevice<'_>) {
    let queue_size = QueueSize::packed(size).unwrap();
    let ring = PackedLayout::new(queue_size).bytes();
    let tables = shared.region(ring, IndirectTables::bytes(queue_size, PER_TABLE));
    let tables = IndirectTables::new(tables, queue_size, PER_TABLE).unwrap();
    let ring = shared.region(0, ring);
    let queue = PackedQueue::new(queue_size, features, ring, Some(tables)).unwrap();
    let events = features.contains(Features::RING_EVENT_IDX);
    let device = PackedDevice::new(shared, size, queue.addresses(), events);
    (queue, device)
}

/// What the driver lent: how many segments, and from which on the device writes.
#[derive(Clone, Debug, PartialEq)]
struct Buffer {
    number: u64,
    segments: u16,
    writable_from: u16,
}

impl Buffer {
    fn parts(&self) -> Vec<Part> {
        let part = |index: u16| Part {
            address: 0x5_0000_0000 + self.number * 4096 + u64::from(index) * 64,
            len: 1 + u32::from(index) * 7,
            writable: index >= self.writable_from,
        };
        (0..self.segments).map(part).collect()
    }

    fn writable(&self) -> u32 {
        let parts = self.parts().into_iter().filter(|part| part.writable);
        parts.map(|part| part.len).sum()
    }
}

struct Link<'a> {
    queue: PackedQueue<Buffer>,
    device: PackedDevice<'a>,
    size: u16,
    events: bool,
    in_order: bool,
    /// Lent, and not published.
    added: VecDeque<Buffer>,
    /// Published, and not taken by the device.
    shown: VecDeque<Buffer>,
    shown_end: Place,
    held: VecDeque<(Request, Buffer)>,
    /// Bytes the device wrote, by buffer number; in the order of return.
    returned: BTreeMap<u64, u32>,
    next_number: u64,
    wish: Wish,
    device_sleeps: bool,
    doorbell: bool,
    interrupts: bool,
    /// The driver has seen that there is nothing, with interrupts on.
    driver_rests: bool,
}

impl<'a> Link<'a> {
    fn new(shared: &'a Shared, size: u16, features: Features, marks_length: bool) -> Self {
        let (queue, mut device) = connect(shared, size, features);
        device.marks_length = marks_length;
        Self {
            queue,
            device,
            size,
            events: features.contains(Features::RING_EVENT_IDX),
            in_order: features.contains(Features::IN_ORDER),
            added: VecDeque::new(),
            shown: VecDeque::new(),
            shown_end: Place::START,
            held: VecDeque::new(),
            returned: BTreeMap::new(),
            next_number: 0,
            wish: Wish::All,
            device_sleeps: true,
            doorbell: false,
            interrupts: true,
            driver_rests: true,
        }
    }

    fn add(&mut self, segments: u16, writable_from: u16) {
        let number = self.next_number;
        let buffer = Buffer {
            number,
            segments,
            writable_from,
        };
        let parts = buffer.parts();
        let segments: Vec<_> = parts
            .iter()
            .map(|part| segment(part.address, part.len))
            .collect();
        let free = self.queue.free_slots();
        match self
            .queue
            .add(&segments, writable_from.into(), buffer.clone())
        {
            Ok(()) => {
                self.next_number += 1;
                self.added.push_back(buffer);
            }
            Err(refused) => {
                let ever = segments.len() <= usize::from(self.size);
                let expected = if ever {
                    Refusal::Full
                } else {
                    Refusal::TooManySegments
                };
                assert_eq!(refused.why, expected);
                assert!(!ever || usize::from(free) < segments.len());
                assert_eq!(refused.buffer, buffer);
                assert_eq!(self.queue.free_slots(), free);
            }
        }
        let is_shown = self.device.is_available(self.shown_end);
        assert!(!is_shown, "shown before publication");
    }

    fn publish(&mut self) {
        let old = self.shown_end;
        let notify = self.queue.publish().is_needed();
        self.shown_end = if self.added.is_empty() {
            old
        } else {
            self.device.available_end(old)
        };
        assert_eq!(self.queue.notification_data(), self.shown_end.word());
        assert_eq!(self.added.is_empty(), old == self.shown_end);
        assert_eq!(notify, is_due(self.wish, old, self.shown_end, self.size));
        self.doorbell |= notify;
        self.shown.append(&mut self.added);
    }

    /// The device, if its doorbell rang or it polls, takes every buffer, and sleeps.
    fn take(&mut self, polls: bool) {
        if !polls && !self.doorbell {
            let missed = self.device_sleeps && !self.shown.is_empty();
            assert!(!missed, "a doorbell is missing");
            return;
        }
        self.doorbell = false;
        while let Some(request) = self.device.take() {
            let buffer = self.shown.pop_front().expect("the driver published it");
            assert_eq!(request.parts, buffer.parts());
            let is_new = || self.held.iter().all(|(held, _)| held.id != request.id);
            assert!(self.size > 300 || is_new());
            self.held.push_back((request, buffer));
        }
        assert!(self.shown.is_empty(), "published and not seen");
        assert_eq!(self.device.next_to_take(), self.shown_end);
        assert!(!self.device.sleep());
        self.device_sleeps = true;
        self.wish = if self.events {
            Wish::When(self.shown_end.word())
        } else {
            Wish::All
        };
    }

    /// The device wishes something else, and polls.
    fn set_wish(&mut self, mut wish: Wish) {
        if let Wish::When(place) = &mut wish {
            // Only places that there are.
            let offset = *place % (1 << 15) % self.size;
            *place = (*place & 1 << 15) | offset;
        }
        self.device.wish(wish);
        self.wish = match wish {
            Wish::When(_) if !self.events => Wish::All,
            wish => wish,
        };
        self.device_sleeps = false;
    }

    /// The device returns up to `count` buffers, starting anywhere, and interrupts if it has to.
    fn give_back(&mut self, count: usize, anywhere: usize, as_one: bool) {
        let count = count.min(self.held.len());
        if self.in_order && as_one && count > 0 {
            self.give_back_as_one(count);
        } else {
            for _ in 0..count {
                let index = if self.in_order {
                    0
                } else {
                    anywhere % self.held.len()
                };
                let (request, buffer) = self.held.remove(index).unwrap();
                let written = buffer.writable() / 2;
                self.returned.insert(buffer.number, written);
                self.device
                    .give_back(request.id, written, request.descriptors);
            }
        }
        let due = self.device.is_interrupt_due();
        if count > 0 {
            assert!(due || !self.driver_rests, "an interrupt is missing");
            self.driver_rests = false;
        }
        assert!(!due || self.interrupts, "an interrupt that was suppressed");
    }

    /// One used descriptor for all: those before the last count as written completely.
    fn give_back_as_one(&mut self, count: usize) {
        let mut descriptors = 0;
        for index in 0..count {
            let (request, buffer) = self.held.pop_front().unwrap();
            descriptors += request.descriptors;
            let is_last = index + 1 == count;
            let written = if is_last {
                buffer.writable() / 3
            } else {
                buffer.writable()
            };
            self.returned.insert(buffer.number, written);
            if is_last {
                self.device.give_back(request.id, written, descriptors);
            }
        }
    }

    /// The driver takes up to `limit` buffers; every one once, with the length the device said.
    fn collect(&mut self, limit: usize) -> usize {
        let returned = &mut self.returned;
        let in_order = self.in_order;
        let count = self.queue.reap(limit, |buffer, written| {
            let first = *returned.first_key_value().expect("was given back").0;
            assert!(!in_order || first == buffer.number);
            assert_eq!(returned.remove(&buffer.number), Some(written));
        });
        let count = count.unwrap();
        if count < limit {
            assert!(self.returned.is_empty(), "used and not found");
            self.driver_rests = self.interrupts;
        }
        assert_eq!(self.queue.has_used(), !self.returned.is_empty());
        let lent = self.added.len() + self.shown.len() + self.held.len() + self.returned.len();
        assert_eq!(usize::from(self.queue.in_flight()), lent);
        count
    }

    fn set_interrupts(&mut self, on: bool) {
        self.interrupts = on;
        if on {
            let has_used = self.queue.enable_interrupts();
            assert_eq!(has_used, !self.returned.is_empty());
            self.driver_rests = !has_used;
        } else {
            self.queue.disable_interrupts();
            self.driver_rests = false;
        }
    }

    fn finish(&mut self) {
        self.publish();
        self.take(true);
        self.give_back(usize::MAX, 0, true);
        self.collect(usize::MAX);
        assert_eq!(self.queue.in_flight(), 0);
        assert_eq!(self.queue.free_slots(), self.size);
    }
}

fn features(events: bool, tables: bool, in_order: bool) -> Features {
    let chosen = |wanted, feature| if wanted { feature } else { Features::NONE };
    chosen(events, Features::RING_EVENT_IDX)
        | chosen(tables, Features::RING_INDIRECT_DESC)
        | chosen(in_order, Features::IN_ORDER)
}

#[derive(Clone, Debug)]
enum Step {
    Add(u16, u16),
    Publish,
    Take {
        polls: bool,
    },
    SetWish(Wish),
    GiveBack {
        count: usize,
        anywhere: usize,
        as_one: bool,
    },
    Collect(usize),
    Interrupts(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let buffer = (1..=PER_TABLE).prop_flat_map(|count| (Just(count), 0..=count));
    let wish = prop_oneof![
        Just(Wish::All),
        Just(Wish::Nothing),
        any::<u16>().prop_map(Wish::When),
        (0..10_u16, any::<bool>())
            .prop_map(|(offset, wrap)| Wish::When(Place { offset, wrap }.word())),
    ];
    prop_oneof![
        9 => buffer.prop_map(|(count, from)| Step::Add(count, from)),
        4 => Just(Step::Publish),
        4 => any::<bool>().prop_map(|polls| Step::Take { polls }),
        1 => wish.prop_map(Step::SetWish),
        4 => (0..12_usize, any::<usize>(), any::<bool>())
            .prop_map(|(count, anywhere, as_one)| Step::GiveBack { count, anywhere, as_one }),
        4 => prop_oneof![0..4_usize, Just(usize::MAX)].prop_map(Step::Collect),
        2 => any::<bool>().prop_map(Step::Interrupts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_buffer_arrives_whole_and_comes_back_once(
        size in prop_oneof![4 => 1..=20_u16, 1 => 21..=300_u16],
        events in any::<bool>(),
        tables in any::<bool>(),
        in_order in any::<bool>(),
        marks_length in any::<bool>(),
        steps in vec(step(), 1..250),
    ) {
        let shared = memory(size);
        let mut link = Link::new(&shared, size, features(events, tables, in_order), marks_length);
        for step in steps {
            match step {
                Step::Add(segments, writable_from) => link.add(segments, writable_from),
                Step::Publish => link.publish(),
                Step::Take { polls } => link.take(polls),
                Step::SetWish(wish) => link.set_wish(wish),
                Step::GiveBack { count, anywhere, as_one } => link.give_back(count, anywhere, as_one),
                Step::Collect(limit) => drop(link.collect(limit)),
                Step::Interrupts(on) => link.set_interrupts(on),
            }
        }
        link.finish();
    }
}

/// Runs `buffers` buffers through a queue, as a device and a driver do that rest in between.
fn run_through(size: u16, features: Features, buffers: u64) {
    let shared = memory(size);
    let mut link = Link::new(&shared, size, features, true);
    let mut turn: u16 = 0;
    while link.next_number < buffers {
        turn = turn.wrapping_add(1);
        link.add(1 + turn % 3, turn % 2);
        link.add(1, 0);
        link.publish();
        link.take(false);
        link.give_back(
            1 + usize::from(turn % 4),
            turn.into(),
            turn.is_multiple_of(2),
        );
        if turn.is_multiple_of(3) {
            link.set_interrupts(false);
            link.collect(usize::MAX);
            link.set_interrupts(true);
        } else {
            link.collect(usize::MAX);
        }
    }
    link.finish();
}

#[test]
fn wrap_counters_and_indices_go_round() {
    for size in [1, 2, 3, 64, 100] {
        for bits in 0..8 {
            let features = features(bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            run_through(size, features, 70_000 / if size < 64 { 1 } else { 4 });
        }
    }
    run_through(256, features(true, true, false), 140_000);
}

#[test]
fn the_largest_rings_can_be_filled_and_emptied() {
    for size in [32_767, 32_768] {
        for in_order in [false, true] {
            let shared = memory(size);
            let mut link = Link::new(&shared, size, features(true, false, in_order), true);
            for lap in 0..3 {
                for _ in 0..size {
                    link.add(1, 0);
                }
                assert_eq!(link.queue.free_slots(), 0);
                link.publish();
                link.take(false);
                link.give_back(usize::MAX, 17 * lap, lap == 1);
                assert_eq!(link.collect(usize::MAX), usize::from(size));
            }
            link.finish();
        }
    }
}
