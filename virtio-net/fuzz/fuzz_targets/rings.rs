//! A device that writes anything anywhere in a queue's memory, at any time.
//!
//! The first bytes choose the format, the size and what was negotiated; the rest is a list of
//! operations, an opcode and its operands. Checked: nothing panics, a buffer comes out once and only
//! after it went in, none reports more bytes than the device may have written, and after a fault
//! nothing comes out but by the reset.

#![no_main]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ptr::NonNull;

use libfuzzer_sys::fuzz_target;
use virtio_net::dma::{DmaRegion, Quiesced, Segment};
use virtio_net::features::Features;
use virtio_net::queue::{IndirectTables, QueueSize, Ring, RingLayout, Virtqueue};

const DEVICE_BASE: u64 = 0x1_0000_0000;
const PER_TABLE: u16 = 4;
/// Bytes of a segment.
const SEGMENT: u32 = 64;

/// What the driver and the device can do, by opcode.
const OPERATIONS: u8 = 8;

/// The memory that both sides see.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, RingLayout::ALIGNMENT).unwrap();
        // SAFETY: a ring has bytes, so the size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        Self { start, layout }
    }

    fn region(&self, offset: usize, len: usize) -> DmaRegion {
        assert!(offset + len <= self.layout.size());
        // SAFETY: inside the allocation.
        let va = unsafe { self.start.byte_add(offset) };
        // SAFETY: the memory outlives the queue; besides it this thread alone writes, as the device.
        unsafe { DmaRegion::new(va, DEVICE_BASE + offset as u64, len) }
    }

    fn write(&self, offset: usize, byte: u8) {
        // SAFETY: inside the allocation, by the remainder.
        unsafe {
            self.start
                .byte_add(offset % self.layout.size())
                .write_volatile(byte);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Bytes of the input; zeros when it is used up.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }
}

struct Run {
    queue: Ring<u32>,
    memory: Memory,
    /// Buffers in flight, with the bytes that the device may write.
    lent: BTreeMap<u32, u32>,
    next: u32,
}

impl Run {
    fn new(input: &mut Input<'_>) -> Self {
        let choices = input.byte();
        let chosen = [
            Features::RING_PACKED,
            Features::RING_EVENT_IDX,
            Features::RING_INDIRECT_DESC,
            Features::IN_ORDER,
            Features::ORDER_PLATFORM,
        ];
        let features = chosen
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| choices >> bit & 1 == 1)
            .fold(Features::NONE, |all, (_, feature)| all | feature);
        let size = QueueSize::largest(2 + u16::from(input.byte() % 63), features).unwrap();
        let rings = RingLayout::new(size, features).bytes();
        let tables = IndirectTables::bytes(size, PER_TABLE);
        let memory = Memory::new(rings + tables);
        let region = memory.region(rings, tables);
        let tables = IndirectTables::new(region, size, PER_TABLE).unwrap();
        let queue = Ring::new(size, features, memory.region(0, rings), Some(tables)).unwrap();
        Self {
            queue,
            memory,
            lent: BTreeMap::new(),
            next: 0,
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % OPERATIONS {
            0 | 1 => self.add(input),
            2 => {
                let _ = self.queue.publish();
            }
            3 => self.pop(),
            4 => {
                let _ = self.queue.enable_interrupts();
            }
            5 => self.queue.disable_interrupts(),
            6 => self.memory.write(input.word().into(), input.byte()),
            _ => self.write_some(input),
        }
        let in_flight = usize::from(self.queue.in_flight());
        assert_eq!(in_flight, self.lent.len(), "buffers are lost or made up");
    }

    fn add(&mut self, input: &mut Input<'_>) {
        let shape = input.byte();
        let (count, writable_from) = (usize::from(shape & 7), usize::from(shape >> 3 & 7));
        // SAFETY: no device follows the address.
        let segment = unsafe { Segment::new(DEVICE_BASE, SEGMENT) };
        let segments = vec![segment; count];
        let writable = count.saturating_sub(writable_from) as u32 * SEGMENT;
        if self.queue.add(&segments, writable_from, self.next).is_ok() {
            self.lent.insert(self.next, writable);
        }
        self.next += 1;
    }

    fn pop(&mut self) {
        let faulted = self.queue.fault().is_some();
        match self.queue.pop_used() {
            Ok(Some((buffer, written))) => {
                assert!(!faulted, "a buffer came out of a failed queue");
                let writable = self.lent.remove(&buffer).expect("it was lent");
                assert!(written <= writable, "{written} of {writable} bytes");
            }
            Ok(None) => {}
            Err(_) => assert!(self.queue.fault().is_some(), "a fault that is not kept"),
        }
    }

    /// The device writes a few bytes in a row.
    fn write_some(&mut self, input: &mut Input<'_>) {
        let at = usize::from(input.word());
        for offset in 0..usize::from(input.byte() % 16) {
            self.memory.write(at + offset, input.byte());
        }
    }

    /// The device is reset: every buffer comes back, and the queue is as new.
    fn end(mut self) {
        // SAFETY: there is no device but this thread.
        let proof = unsafe { Quiesced::assume() };
        let back: Vec<u32> = self.queue.take_all(&proof).collect();
        assert_eq!(back.len(), self.lent.len());
        assert!(back.iter().all(|buffer| self.lent.remove(buffer).is_some()));
        self.queue.reset().unwrap();
        assert!(self.queue.fault().is_none());
        assert!(matches!(self.queue.pop_used(), Ok(None)));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let mut run = Run::new(&mut input);
    while !input.0.is_empty() {
        run.step(&mut input);
    }
    run.end();
});
