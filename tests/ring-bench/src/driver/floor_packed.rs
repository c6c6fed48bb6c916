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
    /// The second half of the first descriptor of the batch, which is written last.
    first: u64,
}

impl Queue {
    fn new(packets: Packets, bell: Bell) -> Self {
        let queue = Self {
            pages: Pages::new(size_of::<Rings>()),
            packets,
            bell,
            available: 0,
            used: 0,
            first: 0,
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

    /// Writes a descriptor; the first one of a batch stays unavailable until `publish`.
    #[inline]
    fn describe(&mut self, at: Place, packet: Packet, id: u16, len: u32, flags: u16) {
        let turn = if wrap(at) { AVAILABLE } else { USED };
        let words = Words {
            len,
            third: id,
            fourth: turn | flags,
        };
        let descriptor = &self.rings().table[usize::from(at & MASK)];
        descriptor.address.store(packet.address(), Relaxed);
        if at == self.available {
            self.first = words.pack();
        } else {
            descriptor.rest.store(words.pack(), Relaxed);
        }
    }

    #[inline]
    fn publish(&mut self, end: Place) {
        let start = self.available;
        let count = end.wrapping_sub(start);
        if count == 0 {
            return;
        }
        self.available = end;
        let rings = self.rings();
        rings.table[usize::from(start & MASK)]
            .rest
            .store(self.first, Release);
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

    /// The next used descriptor: identifier and bytes written.
    #[inline]
    fn take(&mut self) -> Option<(u16, u32)> {
        let descriptor = &self.rings().table[usize::from(self.used & MASK)];
        let words = Words::unpack(descriptor.rest.load(Acquire));
        let wanted = if wrap(self.used) { AVAILABLE | USED } else { 0 };
        if words.fourth & (AVAILABLE | USED) != wanted {
            return None;
        }
        self.used = self.used.wrapping_add(1);
        Some((words.third & MASK, words.len))
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
        while let Some((id, _)) = queue.take() {
            std::hint::black_box(queue.packets.all().get(usize::from(id)));
        }
        let start = queue.available;
        let mut at = start;
        for _ in 0..batch {
            let id = at & MASK;
            let Some(&packet) = queue.packets.all().get(usize::from(id)) else {
                break;
            };
            queue.describe(at, packet, id, self.len, 0);
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
    pub fn new(packets: Packets, mergeable: bool, bell: Bell) -> Self {
        let mut queue = Queue::new(packets, bell);
        for at in 0..QUEUE as u16 {
            let packet = queue.packets.all()[usize::from(at)];
            queue.describe(at, packet, at, BUFFER as u32, WRITE);
        }
        queue.publish(QUEUE as u16);
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
        let mut at = queue.available;
        let mut count = 0;
        while count < batch
            && let Some((id, len)) = queue.take()
            && let Some(&packet) = queue.packets.all().get(usize::from(id))
        {
            std::hint::black_box(len);
            if self.mergeable {
                std::hint::black_box(buffers(packet));
            }
            queue.describe(at, packet, id, BUFFER as u32, WRITE);
            at = at.wrapping_add(1);
            count += 1;
        }
        queue.publish(at);
        count
    }
}
