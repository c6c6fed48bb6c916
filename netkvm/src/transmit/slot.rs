//! Shared memory for what the device reads before the frame, and for copies of small frames.

use core::ptr::NonNull;

use ndis::dma::SharedMemory;
use virtio_net::dma::Segment;
use virtio_net::features::Features;
use virtio_net::header::{HeaderLayout, NetHeader};

/// How header and frame lie before the device.
#[derive(Clone, Copy)]
pub(crate) struct Form {
    layout: HeaderLayout,
    /// The header has a descriptor of its own.
    is_apart: bool,
}

impl Form {
    /// What these features, as negotiated, ask for.
    pub(crate) fn of(features: Features) -> Self {
        let is_apart = HeaderLayout::is_apart(features);
        let layout = if cfg!(mutant = "long_legacy_header") && !is_apart {
            HeaderLayout::Plain
        } else {
            HeaderLayout::of(features)
        };
        Self { layout, is_apart }
    }
}

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

    /// The header alone.
    pub(super) fn header(&self, form: Form) -> Segment {
        self.piece(0, form.layout.size())
    }

    /// The header and `len` bytes behind it, in one segment or two; says how many.
    pub(super) fn segments(
        &self,
        form: Form,
        len: usize,
        into: &mut [Segment; super::MAX_SEGMENTS],
    ) -> usize {
        let size = form.layout.size();
        let [first, second, ..] = into;
        if form.is_apart {
            (*first, *second) = (self.piece(0, size), self.piece(size, len));
            2
        } else {
            *first = self.piece(0, size.saturating_add(len));
            1
        }
    }

    fn piece(&self, offset: usize, len: usize) -> Segment {
        let address = self.address.wrapping_add(offset as u64);
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        // SAFETY: the slot's own bytes; the slot goes to the queue with the segment.
        unsafe { Segment::new(address, len) }
    }

    /// Writes the header, and `len` bytes by `fill` behind it.
    pub(super) fn write(
        &mut self,
        form: Form,
        header: &NetHeader,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> bool,
    ) -> bool {
        let all = form.layout.size().saturating_add(len);
        // SAFETY: the slot is ours, and has room for a header and the longest frame.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.va.as_ptr(), all) };
        let written = form.layout.write(header, bytes);
        written.is_some_and(|header| fill(bytes.get_mut(header..).unwrap_or_default()))
    }
}

/// Fills `body` with what `fill` writes, and zeros behind that. False: `fill` wrote nothing.
pub(super) fn copy_padded(body: &mut [u8], fill: impl FnOnce(&mut [u8]) -> usize) -> bool {
    let filled = fill(body);
    body.get_mut(filled..).unwrap_or_default().fill(0);
    filled > 0
}
