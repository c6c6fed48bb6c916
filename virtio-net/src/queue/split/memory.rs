//! The shared memory of a split queue: the one place that dereferences its pointers.
//!
//! Invariant of [`RingMemory`]: its three pointers lie in one region that it owns, aligned and laid
//! out by [`SplitLayout`] for `size` entries, a power of two. Every access masks its index with `size - 1`, so that it
//! lies in bounds by construction, whatever the index. All accesses are volatile or atomic, since
//! the device reads and writes at will; what is written here is never read back.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};

use virtio_spec::virtq::{AvailF, UsedElem, UsedF};

use super::super::chains::UsedElement;
use super::super::memory::{Descriptor, check, zero};
use super::super::{QueueAddresses, QueueError, QueueSize};
use super::layout::SplitLayout;
use crate::barrier;
use crate::dma::DmaRegion;
use crate::features::Interface;

const _: () = assert!(size_of::<UsedElem>() == 8 && align_of::<UsedElem>() <= 4);

/// Bytes before the entries of either ring: `flags` and `idx`.
const ENTRIES: usize = 4;
const INDEX: usize = 2;

/// The rings of one queue.
#[derive(Debug)]
pub(super) struct RingMemory {
    size: QueueSize,
    layout: SplitLayout,
    descriptors: NonNull<Descriptor>,
    available: NonNull<u8>,
    used: NonNull<u8>,
    region: DmaRegion,
}

// SAFETY: the pointers point into `region`, which may move between threads and is owned here.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// Lays the rings of `size` entries out in `region`, as `interface` has them, and zeroes them.
    pub(super) fn new(
        interface: Interface,
        size: QueueSize,
        region: DmaRegion,
    ) -> Result<Self, QueueError> {
        if !size.is_split() {
            return Err(QueueError::BadSize(size));
        }
        let layout = SplitLayout::of(interface, size);
        check(&region, layout.bytes(), layout.alignment())?;
        let at = |offset| {
            // SAFETY: the offset is less than `layout.bytes()`, which the region has (checked above).
            unsafe { region.va().byte_add(offset) }
        };
        let mut memory = Self {
            size,
            layout,
            descriptors: at(layout.descriptors()).cast(),
            available: at(layout.driver()),
            used: at(layout.device()),
            region,
        };
        memory.clear();
        Ok(memory)
    }

    /// Zeroes all rings: indices, flags and event indices start at 0 (virtio 1.2, 2.7.10.1).
    pub(super) fn clear(&mut self) {
        zero(&self.region, self.layout.bytes());
    }

    /// Where the device finds the rings.
    pub(super) fn addresses(&self) -> QueueAddresses {
        let layout = &self.layout;
        // In 64 bits, as `check` has seen.
        let at = |offset: usize| self.region.device_address().wrapping_add(offset as u64);
        QueueAddresses {
            descriptors: at(layout.descriptors()),
            driver: at(layout.driver()),
            device: at(layout.device()),
        }
    }

    /// Entries in each ring.
    pub(super) const fn size(&self) -> QueueSize {
        self.size
    }

    /// Writes descriptor `index`.
    #[inline]
    pub(super) fn write_descriptor(&mut self, index: u16, descriptor: Descriptor) {
        let index = usize::from(index & self.size.mask());
        // SAFETY: less than `size` descriptors further on, inside the table (module invariant).
        let at = unsafe { self.descriptors.add(index) };
        // SAFETY: in bounds and aligned; only this queue's owner writes the table.
        unsafe { descriptor.store(at) };
    }

    /// Puts `head` into the available ring at `index`.
    #[inline]
    pub(super) fn write_available(&mut self, index: u16, head: u16) {
        let slot = usize::from(index & self.size.mask());
        let offset = ENTRIES.wrapping_add(slot.wrapping_mul(size_of::<u16>()));
        // SAFETY: an entry below `size` lies inside the available ring (module invariant).
        let at = unsafe { self.available.byte_add(offset) }.cast::<u16>();
        // SAFETY: in bounds and even, in a ring that only the driver writes.
        unsafe { at.write_volatile(head.to_le()) };
    }

    /// Publishes the available index; all that was written before is visible with it.
    #[inline]
    pub(super) fn publish_available_index(&mut self, index: u16) {
        self.available_word(INDEX)
            .store(index.to_le(), barrier::PUBLISH_AVAILABLE);
    }

    /// Asks for no interrupts, or for interrupts. Without event indices only.
    #[inline]
    pub(super) fn write_interrupt_suppression(&mut self, suppressed: bool) {
        let flags = if suppressed {
            AvailF::NO_INTERRUPT
        } else {
            AvailF::empty()
        };
        self.available_word(0)
            .store(flags.bits().0, Ordering::Relaxed);
    }

    /// Asks for an interrupt once used entry `index` is written. With event indices only.
    #[inline]
    pub(super) fn write_used_event(&mut self, index: u16) {
        let entries = usize::from(self.size.get()).wrapping_mul(size_of::<u16>());
        let offset = ENTRIES.wrapping_add(entries);
        self.available_word(offset)
            .store(index.to_le(), Ordering::Relaxed);
    }

    /// Reads the used index; what the device wrote before it is visible afterwards.
    #[inline]
    pub(super) fn read_used_index(&self) -> u16 {
        u16::from_le(self.used_word(INDEX).load(barrier::OBSERVE_USED))
    }

    /// Reads the used element at `index`.
    #[inline]
    pub(super) fn read_used(&self, index: u16) -> UsedElement {
        let slot = usize::from(index & self.size.mask());
        let offset = ENTRIES.wrapping_add(slot.wrapping_mul(size_of::<UsedElem>()));
        // SAFETY: an element below `size` lies inside the used ring (module invariant).
        let at = unsafe { self.used.byte_add(offset) }.cast::<UsedElem>();
        // SAFETY: in bounds and a multiple of four; any bits are a `UsedElem`.
        let element = unsafe { at.read_volatile() };
        UsedElement {
            id: element.id.to_ne(),
            written: element.len.to_ne(),
            is_length: true,
        }
    }

    /// Reads whether the device asks for no doorbell. Without event indices only.
    #[inline]
    pub(super) fn reads_no_notify(&self) -> bool {
        let flags = self.used_word(0).load(Ordering::Relaxed);
        u16::from_le(flags) & UsedF::NO_NOTIFY.bits().to_ne() != 0
    }

    /// Reads of which available entry the device wants to hear. With event indices only.
    #[inline]
    pub(super) fn read_available_event(&self) -> u16 {
        let entries = usize::from(self.size.get()).wrapping_mul(size_of::<UsedElem>());
        let offset = ENTRIES.wrapping_add(entries);
        u16::from_le(self.used_word(offset).load(Ordering::Relaxed))
    }

    /// A 16-bit word of the available ring; `offset` is one of the fields'.
    #[inline]
    fn available_word(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: the fields lie inside the ring (module invariant).
        let at = unsafe { self.available.byte_add(offset) };
        // SAFETY: in bounds, even, and this field is accessed by this function alone.
        unsafe { AtomicU16::from_ptr(at.as_ptr().cast()) }
    }

    /// A 16-bit word of the used ring; `offset` is one of the fields'.
    #[inline]
    fn used_word(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: the fields lie inside the ring (module invariant).
        let at = unsafe { self.used.byte_add(offset) };
        // SAFETY: in bounds, even, and this field is accessed by this function alone.
        unsafe { AtomicU16::from_ptr(at.as_ptr().cast()) }
    }
}
