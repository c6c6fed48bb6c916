//! Laying the segments of a buffer down: linked descriptors, or one that refers to a table.

use virtio_spec::virtq::{Desc, DescF};

use super::super::Refusal;
use super::SplitQueue;
use super::chains::Chain;
use super::memory::Descriptor;
use crate::dma::Segment;

/// From this many segments on an indirect table is used even when descriptors abound: with fewer
/// it costs the device more (a second place to read) than the descriptors are worth.
const INDIRECT_PAYS_FROM: u16 = 3;

/// How the segments of a buffer are laid down.
#[derive(Clone, Copy)]
enum Placement {
    Chained,
    Indirect,
}

impl<T> SplitQueue<T> {
    /// Writes `segments`, by whichever way suits them, into free descriptors.
    ///
    /// The chain is at the front of the free list; nothing is taken from it yet.
    #[inline]
    pub(super) fn lay_down(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        if self.fault.is_some() {
            return Err(Refusal::Faulted);
        }
        // Most buffers are one segment: every one for receiving, most for sending.
        if let [segment] = segments {
            return self.write_single(segment, writable_from == 0);
        }
        match self.place(segments.len())? {
            Placement::Chained => self.write_chain(segments, writable_from),
            Placement::Indirect => self.write_indirect(segments, writable_from),
        }
    }

    #[inline]
    fn write_single(&mut self, segment: &Segment, writable: bool) -> Result<Chain, Refusal> {
        if segment.is_empty() {
            return Err(Refusal::EmptySegment);
        }
        if self.chains.free() == 0 {
            return Err(Refusal::Full);
        }
        let head = self.chains.free_head();
        let descriptor = Descriptor::new(*segment, flags(writable, false), 0);
        self.memory.write_descriptor(head, descriptor);
        Ok(Chain {
            last: head,
            count: 1,
            writable: if writable { segment.len() } else { 0 },
        })
    }

    /// Decides how `count` segments, several, are laid down, if they can be now.
    fn place(&self, count: usize) -> Result<Placement, Refusal> {
        let size = self.memory.size().get();
        let count = match u16::try_from(count) {
            Ok(0) => return Err(Refusal::NoSegments),
            // A chain may not be longer than the queue, not even an indirect one.
            Ok(count) if count <= size => count,
            _ => return Err(Refusal::TooManySegments),
        };

        let free = self.chains.free();
        let has_table = self
            .tables
            .as_ref()
            .is_some_and(|tables| count <= tables.per_table());
        let is_scarce = free < size / 2 || free < count;
        if count > 1 && has_table && free > 0 && (count >= INDIRECT_PAYS_FROM || is_scarce) {
            return Ok(Placement::Indirect);
        }
        if count <= free {
            Ok(Placement::Chained)
        } else {
            Err(Refusal::Full)
        }
    }

    /// Writes `segments` into free descriptors, linked (virtio 1.2, 2.7.13.1).
    fn write_chain(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
    ) -> Result<Chain, Refusal> {
        let mut sum = ByteSum::default();
        let mut chain = Chain {
            last: self.chains.free_head(),
            count: 0,
            writable: 0,
        };
        let mut index = chain.last;
        for (number, segment) in segments.iter().enumerate() {
            let writable = number >= writable_from;
            sum.add(segment, writable)?;
            let next = self.chains.next(index);
            let has_next = number.wrapping_add(1) < segments.len();
            let flags = flags(writable, has_next);
            self.memory
                .write_descriptor(index, Descriptor::new(*segment, flags, next));
            chain.last = index;
            chain.count = chain.count.wrapping_add(1);
            index = next;
        }
        chain.writable = sum.writable;
        Ok(chain)
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
            tables.write_descriptor(head, entry, Descriptor::new(*segment, flags, next));
            entry = next;
        }

        let table_len = u32::from(entry).wrapping_mul(size_of::<Desc>() as u32);
        // SAFETY: the table belongs to slot `head` as long as its buffer is in flight.
        let table = unsafe { Segment::new(tables.device_address(head), table_len) };
        self.memory
            .write_descriptor(head, Descriptor::new(table, DescF::INDIRECT, 0));
        Ok(Chain {
            last: head,
            count: 1,
            writable: sum.writable,
        })
    }
}

/// The bytes of a chain, of which all, and so the writable ones, fit into 32 bits.
#[derive(Default)]
struct ByteSum {
    all: u32,
    writable: u32,
}

impl ByteSum {
    #[inline]
    fn add(&mut self, segment: &Segment, writable: bool) -> Result<(), Refusal> {
        if segment.is_empty() {
            return Err(Refusal::EmptySegment);
        }
        self.all = self
            .all
            .checked_add(segment.len())
            .ok_or(Refusal::TooManyBytes)?;
        if writable {
            // No more than `all`.
            self.writable = self.writable.wrapping_add(segment.len());
        }
        Ok(())
    }
}

#[inline]
const fn flags(writable: bool, has_next: bool) -> DescF {
    let write = if writable {
        DescF::WRITE
    } else {
        DescF::empty()
    };
    let next = if has_next {
        DescF::NEXT
    } else {
        DescF::empty()
    };
    write.union(next)
}
