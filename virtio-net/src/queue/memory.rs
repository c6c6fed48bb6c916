//! What both formats have in shared memory: descriptors, and tables of them.

use core::mem::offset_of;
use core::ptr::NonNull;

use virtio_spec::virtq::DescF;
use virtio_spec::{pvirtq, virtq};

use super::{QueueError, QueueSize};
use crate::dma::{DmaRegion, Segment};

/// Bytes in a descriptor, in a ring or table of a queue and in an indirect table.
pub(super) const DESCRIPTOR_LEN: usize = 16;

/// What separates what one side writes from what the other does, and rings from each other.
pub(super) const CACHE_LINE: usize = 64;

const _: () = {
    use virtq::Desc;
    assert!(size_of::<Desc>() == DESCRIPTOR_LEN && align_of::<Desc>() <= 16);
    assert!(offset_of!(Desc, addr) == 0 && offset_of!(Desc, len) == 8);
    assert!(offset_of!(Desc, flags) == 12 && offset_of!(Desc, next) == 14);
};
const _: () = {
    use pvirtq::Desc;
    assert!(size_of::<Desc>() == DESCRIPTOR_LEN && align_of::<Desc>() <= 16);
    assert!(offset_of!(Desc, addr) == 0 && offset_of!(Desc, len) == 8);
    assert!(offset_of!(Desc, id) == 12 && offset_of!(Desc, flags) == 14);
};

/// A descriptor of either format as the two words that it is stored by.
///
/// A volatile store of a structure would become one store per field.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub(super) struct Descriptor {
    address: u64,
    rest: u64,
}

const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_LEN);

impl Descriptor {
    /// A descriptor of a split queue, for `segment`, followed by descriptor `next`.
    #[inline]
    pub(super) const fn split(segment: Segment, flags: DescF, next: u16) -> Self {
        Self::from_parts(segment, flags.bits().to_ne(), next)
    }

    /// A descriptor of a packed queue, for `segment` of buffer `id`.
    #[inline]
    pub(super) const fn packed(segment: Segment, id: u16, flags: u16) -> Self {
        Self::from_parts(segment, id, flags)
    }

    #[inline]
    const fn from_parts(segment: Segment, at_12: u16, at_14: u16) -> Self {
        let rest = segment.len() as u64 | (at_12 as u64) << 32 | (at_14 as u64) << 48;
        Self {
            address: segment.address().to_le(),
            rest: rest.to_le(),
        }
    }

    /// The first word: the address.
    #[inline]
    pub(super) const fn address(self) -> u64 {
        self.address
    }

    /// The second word: all but the address.
    #[inline]
    pub(super) const fn rest(self) -> u64 {
        self.rest
    }

    /// Stores the descriptor where the device reads it.
    ///
    /// # Safety
    ///
    /// `at` is valid for writes of a descriptor, and aligned.
    #[inline]
    pub(super) unsafe fn store(self, at: NonNull<Self>) {
        // SAFETY: passed on.
        let (address, rest) = unsafe { Self::words(at) };
        // SAFETY: valid for writes, and aligned, by contract.
        unsafe { address.write_volatile(self.address) };
        // SAFETY: as above.
        unsafe { rest.write_volatile(self.rest) };
    }

    /// The two words of the descriptor at `at`.
    ///
    /// # Safety
    ///
    /// At `at` is a descriptor's worth of one allocation.
    #[inline]
    pub(super) const unsafe fn words(at: NonNull<Self>) -> (NonNull<u64>, NonNull<u64>) {
        let address: NonNull<u64> = at.cast();
        // SAFETY: the second half of the descriptor, by contract.
        let rest = unsafe { address.add(1) };
        (address, rest)
    }
}

/// One table of descriptors per slot, for chains that take one slot of the ring.
///
/// Invariant: `region` has `per_table * size` descriptors.
#[derive(Debug)]
pub struct IndirectTables {
    region: DmaRegion,
    size: QueueSize,
    per_table: u16,
}

impl IndirectTables {
    /// What the region's addresses, for the CPU and for the device, are multiples of.
    pub const ALIGNMENT: usize = DESCRIPTOR_LEN;

    /// Bytes of the tables of a queue: one table of `per_table` descriptors per slot.
    #[must_use]
    pub const fn bytes(size: QueueSize, per_table: u16) -> usize {
        let descriptors = (size.get() as usize).saturating_mul(per_table as usize);
        descriptors.saturating_mul(DESCRIPTOR_LEN)
    }

    /// Divides `region` into tables of `per_table` descriptors, one for each of `size` slots.
    ///
    /// # Errors
    ///
    /// `region` is smaller than [`bytes`](Self::bytes) or not aligned, or the tables would have no
    /// descriptors.
    pub fn new(region: DmaRegion, size: QueueSize, per_table: u16) -> Result<Self, QueueError> {
        if per_table == 0 {
            return Err(QueueError::EmptyTables);
        }
        check(&region, Self::bytes(size, per_table), Self::ALIGNMENT)?;
        Ok(Self {
            region,
            size,
            per_table,
        })
    }

    /// Descriptors in each table.
    #[must_use]
    pub const fn per_table(&self) -> u16 {
        self.per_table
    }

    /// Slots that have a table.
    pub(super) const fn size(&self) -> QueueSize {
        self.size
    }

    /// Writes descriptor `entry` of the table of `slot`. What lies beyond the tables is ignored.
    #[inline]
    pub(super) fn write_descriptor(&mut self, slot: u16, entry: u16, descriptor: Descriptor) {
        if entry >= self.per_table || slot >= self.size.get() {
            return;
        }
        let offset = self
            .offset(slot)
            .wrapping_add(usize::from(entry).wrapping_mul(DESCRIPTOR_LEN));
        // SAFETY: `slot` and `entry` are checked, so the descriptor lies in the region (invariant).
        let at = unsafe { self.region.va().byte_add(offset) }.cast::<Descriptor>();
        // SAFETY: in bounds and aligned to 16 bytes; only this queue's owner writes the tables.
        unsafe { descriptor.store(at) };
    }

    /// The first `count` descriptors of the table of `slot`, as the device reads them.
    #[inline]
    pub(super) fn segment(&self, slot: u16, count: u16) -> Segment {
        let address = self
            .region
            .device_address()
            .wrapping_add(self.offset(slot) as u64);
        let len = u32::from(count).wrapping_mul(DESCRIPTOR_LEN as u32);
        // SAFETY: the table belongs to the slot as long as the slot's buffer is in flight.
        unsafe { Segment::new(address, len) }
    }

    #[inline]
    fn offset(&self, slot: u16) -> usize {
        let table_len = usize::from(self.per_table).wrapping_mul(DESCRIPTOR_LEN);
        usize::from(slot).wrapping_mul(table_len)
    }
}

/// Keeps `tables` if the feature is there that allows them, and they are for a queue of `size`.
pub(super) fn fitting(
    tables: Option<IndirectTables>,
    size: QueueSize,
    negotiated: bool,
) -> Result<Option<IndirectTables>, QueueError> {
    match tables {
        Some(tables) if tables.size() != size => Err(QueueError::TablesOfAnotherSize),
        tables => Ok(tables.filter(|_| negotiated)),
    }
}

/// Whether `region` has the bytes and the alignment, and addresses of 64 bits.
pub(super) fn check(region: &DmaRegion, needed: usize, align: usize) -> Result<(), QueueError> {
    if region.len() < needed {
        return Err(QueueError::TooSmall {
            needed,
            given: region.len(),
        });
    }
    if !region.is_aligned_to(align) || region.wraps() {
        return Err(QueueError::BadAddress);
    }
    Ok(())
}

/// Zeroes the first `len` bytes, eight at a time; `len` is a multiple of a cache line, and the
/// region is aligned to one.
pub(super) fn zero(region: &DmaRegion, len: usize) {
    for offset in (0..len.min(region.len())).step_by(size_of::<u64>()) {
        // SAFETY: below `region.len()`.
        let at = unsafe { region.va().byte_add(offset) }.cast::<u64>();
        // SAFETY: aligned, since the region is; in bounds, since the length is a multiple of 64.
        unsafe { at.write_volatile(0) };
    }
}

/// The first multiple of a cache line from `offset` on.
pub(super) const fn line_after(offset: usize) -> usize {
    offset.saturating_add(CACHE_LINE - 1) & !(CACHE_LINE - 1)
}
