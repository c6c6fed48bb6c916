//! A virtqueue of the format that was negotiated.

use core::sync::atomic::{Ordering, compiler_fence};

use super::packed::{self, PackedLayout, PackedQueue};
use super::split::{self, SplitLayout, SplitQueue};
use super::{
    DeviceFault, IndirectTables, Notify, QueueAddresses, QueueError, QueueSize, Refused,
    StillInFlight, Virtqueue,
};
use crate::dma::{DmaRegion, Quiesced, Segment};
use crate::features::{Features, Interface};

/// How much memory a [`Ring`] needs, which is known before it is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RingLayout {
    bytes: usize,
}

impl RingLayout {
    /// What the region's addresses, for the CPU and for the device, are multiples of.
    pub const ALIGNMENT: usize = if PackedLayout::ALIGNMENT > SplitLayout::ALIGNMENT {
        PackedLayout::ALIGNMENT
    } else {
        SplitLayout::ALIGNMENT
    };

    /// The needs of a queue of `size` in the format that `features`, as negotiated, say.
    ///
    /// Indirect tables come in a region of their own: see [`IndirectTables::bytes`].
    #[must_use]
    pub const fn new(size: QueueSize, features: Features) -> Self {
        Self::of(Interface::Modern, size, features)
    }

    /// The needs for a device that is driven by `interface`. With the legacy one the region is
    /// aligned to [`SplitLayout::LEGACY_ALIGNMENT`].
    #[must_use]
    pub const fn of(interface: Interface, size: QueueSize, features: Features) -> Self {
        let bytes = if features.contains(Features::RING_PACKED) {
            PackedLayout::new(size).bytes()
        } else {
            SplitLayout::of(interface, size).bytes()
        };
        Self { bytes }
    }

    /// Bytes that the region has at least.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl QueueSize {
    /// How many buffers of `segments` segments each a queue of this size holds, whatever came before.
    ///
    /// With `RING_INDIRECT_DESC` it has tables of as many descriptors.
    #[must_use]
    pub const fn buffers(self, features: Features, segments: u16) -> u16 {
        let size = self.get();
        let table_pays_from = if features.contains(Features::RING_PACKED) {
            packed::INDIRECT_PAYS_FROM
        } else {
            split::INDIRECT_PAYS_FROM
        };
        let has_tables = features.contains(Features::RING_INDIRECT_DESC);
        let chained = match size.checked_div(segments) {
            None | Some(0) => return 0,
            Some(chained) => chained,
        };
        if segments == 1 || (has_tables && segments >= table_pays_from) {
            return size;
        }
        if !has_tables {
            return chained;
        }
        // While half of the descriptors are free, buffers take those; the last one of them may begin
        // in one half and end in the other.
        let in_half = match (size / 2).checked_div(segments) {
            Some(buffers) => buffers.saturating_add(1),
            None => 0,
        };
        let lost = in_half.saturating_mul(segments.saturating_sub(1));
        let left = size.saturating_sub(lost);
        if left > chained { left } else { chained }
    }
}

/// A virtqueue of either format that lends buffers of type `T` to the device. See [`Virtqueue`].
///
/// Dropping it drops the buffers in flight; [`take_all`](Virtqueue::take_all) comes first.
#[derive(Debug)]
pub enum Ring<T> {
    /// With `RING_PACKED`.
    Packed(PackedQueue<T>),
    /// Without.
    Split(SplitQueue<T>),
}

impl<T> Ring<T> {
    /// Makes an empty queue, with interrupts enabled, and zeroes its memory.
    ///
    /// `features` are the negotiated ones; those that queues are about matter. `rings` has
    /// [`RingLayout::bytes`] or more. `tables` are used only with `RING_INDIRECT_DESC`.
    ///
    /// # Errors
    ///
    /// The memory or the size does not fit, or there is too little for the driver's own tables.
    pub fn new(
        size: QueueSize,
        features: Features,
        rings: DmaRegion,
        tables: Option<IndirectTables>,
    ) -> Result<Self, QueueError> {
        Self::of(Interface::Modern, size, features, rings, tables)
    }

    /// As [`new`](Self::new), for a device that is driven by `interface`: `rings` is as
    /// [`RingLayout::of`] says. Of the legacy interface all queues are split ones.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn of(
        interface: Interface,
        size: QueueSize,
        features: Features,
        rings: DmaRegion,
        tables: Option<IndirectTables>,
    ) -> Result<Self, QueueError> {
        if features.contains(Features::RING_PACKED) {
            PackedQueue::new(size, features, rings, tables).map(Self::Packed)
        } else {
            SplitQueue::of(interface, size, features, rings, tables).map(Self::Split)
        }
    }

    /// Makes the queue take a length that is too long for the longest possible, instead of for a
    /// fault. For a queue whose user can do without lengths; there are devices that tell wrong ones
    /// in the control queue.
    #[must_use]
    pub fn clamping_lengths(self) -> Self {
        match self {
            Self::Packed(queue) => Self::Packed(queue.clamping_lengths()),
            Self::Split(queue) => Self::Split(queue.clamping_lengths()),
        }
    }
}

/// The same expression for whichever queue it is.
macro_rules! each {
    ($ring:expr, $queue:ident => $value:expr) => {
        match $ring {
            Ring::Packed($queue) => $value,
            Ring::Split($queue) => $value,
        }
    };
}

impl<T> Virtqueue<T> for Ring<T> {
    #[inline(always)]
    fn add(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
        buffer: T,
    ) -> Result<(), Refused<T>> {
        // Otherwise the compiler keeps the state of both formats in registers over a loop of the
        // caller's, and there are not enough: every buffer would cost forty instructions more.
        compiler_fence(Ordering::AcqRel);
        each!(self, queue => queue.add(segments, writable_from, buffer))
    }

    #[inline]
    fn publish(&mut self) -> Notify {
        each!(self, queue => queue.publish())
    }

    #[inline(always)] // as that of each format
    fn pop_used(&mut self) -> Result<Option<(T, u32)>, DeviceFault> {
        each!(self, queue => queue.pop_used())
    }

    #[inline]
    fn reap(&mut self, limit: usize, each: impl FnMut(T, u32)) -> Result<usize, DeviceFault> {
        each!(self, queue => queue.reap(limit, each))
    }

    #[inline]
    fn has_used(&self) -> bool {
        each!(self, queue => queue.has_used())
    }

    fn disable_interrupts(&mut self) {
        each!(self, queue => queue.disable_interrupts());
    }

    fn enable_interrupts(&mut self) -> bool {
        each!(self, queue => queue.enable_interrupts())
    }

    #[inline]
    fn notification_data(&self) -> u16 {
        each!(self, queue => queue.notification_data())
    }

    #[inline]
    fn free_slots(&self) -> u16 {
        each!(self, queue => queue.free_slots())
    }

    #[inline]
    fn in_flight(&self) -> u16 {
        each!(self, queue => queue.in_flight())
    }

    fn fault(&self) -> Option<DeviceFault> {
        each!(self, queue => queue.fault())
    }

    fn take_all(&mut self, proof: &Quiesced) -> impl Iterator<Item = T> {
        match self {
            Self::Packed(queue) => Either::Packed(queue.take_all(proof)),
            Self::Split(queue) => Either::Split(queue.take_all(proof)),
        }
    }

    fn reset(&mut self) -> Result<(), StillInFlight> {
        each!(self, queue => queue.reset())
    }

    fn addresses(&self) -> QueueAddresses {
        each!(self, queue => queue.addresses())
    }

    fn size(&self) -> QueueSize {
        each!(self, queue => queue.size())
    }
}

/// What a queue of either format gives back.
enum Either<P, S> {
    Packed(P),
    Split(S),
}

impl<T, P: Iterator<Item = T>, S: Iterator<Item = T>> Iterator for Either<P, S> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Self::Packed(buffers) => buffers.next(),
            Self::Split(buffers) => buffers.next(),
        }
    }
}
