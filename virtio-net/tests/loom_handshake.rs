//! The handshake of notification suppression, in every interleaving and with every reordering that
//! the memory model allows: one side publishes and then reads whether the other wants to hear of it;
//! the other says that it wants to, and then looks once more. Never do both miss.
//!
//! The same for doorbells and for interrupts, whose two sides only change places. Runs with
//! `RUSTFLAGS="--cfg loom" cargo test -p virtio-net --release --test loom_handshake`.

#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};
use loom::thread;
use virtio_net::queue::event::{crosses_event, crosses_packed_event};

/// Who publishes: an index, or descriptors of a packed ring.
trait Publisher: Send + Sync + 'static {
    /// Shows one more entry and says whether to notify.
    fn publish(&self, step: u16, fences: bool) -> bool;
    /// Asks for a notification with the next entry, and says whether `seen` is still all there is.
    fn ask_and_look(&self, seen: u16, fences: bool) -> bool;
}

fn full(fences: bool) {
    if fences {
        fence(Ordering::SeqCst);
    }
}

/// Two batches of entries against one side that goes to rest after having seen `seen` of them.
fn run<P: Publisher>(fences: bool, seen: u16, new: fn() -> P) {
    loom::model(move || {
        let shared = Arc::new(new());
        // What the other side has seen was published before.
        for step in 0..seen {
            shared.publish(step, true);
        }
        let publisher = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let first = shared.publish(seen, fences);
                let second = shared.publish(seen + 1, fences);
                first || second
            })
        };
        let rests = shared.ask_and_look(seen, fences);
        let notified = publisher.join().unwrap();
        assert!(notified || !rests, "both missed");
    });
}

/// Index and flag of a split ring.
struct Flag {
    index: AtomicU16,
    suppressed: AtomicU16,
}

fn flag() -> Flag {
    Flag {
        index: AtomicU16::new(0),
        suppressed: AtomicU16::new(1),
    }
}

impl Publisher for Flag {
    fn publish(&self, step: u16, fences: bool) -> bool {
        self.index.store(step + 1, Ordering::Release);
        full(fences);
        self.suppressed.load(Ordering::Relaxed) == 0
    }

    fn ask_and_look(&self, seen: u16, fences: bool) -> bool {
        self.suppressed.store(0, Ordering::Relaxed);
        full(fences);
        self.index.load(Ordering::Acquire) == seen
    }
}

/// Index and event index of a split ring, where the indices go round.
struct Event {
    index: AtomicU16,
    event: AtomicU16,
}

const START: u16 = u16::MAX;

fn event() -> Event {
    Event {
        index: AtomicU16::new(START),
        event: AtomicU16::new(START.wrapping_sub(1)),
    }
}

impl Publisher for Event {
    fn publish(&self, step: u16, fences: bool) -> bool {
        let old = START.wrapping_add(step);
        let new = old.wrapping_add(1);
        self.index.store(new, Ordering::Release);
        full(fences);
        crosses_event(self.event.load(Ordering::Relaxed), old, new)
    }

    fn ask_and_look(&self, seen: u16, fences: bool) -> bool {
        let seen = START.wrapping_add(seen);
        self.event.store(seen, Ordering::Relaxed);
        full(fences);
        self.index.load(Ordering::Acquire) == seen
    }
}

/// The flags of three descriptors of a packed ring, and event suppression: offset and wrap counter
/// in the low half, what they mean in the high half.
struct Packed {
    descriptors: [AtomicU16; 3],
    event: AtomicU32,
}

const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;
const DISABLE: u32 = 1;
const DESC: u32 = 2;

fn packed() -> Packed {
    Packed {
        descriptors: [(); 3].map(|()| AtomicU16::new(0)),
        event: AtomicU32::new(DISABLE << 16),
    }
}

/// The place after `steps` places, from the last descriptor of the first lap on.
fn place(steps: u16) -> u16 {
    let offset = steps + 2;
    offset % 3 | if offset < 3 { 1 << 15 } else { 0 }
}

fn available(place: u16) -> u16 {
    if place & 1 << 15 != 0 { AVAIL } else { USED }
}

impl Publisher for Packed {
    fn publish(&self, step: u16, fences: bool) -> bool {
        let (old, new) = (place(step), place(step + 1));
        let descriptor = &self.descriptors[usize::from(old & 3)];
        descriptor.store(available(old), Ordering::Release);
        full(fences);
        let word = self.event.load(Ordering::Relaxed);
        match word >> 16 {
            DISABLE => false,
            _ => crosses_packed_event(word as u16, old, new, 3),
        }
    }

    fn ask_and_look(&self, seen: u16, fences: bool) -> bool {
        let next = place(seen);
        self.event
            .store(u32::from(next) | DESC << 16, Ordering::Relaxed);
        full(fences);
        let descriptor = &self.descriptors[usize::from(next & 3)];
        descriptor.load(Ordering::Acquire) != available(next)
    }
}

#[test]
fn with_fences_never_both_miss() {
    for seen in 0..2 {
        run(true, seen, flag);
        run(true, seen, event);
        run(true, seen, packed);
    }
}

#[test]
#[should_panic(expected = "both missed")]
fn without_fences_both_can_miss_a_flag() {
    run(false, 0, flag);
}

#[test]
#[should_panic(expected = "both missed")]
fn without_fences_both_can_miss_an_event() {
    run(false, 0, event);
}

#[test]
#[should_panic(expected = "both missed")]
fn without_fences_both_can_miss_in_a_packed_ring() {
    run(false, 0, packed);
}
