//! Laying the segments of a buffer down: linked descriptors, or one that refers to a table.

use virtio_spec::virtq::DescF;

use super::super::Refusal;
use super::super::chains::Chain;
use super::super::memory::{Descriptor, IndirectTables};
use super::super::placing::{ByteSum, Placement, Room, flags};
use super::SplitQueue;
use crate::dma::Segment;

/// From this many segments on an indirect table is used even when descriptors abound: with fewer
/// it costs the device more (a second place to read) than the descriptors are worth.
pub(in crate::queue) const INDIRECT_PAYS_FROM: u16 = 3;

impl<T> SplitQueue<T> {
    /// Writes `segments`, by whichever way suits them, into free descriptors.
    ///
    /// The chain is at the front of the free list; nothing is taken from it yet.
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
            Placement::Chained(_) => self.write_chain(segments, writable_from),
            Placement::Indirect(_) => self.write_indirect(segments, writable_from),
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
        let head = self.chains.free_head();
        let descriptor = Descriptor::split(*segment, flags(writable, false), 0);
        self.memory.write_descriptor(head, descriptor);
        Ok(Chain {
            count: 1,
            writable: if writable { segment.len() } else { 0 },
        })
    }

    /// Writes `segments` into free descriptors, linked (virtio 1.2, 2.7.13.1).
    fn write_chain(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        let mut sum = ByteSum::default();
        let mut count: u16 = 0;
        let mut index = self.chains.free_head();
        for (number, segment) in segments.iter().enumerate() {
            let writable = number >= writable_from;
            sum.add(segment, writable)?;
            let next = self.chains.next(index);
            let has_next = number.wrapping_add(1) < segments.len();
            let flags = flags(writable, has_next);
            self.memory
                .write_descriptor(index, Descriptor::split(*segment, flags, next));
            count = count.wrapping_add(1);
            index = next;
        }
        Ok(Chain {
            count,
            writable: sum.writable,
        })
    }

    /// Writes `segments` into the table of the first free descriptor, and that descriptor
    /// (virtio 1.2, 2.7.5.3).
    fn write_indirect(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        let head = self.chains.free_head();
        let Some(tables) = self.tables.as_mut() else {
            return Err(Refusal::TooManySegments);
        };
        let mut sum = ByteSum::default();
        let mut entry: u16 = 0;
        for (number, segment) in segments.iter().enumerate() {
            let writable = number >= writable_from;
            sum.add(segment, writable)?;
            let next = entry.wrapping_add(1);
            let flags = flags(writable, usize::from(next) < segments.len());
            tables.write_descriptor(head, entry, Descriptor::split(*segment, flags, next));
            entry = next;
        }

        let table = tables.segment(head, entry);
        self.memory
            .write_descriptor(head, Descriptor::split(table, DescF::INDIRECT, 0));
        Ok(Chain {
            count: 1,
            writable: sum.writable,
        })
    }
}
