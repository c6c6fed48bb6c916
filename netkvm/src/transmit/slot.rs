//! Shared memory for what the device reads before the frame, and for copies of small frames.

use core::ptr::NonNull;

use ndis::dma::SharedMemory;
use virtio_net::dma::Segment;
use virtio_net::header::{HEADER_LEN, NetHeader};

/// A place in shared memory for the virtio header and, behind it, a copy of a frame.
pub(crate) struct Slot {
    va: NonNull<u8>,
    address: u64,
}

// SAFETY: a slot is a piece of shared memory with one owner at a time.
unsafe impl Send for Slot {}

impl Slot {
    /// # Safety
    ///
    /// `offset` leaves room for a header and the longest frame in `memory`, which outlives the
    /// slot; no two slots overlap.
    pub(crate) unsafe fn new(memory: &SharedMemory, offset: u32) -> Self {
        let va = memory.va().as_ptr().wrapping_add(offset as usize);
        Self {
            // SAFETY: within the block, so not null.
            va: unsafe { NonNull::new_unchecked(va) },
            address: memory.device_address().wrapping_add(u64::from(offset)),
        }
    }

    /// The header and `len` bytes behind it.
    pub(super) fn segment(&self, len: usize) -> Segment {
        let len = u32::try_from(HEADER_LEN.saturating_add(len)).unwrap_or(u32::MAX);
        // SAFETY: the slot's own bytes; the slot goes to the queue with the segment.
        unsafe { Segment::new(self.address, len) }
    }

    /// Writes the header, and `len` bytes by `fill` behind it.
    pub(super) fn write(
        &mut self,
        header: &NetHeader,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        // SAFETY: the slot is ours, and has room for a header and the longest frame.
        unsafe {
            self.va
                .as_ptr()
                .copy_from(header.encode().as_ptr(), HEADER_LEN);
            let body = self.va.as_ptr().wrapping_add(HEADER_LEN);
            fill(core::slice::from_raw_parts_mut(body, len))
        }
    }
}

/// Fills `body` with what `fill` writes, and zeros behind that. False: `fill` wrote nothing.
pub(super) fn copy_padded(body: &mut [u8], fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
    let filled = fill(body);
    body.get_mut(filled..).unwrap_or_default().fill(0);
    filled > 0
}
