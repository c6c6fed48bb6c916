//! A device with a packed queue, written from the specification (virtio 1.2, 2.8) and knowing nothing
//! of the driver: every definition is followed literally, one descriptor at a time.

use std::sync::atomic::{Ordering, fence};

use virtio_net::queue::QueueAddresses;

use crate::memory::{INDIRECT, NEXT, Shared, WRITE};

const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Offset and wrap counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) offset: u16,
    pub(crate) wrap: bool,
}

impl Place {
    pub(crate) const START: Self = Self {
        offset: 0,
        wrap: true,
    };

    pub(crate) fn next(self, size: u16) -> Self {
        if self.offset + 1 == size {
            Self {
                offset: 0,
                wrap: !self.wrap,
            }
        } else {
            Self {
                offset: self.offset + 1,
                ..self
            }
        }
    }

    /// As event suppression and doorbells write it.
    pub(crate) fn word(self) -> u16 {
        self.offset + if self.wrap { 1 << 15 } else { 0 }
    }
}

/// Of what a side wants to hear.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
    All,
    Nothing,
    When(u16),
}

/// A piece of a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub(crate) address: u64,
    pub(crate) len: u32,
    pub(crate) writable: bool,
}

/// A buffer that the device was given.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u16,
    /// Descriptors that it takes in the ring.
    pub(crate) descriptors: u16,
    pub(crate) parts: Vec<Part>,
}

pub(crate) struct PackedDevice<'a> {
    shared: &'a Shared,
    size: u16,
    at: QueueAddresses,
    events: bool,
    available: Place,
    used: Place,
    /// Up to where the driver was told of used descriptors, or not told on purpose.
    told: Place,
    /// Whether used descriptors get the flag that says that the length means something.
    pub(crate) marks_length: bool,
}

impl<'a> PackedDevice<'a> {
    pub(crate) fn new(shared: &'a Shared, size: u16, at: QueueAddresses, events: bool) -> Self {
        Self {
            shared,
            size,
            at,
            events,
            available: Place::START,
            used: Place::START,
            told: Place::START,
            marks_length: true,
        }
    }

    fn descriptor(&self, place: Place) -> u64 {
        self.at.descriptors + 16 * u64::from(place.offset)
    }

    pub(crate) fn is_available(&self, place: Place) -> bool {
        let flags = self.shared.load_u16(self.descriptor(place) + 14);
        (flags & AVAIL != 0) == place.wrap && (flags & USED != 0) != place.wrap
    }

    /// The first place from `from` on that is not available.
    pub(crate) fn available_end(&self, from: Place) -> Place {
        let mut place = from;
        while self.is_available(place) {
            place = place.next(self.size);
        }
        place
    }

    /// Takes the next buffer.
    pub(crate) fn take(&mut self) -> Option<Request> {
        if !self.is_available(self.available) {
            return None;
        }
        let mut request = Request {
            id: 0,
            descriptors: 0,
            parts: Vec::new(),
        };
        loop {
            let at = self.descriptor(self.available);
            assert!(
                self.is_available(self.available),
                "a list is available whole"
            );
            let flags = self.shared.load_u16(at + 14);
            assert_eq!(flags & !(AVAIL | USED | NEXT | WRITE | INDIRECT), 0);
            self.available = self.available.next(self.size);
            request.descriptors += 1;
            assert!(
                request.descriptors <= self.size,
                "a list longer than the queue"
            );
            if flags & INDIRECT != 0 {
                assert_eq!(flags & (NEXT | WRITE), 0);
                assert_eq!(request.descriptors, 1, "direct and indirect in one list");
                self.read_table(at, &mut request.parts);
            } else {
                request.parts.push(self.part(at, flags));
            }
            if flags & NEXT == 0 {
                request.id = self.shared.read_u16(at + 12);
                break;
            }
        }
        assert!(
            request.parts.is_sorted_by_key(|part| part.writable),
            "what is read comes first"
        );
        Some(request)
    }

    fn read_table(&self, at: u64, parts: &mut Vec<Part>) {
        let (table, len) = (self.shared.read_u64(at), self.shared.read_u32(at + 8));
        assert!(len > 0 && len % 16 == 0);
        for entry in 0..u64::from(len) / 16 {
            let at = table + 16 * entry;
            let flags = self.shared.read_u16(at + 14);
            assert_eq!(flags & !WRITE, 0, "the only flag in a table");
            parts.push(self.part(at, flags));
        }
    }

    fn part(&self, at: u64, flags: u16) -> Part {
        Part {
            address: self.shared.read_u64(at),
            len: self.shared.read_u32(at + 8),
            writable: flags & WRITE != 0,
        }
    }

    /// Writes one used descriptor, and goes on behind as many as the buffers had that it stands for.
    pub(crate) fn give_back(&mut self, id: u16, written: u32, descriptors: u16) {
        let at = self.descriptor(self.used);
        self.shared.write(at + 8, &written.to_le_bytes());
        self.shared.write(at + 12, &id.to_le_bytes());
        let mut flags = if self.used.wrap { AVAIL | USED } else { 0 };
        if self.marks_length && written > 0 {
            flags |= WRITE;
        }
        self.shared.store_u16(at + 14, flags);
        for _ in 0..descriptors {
            self.used = self.used.next(self.size);
        }
    }

    /// Tells the driver of what the device wants to hear.
    pub(crate) fn wish(&self, wish: Wish) {
        let flags = match wish {
            Wish::All => 0,
            Wish::Nothing => 1,
            Wish::When(place) => {
                self.shared.store_u16(self.at.device, place);
                2
            }
        };
        self.shared.store_u16(self.at.device + 2, flags);
    }

    /// Asks for a doorbell with the next buffer. `true`: there is one already.
    pub(crate) fn sleep(&self) -> bool {
        self.wish(if self.events {
            Wish::When(self.available.word())
        } else {
            Wish::All
        });
        fence(Ordering::SeqCst);
        self.is_available(self.available)
    }

    /// Of what the driver wants to hear.
    pub(crate) fn drivers_wish(&self) -> Wish {
        match self.shared.load_u16(self.at.driver + 2) {
            0 => Wish::All,
            1 => Wish::Nothing,
            2 if self.events => Wish::When(self.shared.load_u16(self.at.driver)),
            flags => panic!("the driver wishes {flags}"),
        }
    }

    /// Whether to interrupt, for all that was given back since the last time.
    pub(crate) fn is_interrupt_due(&mut self) -> bool {
        fence(Ordering::SeqCst);
        let from = std::mem::replace(&mut self.told, self.used);
        is_due(self.drivers_wish(), from, self.used, self.size)
    }

    /// Whether the device has taken all up to here.
    pub(crate) fn next_to_take(&self) -> Place {
        self.available
    }
}

/// Whether a side with this wish hears of descriptors `from..to`, which are not a whole two laps.
pub(crate) fn is_due(wish: Wish, from: Place, to: Place, size: u16) -> bool {
    let mut place = from;
    let mut is_due = false;
    while place != to {
        is_due |= match wish {
            Wish::All => true,
            Wish::Nothing => false,
            Wish::When(event) => event == place.word(),
        };
        place = place.next(size);
    }
    is_due
}
