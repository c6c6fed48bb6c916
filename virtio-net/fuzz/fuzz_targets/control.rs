//! A device that answers commands of the control queue with anything, at any time.
//!
//! The input is a list of operations, an opcode and its operands in a few bytes. Checked: nothing
//! panics, every submission has one outcome, and no memory that the device holds is lent again.

#![no_main]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeSet;
use std::ptr::NonNull;

use libfuzzer_sys::fuzz_target;
use virtio_net::config::MacAddress;
use virtio_net::control::wishes::{ReceiveModes, Wishes};
use virtio_net::control::{
    Coalescing, Command, Control, ControlLayout, Event, GroupAddress, HashConfig, Limits, Loan,
    RssConfig, SubmitError, Ticket, VlanId,
};
use virtio_net::dma::{DmaRegion, Quiesced};
use virtio_net::features::Features;
use virtio_net::queue::split::{SplitLayout, SplitQueue};
use virtio_net::queue::{QueueSize, Virtqueue};

const DEVICE_BASE: u64 = 0x1_0000_0000;
const SIZE: u16 = 16;
const SLOTS: u16 = 4;
const LIMITS: Limits = Limits {
    unicast: 2,
    multicast: 3,
    queue_pairs: 4,
    rss_entries: 8,
    hash_key: 40,
    hash_types: 0x1ff,
};

/// The memory that both sides see.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, 64).unwrap();
        // SAFETY: there are rings, so the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        Self { start, layout }
    }

    fn region(&self, offset: usize, len: usize) -> DmaRegion {
        assert!(offset + len <= self.layout.size());
        // SAFETY: inside the allocation.
        let va = unsafe { self.start.byte_add(offset) };
        // SAFETY: the memory outlives the queue; besides it this thread alone writes, as the device.
        unsafe { DmaRegion::new(va, DEVICE_BASE + offset as u64, len) }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (offset, byte) in (offset..self.layout.size()).zip(bytes) {
            // SAFETY: inside the allocation.
            unsafe { self.start.byte_add(offset).write_volatile(*byte) };
        }
    }

    fn read(&self, offset: usize) -> u8 {
        assert!(offset < self.layout.size());
        // SAFETY: inside the allocation.
        unsafe { self.start.byte_add(offset).read_volatile() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

struct Run {
    control: Control<SplitQueue<Loan>>,
    wishes: Wishes,
    memory: Memory,
    used: u16,
    now: u64,
    open: BTreeSet<Ticket>,
    overdue: BTreeSet<Ticket>,
}

impl Run {
    fn new(features: Features) -> Self {
        let size = QueueSize::new(SIZE).unwrap();
        let rings = SplitLayout::new(size).bytes();
        let layout = ControlLayout::new(SLOTS, LIMITS);
        let memory = Memory::new(rings + layout.bytes());
        let ring = features.without(Features::IN_ORDER);
        let queue = SplitQueue::new(size, ring, memory.region(0, rings), None).unwrap();
        let region = memory.region(rings, layout.bytes());
        Self {
            control: Control::new(queue, region, layout, features).unwrap(),
            wishes: Wishes::new(features, LIMITS).unwrap(),
            memory,
            used: 0,
            now: 0,
            open: BTreeSet::new(),
            overdue: BTreeSet::new(),
        }
    }

    /// Offset of the used ring.
    fn used_ring(&self) -> usize {
        (self.control.queue().addresses().device - DEVICE_BASE) as usize
    }

    /// Where the acknowledgement of the chain that starts at `head` is, by the driver's descriptors.
    fn ack_of(&self, head: u8) -> Option<usize> {
        let table = (self.control.queue().addresses().descriptors - DEVICE_BASE) as usize;
        let mut index = u16::from(head) % SIZE;
        for _ in 0..3 {
            let at = table + 16 * usize::from(index);
            let byte = |offset| self.memory.read(at + offset);
            let address = u64::from_le_bytes(std::array::from_fn(byte));
            let word = |at| u16::from_le_bytes([byte(at), byte(at + 1)]);
            if word(12) & 2 != 0 {
                let offset = usize::try_from(address.checked_sub(DEVICE_BASE)?).ok()?;
                return Some(offset + usize::from(word(8)) - 1);
            }
            index = word(14) % SIZE;
        }
        None
    }

    fn submitted(&mut self, result: Result<Option<Ticket>, SubmitError>) {
        match result {
            Ok(Some(ticket)) => assert!(self.open.insert(ticket)),
            Ok(None) | Err(SubmitError::Faulted | SubmitError::Busy) => {}
            Err(SubmitError::Stuck) => assert!(self.open.is_empty()),
            Err(other) => panic!("{other:?}"),
        }
        let in_flight = self.control.waiting() + self.control.overdue();
        assert_eq!(in_flight, usize::from(self.control.queue().in_flight()));
        assert!(in_flight <= usize::from(SLOTS));
    }

    fn settle(&mut self, event: &Event) {
        match event {
            Event::Done(done) => assert!(self.open.remove(&done.ticket)),
            Event::Late { ticket, .. } => assert!(self.overdue.remove(ticket)),
        }
        self.wishes.settle(event);
    }

    fn reset(&mut self, features: Features) {
        // SAFETY: the device of this file does nothing by itself.
        let proof = unsafe { Quiesced::assume() };
        let mut ended = Vec::new();
        let result = self
            .control
            .reset(&proof, features, |done| ended.push(Event::Done(done)));
        assert_eq!(result, Ok(()));
        for event in ended {
            self.settle(&event);
        }
        assert!(self.open.is_empty());
        self.overdue.clear();
        self.used = 0;
        self.wishes.replay(features);
    }

    fn wish(&mut self, what: u8, value: u8) {
        let station = |last| MacAddress::new([2, 0, 0, 0, 0, last]).unwrap();
        let group = |last| GroupAddress::new([3, 0, 0, 0, 0, last]).unwrap();
        let coalescing = Coalescing {
            max_packets: value.into(),
            max_usecs: 1,
        };
        let hash = HashConfig {
            types: value.into(),
            key: &[value],
        };
        let queue = u16::from(value);
        match what % 11 {
            0 => self.wishes.want_modes(ReceiveModes {
                promiscuous: value & 1 != 0,
                all_multicast: value & 2 != 0,
                all_unicast: value & 4 != 0,
                no_multicast: value & 8 != 0,
                no_unicast: value & 16 != 0,
                no_broadcast: value & 32 != 0,
            }),
            1 => {
                let stations = vec![station(value); usize::from(value & 3)];
                let groups = vec![group(value); usize::from(value >> 5)];
                self.wishes.want_addresses(&stations, &groups);
            }
            2 => self.wishes.want_mac(station(value)),
            3 => self
                .wishes
                .want_vlan(VlanId::new(queue).unwrap(), value & 1 != 0),
            4 => drop(self.wishes.want_pairs(queue)),
            5 => {
                let table = vec![0; usize::from(value)];
                let _ = self.wishes.want_rss(&RssConfig {
                    hash,
                    unclassified: 0,
                    table: &table,
                    transmit_queues: 1,
                });
            }
            6 => drop(self.wishes.want_hash(&hash)),
            7 => self.wishes.want_transmit_coalescing(coalescing),
            8 => self.wishes.want_receive_coalescing(coalescing),
            9 => drop(self.wishes.want_queue_coalescing(queue, coalescing)),
            _ => self.wishes.acknowledge_announcement(),
        }
    }

    fn step(&mut self, [what, a, b, c]: [u8; 4]) {
        match what % 10 {
            0 => self.wish(a, b),
            1 => {
                let result = self.wishes.advance(&mut self.control, self.now + 10);
                self.submitted(result);
            }
            2 => {
                let query = Command::QueryCoalescing(u16::from(a) % 8);
                let result = self.control.submit(&query, self.now + u64::from(b));
                self.submitted(result.map(Some));
            }
            3 => drop(self.control.publish()),
            // An answer, plausible or not.
            4 => {
                if let Some(ack) = self.ack_of(a) {
                    self.memory.write(ack, &[b]);
                }
                let element = self.used_ring() + 4 + 8 * usize::from(self.used % SIZE);
                self.memory.write(element, &u32::from(a).to_le_bytes());
                self.memory.write(element + 4, &u32::from(c).to_le_bytes());
                self.used = self.used.wrapping_add(1);
                let used = self.used.to_le_bytes();
                self.memory.write(self.used_ring() + 2, &used);
            }
            // Anything anywhere.
            5 => {
                let offset = usize::from(u16::from_le_bytes([a, b]));
                self.memory.write(offset % self.memory.layout.size(), &[c]);
            }
            6 => {
                while let Ok(Some(event)) = self.control.poll() {
                    self.settle(&event);
                }
            }
            7 => {
                self.now += u64::from(a);
                while let Some(done) = self.control.expire(self.now) {
                    self.overdue.insert(done.ticket);
                    self.settle(&Event::Done(done));
                }
            }
            8 => drop(self.control.enable_interrupts()),
            _ => {
                if a < 16 {
                    self.reset(Features::ALL);
                }
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut run = Run::new(Features::ALL);
    for step in input.chunks_exact(4) {
        run.step(step.try_into().unwrap());
    }
    run.reset(Features::ALL);
});
