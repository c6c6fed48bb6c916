//! A packed queue from the device's side (virtio 1.2, 2.8).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use super::{Device, Manner, Piece, Seen, pointer};
use crate::case::QUEUE;
use crate::layout::{
    AVAILABLE, Areas, EVENT_DESCRIPTOR, EVENT_DISABLE, EVENT_ENABLE, Event, NEXT, Table, USED,
    WRAP, WRITE, Words, crosses_packed,
};
use crate::memory::BUFFER;

/// The device's side of a packed queue.
#[derive(Debug)]
pub struct Packed {
    table: &'static Table,
    driver: &'static Event,
    device: &'static Event,
    manner: Manner,
    /// The place of the next chain.
    next: u16,
    /// The wrap counter that belongs to it.
    wrap: bool,
    seen: Seen,
    frame: Vec<u8>,
}

/// A chain that was made available.
struct Chain {
    /// Its identifier, which is in the last descriptor.
    id: u16,
    /// Places that it takes.
    count: u16,
    first: Piece,
}

impl Packed {
    /// Takes charge of a queue that is zeroed.
    ///
    /// # Safety
    ///
    /// The areas hold a packed queue of [`QUEUE`] descriptors, stay where they are as long as the
    /// device exists, and a driver puts nothing into it but buffers that it lends.
    #[must_use]
    pub unsafe fn new(areas: Areas, manner: Manner) -> Self {
        // SAFETY: by contract; all of it is atomics, so that the driver may write it meanwhile.
        let table = unsafe { pointer(areas.descriptors).cast().as_ref() };
        // SAFETY: as above.
        let driver = unsafe { pointer(areas.driver).cast().as_ref() };
        // SAFETY: as above.
        let device = unsafe { pointer(areas.device).cast().as_ref() };
        let device = Self {
            table,
            driver,
            device,
            manner,
            next: 0,
            wrap: true,
            seen: Seen::default(),
            frame: vec![0x5a; BUFFER],
        };
        device.sleep();
        device
    }

    /// Tells the driver what it has to ring the doorbell for.
    fn sleep(&self) {
        let flags = match (self.manner.polls, self.manner.event_idx) {
            (true, _) => EVENT_DISABLE,
            (false, true) => EVENT_DESCRIPTOR,
            (false, false) => EVENT_ENABLE,
        };
        let wrap = if self.wrap { WRAP } else { 0 };
        self.device.position.store(self.next | wrap, Relaxed);
        self.device.flags.store(flags, Relaxed);
        fence(SeqCst);
    }

    /// The next chain, if it is available; `each` sees every piece of it.
    fn chain(&mut self, mut each: impl FnMut(&mut Seen, Piece, bool, &Manner)) -> Option<Chain> {
        let (first, mut words) = self.piece(self.next, Acquire);
        let is_available = words.fourth & AVAILABLE != 0;
        let is_used = words.fourth & USED != 0;
        if is_available != self.wrap || is_used == self.wrap {
            return None;
        }
        each(&mut self.seen, first, true, &self.manner);
        let mut count = 1;
        while words.fourth & NEXT != 0 {
            let (piece, next) = self.piece((self.next + count) % QUEUE as u16, Relaxed);
            each(&mut self.seen, piece, false, &self.manner);
            words = next;
            count += 1;
        }
        let id = words.third;
        Some(Chain { id, count, first })
    }

    fn piece(&self, at: u16, order: std::sync::atomic::Ordering) -> (Piece, Words) {
        let descriptor = &self.table[usize::from(at)];
        let words = Words::unpack(descriptor.rest.load(order));
        let piece = Piece {
            address: descriptor.address.load(Relaxed),
            len: words.len,
            writable: words.fourth & WRITE != 0,
        };
        (piece, words)
    }

    /// Overwrites the first descriptor of a chain with a used one.
    fn put(&mut self, chain: &Chain, written: u32) {
        let turn = if self.wrap { AVAILABLE | USED } else { 0 };
        let write = if written > 0 { WRITE } else { 0 };
        let used = Words {
            len: written,
            third: chain.id,
            fourth: turn | write,
        };
        self.table[usize::from(self.next)]
            .rest
            .store(used.pack(), Release);
        self.next += chain.count;
        if self.next >= QUEUE as u16 {
            self.next -= QUEUE as u16;
            self.wrap = !self.wrap;
        }
    }

    /// Interrupts if the driver wants it for the `places` that were used.
    fn show(&mut self, places: u16) {
        fence(SeqCst);
        let interrupts = match self.driver.flags.load(Relaxed) {
            EVENT_ENABLE => places > 0,
            EVENT_DESCRIPTOR if self.manner.event_idx => {
                let event = self.driver.position.load(Relaxed);
                crosses_packed(event, self.next, self.wrap, places)
            }
            _ => false,
        };
        self.seen.interrupts += u64::from(interrupts);
        self.sleep();
    }
}

impl Device for Packed {
    fn drain(&mut self) -> u32 {
        let mut count = 0;
        let mut places = 0;
        while let Some(chain) = self.chain(Seen::sent) {
            self.seen.packets += 1;
            self.put(&chain, 0);
            count += 1;
            places += chain.count;
        }
        self.show(places);
        count
    }

    fn fill(&mut self, packets: u32, bytes: u32) -> u32 {
        let mut count = 0;
        let mut places = 0;
        while count < packets
            && let Some(chain) = self.chain(|_, _, _, _| ())
        {
            let written = self
                .seen
                .receive(chain.first, bytes, &self.frame, &self.manner);
            self.put(&chain, written);
            count += 1;
            places += chain.count;
        }
        self.show(places);
        count
    }

    fn seen(&self) -> Seen {
        self.seen
    }
}
