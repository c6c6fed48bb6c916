//! Random traffic between the driver's split queue and rust-vmm's device side.
//!
//! The device checks that each chain holds what was lent, writes into it, and returns it in an order
//! of its own; the driver checks that each buffer comes back once, with what the device wrote.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use proptest::collection::vec;
use proptest::prelude::*;
use virtio_net::dma::{DmaRegion, Segment};
use virtio_net::features::Features;
use virtio_net::queue::split::{IndirectTables, SplitLayout, SplitQueue};
use virtio_net::queue::{QueueSize, Refusal, Virtqueue};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Above 4 GiB, so that a half of an address that is dropped shows.
pub(crate) const BASE: u64 = 0x1_0000_0000;
const RINGS: u64 = BASE;
const TABLES: u64 = BASE + 0x10_0000;
const BUFFERS: u64 = BASE + 0x20_0000;
const MEMORY_LEN: usize = 0x40_0000;
const MAX_SEGMENTS: u16 = 6;
const SEGMENT_LEN: u32 = 64;

pub(crate) fn guest_memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(BASE), MEMORY_LEN)]).unwrap()
}

/// The memory at `address`, for the driver.
fn region(memory: &GuestMemoryMmap, address: u64, len: usize) -> DmaRegion {
    let va = memory
        .get_slice(GuestAddress(address), len)
        .unwrap()
        .ptr_guard_mut()
        .as_ptr();
    // SAFETY: mapped for as long as `memory`, which outlives the queue; only the device uses it too.
    unsafe { DmaRegion::new(NonNull::new(va).unwrap(), address, len) }
}

/// Both ends of a queue of `size`.
pub(crate) fn connect<T>(
    memory: &GuestMemoryMmap,
    size: u16,
    features: Features,
) -> (SplitQueue<T>, Queue) {
    let queue_size = QueueSize::new(size).unwrap();
    let rings = region(memory, RINGS, SplitLayout::new(queue_size).bytes());
    let tables_len = SplitLayout::indirect_bytes(queue_size, MAX_SEGMENTS);
    let tables = region(memory, TABLES, tables_len);
    let tables = IndirectTables::new(tables, queue_size, MAX_SEGMENTS).unwrap();
    let driver = SplitQueue::<T>::new(queue_size, features, rings, Some(tables)).unwrap();

    let halves = |address: u64| (Some(address as u32), Some((address >> 32) as u32));
    let addresses = driver.addresses();
    let mut device = Queue::new(size).unwrap();
    device.set_size(size);
    let (low, high) = halves(addresses.descriptors);
    device.set_desc_table_address(low, high);
    let (low, high) = halves(addresses.driver);
    device.set_avail_ring_address(low, high);
    let (low, high) = halves(addresses.device);
    device.set_used_ring_address(low, high);
    device.set_event_idx(features.contains(Features::RING_EVENT_IDX));
    device.set_ready(true);
    assert!(device.is_valid(memory));
    (driver, device)
}

/// What the driver lent: how many segments, and from which on the device writes.
#[derive(Clone, Debug)]
struct Buffer {
    number: u64,
    segments: u16,
    writable_from: u16,
}

impl Buffer {
    fn segment(&self, index: u16) -> Segment {
        // Lengths differ, so that exchanged segments show; places repeat after a while, which
        // nothing minds, since what is read there is only checked for being the right place.
        let place = (self.number % 4096) * u64::from(MAX_SEGMENTS) + u64::from(index);
        // SAFETY: inside the mapped memory; nothing else uses it.
        unsafe {
            Segment::new(
                BUFFERS + place * u64::from(SEGMENT_LEN),
                1 + u32::from(index) * 7,
            )
        }
    }

    fn writable_len(&self) -> u32 {
        (self.writable_from..self.segments)
            .map(|index| self.segment(index).len())
            .sum()
    }
}

/// A chain that the device holds.
struct Held {
    head: u16,
    number: u64,
}

struct Link {
    memory: GuestMemoryMmap,
    driver: SplitQueue<Buffer>,
    device: Queue,
    /// Shown and not yet seen by the device, in order.
    shown: std::collections::VecDeque<Buffer>,
    held: Vec<Held>,
    /// With `IN_ORDER` the device of this test writes the used ring itself, for which rust-vmm's has
    /// no words; then this is its used index.
    in_order: Option<u16>,
    /// Bytes the device says it wrote, by buffer number.
    returned: BTreeMap<u64, u32>,
    next_number: u64,
    /// Whether the device would sleep: it has looked for buffers and found none.
    device_sleeps: bool,
    doorbell: bool,
    events: bool,
    interrupts: bool,
    /// The driver has seen that there is nothing, with interrupts on.
    driver_rests: bool,
}

impl Link {
    fn new(size: u16, features: Features) -> Self {
        let memory = guest_memory();
        let (driver, device) = connect(&memory, size, features);
        Self {
            memory,
            driver,
            device,
            shown: std::collections::VecDeque::new(),
            held: Vec::new(),
            in_order: features.contains(Features::IN_ORDER).then_some(0),
            returned: BTreeMap::new(),
            next_number: 0,
            device_sleeps: false,
            doorbell: true,
            events: features.contains(Features::RING_EVENT_IDX),
            interrupts: true,
            driver_rests: true,
        }
    }

    /// The driver lends buffers with these segment counts and publishes them together.
    fn lend(&mut self, batch: &[(u16, u16)]) {
        for &(segments, writable_from) in batch {
            let buffer = Buffer {
                number: self.next_number,
                segments,
                writable_from,
            };
            let described: Vec<_> = (0..segments).map(|index| buffer.segment(index)).collect();
            match self
                .driver
                .add(&described, writable_from.into(), buffer.clone())
            {
                Ok(()) => {
                    self.next_number += 1;
                    self.shown.push_back(buffer);
                }
                Err(refused) => {
                    let ever = segments <= self.driver.size().get();
                    let expected = if ever {
                        Refusal::Full
                    } else {
                        Refusal::TooManySegments
                    };
                    assert_eq!(refused.why, expected);
                    assert!(!ever || self.driver.free_slots() < segments);
                    assert_eq!(refused.buffer.number, self.next_number);
                }
            }
        }
        self.doorbell |= self.driver.publish().is_needed();
    }

    /// The device, if its doorbell rang or it polls, takes every chain, and sleeps.
    fn take(&mut self, polls: bool) {
        if !polls && !self.doorbell {
            // Asleep without a doorbell: then nothing may have been shown since.
            assert!(
                !self.device_sleeps || self.shown.is_empty(),
                "a doorbell is missing"
            );
            return;
        }
        self.doorbell = false;
        loop {
            self.device.disable_notification(&self.memory).unwrap();
            while let Some(chain) = self.device.pop_descriptor_chain(&self.memory) {
                let head = chain.head_index();
                let expected = self.shown.pop_front().expect("the driver showed it");
                let seen: Vec<_> = chain
                    .map(|part| (part.addr().0, part.len(), part.is_write_only()))
                    .collect();
                let lent: Vec<_> = (0..expected.segments)
                    .map(|index| (expected.segment(index), index >= expected.writable_from))
                    .map(|(segment, writable)| (segment.address(), segment.len(), writable))
                    .collect();
                assert_eq!(seen, lent);
                self.held.push(Held {
                    head,
                    number: expected.number,
                });
                self.returned
                    .insert(expected.number, expected.writable_len());
            }
            if !self.device.enable_notification(&self.memory).unwrap() {
                break;
            }
        }
        self.device_sleeps = true;
    }

    /// The device returns up to `count` chains, starting anywhere; says whether it interrupts.
    fn give_back(&mut self, count: usize, anywhere: usize) -> bool {
        let count = count.min(self.held.len());
        let due = match self.in_order {
            Some(used) => self.give_back_in_order(used, count, anywhere),
            None => self.give_back_anyhow(count, anywhere),
        };
        if count > 0 {
            assert!(due || !self.driver_rests, "an interrupt is missing");
            self.driver_rests = false;
        }
        assert!(!due || self.interrupts, "an interrupt that was suppressed");
        due
    }

    fn give_back_anyhow(&mut self, count: usize, anywhere: usize) -> bool {
        for _ in 0..count {
            let held = self.held.swap_remove(anywhere % self.held.len());
            let written = self.returned[&held.number] / 2;
            self.returned.insert(held.number, written);
            self.device
                .add_used(&self.memory, held.head, written)
                .unwrap();
        }
        if !self.events {
            // rust-vmm's does not look at the flag.
            return count > 0 && self.read_u16(self.driver.addresses().driver) == 0;
        }
        self.device.needs_notification(&self.memory).unwrap()
    }

    /// The first `count` chains by one element, the others' lengths unsaid.
    fn give_back_in_order(&mut self, used: u16, count: usize, half: usize) -> bool {
        let Some(last) = self.held.drain(..count).next_back() else {
            return false;
        };
        // What was skipped counts as written completely, as `returned` has it.
        let written = self.returned[&last.number] / (1 + half as u32 % 2);
        self.returned.insert(last.number, written);
        let addresses = self.driver.addresses();
        let size = self.driver.size().get();
        let element = addresses.device + 4 + 8 * u64::from(used % size);
        self.write(element, u32::from(last.head));
        self.write(element + 4, written);
        let new = used.wrapping_add(count as u16);
        self.write(addresses.device + 2, new);
        self.in_order = Some(new);

        if !self.events {
            return self.read_u16(addresses.driver) == 0;
        }
        let event = self.read_u16(addresses.driver + 4 + 2 * u64::from(size));
        (0..count as u16).any(|step| used.wrapping_add(step) == event)
    }

    fn write<V: vm_memory::ByteValued>(&self, address: u64, value: V) {
        self.memory.write_obj(value, GuestAddress(address)).unwrap();
    }

    fn read_u16(&self, address: u64) -> u16 {
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    fn set_interrupts(&mut self, on: bool) {
        self.interrupts = on;
        if on {
            self.driver_rests = !self.driver.enable_interrupts();
        } else {
            self.driver.disable_interrupts();
            self.driver_rests = false;
        }
    }

    /// The driver takes what there is; every buffer once, with the length the device said.
    fn collect(&mut self) -> usize {
        let mut count = 0;
        while let Some((buffer, written)) = self.driver.pop_used().unwrap() {
            assert_eq!(self.returned.remove(&buffer.number), Some(written));
            count += 1;
        }
        self.driver_rests = self.interrupts;
        assert_eq!(
            usize::from(self.driver.in_flight()),
            self.shown.len() + self.held.len(),
            "all is accounted for"
        );
        count
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
    Lend(Vec<(u16, u16)>),
    Take { polls: bool },
    GiveBack { count: usize, anywhere: usize },
    Collect,
    Interrupts(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let buffer = (1..=MAX_SEGMENTS).prop_flat_map(|count| (Just(count), 0..=count));
    prop_oneof![
        3 => vec(buffer, 1..12).prop_map(Step::Lend),
        3 => any::<bool>().prop_map(|polls| Step::Take { polls }),
        3 => (1..12_usize, any::<usize>())
            .prop_map(|(count, anywhere)| Step::GiveBack { count, anywhere }),
        3 => Just(Step::Collect),
        1 => any::<bool>().prop_map(Step::Interrupts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_buffer_arrives_whole_and_comes_back_once(
        size in (1..=8_u32).prop_map(|bit| 1_u16 << bit),
        events in any::<bool>(),
        tables in any::<bool>(),
        in_order in any::<bool>(),
        steps in vec(step(), 1..200),
    ) {
        let mut link = Link::new(size, features(events, tables, in_order));
        for step in steps {
            match step {
                Step::Lend(batch) => link.lend(&batch),
                Step::Take { polls } => link.take(polls),
                Step::GiveBack { count, anywhere } => drop(link.give_back(count, anywhere)),
                Step::Collect => drop(link.collect()),
                Step::Interrupts(on) => link.set_interrupts(on),
            }
        }
        link.take(true);
        link.give_back(usize::MAX, 0);
        link.collect();
        prop_assert_eq!(link.driver.in_flight(), 0);
        prop_assert_eq!(link.driver.free_slots(), size);
    }
}

/// Runs `buffers` buffers through a queue; every 16-bit index goes round when there are > 65536.
fn run_through(size: u16, features: Features, buffers: u64) {
    let mut link = Link::new(size, features);
    let mut turn: u16 = 0;
    while link.next_number < buffers {
        turn = turn.wrapping_add(1);
        let batch = [(1 + turn % 3, turn % 2), (1, 0), (1 + turn % 2, 1)];
        link.lend(&batch);
        link.take(false);
        let interrupts = link.give_back(1 + usize::from(turn % 4), turn.into());
        if interrupts || turn.is_multiple_of(5) {
            link.set_interrupts(false);
            link.collect();
            link.set_interrupts(true);
        }
    }
    link.take(true);
    link.give_back(usize::MAX, 0);
    link.collect();
    assert_eq!(link.driver.in_flight(), 0);
    assert_eq!(
        link.device
            .used_idx(&link.memory, Ordering::Acquire)
            .unwrap()
            .0,
        buffers_mod(&link)
    );
}

fn buffers_mod(link: &Link) -> u16 {
    (link.next_number % 65536) as u16
}

#[test]
fn indices_go_round_in_small_and_larger_rings() {
    for size in [2, 4, 64] {
        for (events, tables) in [(false, false), (false, true), (true, false), (true, true)] {
            run_through(size, features(events, tables, false), 70_000);
            run_through(size, features(events, tables, true), 70_000);
        }
    }
}

#[test]
fn the_largest_ring_can_be_filled_and_emptied() {
    let mut link = Link::new(1 << 15, features(true, false, false));
    link.lend(&vec![(1, 0); 1 << 15]);
    assert_eq!(link.driver.free_slots(), 0);
    link.take(true);
    assert_eq!(link.held.len(), 1 << 15);
    link.give_back(usize::MAX, 17);
    assert_eq!(link.collect(), 1 << 15);
}
