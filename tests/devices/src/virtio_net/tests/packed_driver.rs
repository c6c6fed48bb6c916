//! The driver's side of a packed ring (virtio 1.2, 2.8), just good enough for tests.
//!
//! ```text
//! queue q at ring(q):   descriptors | +0x4000 driver events | +0x8000 device events
//! ```

use std::collections::{HashMap, VecDeque};

use super::super::*;
use super::driver::{Driver, F_INDIRECT, F_NEXT, F_WRITE, Used, buffer, ring};

pub(super) const AVAIL: u16 = 1 << 7;
pub(super) const USED: u16 = 1 << 15;

/// Where the indirect tables of a queue are: one for each buffer ID.
const TABLES: u64 = super::driver::BASE + 0x20_0000;

/// A piece of a chain: address, length, flags.
pub(super) type Piece = (u64, u32, u16);

#[derive(Clone, Copy)]
struct Place {
    at: u16,
    wrap: bool,
}

impl Place {
    fn skip(&mut self, slots: u16, size: u16) {
        self.at += slots;
        if self.at >= size {
            self.at -= size;
            self.wrap = !self.wrap;
        }
    }

    fn word(self) -> u16 {
        self.at | u16::from(self.wrap) << 15
    }
}

pub(super) struct PackedQueue {
    pub(super) queue: u16,
    size: u16,
    in_order: bool,
    available: Place,
    used: Place,
    free: u16,
    /// Slots of each chain that is out.
    slots: HashMap<u16, u16>,
    /// Their IDs, the oldest first.
    out: VecDeque<u16>,
}

impl PackedQueue {
    pub(super) fn new(queue: u16, size: u16, in_order: bool) -> Self {
        let start = Place { at: 0, wrap: true };
        Self {
            queue,
            size,
            in_order,
            available: start,
            used: start,
            free: size,
            slots: HashMap::new(),
            out: VecDeque::new(),
        }
    }

    pub(super) fn free(&self) -> u16 {
        self.free
    }

    pub(super) fn is_out(&self, id: u16) -> bool {
        self.slots.contains_key(&id)
    }

    /// Chains that are out.
    pub(super) fn outstanding(&self) -> usize {
        self.out.len()
    }

    /// Where the next descriptor goes, with the wrap counter.
    pub(super) fn word(&self) -> u16 {
        self.available.word()
    }

    /// Address of the next descriptor.
    pub(super) fn next_slot(&self) -> u64 {
        ring(self.queue) + 16 * u64::from(self.available.at)
    }

    /// Makes a chain available, its first descriptor last.
    pub(super) fn offer(&mut self, driver: &Driver, id: u16, pieces: &[Piece]) {
        let slots = pieces.len() as u16;
        assert!(slots <= self.free && !self.is_out(id));
        let mut first = None;
        for (index, (address, len, flags)) in pieces.iter().enumerate() {
            let slot = self.next_slot();
            let next = if index + 1 < pieces.len() { F_NEXT } else { 0 };
            let flags = flags | next | self.mark();
            driver.put(slot, *address);
            driver.put(slot + 8, *len);
            driver.put(slot + 12, id);
            if index == 0 {
                first = Some((slot + 14, flags));
            } else {
                driver.put(slot + 14, flags);
            }
            self.available.skip(1, self.size);
        }
        if let Some((at, flags)) = first {
            driver.put(at, flags);
        }
        self.free -= slots;
        self.slots.insert(id, slots);
        self.out.push_back(id);
    }

    /// Makes a chain available that lies in a table of its own.
    pub(super) fn offer_indirect(&mut self, driver: &Driver, id: u16, pieces: &[Piece]) {
        let table = TABLES + 0x10_0000 * u64::from(self.queue) + 0x1000 * u64::from(id);
        for (index, (address, len, flags)) in pieces.iter().enumerate() {
            let entry = table + 16 * index as u64;
            driver.put(entry, *address);
            driver.put(entry + 8, *len);
            driver.put(entry + 12, 0_u16);
            driver.put(entry + 14, *flags);
        }
        let len = 16 * pieces.len() as u32;
        self.offer(driver, id, &[(table, len, F_INDIRECT)]);
    }

    /// Flags of a descriptor that is made available now.
    pub(super) fn mark(&self) -> u16 {
        if self.available.wrap { AVAIL } else { USED }
    }

    /// Whether the device wants to know that descriptors from `old` on were made available.
    pub(super) fn wants_kick(&self, driver: &Driver, old: u16) -> bool {
        let events = ring(self.queue) + 0x8000;
        match driver.get::<u16>(events + 2) {
            0 => true,
            1 => false,
            _ => {
                let linear = |word: u16| {
                    let round = if word & USED == 0 { self.size } else { 0 };
                    u32::from(word & !USED) + u32::from(round)
                };
                let round_trip = 2 * u32::from(self.size);
                let distance = |from: u32, to: u32| (to + round_trip - from) % round_trip;
                let old = linear(old);
                let event = linear(driver.get(events));
                distance(old, event) < distance(old, linear(self.word()))
            }
        }
    }

    /// Wants an interrupt for the next chain that is used, or none.
    pub(super) fn set_interrupts(&self, driver: &Driver, on: bool, event_idx: bool) {
        let events = ring(self.queue) + 0x4000;
        driver.put(events, self.used.word());
        let flags = match (on, event_idx) {
            (false, _) => 1_u16,
            (true, false) => 0,
            (true, true) => 2,
        };
        driver.put(events + 2, flags);
    }

    /// Chains that the device used, in its order. With IN_ORDER some are not named; their lengths
    /// are those of their buffers, as far as the caller knows them (`None`).
    pub(super) fn take_used(&mut self, driver: &Driver) -> Vec<(u16, Option<u32>)> {
        let mut list = Vec::new();
        while let Some(Used { id, len }) = self.peek(driver) {
            let id = id as u16;
            assert!(self.is_out(id), "ID {id} is not out");
            if self.in_order {
                while self.out[0] != id {
                    let skipped = self.out[0];
                    self.reap(skipped);
                    list.push((skipped, None));
                }
            }
            self.reap(id);
            list.push((id, Some(len)));
        }
        list
    }

    fn reap(&mut self, id: u16) {
        let slots = self.slots.remove(&id).unwrap();
        self.out.retain(|out| *out != id);
        self.used.skip(slots, self.size);
        self.free += slots;
    }

    /// The next used descriptor as it is.
    pub(super) fn peek(&self, driver: &Driver) -> Option<Used> {
        let slot = ring(self.queue) + 16 * u64::from(self.used.at);
        let flags: u16 = driver.get(slot + 14);
        let marks = if self.used.wrap { AVAIL | USED } else { 0 };
        // A ring that was never written reads as used in the second round.
        let fresh = flags & (AVAIL | USED) == marks && !self.out.is_empty();
        fresh.then(|| Used {
            id: driver.get::<u16>(slot + 12).into(),
            len: driver.get(slot + 8),
        })
    }

    /// Goes past a used descriptor of `slots` without further ado.
    pub(super) fn skip_used(&mut self, slots: u16) {
        self.used.skip(slots, self.size);
    }

    /// Offers a receive buffer of `len` bytes.
    pub(super) fn offer_buffer(&mut self, driver: &Driver, id: u16, len: u32) {
        self.offer(driver, id, &[(buffer(self.queue, id), len, F_WRITE)]);
    }

    /// Offers `frame` behind a header of zeros, cut into `pieces`.
    pub(super) fn offer_frame(&mut self, driver: &Driver, id: u16, frame: &[u8], pieces: usize) {
        let pieces = self.lay_out(driver, id, frame, pieces);
        self.offer(driver, id, &pieces);
    }

    /// Writes `frame` behind a header of zeros, cut into `pieces`.
    pub(super) fn lay_out(
        &self,
        driver: &Driver,
        id: u16,
        frame: &[u8],
        pieces: usize,
    ) -> Vec<Piece> {
        let bytes = [&[0; 12], frame].concat();
        let at = buffer(self.queue, id);
        driver.put_bytes(at, &bytes);
        let each = bytes.len().div_ceil(pieces);
        let starts = (0..bytes.len()).step_by(each);
        starts
            .map(|start| {
                let len = each.min(bytes.len() - start);
                (at + start as u64, len as u32, 0)
            })
            .collect()
    }
}

/// A running driver with packed rings of 256 entries.
pub(super) fn running(features: u128) -> (Driver, PackedQueue, PackedQueue) {
    let offer = feature::RING_PACKED | feature::IN_ORDER | feature::NOTIFICATION_DATA;
    let config = VirtioNetConfig::new(super::driver::MAC).with(offer | feature::RING_RESET);
    let features = features | feature::VERSION_1 | feature::MAC | feature::RING_PACKED;
    let mut driver = Driver::running(config, features);
    driver.settle();
    driver.take_events();
    let in_order = features & feature::IN_ORDER != 0;
    let queue = |queue| PackedQueue::new(queue, 256, in_order);
    (driver, queue(0), queue(1))
}
