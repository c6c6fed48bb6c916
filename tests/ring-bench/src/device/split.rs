//! A split queue from the device's side (virtio 1.2, 2.7).

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::fence;

use super::{Device, Manner, Piece, Seen, pointer};
use crate::layout::{
    Areas, Available, MASK, NEXT, NO_NOTIFICATION, Table, UsedRing, WRITE, Words, crosses,
};
use crate::memory::BUFFER;

/// The device's side of a split queue.
#[derive(Debug)]
pub struct Split {
    table: &'static Table,
    available: &'static Available,
    used: &'static UsedRing,
    manner: Manner,
    /// The available entry to take next; as many have been used.
    next: u16,
    seen: Seen,
    frame: Vec<u8>,
}

impl Split {
    /// Takes charge of a queue whose rings are zeroed.
    ///
    /// # Safety
    ///
    /// The areas hold a split queue of [`QUEUE`](crate::case::QUEUE) descriptors, stay where they are
    /// as long as the device exists, and a driver puts nothing into it but buffers that it lends.
    #[must_use]
    pub unsafe fn new(areas: Areas, manner: Manner) -> Self {
        // SAFETY: by contract; all of it is atomics, so that the driver may write it meanwhile.
        let table = unsafe { pointer(areas.descriptors).cast().as_ref() };
        // SAFETY: as above.
        let available = unsafe { pointer(areas.driver).cast().as_ref() };
        // SAFETY: as above.
        let used = unsafe { pointer(areas.device).cast().as_ref() };
        let device = Self {
            table,
            available,
            used,
            manner,
            next: 0,
            seen: Seen::default(),
            frame: vec![0x5a; BUFFER],
        };
        device.sleep();
        device
    }

    /// Tells the driver what it has to ring the doorbell for.
    fn sleep(&self) {
        let flags = self.manner.polls && !self.manner.event_idx;
        self.used
            .flags
            .store(u16::from(flags) * NO_NOTIFICATION, Relaxed);
        if self.manner.event_idx {
            // The entry before has come already: it won't come again for a long time.
            let event = self.next.wrapping_sub(u16::from(self.manner.polls));
            self.used.available_event.store(event, Relaxed);
        }
        fence(SeqCst);
    }

    fn piece(&self, at: u16) -> (Piece, Words) {
        let descriptor = &self.table[usize::from(at & MASK)];
        let words = Words::unpack(descriptor.rest.load(Relaxed));
        let piece = Piece {
            address: descriptor.address.load(Relaxed),
            len: words.len,
            writable: words.third & WRITE != 0,
        };
        (piece, words)
    }

    fn head(&self) -> u16 {
        self.available.ring[usize::from(self.next & MASK)].load(Relaxed)
    }

    /// Puts a chain into the used ring, not yet visible.
    fn put(&mut self, head: u16, written: u32) {
        let [id, len] = &self.used.ring[usize::from(self.next & MASK)];
        id.store(u32::from(head), Relaxed);
        len.store(written, Relaxed);
        self.next = self.next.wrapping_add(1);
    }

    /// Shows what was used since `old`, and interrupts if the driver wants it.
    fn show(&mut self, old: u16) {
        self.used.index.store(self.next, Release);
        fence(SeqCst);
        let interrupts = if self.manner.event_idx {
            crosses(self.available.used_event.load(Relaxed), old, self.next)
        } else {
            old != self.next && self.available.flags.load(Relaxed) & NO_NOTIFICATION == 0
        };
        self.seen.interrupts += u64::from(interrupts);
        self.sleep();
    }
}

impl Device for Split {
    fn drain(&mut self) -> u32 {
        let old = self.next;
        let end = self.available.index.load(Acquire);
        while self.next != end {
            let head = self.head();
            let mut at = head;
            let mut first = true;
            loop {
                let (piece, words) = self.piece(at);
                self.seen.sent(piece, first, &self.manner);
                if words.third & NEXT == 0 {
                    break;
                }
                at = words.fourth;
                first = false;
            }
            self.seen.packets += 1;
            self.put(head, 0);
        }
        self.show(old);
        u32::from(self.next.wrapping_sub(old))
    }

    fn fill(&mut self, packets: u32, bytes: u32) -> u32 {
        let old = self.next;
        let there = self.available.index.load(Acquire).wrapping_sub(old);
        let count = packets.min(u32::from(there));
        for _ in 0..count {
            let head = self.head();
            let (piece, _) = self.piece(head);
            let written = self.seen.receive(piece, bytes, &self.frame, &self.manner);
            self.put(head, written);
        }
        self.show(old);
        count
    }

    fn seen(&self) -> Seen {
        self.seen
    }
}
