//! Whether a buffer takes descriptors of the ring or an indirect table, and what its segments sum to.

use virtio_spec::virtq::DescF;

use super::{QueueSize, Refusal};
use crate::dma::Segment;

/// How the segments of a buffer are laid down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Placement {
    /// In so many descriptors of the ring.
    Chained(u16),
    /// In so many descriptors of a table, to which one of the ring refers.
    Indirect(u16),
}

/// What there is to lay segments down in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) size: QueueSize,
    /// Free descriptors of the ring.
    pub(super) free: u16,
    /// Descriptors of a table; 0 if there are no tables.
    pub(super) per_table: u16,
    /// From this many segments on a table is used even when descriptors abound.
    pub(super) table_pays_from: u16,
}

impl Room {
    /// Decides how `count` segments are laid down, if they can be now.
    pub(super) fn place(self, count: usize) -> Result<Placement, Refusal> {
        let size = self.size.get();
        let count = match u16::try_from(count) {
            Ok(0) => return Err(Refusal::NoSegments),
            // A chain may not be longer than the queue, not even an indirect one.
            Ok(count) if count <= size => count,
            _ => return Err(Refusal::TooManySegments),
        };

        let has_table = count > 1 && count <= self.per_table;
        let is_scarce = self.free < size / 2 || self.free < count;
        if has_table && self.free > 0 && (count >= self.table_pays_from || is_scarce) {
            return Ok(Placement::Indirect(count));
        }
        if count <= self.free {
            Ok(Placement::Chained(count))
        } else {
            Err(Refusal::Full)
        }
    }
}

/// The bytes of a chain, of which all, and so the writable ones, fit into 32 bits.
#[derive(Default)]
pub(super) struct ByteSum {
    all: u32,
    pub(super) writable: u32,
}

impl ByteSum {
    /// Sums up `segments`, of which those before `writable_from` are only read.
    pub(super) fn of(segments: &[Segment], writable_from: usize) -> Result<Self, Refusal> {
        let mut sum = Self::default();
        for (number, segment) in segments.iter().enumerate() {
            sum.add(segment, number >= writable_from)?;
        }
        Ok(sum)
    }

    #[inline]
    pub(super) fn add(&mut self, segment: &Segment, writable: bool) -> Result<(), Refusal> {
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

/// The flags of a descriptor.
#[inline]
pub(super) const fn flags(writable: bool, has_next: bool) -> DescF {
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
