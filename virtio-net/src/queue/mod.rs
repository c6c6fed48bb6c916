//! Virtqueues: what every format offers ([`Virtqueue`]) and the words for it.
//!
//! A queue lends buffers to the device. [`add`](Virtqueue::add) moves a buffer in, and it comes out
//! by [`pop_used`](Virtqueue::pop_used) when the device is done with it, by
//! [`take_all`](Virtqueue::take_all) after a reset, or at once in [`Refused`]; there is no fourth way,
//! so a buffer is never in two hands. What a buffer is, is the caller's business: a queue never
//! looks into it.
//!
//! There are two formats, [`split`] and [`packed`]. A queue of a device is a [`Ring`], which is of the
//! one that was negotiated; the choice is a `match`, not a pointer, so that what is short is inlined.

mod chains;
pub mod event;
mod memory;
pub mod packed;
mod placing;
mod ring;
mod size;
pub mod split;

pub use self::memory::IndirectTables;
pub use self::ring::{Ring, RingLayout};
pub use self::size::{QueueSize, QueueSizeError};
use crate::dma::{Quiesced, Segment};

/// The operations of a virtqueue (virtio 1.2, 2.6).
///
/// One thread at a time; the caller has a lock per queue.
pub trait Virtqueue<T> {
    /// Lends `buffer` to the device, described by `segments`.
    ///
    /// Segments before `writable_from` are read by the device, the others written. The device does
    /// not see the buffer before [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// Gives the buffer back with the reason; the queue is as before.
    fn add(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
        buffer: T,
    ) -> Result<(), Refused<T>>;

    /// Shows the device what was added since the last call, and says whether to ring its doorbell.
    ///
    /// One full fence per call that has something to show: batch by adding several buffers first.
    fn publish(&mut self) -> Notify;

    /// Takes back the next buffer that the device has used, with the bytes it wrote.
    ///
    /// `Ok(None)`: there is none now, or the queue has failed.
    ///
    /// # Errors
    ///
    /// The device broke the protocol. This is said once; from then on the queue is failed: nothing
    /// is popped or added until the device was reset and the queue emptied and
    /// [`reset`](Self::reset).
    fn pop_used(&mut self) -> Result<Option<(T, u32)>, DeviceFault>;

    /// Takes back used buffers, `limit` at the most, gives `each` every one with the bytes that the
    /// device wrote, and says how many there were.
    ///
    /// # Errors
    ///
    /// As for [`pop_used`](Self::pop_used). The buffers before the fault were given to `each`.
    fn reap(&mut self, limit: usize, each: impl FnMut(T, u32)) -> Result<usize, DeviceFault>;

    /// Whether [`pop_used`](Self::pop_used) has something to give. Changes nothing.
    fn has_used(&self) -> bool;

    /// Asks the device not to interrupt. A hint: interrupts may still come.
    fn disable_interrupts(&mut self);

    /// Asks the device to interrupt when it uses a buffer, and looks once more.
    ///
    /// `true`: there are used buffers, for which no interrupt may come. The caller pops them now,
    /// or sees to it that it comes back.
    #[must_use = "buffers that were used meanwhile may never be announced"]
    fn enable_interrupts(&mut self) -> bool;

    /// What a doorbell tells of this queue with `NOTIFICATION_DATA`: where the next buffer will be
    /// made available, in the low 15 bits, and the wrap counter there, above (virtio 1.2, 2.9).
    ///
    /// Of a split queue this is the available index.
    fn notification_data(&self) -> u16;

    /// Slots that are free. A buffer takes one, or one per segment.
    fn free_slots(&self) -> u16;

    /// Buffers that the device holds.
    fn in_flight(&self) -> u16;

    /// The fault that the queue has met, if any.
    fn fault(&self) -> Option<DeviceFault>;

    /// Takes back every buffer that the device held before it was reset, in no particular order.
    ///
    /// A buffer that the iterator does not reach stays in the queue. The rings still hold what was;
    /// [`reset`](Self::reset) comes before the next [`add`](Self::add). `proof` is of the reset after
    /// the last time this queue was used, not of an earlier one; of the device's, or of this queue's
    /// alone (virtio 1.2, 2.6.1).
    fn take_all(&mut self, proof: &Quiesced) -> impl Iterator<Item = T>;

    /// Returns the queue to its state after construction, for use with a device that was reset.
    ///
    /// Interrupts are enabled then, as they are for a new queue.
    ///
    /// # Errors
    ///
    /// Buffers are in flight; [`take_all`](Self::take_all) comes first.
    fn reset(&mut self) -> Result<(), StillInFlight>;

    /// Where the device finds the queue.
    fn addresses(&self) -> QueueAddresses;

    /// Descriptors in the queue.
    fn size(&self) -> QueueSize;
}

/// Gives `take` a buffer that came back, if there is one, and says whether there is.
#[inline(always)]
fn give<T>(popped: Option<(T, u32)>, take: impl FnOnce(T, u32)) -> bool {
    let is_some = popped.is_some();
    if let Some((buffer, written)) = popped {
        take(buffer, written);
    }
    is_some
}

/// Whether the doorbell has to ring.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a device that waits for its doorbell does nothing"]
pub enum Notify {
    /// Ring it.
    Needed,
    /// The device does not want to be told, or there is nothing to tell.
    Suppressed,
}

impl Notify {
    /// Whether to ring the doorbell.
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Needed)
    }
}

/// A buffer that was not lent to the device.
#[derive(Debug, Eq, PartialEq)]
pub struct Refused<T> {
    /// The buffer, untouched.
    pub buffer: T,
    /// Why it was refused.
    pub why: Refusal,
}

/// Why a queue does not take a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A segment has no bytes.
    EmptySegment,
    /// The queue has met a fault.
    Faulted,
    /// There is no room now; there will be when the device has used other buffers.
    Full,
    /// The buffer has no segments.
    NoSegments,
    /// The segments have more bytes than a `u32` can count (virtio 1.2, 2.7.5.2).
    TooManyBytes,
    /// There are more segments than the queue can ever hold (virtio 1.2, 2.7.5.3.1).
    TooManySegments,
}

/// How the device broke the protocol of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceFault {
    /// It returned something else before the buffer that it got first, against `IN_ORDER`.
    OutOfOrder {
        /// The number it gave.
        id: u32,
    },
    /// It claims to have used more buffers than it holds.
    TooManyUsed {
        /// How many it claims.
        claimed: u16,
        /// How many it holds.
        in_flight: u16,
    },
    /// It returned a buffer that it does not hold.
    UnknownBuffer {
        /// The number it gave.
        id: u32,
    },
    /// It claims to have written more than the buffer can take.
    WroteTooMuch {
        /// The bytes it claims.
        claimed: u32,
        /// The bytes that it was allowed.
        writable: u32,
    },
}

/// Buffers are still lent to the device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StillInFlight(
    /// How many.
    pub u16,
);

/// The three areas of a queue as the device addresses them (virtio 1.2, 2.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueAddresses {
    /// Descriptor area: the descriptor table of a split queue, the ring of a packed one.
    pub descriptors: u64,
    /// Driver area: the available ring of a split queue, the driver's event suppression of a packed.
    pub driver: u64,
    /// Device area: the used ring of a split queue, the device's event suppression of a packed.
    pub device: u64,
}

/// A queue that could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueError {
    /// A region is not aligned, or ends beyond 64 bits of address.
    BadAddress,
    /// A split queue can't have this size, which is no power of two.
    BadSize(QueueSize),
    /// Indirect tables of no descriptors were asked for.
    EmptyTables,
    /// The private tables could not be allocated.
    OutOfMemory,
    /// The indirect tables are for a queue of another size.
    TablesOfAnotherSize,
    /// A region is too small.
    TooSmall {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that it has.
        given: usize,
    },
}
