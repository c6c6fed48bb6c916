//! The least that a driver of a packed queue can do. See [`floor_split`](super::floor_split).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use super::floor_split::buffers;
use super::{Bell, Driver};
use crate::case::QUEUE;
use crate::layout::{
    AVAILABLE, Areas, EVENT_DESCRIPTOR, EVENT_DISABLE, EVENT_ENABLE, Event, MASK, Table, USED,
    WRITE, Words, crosses_packed,
};
use crate::memory::{BUFFER, HEADER, Packet, Packets, Pages};

/// The three areas.
#[repr(C)]
struct Rings {
    table: Table,
    driver: Event,
    _line: [u8; 124],
    device: Event,
}

/// A place that runs on, never back; its bit above [`MASK`] is the inverse of the wrap counter.
type Place = u16;

#[inline]
const fn wrap(place: Place) -> bool {
    place & QUEUE as u16 == 0
}

/// What both directions have.
struct Queue {
    pages: Pages,
    packets: Packets,
    bell: Bell,
    available: Place,
    used: Place,
}

impl Queue {
    fn new(packets: Packets, bell: Bell) -> Self {
        let queue = Self {
            pages: Pages::new(size_of::<Rings>()),
            packets,
            bell,
            available: 0,
            used: 0,
        };
        queue.rings().driver.flags.store(EVENT_DISABLE, Relaxed);
        queue
    }

    fn areas(&self) -> Areas {
        let rings = self.rings();
        let address = |at: *const u8| at.expose_provenance() as u64;
        Areas {
            descriptors: address((&raw const rings.table).cast()),
            driver: address((&raw const rings.driver).cast()),
            device: address((&raw const rings.device).cast()),
        }
    }

    #[inline]
    fn rings(&self) -> &Rings {
        // SAFETY: `pages` has the size of `Rings`, zeroed, which is a value of atomics.
        unsafe { self.pages.at().cast::<Rings>().as_ref() }
    }

    /// Writes the address of a descriptor, and returns what makes it available.
    #[inline]
    fn describe(&self, at: Place, packet: Packet, id: u16, len: u32, flags: u16) -> u64 {
        let turn = if wrap(at) { AVAILABLE } else { USED };
        let words = Words {
            len,
            third: id,
            fourth: turn | flags,
        };
        let descriptor = &self.rings().table[usize::from(at & MASK)];
        descriptor.address.store(packet.address(), Relaxed);
        words.pack()
    }

    /// Makes a descriptor available, behind the first of its batch.
    #[inline]
    fn show(&self, at: Place, words: u64) {
        let descriptor = &self.rings().table[usize::from(at & MASK)];
        descriptor.rest.store(words, Relaxed);
    }

    /// Makes the first descriptor of the batch up to `end` available, and so all of it.
    #[inline]
    fn publish(&mut self, end: Place, first: u64) {
        let start = self.available;
        let count = end.wrapping_sub(start);
        if count == 0 {
            return;
        }
        self.available = end;
        let rings = self.rings();
        rings.table[usize::from(start & MASK)]
            .rest
            .store(first, Release);
        fence(SeqCst);
        let wanted = match rings.device.flags.load(Relaxed) {
            EVENT_ENABLE => true,
            EVENT_DESCRIPTOR => {
                let event = rings.device.position.load(Relaxed);
                crosses_packed(event, end & MASK, wrap(end), count)
            }
            _ => false,
        };
        if wanted {
            self.bell.ring();
        }
    }

    /// The used descriptor at `at`, if there is one: identifier and bytes written.
    #[inline]
    fn used(&self, at: Place) -> Option<(u16, u32)> {
        let descriptor = &self.rings().table[usize::from(at & MASK)];
        let words = Words::unpack(descriptor.rest.load(Acquire));
        let wanted = if wrap(at) { AVAILABLE | USED } else { 0 };
        let is_used = words.fourth & (AVAILABLE | USED) == wanted;
        is_used.then_some((words.third & MASK, words.len))
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
    pub fn new(packets: Packets, bytes: u32, bell: Bell) -> Self {
        Self {
            queue: Queue::new(packets, bell),
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
        let packets = queue.packets.all();
        let mut used = queue.used;
        while let Some((id, _)) = queue.used(used) {
            std::hint::black_box(packets.get(usize::from(id)));
            used = used.wrapping_add(1);
        }
        let start = usize::from(queue.available & MASK);
        let window = packets.get(start..start + batch as usize);
        let (mut at, mut first) = (queue.available, 0);
        for packet in window.unwrap_or_default() {
            let words = queue.describe(at, *packet, at & MASK, self.len, 0);
            if at == queue.available {
                first = words;
            } else {
                queue.show(at, words);
            }
            at = at.wrapping_add(1);
        }
        queue.used = used;
        queue.publish(at, first);
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
    pub fn new(packets: Packets, mergeable: bool, bell: Bell) -> Self {
        let mut queue = Queue::new(packets, bell);
        let mut first = 0;
        for at in (0..QUEUE as u16).rev() {
            let packet = queue.packets.all()[usize::from(at)];
            first = queue.describe(at, packet, at, BUFFER as u32, WRITE);
            if at != 0 {
                queue.show(at, first);
            }
        }
        queue.publish(QUEUE as u16, first);
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
        let packets = queue.packets.all();
        let (mut at, mut first, mut used) = (queue.available, 0, queue.used);
        let mut count = 0;
        while count < batch
            && let Some((id, len)) = queue.used(used)
            && let Some(&packet) = packets.get(usize::from(id))
        {
            used = used.wrapping_add(1);
            std::hint::black_box(len);
            if self.mergeable {
                std::hint::black_box(buffers(packet));
            }
            let words = queue.describe(at, packet, id, BUFFER as u32, WRITE);
            if at == queue.available {
                first = words;
            } else {
                queue.show(at, words);
            }
            at = at.wrapping_add(1);
            count += 1;
        }
        queue.used = used;
        queue.publish(at, first);
        count
    }
}
