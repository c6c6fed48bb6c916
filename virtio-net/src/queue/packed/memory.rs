//! The shared memory of a packed queue: the one place that dereferences its pointers.
//!
//! Invariant of [`RingMemory`]: its three pointers lie in one region that it owns, aligned and laid
//! out by [`PackedLayout`] for `size` descriptors, and every [`Position`] that it meets has an offset
//! below `size`: [`Position::START`] has, and all others come from [`RingMemory::advance`], as there
//! is one such memory per queue, and nobody else sees positions. All accesses are volatile or atomic, since the device
//! reads and writes at will; what is written here is never read back.

use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use virtio_spec::RingEventFlags;
use virtio_spec::pvirtq::EventSuppress;
use virtio_spec::virtq::DescF;

use super::super::chains::UsedElement;
use super::super::memory::{Descriptor, check, zero};
use super::super::{QueueAddresses, QueueError, QueueSize};
use super::layout::PackedLayout;
use super::position::Position;
use crate::barrier;
use crate::dma::DmaRegion;

const _: () = assert!(size_of::<EventSuppress>() == 4);
const _: () =
    assert!(offset_of!(EventSuppress, desc) == 0 && offset_of!(EventSuppress, flags) == 2);

/// Of what a side wants to hear (virtio 1.2, 2.8.10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Event {
    /// The place that matters, with `DESC`: offset, and wrap counter in bit 15.
    pub(super) off_wrap: u16,
    /// `ENABLE`, `DISABLE` or `DESC`.
    pub(super) flags: u16,
}

impl Event {
    pub(super) const ENABLE: u16 = RingEventFlags::Enable as u16;
    pub(super) const DISABLE: u16 = RingEventFlags::Disable as u16;
    pub(super) const DESC: u16 = RingEventFlags::Desc as u16;
    /// The bits of `flags` that have a meaning.
    const FLAGS: u16 = RingEventFlags::Reserved as u16;
}

/// All but the address of a descriptor that the device has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsedDescriptor(u64);

impl UsedDescriptor {
    #[inline]
    pub(super) const fn element(self) -> UsedElement {
        UsedElement {
            id: (self.0 >> 32) as u16 as u32,
            written: self.0 as u32,
            // Else the length has no meaning (virtio 1.2, 2.8.4). But existing devices that fill
            // buffers leave the flag clear, too, so what is possible is believed.
            is_length: (self.0 >> 48) as u16 & DescF::WRITE.bits().to_ne() != 0,
        }
    }
}

/// The parts of one queue.
#[derive(Debug)]
pub(super) struct RingMemory {
    size: QueueSize,
    descriptors: NonNull<Descriptor>,
    driver: NonNull<u32>,
    device: NonNull<u32>,
    region: DmaRegion,
}

// SAFETY: the pointers point into `region`, which may move between threads and is owned here.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// Lays the parts of a queue of `size` out in `region` and zeroes them.
    pub(super) fn new(size: QueueSize, region: DmaRegion) -> Result<Self, QueueError> {
        let layout = PackedLayout::new(size);
        check(&region, layout.bytes(), PackedLayout::ALIGNMENT)?;
        let at = |offset| {
            // SAFETY: the offset is less than `layout.bytes()`, which the region has (checked above).
            unsafe { region.va().byte_add(offset) }
        };
        let mut memory = Self {
            size,
            descriptors: at(layout.descriptors()).cast(),
            driver: at(layout.driver()).cast(),
            device: at(layout.device()).cast(),
            region,
        };
        memory.clear();
        Ok(memory)
    }

    /// Zeroes everything (virtio 1.2, 2.8.13): nothing is available, and all events are enabled.
    pub(super) fn clear(&mut self) {
        zero(&self.region, PackedLayout::new(self.size).bytes());
    }

    /// Where the device finds the parts.
    pub(super) fn addresses(&self) -> QueueAddresses {
        let layout = PackedLayout::new(self.size);
        // In 64 bits, as `check` has seen.
        let at = |offset: usize| self.region.device_address().wrapping_add(offset as u64);
        QueueAddresses {
            descriptors: at(layout.descriptors()),
            driver: at(layout.driver()),
            device: at(layout.device()),
        }
    }

    /// Descriptors in the ring.
    pub(super) const fn size(&self) -> QueueSize {
        self.size
    }

    /// Writes a descriptor, behind one that the device was not shown.
    #[inline]
    pub(super) fn write(&mut self, position: Position, descriptor: Descriptor) {
        // SAFETY: in bounds and aligned.
        unsafe { descriptor.store(self.descriptor(position)) };
    }

    /// Writes the address of a descriptor that is to be shown later, and leaves the rest.
    #[inline]
    pub(super) fn write_address(&mut self, position: Position, descriptor: Descriptor) {
        // SAFETY: a descriptor lies there.
        let (address, _) = unsafe { Descriptor::words(self.descriptor(position)) };
        // SAFETY: in bounds and aligned.
        unsafe { address.write_volatile(descriptor.address()) };
    }

    /// Writes the `rest` of a descriptor, with its flags; all that was written before is visible
    /// with it.
    #[inline]
    pub(super) fn publish(&mut self, position: Position, rest: u64) {
        self.rest(position).store(rest, barrier::PUBLISH_AVAILABLE);
    }

    /// Reads the descriptor at `position`, if it is used; what the device wrote before it said so is
    /// visible afterwards.
    ///
    /// One load, as the device makes the descriptor used by one store of its flags, after the rest
    /// of it: whoever sees these flags sees that rest.
    #[inline]
    pub(super) fn read_used(&self, position: Position) -> Option<UsedDescriptor> {
        let rest = u64::from_le(self.rest(position).load(barrier::OBSERVE_USED));
        position.is_used(rest).then_some(UsedDescriptor(rest))
    }

    /// Moves `position` by `count` descriptors.
    #[inline]
    pub(super) const fn advance(&self, position: &mut Position, count: u16) {
        position.advance(count, self.size.get());
    }

    /// Tells the device of what the driver wants to hear; one store, so that what the device reads
    /// belongs together.
    #[inline]
    pub(super) fn write_driver_event(&mut self, event: Event) {
        let word = u32::from(event.off_wrap) | u32::from(event.flags) << 16;
        // SAFETY: in the region, aligned to a cache line, and accessed by this function alone.
        let at = unsafe { AtomicU32::from_ptr(self.driver.as_ptr()) };
        at.store(word.to_le(), Ordering::Relaxed);
    }

    /// Reads of what the device wants to hear.
    #[inline]
    pub(super) fn read_device_event(&self) -> Event {
        // SAFETY: in the region, aligned to a cache line, and accessed by this function alone.
        let at = unsafe { AtomicU32::from_ptr(self.device.as_ptr()) };
        let word = u32::from_le(at.load(Ordering::Relaxed));
        Event {
            off_wrap: word as u16,
            flags: (word >> 16) as u16 & Event::FLAGS,
        }
    }

    /// All but the address of the descriptor at `position`.
    #[inline]
    fn rest(&self, position: Position) -> &AtomicU64 {
        // SAFETY: a descriptor lies there.
        let (_, rest) = unsafe { Descriptor::words(self.descriptor(position)) };
        // SAFETY: in bounds and a multiple of eight; this reference is the only one that this system
        // uses for an access at the time.
        unsafe { AtomicU64::from_ptr(rest.as_ptr()) }
    }

    #[inline]
    fn descriptor(&self, position: Position) -> NonNull<Descriptor> {
        // SAFETY: less than `size` descriptors further on, inside the ring (module invariant).
        unsafe { self.descriptors.add(usize::from(position.offset())) }
    }
}
