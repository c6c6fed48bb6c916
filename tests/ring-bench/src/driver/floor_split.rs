//! The least that a driver of a split queue can do.
//!
//! It trusts the device to use buffers in order, keeps no books, and has one fence per batch. What is
//! left is what the format asks for: a descriptor and an available entry per packet to send, an
//! available entry per buffer to receive into, and a look at each used entry.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use super::{Bell, Driver};
use crate::layout::{
    Areas, Available, MASK, NO_NOTIFICATION, Table, UsedRing, WRITE, Words, crosses,
};
use crate::memory::{BUFFER, HEADER, Packet, Packets, Pages};

/// The three areas, a page or more for each.
#[repr(C)]
struct Rings {
    table: Table,
    available: Available,
    _line: [u8; 128],
    used: UsedRing,
}

/// What both directions have.
struct Queue {
    pages: Pages,
    packets: Packets,
    bell: Bell,
    event_idx: bool,
    available: u16,
    used: u16,
}

impl Queue {
    fn new(packets: Packets, event_idx: bool, bell: Bell) -> Self {
        let queue = Self {
            pages: Pages::new(size_of::<Rings>()),
            packets,
            bell,
            event_idx,
            available: 0,
            used: 0,
        };
        if event_idx {
            queue.rings().available.used_event.store(u16::MAX, Relaxed);
        } else {
            queue
                .rings()
                .available
                .flags
                .store(NO_NOTIFICATION, Relaxed);
        }
        queue
    }

    fn areas(&self) -> Areas {
        let rings = self.rings();
        let address = |at: *const u8| at.expose_provenance() as u64;
        Areas {
            descriptors: address((&raw const rings.table).cast()),
            driver: address((&raw const rings.available).cast()),
            device: address((&raw const rings.used).cast()),
        }
    }

    #[inline]
    fn rings(&self) -> &Rings {
        // SAFETY: `pages` has the size of `Rings`, zeroed, which is a value of atomics.
        unsafe { self.pages.at().cast::<Rings>().as_ref() }
    }

    #[inline]
    fn describe(&self, at: u16, packet: Packet, len: u32, flags: u16) {
        let descriptor = &self.rings().table[usize::from(at & MASK)];
        let words = Words {
            len,
            third: flags,
            fourth: 0,
        };
        descriptor.address.store(packet.address(), Relaxed);
        descriptor.rest.store(words.pack(), Relaxed);
    }

    #[inline]
    fn offer(&self, at: u16, head: u16) {
        self.rings().available.ring[usize::from(at & MASK)].store(head, Relaxed);
    }

    #[inline]
    fn publish(&mut self, index: u16) {
        let old = self.available;
        self.available = index;
        let rings = self.rings();
        rings.available.index.store(index, Release);
        fence(SeqCst);
        let wanted = if self.event_idx {
            crosses(rings.used.available_event.load(Relaxed), old, index)
        } else {
            rings.used.flags.load(Relaxed) & NO_NOTIFICATION == 0
        };
        if wanted {
            self.bell.ring();
        }
    }
}

/// Sends.
pub struct Sender {
    queue: Queue,
    len: u32,
}

impl Sender {
    /// Sends `bytes` bytes of each of `packets` in turn.
    #[must_use]
    pub fn new(packets: Packets, bytes: u32, event_idx: bool, bell: Bell) -> Self {
        Self {
            queue: Queue::new(packets, event_idx, bell),
            len: bytes + HEADER as u32,
        }
    }

    /// Where the queue is.
    #[must_use]
    pub fn areas(&self) -> Areas {
        self.queue.areas()
    }
}

impl Driver for Sender {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let queue = &mut self.queue;
        let end = queue.rings().used.index.load(Acquire);
        let mut used = queue.used;
        while used != end {
            let [id, _] = &queue.rings().used.ring[usize::from(used & MASK)];
            let id = id.load(Relaxed) as u16 & MASK;
            std::hint::black_box(queue.packets.all().get(usize::from(id)));
            used = used.wrapping_add(1);
        }
        queue.used = used;
        let mut at = queue.available;
        let start = usize::from(at & MASK);
        let window = start..start + batch as usize;
        for packet in queue.packets.all().get(window).unwrap_or_default() {
            queue.describe(at, *packet, self.len, 0);
            queue.offer(at, at & MASK);
            at = at.wrapping_add(1);
        }
        queue.publish(at);
        batch
    }
}

/// Receives.
pub struct Receiver {
    queue: Queue,
    mergeable: bool,
}

impl Receiver {
    /// Lends all of `packets` to the device.
    #[must_use]
    pub fn new(packets: Packets, mergeable: bool, event_idx: bool, bell: Bell) -> Self {
        let mut queue = Queue::new(packets, event_idx, bell);
        for (at, packet) in (0..).zip(queue.packets.all()) {
            queue.describe(at, *packet, BUFFER as u32, WRITE);
            queue.offer(at, at);
        }
        queue.publish(MASK + 1);
        Self { queue, mergeable }
    }

    /// Where the queue is.
    #[must_use]
    pub fn areas(&self) -> Areas {
        self.queue.areas()
    }
}

impl Driver for Receiver {
    #[inline]
    fn turn(&mut self, batch: u32) -> u32 {
        let queue = &mut self.queue;
        let there = queue
            .rings()
            .used
            .index
            .load(Acquire)
            .wrapping_sub(queue.used);
        let count = batch.min(u32::from(there));
        let (mut at, mut used) = (queue.available, queue.used);
        let packets = queue.packets.all();
        for _ in 0..count {
            let [id, len] = &queue.rings().used.ring[usize::from(used & MASK)];
            let id = id.load(Relaxed) as u16 & MASK;
            std::hint::black_box(len.load(Relaxed));
            if self.mergeable
                && let Some(packet) = packets.get(usize::from(id))
            {
                std::hint::black_box(buffers(*packet));
            }
            // The descriptor is as it was: the device does not write the table of a split queue.
            queue.offer(at, id);
            at = at.wrapping_add(1);
            used = used.wrapping_add(1);
        }
        queue.used = used;
        queue.publish(at);
        count
    }
}

/// `num_buffers` of the header that `packet` starts with.
#[inline]
pub(super) fn buffers(packet: Packet) -> u16 {
    // SAFETY: the header's last field, in a buffer that the device has given back.
    let at = unsafe { packet.0.byte_add(HEADER - 2) }.cast::<u16>();
    // SAFETY: valid; the header is aligned to two bytes, as the buffer is.
    unsafe { at.read_volatile() }
}
