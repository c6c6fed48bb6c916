//! Memory that the device reaches, and the proof that it reaches it no more.
//!
//! [`DmaRegion`] stands for a ring or a set of indirect tables, [`Segment`] for a piece of a packet.
//! Both are made by `unsafe` constructors, where the caller vouches for what lies behind the
//! numbers; behind them the crate is safe. [`Quiesced`] is the other end: without one, no buffer that
//! the device holds can be taken back.

use core::ptr::NonNull;

/// A stretch of memory shared with the device: where the CPU sees it and where the device does.
///
/// It does not free the memory when dropped; who allocated it frees it, after the device was reset.
#[derive(Debug)]
pub struct DmaRegion {
    va: NonNull<u8>,
    device: u64,
    len: usize,
}

// SAFETY: the constructor demands exclusive use of the memory, so the region may move between
// threads as an owned buffer may.
unsafe impl Send for DmaRegion {}

impl DmaRegion {
    /// Describes `len` bytes at `va`, which the device addresses from `device` on.
    ///
    /// # Safety
    ///
    /// 1. `va` is valid for reads and writes of `len` bytes, which the device sees, contiguous, at
    ///    `device`. The mapping is coherent (as all common buffers of PCI devices are).
    /// 2. Nothing else in this system reads or writes the bytes while the region, or what it
    ///    was moved into, exists.
    /// 3. The memory stays as it is until the region is dropped *and* the device has been reset.
    #[must_use]
    pub const unsafe fn new(va: NonNull<u8>, device: u64, len: usize) -> Self {
        Self { va, device, len }
    }

    /// Where the device sees the region.
    #[must_use]
    pub const fn device_address(&self) -> u64 {
        self.device
    }

    /// Bytes in the region.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether the region has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the CPU sees the region.
    pub(crate) const fn va(&self) -> NonNull<u8> {
        self.va
    }

    /// Whether both addresses are multiples of `align`, a power of two.
    pub(crate) fn is_aligned_to(&self, align: usize) -> bool {
        let mask = align.wrapping_sub(1);
        self.va.as_ptr().addr() & mask == 0 && self.device & mask as u64 == 0
    }

    /// Whether the device addresses of the region run past the end of 64 bits.
    pub(crate) fn wraps(&self) -> bool {
        self.device.checked_add(self.len as u64).is_none()
    }
}

/// One piece of a buffer that a queue lends to the device, as the device addresses it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    address: u64,
    len: u32,
}

impl Segment {
    /// Describes `len` bytes that the device sees at `address`.
    ///
    /// # Safety
    ///
    /// From the moment a queue accepts the segment until that queue gives back the buffer it was
    /// accepted with, the device may read the bytes, or write them if the segment is passed as
    /// writable; nothing else may rely on them for so long.
    #[must_use]
    pub const unsafe fn new(address: u64, len: u32) -> Self {
        Self { address, len }
    }

    /// Where the device sees the segment.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Bytes in the segment.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether the segment has no bytes; a queue refuses such a one.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Proof that the device touches no memory of ours: it confirmed a reset, or it has left the bus.
///
/// Made by the transport; asked for by [`Virtqueue::take_all`](crate::queue::Virtqueue::take_all).
#[derive(Debug)]
pub struct Quiesced(());

impl Quiesced {
    /// States without proof that the device is quiet.
    ///
    /// # Safety
    ///
    /// The device has been reset and not started again, or cannot reach memory (its power or its
    /// bus mastering was taken away).
    #[must_use]
    pub const unsafe fn assume() -> Self {
        Self(())
    }

    /// For the transport, which has seen it.
    pub(crate) const fn observed() -> Self {
        Self(())
    }
}
