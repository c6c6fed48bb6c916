//! Driver and device on two threads, each at rest unless the other side wakes it.
//!
//! A doorbell or an interrupt that is suppressed wrongly leaves both at rest: the test then fails by
//! its time limit. Both sides rest by looking at a flag, for that leaves nothing between the ring
//! accesses of one side and those of the other but the barriers under test; a real sleep would bring
//! barriers of its own. The device is rust-vmm's.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use virtio_net::dma::Segment;
use virtio_net::features::Features;
use virtio_net::queue::Virtqueue;
use virtio_net::queue::split::SplitQueue;
use virtio_queue::{Queue, QueueT};
use vm_memory::GuestMemoryMmap;

use crate::against_virtio_queue::{BASE, connect, guest_memory};

pub(crate) const ROUNDS: u32 = 50_000;
const TOO_LONG: Duration = Duration::from_secs(60);

/// An interrupt or doorbell line: several signals before the other side looks are one.
#[derive(Default)]
pub(crate) struct Bell(AtomicBool);

impl Bell {
    pub(crate) fn ring(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Rests until the bell rings; `false` if `given_up` comes first, or too much time passes.
    pub(crate) fn wait(&self, given_up: &AtomicBool) -> bool {
        let begin = Instant::now();
        for spins in 1_u32.. {
            if self.0.load(Ordering::Acquire) {
                self.0.store(false, Ordering::Relaxed);
                return true;
            }
            if given_up.load(Ordering::Relaxed) {
                return false;
            }
            if spins % 4096 == 0 {
                if begin.elapsed() > TOO_LONG {
                    return false;
                }
                thread::yield_now();
            }
            spin_loop();
        }
        false
    }
}

/// Moves the two sides against each other by a few nanoseconds, differently each time.
pub(crate) fn jitter(state: &mut u32) {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    for _ in 0..*state >> 26 {
        spin_loop();
    }
}

/// What the two sides wake each other by.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) doorbell: Bell,
    pub(crate) interrupt: Bell,
    pub(crate) over: AtomicBool,
}

/// Polls for so long and no longer.
pub(crate) struct Patience {
    begin: Instant,
    spins: u32,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            begin: Instant::now(),
            spins: 0,
        }
    }

    pub(crate) fn spin(&mut self, missing: &str) {
        self.spins = self.spins.wrapping_add(1);
        if self.spins.is_multiple_of(4096) {
            assert!(self.begin.elapsed() < TOO_LONG, "{missing}");
            thread::yield_now();
        }
    }
}

/// Ends the device's thread also when the driver fails.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Line<'a> {
    memory: &'a GuestMemoryMmap,
    lines: Lines,
}

/// Returns each chain at once, and rests when there is none.
fn device(mut queue: Queue, line: &Line<'_>) {
    let mut random = 1;
    while line.lines.doorbell.wait(&line.lines.over) {
        loop {
            queue.disable_notification(line.memory).unwrap();
            while let Some(chain) = queue.pop_descriptor_chain(line.memory) {
                jitter(&mut random);
                queue.add_used(line.memory, chain.head_index(), 0).unwrap();
                if queue.needs_notification(line.memory).unwrap() {
                    line.lines.interrupt.ring();
                }
            }
            if !queue.enable_notification(line.memory).unwrap() {
                break;
            }
        }
    }
}

struct Driver<'a> {
    queue: SplitQueue<u32>,
    line: &'a Line<'a>,
    random: u32,
    lent: u32,
    returned: u32,
}

impl Driver<'_> {
    fn lend(&mut self, buffers: u32) {
        // SAFETY: the device of this test does not access buffers.
        let segments = [unsafe { Segment::new(BASE, 64) }; 2];
        for _ in 0..buffers {
            let count = 1 + self.lent as usize % 2;
            self.queue
                .add(&segments[..count], count, self.lent)
                .unwrap();
            self.lent += 1;
        }
        if self.queue.publish().is_needed() {
            self.line.lines.doorbell.ring();
        }
    }

    fn collect(&mut self) {
        while let Some((buffer, _)) = self.queue.pop_used().unwrap() {
            assert_eq!(buffer, self.returned, "the device keeps the order");
            self.returned += 1;
        }
    }

    /// Polls until everything is back: only a missing doorbell can keep it from coming.
    fn poll_until_empty(&mut self) {
        let mut patience = Patience::new();
        loop {
            self.collect();
            if self.returned == self.lent {
                return;
            }
            patience.spin("the device waits for its doorbell");
        }
    }

    /// Rests between interrupts until everything is back.
    fn rest_until_empty(&mut self) {
        loop {
            self.queue.disable_interrupts();
            self.collect();
            if self.returned == self.lent {
                return;
            }
            jitter(&mut self.random);
            if !self.queue.enable_interrupts() {
                let rung = self.line.lines.interrupt.wait(&self.line.lines.over);
                assert!(rung, "the driver waits for its interrupt");
            }
        }
    }
}

fn exchange(size: u16, features: Features, rounds: impl Fn(&mut Driver<'_>)) {
    let memory = guest_memory();
    let (queue, device_queue) = connect::<u32>(&memory, size, features);
    let line = Line {
        memory: &memory,
        lines: Lines::default(),
    };
    thread::scope(|scope| {
        let _over = Over(&line.lines.over);
        let line = &line;
        scope.spawn(move || device(device_queue, line));
        rounds(&mut Driver {
            queue,
            line,
            random: 7,
            lent: 0,
            returned: 0,
        });
    });
}

fn doorbells_arrive(features: Features) {
    exchange(16, features, |driver| {
        driver.queue.disable_interrupts();
        for _ in 0..ROUNDS {
            driver.lend(1);
            driver.poll_until_empty();
            jitter(&mut driver.random);
        }
    });
}

fn interrupts_arrive(features: Features) {
    exchange(16, features, |driver| {
        for round in 0..ROUNDS {
            driver.lend(1 + round % 8);
            driver.rest_until_empty();
        }
    });
}

#[test]
fn no_doorbell_is_missed_with_flags() {
    doorbells_arrive(Features::NONE);
}

#[test]
fn no_doorbell_is_missed_with_events() {
    doorbells_arrive(Features::RING_EVENT_IDX | Features::RING_INDIRECT_DESC);
}

#[test]
fn no_interrupt_is_missed_with_flags() {
    interrupts_arrive(Features::NONE);
}

#[test]
fn no_interrupt_is_missed_with_events() {
    interrupts_arrive(Features::RING_EVENT_IDX | Features::RING_INDIRECT_DESC);
}
