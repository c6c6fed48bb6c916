//! The split virtqueue (virtio 1.2, 2.7): a descriptor table and two rings.
//!
//! [`SplitQueue`] decides; `memory` is what the device sees, `Chains` what only the driver sees.
//! The rules that make it cheap: the available index is written, and the full fence paid, once per
//! [`publish`](Virtqueue::publish) and not per buffer; the used index is read once per batch that
//! the device returns; nothing the driver wrote is read back from shared memory.

mod layout;
mod memory;
mod placing;

pub use self::layout::SplitLayout;
use self::memory::RingMemory;
pub(super) use self::placing::INDIRECT_PAYS_FROM;
use super::chains::{Chains, UsedElement};
use super::event::crosses_event;
use super::memory::fitting;
use super::{
    DeviceFault, Notify, QueueAddresses, QueueSize, Refused, StillInFlight, Virtqueue, give,
};
pub use super::{IndirectTables, QueueError};
use crate::barrier::Barriers;
use crate::dma::{DmaRegion, Quiesced, Segment};
use crate::features::{Features, Interface};

/// A split virtqueue that lends buffers of type `T` to the device. See [`Virtqueue`].
///
/// Dropping it drops the buffers in flight; [`take_all`](Virtqueue::take_all) comes first.
#[derive(Debug)]
pub struct SplitQueue<T> {
    memory: RingMemory,
    tables: Option<IndirectTables>,
    chains: Chains<T, true>,
    barriers: Barriers,
    /// Where the next head goes in the available ring.
    available: u16,
    /// The available index that the device was shown.
    published: u16,
    /// The next used element to take.
    used: u16,
    /// The used index as last read: elements from `used` up to it have been written. Always `used`
    /// with `IN_ORDER` and in a queue that has failed, from which nothing is taken the common way.
    known_used: u16,
    in_order: Option<InOrder>,
    event_index: bool,
    /// Whether the device was asked to interrupt.
    interrupts: bool,
    /// The used element whose arrival it was asked to announce.
    used_event: u16,
    fault: Option<DeviceFault>,
}

/// What is known of used elements with `IN_ORDER`.
#[derive(Clone, Copy, Debug, Default)]
struct InOrder {
    /// The used index as last read.
    known_used: u16,
    /// A used element that stands for several buffers, of which not all were taken.
    batch: Option<UsedElement>,
}

impl<T> SplitQueue<T> {
    /// Makes an empty queue, with interrupts enabled, and zeroes its rings.
    ///
    /// `features` are the negotiated ones; `RING_EVENT_IDX`, `RING_INDIRECT_DESC`, `IN_ORDER` and
    /// `ORDER_PLATFORM` matter. `rings` has [`SplitLayout::bytes`] or more. `tables` are used only
    /// with the feature.
    ///
    /// # Errors
    ///
    /// The memory does not fit the queue, or there is too little for the driver's own tables.
    pub fn new(
        size: QueueSize,
        features: Features,
        rings: DmaRegion,
        tables: Option<IndirectTables>,
    ) -> Result<Self, QueueError> {
        Self::of(Interface::Modern, size, features, rings, tables)
    }

    /// As [`new`](Self::new), laid out as `interface` has it: `rings` has the bytes and the alignment
    /// of [`SplitLayout::of`].
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
        let indirect = features.contains(Features::RING_INDIRECT_DESC);
        let in_order = features.contains(Features::IN_ORDER);
        Ok(Self {
            tables: fitting(tables, size, indirect)?,
            memory: RingMemory::new(interface, size, rings)?,
            chains: Chains::new(size, in_order).map_err(|_| QueueError::OutOfMemory)?,
            barriers: Barriers::new(features),
            available: 0,
            published: 0,
            used: 0,
            known_used: 0,
            in_order: in_order.then(InOrder::default),
            event_index: features.contains(Features::RING_EVENT_IDX),
            interrupts: true,
            used_event: 0,
            fault: None,
        })
    }

    /// Makes the queue take a length that is too long for the longest possible, instead of for a
    /// fault. For a queue whose user can do without lengths; there are devices that tell wrong ones
    /// in the control queue.
    #[must_use]
    pub fn clamping_lengths(mut self) -> Self {
        self.chains.clamp_lengths();
        self
    }

    /// Gives the next used buffer to `take`, with the bytes written. `Ok(false)`: there is none.
    #[inline(always)] // a call would cost as much as what it does
    fn take_used(&mut self, take: impl FnOnce(T, u32)) -> Result<bool, DeviceFault> {
        if self.used == self.known_used {
            return Ok(give(self.pop_otherwise()?, take));
        }
        let element = self.memory.read_used(self.used);
        match self.chains.reclaim(element, take) {
            Ok(_) => {
                self.used = self.used.wrapping_add(1);
                Ok(true)
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Takes the next used buffer, if nothing is known of it yet, or with `IN_ORDER`.
    #[inline(never)] // once per batch; the common way has no calls then, and more registers
    fn pop_otherwise(&mut self) -> Result<Option<(T, u32)>, DeviceFault> {
        if self.fault.is_some() {
            return Ok(None);
        }
        if let Some(in_order) = self.in_order {
            return self.pop_in_order(in_order);
        }
        self.known_used = self.observe_used()?;
        if self.used == self.known_used {
            return Ok(None);
        }
        let mut popped = None;
        self.take_used(|buffer, written| popped = Some((buffer, written)))?;
        Ok(popped)
    }

    /// Takes the next used buffer with `IN_ORDER`: an element may stand for several (virtio 1.2,
    /// 2.7.9).
    fn pop_in_order(&mut self, mut state: InOrder) -> Result<Option<(T, u32)>, DeviceFault> {
        if state.known_used == self.used {
            state.known_used = self.observe_used()?;
        }
        if state.known_used == self.used {
            return Ok(None);
        }
        let element = match state.batch {
            Some(element) => element,
            None => self.memory.read_used(self.used),
        };
        let used = self.used.wrapping_add(1);
        if used == state.known_used && !self.chains.is_oldest(element.id) {
            // The index does not reach the buffer that is named.
            return Err(self.fail(DeviceFault::OutOfOrder { id: element.id }));
        }
        match self.chains.reclaim_oldest(element) {
            Ok(oldest) => {
                state.batch = (!oldest.is_named).then_some(element);
                self.in_order = Some(state);
                (self.used, self.known_used) = (used, used);
                Ok(Some((oldest.buffer, oldest.written)))
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// Reads up to where elements are used.
    fn observe_used(&mut self) -> Result<u16, DeviceFault> {
        let mut index = self.memory.read_used_index();
        if index == self.used && self.must_rearm() {
            // Elements were taken while interrupts were on, so the event is in the past: without a
            // new one the device would stay silent.
            self.arm();
            index = self.memory.read_used_index();
        }

        let claimed = index.wrapping_sub(self.used);
        let in_flight = self.in_flight();
        if claimed > in_flight {
            return Err(self.fail(DeviceFault::TooManyUsed { claimed, in_flight }));
        }
        self.barriers.after_observing_used();
        Ok(index)
    }

    #[inline]
    fn must_rearm(&self) -> bool {
        self.event_index && self.interrupts && self.used_event != self.used
    }

    /// Asks for an interrupt with the next used element; used elements must be looked for after it.
    #[inline]
    fn arm(&mut self) {
        if self.event_index {
            self.used_event = self.used;
            self.memory.write_used_event(self.used);
        } else {
            self.memory.write_interrupt_suppression(false);
        }
        self.barriers.before_rechecking_used();
    }

    /// Latches `fault`: nothing is taken from the used ring any more, and nothing added.
    #[cold]
    fn fail(&mut self, fault: DeviceFault) -> DeviceFault {
        self.chains.close();
        self.known_used = self.used;
        self.fault = Some(fault);
        fault
    }
}

impl<T> Virtqueue<T> for SplitQueue<T> {
    #[inline(always)] // a call would cost as much as what it does for one segment
    fn add(
        &mut self,
        segments: &[Segment],
        writable_from: usize,
        buffer: T,
    ) -> Result<(), Refused<T>> {
        let head = self.chains.free_head();
        match self.lay_down(segments, writable_from) {
            Ok(chain) => {
                self.chains.lend(head, chain, buffer);
                self.memory.write_available(self.available, head);
                self.available = self.available.wrapping_add(1);
                Ok(())
            }
            Err(why) => Err(Refused { buffer, why }),
        }
    }

    #[inline]
    fn publish(&mut self) -> Notify {
        let old = self.published;
        if self.available == old {
            return Notify::Suppressed;
        }
        self.published = self.available;
        self.barriers.before_publishing();
        self.memory.publish_available_index(self.available);
        self.barriers.before_reading_notification_wish();

        let needed = if self.event_index {
            crosses_event(self.memory.read_available_event(), old, self.available)
        } else {
            !self.memory.reads_no_notify()
        };
        if needed {
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
        self.fault.is_none() && self.memory.read_used_index() != self.used
    }

    fn disable_interrupts(&mut self) {
        self.interrupts = false;
        if self.event_index {
            // The flag must stay 0 (virtio 1.2, 2.7.7.1): name the element just taken, which
            // comes round again in 65535 steps.
            self.used_event = self.used.wrapping_sub(1);
            self.memory.write_used_event(self.used_event);
        } else {
            self.memory.write_interrupt_suppression(true);
        }
    }

    fn enable_interrupts(&mut self) -> bool {
        self.interrupts = true;
        self.arm();
        self.has_used()
    }

    #[inline]
    fn notification_data(&self) -> u16 {
        self.published
    }

    fn free_slots(&self) -> u16 {
        self.chains.free()
    }

    #[inline]
    fn in_flight(&self) -> u16 {
        // Every buffer moves the one index when it is lent, and the other when it comes back.
        self.available.wrapping_sub(self.used)
    }

    fn fault(&self) -> Option<DeviceFault> {
        self.fault
    }

    fn take_all(&mut self, _proof: &Quiesced) -> impl Iterator<Item = T> {
        let used = &mut self.used;
        let count = move |_: &T| *used = used.wrapping_add(1);
        self.chains.take_all().inspect(count)
    }

    fn reset(&mut self) -> Result<(), StillInFlight> {
        match self.in_flight() {
            0 => {}
            in_flight => return Err(StillInFlight(in_flight)),
        }
        self.memory.clear();
        self.chains.reset();
        self.available = 0;
        self.published = 0;
        self.used = 0;
        self.known_used = 0;
        self.in_order = self.in_order.map(|_| InOrder::default());
        self.interrupts = true;
        self.used_event = 0;
        self.fault = None;
        Ok(())
    }

    fn addresses(&self) -> QueueAddresses {
        self.memory.addresses()
    }

    fn size(&self) -> QueueSize {
        self.memory.size()
    }
}
