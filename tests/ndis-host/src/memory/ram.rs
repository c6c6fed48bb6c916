//! The mapping behind guest memory, and which blocks of it are in use.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::NonNull;

use anyhow::Context;
use buddy_system_allocator::FrameAllocator;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use super::PHYSICAL_BASE;

/// The mapping.
pub(super) struct Ram {
    pub(super) guest: GuestMemoryMmap,
    base: usize,
    len: usize,
}

impl Ram {
    /// Maps `len` bytes of a new memory file, from `low` on.
    pub(super) fn map(low: usize, len: usize) -> anyhow::Result<Self> {
        let whole = low.checked_add(len).context("size")?;
        let file = memory_file(whole).context("memory file")?;
        let start = GuestAddress(PHYSICAL_BASE);
        let range = (start, len, Some(FileOffset::new(file, low as u64)));
        let guest = GuestMemoryMmap::from_ranges_with_files([range]).context("mapping")?;
        let base = guest.get_host_address(start).context("host address")? as usize;
        Ok(Self { guest, base, len })
    }

    /// The host addresses of memory.
    pub(super) fn range(&self) -> Range<usize> {
        self.base..self.base + self.len
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Where in memory a host address is.
    pub(super) fn offset(&self, va: *const u8) -> Option<usize> {
        va.addr()
            .checked_sub(self.base)
            .filter(|offset| *offset < self.len)
    }

    /// The host address at an offset.
    pub(super) fn pointer(&self, offset: usize) -> Option<NonNull<u8>> {
        let inside = offset < self.len;
        inside
            .then(|| NonNull::new((self.base + offset) as *mut u8))
            .flatten()
    }
}

fn memory_file(len: usize) -> std::io::Result<File> {
    // SAFETY: the name is a constant C string.
    let fd = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call above returned a new descriptor, which nobody else owns.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.set_len(len as u64)?;
    Ok(file)
}

/// Unit of allocation: a cache line, so that no two blocks share one.
const GRANULE: usize = 64;

/// Freed blocks of one size that are kept for the next request instead of being merged.
const KEPT: usize = 64;

/// Which blocks are in use.
pub(super) struct Blocks {
    buddies: FrameAllocator<33>,
    /// Size of each block in use, in granules, by its first granule.
    in_use: BTreeMap<usize, usize>,
    /// Freed blocks by the logarithm of their size in granules: merging and splitting the same
    /// block again and again would cost more than all else.
    kept: Vec<Vec<usize>>,
    granules_in_use: usize,
}

impl Blocks {
    pub(super) fn new(len: usize) -> Self {
        let mut buddies = FrameAllocator::new();
        buddies.add_frame(0, len / GRANULE);
        let kept = vec![Vec::new(); usize::BITS as usize];
        Self {
            buddies,
            in_use: BTreeMap::new(),
            kept,
            granules_in_use: 0,
        }
    }

    /// Finds a block; returns its offset.
    pub(super) fn allocate(&mut self, len: usize, align: usize) -> Option<usize> {
        let size = granules(len, align)?;
        let granule = match self.kept[order(size)].pop() {
            Some(granule) => granule,
            None => self.split_off(size)?,
        };
        self.in_use.insert(granule, size);
        self.granules_in_use += size;
        Some(granule * GRANULE)
    }

    fn split_off(&mut self, size: usize) -> Option<usize> {
        self.buddies.alloc(size).or_else(|| {
            self.merge_kept();
            self.buddies.alloc(size)
        })
    }

    fn merge_kept(&mut self) {
        for (order, kept) in self.kept.iter_mut().enumerate() {
            for granule in kept.drain(..) {
                self.buddies.dealloc(granule, 1 << order);
            }
        }
    }

    /// Frees the block at an offset.
    pub(super) fn free(&mut self, offset: usize, len: usize, align: usize) {
        let granule = offset / GRANULE;
        let size = self.in_use.remove(&granule);
        assert_eq!(
            size,
            granules(len, align),
            "no block of {len} bytes at offset {offset:#x}"
        );
        let size = size.expect("equal to a size");
        self.granules_in_use -= size;
        let kept = &mut self.kept[order(size)];
        if kept.len() < KEPT {
            kept.push(granule);
        } else {
            self.buddies.dealloc(granule, size);
        }
    }

    pub(super) fn bytes_in_use(&self) -> usize {
        self.granules_in_use * GRANULE
    }
}

/// Size of the block for a request, in granules: a power of two that covers size and alignment,
/// because a block is aligned to its own size.
fn granules(len: usize, align: usize) -> Option<usize> {
    let layout = Layout::from_size_align(len.max(1), align).ok()?;
    let bytes = layout.size().max(layout.align());
    Some(bytes.div_ceil(GRANULE).next_power_of_two())
}

fn order(size: usize) -> usize {
    size.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let mut blocks = Blocks::new(1 << 20);
        let requests = [
            (1, 1),
            (100, 16),
            (5000, 4096),
            (64, 64),
            (1514, 8),
            (200, 256),
        ];

        let mut places: Vec<(usize, usize)> = requests
            .iter()
            .map(|&(len, align)| {
                let offset = blocks.allocate(len, align).unwrap();
                assert_eq!(offset % align, 0);
                (offset, len)
            })
            .collect();

        places.sort_unstable();
        for pair in places.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn all_memory_can_be_had_again_after_it_was_freed_in_small_blocks() {
        let mut blocks = Blocks::new(1 << 20);
        let small: Vec<usize> = std::iter::from_fn(|| blocks.allocate(64, 64)).collect();
        assert_eq!(small.len(), (1 << 20) / 64);

        for offset in small {
            blocks.free(offset, 64, 64);
        }

        assert_eq!(blocks.bytes_in_use(), 0);
        assert_eq!(blocks.allocate(1 << 20, 4096), Some(0));
    }

    #[test]
    fn a_request_beyond_all_memory_is_refused() {
        let mut blocks = Blocks::new(1 << 20);
        assert_eq!(blocks.allocate((1 << 20) + 1, 1), None);
        assert_eq!(blocks.allocate(usize::MAX, 4096), None);
    }

    #[test]
    #[should_panic(expected = "no block of 100 bytes")]
    fn freeing_with_another_size_is_noticed() {
        let mut blocks = Blocks::new(1 << 20);
        let offset = blocks.allocate(5000, 8).unwrap();
        blocks.free(offset, 100, 8);
    }
}
