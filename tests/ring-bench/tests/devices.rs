//! The device models, each before rings that are written by hand.

use std::sync::atomic::Ordering::Relaxed;

use ring_bench::device::{Device, Manner, Packed, Seen, Split};
use ring_bench::layout::{
    AVAILABLE, Areas, Available, EVENT_DESCRIPTOR, EVENT_DISABLE, Event, NEXT, NO_NOTIFICATION,
    Table, USED, UsedRing, WRAP, WRITE, Words,
};
use ring_bench::memory::{BUFFER, HEADER, Packets, Pages};

/// Three pages, one for each area.
struct Rings([Pages; 3]);

impl Rings {
    fn new() -> Self {
        Self([Pages::new(4096), Pages::new(4096), Pages::new(4096)])
    }

    fn areas(&self) -> Areas {
        let [descriptors, driver, device] = &self.0;
        Areas {
            descriptors: descriptors.address(0),
            driver: driver.address(0),
            device: device.address(0),
        }
    }

    /// The area `at`, seen as a `T` of atomics, of which all zeroes is a value.
    fn area<T>(&self, at: usize) -> &T {
        assert!(size_of::<T>() <= 4096);
        // SAFETY: a zeroed page that lives as long as `self`.
        unsafe { self.0[at].at().cast().as_ref() }
    }

    fn describe(&self, at: usize, address: u64, words: Words) {
        let descriptor = &self.area::<Table>(0)[at];
        descriptor.address.store(address, Relaxed);
        descriptor.rest.store(words.pack(), Relaxed);
    }
}

fn words(len: usize, third: u16, fourth: u16) -> Words {
    Words {
        len: len as u32,
        third,
        fourth,
    }
}

fn manner(packets: &Packets, event_idx: bool, polls: bool) -> Manner {
    Manner {
        event_idx,
        polls,
        packets: packets.range(),
    }
}

fn split(rings: &Rings, manner: Manner) -> Split {
    // SAFETY: the tests keep the rings, and put only memory of theirs into them.
    unsafe { Split::new(rings.areas(), manner) }
}

fn packed(rings: &Rings, manner: Manner) -> Packed {
    // SAFETY: as above.
    unsafe { Packed::new(rings.areas(), manner) }
}

/// The frame in a buffer that was received: header, and the number in the first eight bytes.
fn frame(packets: &Packets, at: usize) -> ([u8; HEADER], u64) {
    let packet = packets.all()[at].0;
    // SAFETY: the buffer starts with the header.
    let header = unsafe { packet.cast::<[u8; HEADER]>().read() };
    // SAFETY: the payload follows, inside of the buffer.
    let payload = unsafe { packet.byte_add(HEADER) };
    // SAFETY: the payload has eight bytes at least.
    (header, unsafe { payload.cast::<u64>().read_unaligned() })
}

const PLAIN: [u8; HEADER] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

#[test]
fn a_split_sink_takes_chains_and_counts_them() {
    let (rings, packets) = (Rings::new(), Packets::new());
    let mut device = split(&rings, manner(&packets, false, false));
    assert_eq!(device.drain(), 0);
    assert_eq!(device.seen(), Seen::default());

    // Packet 5 whole in descriptor 9; packet 6 in 3 and, elsewhere than it should be, 7.
    let elsewhere = Pages::new(4096);
    let address = |at: usize| packets.all()[at].address();
    rings.describe(9, address(5), words(HEADER + 64, 0, 0));
    rings.describe(3, address(6), words(HEADER + 8, NEXT, 7));
    rings.describe(7, elsewhere.address(0), words(100, 0, 0));
    let available: &Available = rings.area(1);
    available.ring[0].store(9, Relaxed);
    available.ring[1].store(3, Relaxed);
    assert_eq!(device.drain(), 0, "not published yet");
    available.index.store(2, Relaxed);
    assert_eq!(device.drain(), 2);

    let seen = Seen {
        packets: 2,
        bytes: 64 + 8 + 100,
        sum: 5 + 6,
        descriptors: 3,
        interrupts: 1,
        copied: 100,
    };
    assert_eq!(device.seen(), seen);
    let used: &UsedRing = rings.area(2);
    assert_eq!(used.index.load(Relaxed), 2);
    let ids = [0, 1].map(|at: usize| used.ring[at][0].load(Relaxed));
    assert_eq!(ids, [9, 3]);
}

#[test]
fn a_split_source_fills_the_buffers_that_are_there() {
    let (rings, packets) = (Rings::new(), Packets::new());
    let mut device = split(&rings, manner(&packets, false, false));
    let available: &Available = rings.area(1);
    for at in 0..3_u16 {
        let address = packets.all()[usize::from(at)].address();
        rings.describe(usize::from(at), address, words(BUFFER, WRITE, 0));
        available.ring[usize::from(at)].store(at, Relaxed);
    }
    available.index.store(3, Relaxed);
    assert_eq!(device.fill(2, 1500), 2);
    assert_eq!(device.fill(2, 64), 1, "there is one buffer more");
    for at in 0..3 {
        assert_eq!(frame(&packets, at), (PLAIN, at as u64));
    }
    let used: &UsedRing = rings.area(2);
    let lens = [0, 1, 2].map(|at: usize| used.ring[at][1].load(Relaxed));
    assert_eq!(lens, [1512, 1512, 76]);
    assert_eq!(device.seen().bytes, 3064);
    assert_eq!(device.seen().copied, 0);
}

#[test]
fn a_split_device_interrupts_and_asks_for_doorbells_as_agreed() {
    for (event_idx, polls) in [(false, false), (false, true), (true, false), (true, true)] {
        let (rings, packets) = (Rings::new(), Packets::new());
        let mut device = split(&rings, manner(&packets, event_idx, polls));
        let (available, used): (&Available, &UsedRing) = (rings.area(1), rings.area(2));
        let mut send = |count: u16| {
            for _ in 0..count {
                let at = available.index.load(Relaxed);
                let address = packets.all()[0].address();
                rings.describe(usize::from(at), address, words(HEADER + 64, 0, 0));
                available.ring[usize::from(at)].store(at, Relaxed);
                available.index.store(at + 1, Relaxed);
            }
            device.drain();
            device.seen().interrupts
        };
        // Without events the flag counts, with them the index and never the flag.
        available.used_event.store(1, Relaxed);
        assert_eq!(send(1), u64::from(!event_idx));
        available.flags.store(NO_NOTIFICATION, Relaxed);
        assert_eq!(send(1), 1);
        assert_eq!(send(1), 1);

        let flags = used.flags.load(Relaxed);
        assert_eq!(flags, u16::from(polls && !event_idx));
        let wanted = match (event_idx, polls) {
            (false, _) => 0,
            (true, false) => 3,
            // The last that came: it comes again after 65536 more.
            (true, true) => 2,
        };
        assert_eq!(used.available_event.load(Relaxed), wanted);
    }
}

/// The flags of a descriptor that is available in the first round, or in the second.
const fn available(first: bool) -> u16 {
    if first { AVAILABLE } else { USED }
}

#[test]
fn a_packed_sink_takes_chains_across_the_end_of_the_ring() {
    let (rings, packets) = (Rings::new(), Packets::new());
    let mut device = packed(&rings, manner(&packets, false, false));
    let address = |at: usize| packets.all()[at].address();
    for at in 0..255 {
        let single = words(HEADER + 64, at as u16, available(true));
        rings.describe(at, address(at), single);
    }
    assert_eq!(device.drain(), 255);

    // Three descriptors: the last place of the first round and two of the second.
    let first = words(HEADER + 8, 0, available(true) | NEXT);
    rings.describe(255, address(255), first);
    rings.describe(0, address(0), words(10, 0, available(false) | NEXT));
    rings.describe(1, address(1), words(20, 77, available(false)));
    assert_eq!(device.drain(), 1);
    let table: &Table = rings.area(0);
    let used = |at: usize| Words::unpack(table[at].rest.load(Relaxed));
    assert_eq!((used(255).third, used(255).fourth), (77, AVAILABLE | USED));

    // The next place is 2, in the second round.
    rings.describe(2, address(2), words(HEADER + 64, 5, available(true)));
    assert_eq!(
        device.drain(),
        0,
        "available in the first round is not so in the second"
    );
    rings.describe(2, address(2), words(HEADER + 64, 5, available(false)));
    assert_eq!(device.drain(), 1);
    assert_eq!((used(2).third, used(2).fourth), (5, 0));

    let seen = device.seen();
    assert_eq!((seen.packets, seen.descriptors), (257, 259));
    assert_eq!(seen.bytes, 256 * 64 + 38);
    assert_eq!(seen.sum, (0..=255).sum::<u64>() + 2);
    assert_eq!(seen.copied, 0);
}

#[test]
fn a_packed_source_fills_the_buffers_that_are_there() {
    let (rings, packets) = (Rings::new(), Packets::new());
    let mut device = packed(&rings, manner(&packets, false, false));
    for at in 0..2 {
        let address = packets.all()[at].address();
        let buffer = words(BUFFER, 40 + at as u16, available(true) | WRITE);
        rings.describe(at, address, buffer);
    }
    assert_eq!(device.fill(5, 1500), 2);
    let table: &Table = rings.area(0);
    for (at, descriptor) in table.iter().take(2).enumerate() {
        assert_eq!(frame(&packets, at), (PLAIN, at as u64));
        let used = Words::unpack(descriptor.rest.load(Relaxed));
        assert_eq!((used.third, used.len), (40 + at as u16, 1512));
        assert_eq!(used.fourth, AVAILABLE | USED | WRITE);
    }
    assert_eq!(device.seen().bytes, 3000);
}

#[test]
fn a_packed_device_interrupts_and_asks_for_doorbells_as_agreed() {
    let (rings, packets) = (Rings::new(), Packets::new());
    let mut device = packed(&rings, manner(&packets, true, false));
    let (driver, wish): (&Event, &Event) = (rings.area(1), rings.area(2));
    let mut next = 0;
    let mut send = || {
        let address = packets.all()[next].address();
        rings.describe(next, address, words(HEADER + 64, 0, available(true)));
        next += 1;
        device.drain();
        device.seen().interrupts
    };
    assert_eq!(send(), 1, "a zeroed structure asks for all");
    driver.flags.store(EVENT_DISABLE, Relaxed);
    assert_eq!(send(), 1);
    driver.position.store(3 | WRAP, Relaxed);
    driver.flags.store(EVENT_DESCRIPTOR, Relaxed);
    assert_eq!(send(), 1);
    assert_eq!(send(), 2, "place 3 was used");
    assert_eq!(send(), 2);
    let wished = (wish.flags.load(Relaxed), wish.position.load(Relaxed));
    assert_eq!(wished, (EVENT_DESCRIPTOR, 5 | WRAP));

    for (event_idx, polls, flags) in [(false, false, 0), (false, true, 1), (true, true, 1)] {
        let rings = Rings::new();
        let _device = packed(&rings, manner(&packets, event_idx, polls));
        assert_eq!(rings.area::<Event>(2).flags.load(Relaxed), flags);
    }
}
