//! The packed virtqueue (virtio 1.2, 2.8): one ring of descriptors, which both sides write.
//!
//! The driver writes descriptors in the order of the ring; the device overwrites them, from the
//! front, in the order in which it is done. Two flags of a descriptor say whose it is, by comparison
//! with a counter that turns with each lap:
//!
//! ```text
//! | used | used |  in flight, or used and not yet looked at  | added | added | free ... |
//!               ^ used                                       ^ shown         ^ next
//! ```
//!
//! [`PackedQueue`] decides; `memory` is what the device sees, `Chains` what only the driver sees.
//! The rules that make it cheap: of all descriptors that were added since the last
//! [`publish`](Virtqueue::publish) the flags of the first are written last, and the device goes no
//! further before; so barriers and the full fence are paid once per batch. A used descriptor is read
//! once; nothing the driver wrote is read back from shared memory.

mod layout;
mod memory;
mod placing;
mod position;

pub use self::layout::PackedLayout;
use self::memory::{Event, RingMemory, UsedDescriptor};
pub(super) use self::placing::INDIRECT_PAYS_FROM;
use self::position::Position;
use super::chains::Chains;
use super::event::crosses_packed_event;
use super::memory::fitting;
use super::{
    DeviceFault, IndirectTables, Notify, QueueAddresses, QueueError, QueueSize, Refused,
    StillInFlight, Virtqueue, give,
};
use crate::barrier::Barriers;
use crate::dma::{DmaRegion, Quiesced, Segment};
use crate::features::Features;

/// A packed virtqueue that lends buffers of type `T` to the device. See [`Virtqueue`].
///
/// Dropping it drops the buffers in flight; [`take_all`](Virtqueue::take_all) comes first.
#[derive(Debug)]
pub struct PackedQueue<T> {
    memory: RingMemory,
    tables: Option<IndirectTables>,
    chains: Chains<T, false>,
    /// Buffers that the device holds.
    in_flight: u16,
    barriers: Barriers,
    /// Where the next descriptor goes.
    next: Position,
    /// Up to where the device was shown descriptors.
    shown: Position,
    /// All but the address of the descriptor at `shown`, if that is not `next`.
    held_back: u64,
    /// Where the device writes the next used descriptor.
    used: Position,
    /// A used descriptor that stands for several buffers, of which not all were taken.
    batch: Option<UsedDescriptor>,
    event_index: bool,
    /// Whether the device was asked to interrupt.
    interrupts: bool,
    /// The place whose use it was asked to announce.
    used_event: Position,
    /// Whether used descriptors are taken the common way: no `IN_ORDER`, no fault.
    is_common: bool,
    fault: Option<DeviceFault>,
}

impl<T> PackedQueue<T> {
    /// Makes an empty queue, with interrupts enabled, and zeroes its ring.
    ///
    /// `features` are the negotiated ones; `RING_EVENT_IDX`, `RING_INDIRECT_DESC`, `IN_ORDER` and
    /// `ORDER_PLATFORM` matter. `ring` has [`PackedLayout::bytes`] or more. `tables` are used only
    /// with the feature.
    ///
    /// # Errors
    ///
    /// The memory does not fit the queue, or there is too little for the driver's own tables.
    pub fn new(
        size: QueueSize,
        features: Features,
        ring: DmaRegion,
        tables: Option<IndirectTables>,
    ) -> Result<Self, QueueError> {
        let indirect = features.contains(Features::RING_INDIRECT_DESC);
        let in_order = features.contains(Features::IN_ORDER);
        let mut queue = Self {
            tables: fitting(tables, size, indirect)?,
            memory: RingMemory::new(size, ring)?,
            chains: Chains::new(size, in_order).map_err(|_| QueueError::OutOfMemory)?,
            in_flight: 0,
            barriers: Barriers::new(features),
            next: Position::START,
            shown: Position::START,
            held_back: 0,
            used: Position::START,
            batch: None,
            event_index: features.contains(Features::RING_EVENT_IDX),
            interrupts: true,
            used_event: Position::START,
            is_common: !in_order,
            fault: None,
        };
        queue.write_wish();
        Ok(queue)
    }

    /// Makes the queue take a length that is too long for the longest possible, instead of for a
    /// fault. For a queue whose user can do without lengths; there are devices that tell wrong ones
    /// in the control queue.
    #[must_use]
    pub fn clamping_lengths(mut self) -> Self {
        self.chains.clamp_lengths();
        self
    }

    #[inline]
    fn must_rearm(&self) -> bool {
        self.event_index && self.interrupts && self.used_event != self.used
    }

    /// Asks for an interrupt with the next used descriptor; those must be looked for after it.
    #[inline]
    fn arm(&mut self) {
        self.used_event = self.used;
        self.write_wish();
        self.barriers.before_rechecking_used();
    }

    /// Tells the device what the driver wants to hear of.
    #[inline]
    fn write_wish(&mut self) {
        let flags = match (self.interrupts, self.event_index) {
            (false, _) => Event::DISABLE,
            (true, false) => Event::ENABLE,
            (true, true) => Event::DESC,
        };
        let off_wrap = self.used_event.off_wrap();
        self.memory.write_driver_event(Event { off_wrap, flags });
    }

    /// Whether the device wants to hear of the descriptors from `old` up to `shown`.
    #[inline]
    fn is_notification_due(&self, old: Position) -> bool {
        let event = self.memory.read_device_event();
        match event.flags {
            Event::DISABLE => false,
            Event::DESC if self.event_index => crosses_packed_event(
                event.off_wrap,
                old.off_wrap(),
                self.shown.off_wrap(),
                self.memory.size().get(),
            ),
            // Also for what has no meaning: one notification too many does no harm.
            _ => true,
        }
    }

    /// Gives the next used buffer to `take`, with the bytes written. `Ok(false)`: there is none.
    #[inline(always)] // a call would cost as much as what it does
    fn take_used(&mut self, take: impl FnOnce(T, u32)) -> Result<bool, DeviceFault> {
        if self.is_common
            && let Some(used) = self.memory.read_used(self.used)
        {
            self.barriers.after_observing_used();
            return match self.chains.reclaim(used.element(), take) {
                Ok(count) => {
                    self.memory.advance(&mut self.used, count);
                    self.in_flight = self.in_flight.wrapping_sub(1);
                    Ok(true)
                }
                Err(fault) => Err(self.fail(fault)),
            };
        }
        Ok(give(self.pop_otherwise()?, take))
    }

    /// Takes the next used buffer, if none was found the common way.
    #[inline(never)] // once per batch; the common way has no calls then, and more registers
    fn pop_otherwise(&mut self) -> Result<Option<(T, u32)>, DeviceFault> {
        if !self.is_common {
            return self.pop_in_order();
        }
        if !self.must_rearm() {
            return Ok(None);
        }
        // Descriptors were taken while interrupts were on, so the event is in the past: without a
        // new one the device would stay silent.
        self.arm();
        let mut popped = None;
        self.take_used(|buffer, written| popped = Some((buffer, written)))?;
        Ok(popped)
    }

    /// Takes the next used buffer with `IN_ORDER`, or none from a queue that has failed.
    fn pop_in_order(&mut self) -> Result<Option<(T, u32)>, DeviceFault> {
        if self.fault.is_some() {
            return Ok(None);
        }
        let mut named = self.batch.or_else(|| self.memory.read_used(self.used));
        if named.is_none() && self.must_rearm() {
            self.arm();
            named = self.memory.read_used(self.used);
        }
        let Some(used) = named else {
            return Ok(None);
        };
        self.barriers.after_observing_used();
        match self.chains.reclaim_oldest(used.element()) {
            Ok(oldest) => {
                self.batch = (!oldest.is_named).then_some(used);
                self.memory.advance(&mut self.used, oldest.count);
                self.in_flight = self.in_flight.wrapping_sub(1);
                Ok(Some((oldest.buffer, oldest.written)))
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Latches `fault`: nothing is taken from the ring any more, and nothing added.
    #[cold]
    fn fail(&mut self, fault: DeviceFault) -> DeviceFault {
        self.chains.close();
        self.batch = None;
        self.is_common = false;
        self.fault = Some(fault);
        fault
    }
}

impl<T> Virtqueue<T> for PackedQueue<T> {
    #[inline(always)] // a call would cost as much as what it does for one segment
    fn add(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
        buffer: T,
    ) -> Result<(), Refused<T>> {
        let id = self.chains.free_head();
        match self.lay_down(segments, writable_from) {
            Ok(chain) => {
                self.chains.lend(id, chain, buffer);
                self.in_flight = self.in_flight.wrapping_add(1);
                Ok(())
            }
            Err(why) => Err(Refused { buffer, why }),
        }
    }

    #[inline]
    fn publish(&mut self) -> Notify {
        let old = self.shown;
        if self.next == old {
            return Notify::Suppressed;
        }
        self.shown = self.next;
        self.barriers.before_publishing();
        self.memory.publish(old, self.held_back);
        self.barriers.before_reading_notification_wish();
        if self.is_notification_due(old) {
            Notify::Needed
        } else {
            Notify::Suppressed
        }
    }

    #[inline(always)]
    fn pop_used(&mut self) -> Result<Option<(T, u32)>, DeviceFault> {
        let mut popped = None;
        self.take_used(|buffer, written| popped = Some((buffer, written)))?;
        Ok(popped)
    }

    #[inline]
    fn reap(&mut self, limit: usize, mut each: impl FnMut(T, u32)) -> Result<usize, DeviceFault> {
        let mut count: usize = 0;
        while count < limit && self.take_used(&mut each)? {
            count = count.wrapping_add(1);
        }
        Ok(count)
    }

    fn has_used(&self) -> bool {
        self.fault.is_none() && (self.batch.is_some() || self.memory.read_used(self.used).is_some())
    }

    fn disable_interrupts(&mut self) {
        self.interrupts = false;
        self.write_wish();
    }

    fn enable_interrupts(&mut self) -> bool {
        self.interrupts = true;
        self.arm();
        self.has_used()
    }

    #[inline]
    fn notification_data(&self) -> u16 {
        self.shown.off_wrap()
    }

    fn free_slots(&self) -> u16 {
        self.chains.free()
    }

    fn in_flight(&self) -> u16 {
        self.in_flight
    }

    fn fault(&self) -> Option<DeviceFault> {
        self.fault
    }

    fn take_all(&mut self, _proof: &Quiesced) -> impl Iterator<Item = T> {
        let in_flight = &mut self.in_flight;
        let count = move |_: &T| *in_flight = in_flight.wrapping_sub(1);
        self.chains.take_all().inspect(count)
    }

    fn reset(&mut self) -> Result<(), StillInFlight> {
        match self.in_flight {
            0 => {}
            in_flight => return Err(StillInFlight(in_flight)),
        }
        self.memory.clear();
        self.chains.reset();
        self.next = Position::START;
        self.shown = Position::START;
        self.held_back = 0;
        self.used = Position::START;
        self.batch = None;
        self.interrupts = true;
        self.used_event = Position::START;
        self.is_common = !self.chains.in_order();
        self.fault = None;
        self.write_wish();
        Ok(())
    }

    fn addresses(&self) -> QueueAddresses {
        self.memory.addresses()
    }

    fn size(&self) -> QueueSize {
        self.memory.size()
    }
}
