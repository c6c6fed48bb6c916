//! Laying the segments of a buffer down: descriptors of the ring, or one that refers to a table.
//!
//! Everything is checked before anything is written: a descriptor in the ring that has its flags is
//! available as soon as the one before it is.

use virtio_spec::virtq::DescF;

use super::super::Refusal;
use super::super::chains::Chain;
use super::super::memory::{Descriptor, IndirectTables};
use super::super::placing::{ByteSum, Placement, Room, flags};
use super::PackedQueue;
use super::position::Position;
use crate::dma::Segment;

/// From this many segments on an indirect table is used even when descriptors abound: up to four
/// descriptors are a cache line of the ring, which the device reads anyway.
pub(in crate::queue) const INDIRECT_PAYS_FROM: u16 = 5;

impl<T> PackedQueue<T> {
    /// Writes `segments`, by whichever way suits them, into free descriptors.
    ///
    /// The number of the buffer is the front of the free list; nothing is taken from it yet.
    #[inline(always)]
    pub(super) fn lay_down(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        // Most buffers are one segment: every one for receiving, most for sending.
        if let [segment] = segments {
            return self.write_single(segment, writable_from == 0);
        }
        self.write_several(segments, writable_from)
    }

    #[inline(never)]
    fn write_several(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        if self.fault.is_some() {
            return Err(Refusal::Faulted);
        }
        match self.room().place(segments.len())? {
            Placement::Chained(count) => self.write_chain(segments, count, writable_from),
            Placement::Indirect(count) => self.write_indirect(segments, count, writable_from),
        }
    }

    /// Why there is no free descriptor.
    #[cold]
    fn no_room(&self) -> Refusal {
        self.fault.map_or(Refusal::Full, |_| Refusal::Faulted)
    }

    fn room(&self) -> Room {
        Room {
            size: self.memory.size(),
            free: self.chains.free(),
            per_table: self.tables.as_ref().map_or(0, IndirectTables::per_table),
            table_pays_from: INDIRECT_PAYS_FROM,
        }
    }

    #[inline(always)]
    fn write_single(&mut self, segment: &Segment, writable: bool) -> Result<Chain, Refusal> {
        if segment.is_empty() {
            return Err(Refusal::EmptySegment);
        }
        if self.chains.free() == 0 {
            return Err(self.no_room());
        }
        let next = self.next;
        self.write_head(next, *segment, flags(writable, false));
        self.memory.advance(&mut self.next, 1);
        let writable = if writable { segment.len() } else { 0 };
        Ok(Chain { count: 1, writable })
    }

    /// Writes `segments` into `count` descriptors of the ring (virtio 1.2, 2.8.6).
    fn write_chain(
        &mut self,
        segments: &[Segment],
        count: u16,
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        let sum = ByteSum::of(segments, writable_from)?;
        let id = self.chains.free_head();
        let chained = |number: usize| {
            let has_next = number.wrapping_add(1) < segments.len();
            flags(number >= writable_from, has_next)
        };
        let mut position = self.next;
        for (number, segment) in segments.iter().enumerate().skip(1) {
            self.memory.advance(&mut position, 1);
            let descriptor = numbered(*segment, id, chained(number), position);
            self.memory.write(position, descriptor);
        }
        // The first one last (virtio 1.2, 2.8.6).
        if let Some(first) = segments.first() {
            self.write_head(self.next, *first, chained(0));
        }
        Ok(self.took(count, sum.writable))
    }

    /// Writes `segments` into the table of the buffer's number, and one descriptor (virtio 1.2,
    /// 2.8.7).
    fn write_indirect(
        &mut self,
        segments: &[Segment],
        count: u16,
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        let sum = ByteSum::of(segments, writable_from)?;
        let id = self.chains.free_head();
        let Some(tables) = self.tables.as_mut() else {
            return Err(Refusal::TooManySegments);
        };
        for (number, (entry, segment)) in (0..count).zip(segments).enumerate() {
            // Neither NEXT nor a number: the table's entries follow each other.
            let flags = flags(number >= writable_from, false).bits().to_ne();
            tables.write_descriptor(id, entry, Descriptor::packed(*segment, 0, flags));
        }

        let table = tables.segment(id, count);
        self.write_head(self.next, table, DescF::INDIRECT);
        Ok(self.took(1, sum.writable))
    }

    /// Writes the first descriptor of a buffer, at `next`, which is where descriptors go next.
    ///
    /// If it is the first of those that the device has not been shown, it is only prepared: the
    /// device stops before it until [`publish`](super::super::Virtqueue::publish).
    #[inline]
    fn write_head(&mut self, next: Position, segment: Segment, flags: DescF) {
        let descriptor = numbered(segment, self.chains.free_head(), flags, next);
        if next == self.shown {
            self.held_back = descriptor.rest();
            self.memory.write_address(next, descriptor);
        } else {
            self.memory.write(next, descriptor);
        }
    }

    /// Goes on behind `count` descriptors, which were written for one buffer.
    #[inline]
    fn took(&mut self, count: u16, writable: u32) -> Chain {
        self.memory.advance(&mut self.next, count);
        Chain { count, writable }
    }
}

/// A descriptor that is available at `position`.
#[inline]
const fn numbered(segment: Segment, id: u16, flags: DescF, position: Position) -> Descriptor {
    Descriptor::packed(segment, id, flags.bits().to_ne() | position.available())
}
