//! Where data and guards of a pool block are.
//!
//! A block in the ordinary layout has guard bytes on both sides. One in the layout of a special
//! pool ends at a page without access, so that an overrun is noticed where it happens:
//!
//! ```text
//!   ordinary:  | guard (as wide as the alignment: 16, 64, 4096) | data | guard (16 to 31 bytes) |
//!   special:   | guard (to the page) | data | guard (below 16 bytes) | a page without access |
//! ```

use std::collections::BTreeMap;
use std::ptr::NonNull;

use super::pool::{Kind, Request};
use super::{PAGE_SIZE, set_access};
use crate::ntoskrnl;
use crate::sched::BatonCell;

/// Fill around blocks.
const GUARD: u8 = 0xFD;
/// Alignment of pool blocks, and least width of an ordinary guard.
const POOL_ALIGN: usize = 16;
/// Size of a cache line.
const CACHE_LINE: usize = 64;

/// Special blocks that wait for their next use, by their length; the last page of each has no
/// access.
static SPARE: BatonCell<BTreeMap<usize, Vec<usize>>> = BatonCell::new(BTreeMap::new());

/// Where data and guards of a block of some size are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    size: usize,
    align: usize,
    before: usize,
    outer_len: usize,
    is_special: bool,
}

impl Place {
    /// The place of a request. Paged memory always has pages of its own.
    pub(super) fn of(request: &Request, special: bool) -> Option<Self> {
        let align = match request.kind {
            _ if request.size >= PAGE_SIZE => PAGE_SIZE,
            Kind::NonPagedNxCacheAligned => CACHE_LINE,
            Kind::NonPagedNx | Kind::Paged => POOL_ALIGN,
        };
        if special || request.kind == Kind::Paged {
            Self::special(request.size, align)
        } else {
            Self::ordinary(request.size, align)
        }
    }

    fn ordinary(size: usize, align: usize) -> Option<Self> {
        let outer_len = size
            .checked_next_multiple_of(POOL_ALIGN)?
            .checked_add(align)?;
        Some(Self {
            size,
            align,
            before: align,
            outer_len: outer_len.checked_add(POOL_ALIGN)?,
            is_special: false,
        })
    }

    fn special(size: usize, align: usize) -> Option<Self> {
        let pages = size.checked_next_multiple_of(PAGE_SIZE)?;
        Some(Self {
            size,
            align: PAGE_SIZE,
            before: pages - size.next_multiple_of(align),
            outer_len: pages.checked_add(PAGE_SIZE)?,
            is_special: true,
        })
    }

    /// Memory for a block, guards included; `None` when there is none.
    pub(super) fn allocate(&self) -> Option<NonNull<u8>> {
        if !self.is_special {
            return super::allocate(self.outer_len, self.align);
        }
        let spare = SPARE.with(|spare| spare.get_mut(&self.outer_len)?.pop());
        if let Some(outer) = spare {
            return NonNull::new(std::ptr::with_exposed_provenance_mut(outer));
        }
        let outer = super::allocate(self.outer_len, self.align).or_else(|| {
            free_spare();
            super::allocate(self.outer_len, self.align)
        })?;
        set_access(self.guard_page(outer), PAGE_SIZE, libc::PROT_NONE);
        Some(outer)
    }

    /// Gives the memory of a block back.
    pub(super) fn free(&self, outer: NonNull<u8>) {
        if self.is_special {
            let outer = outer.as_ptr().expose_provenance();
            ntoskrnl::forget_locks(outer, self.outer_len);
            SPARE.with(|spare| spare.entry(self.outer_len).or_default().push(outer));
        } else {
            super::free(outer, self.outer_len, self.align);
        }
    }

    fn guard_page(&self, outer: NonNull<u8>) -> usize {
        outer.addr().get() + self.outer_len - PAGE_SIZE
    }

    /// Whether the block is one of the special pool.
    pub(super) fn is_special(&self) -> bool {
        self.is_special
    }

    /// The pages of the data of a special block, and their length.
    pub(super) fn pages(&self, data: NonNull<u8>) -> (usize, usize) {
        let start = self.outer(data).addr().get();
        (start, self.outer_len - PAGE_SIZE)
    }

    /// Whether an address is in the page without access behind a special block.
    pub(super) fn guards(&self, data: usize, address: usize) -> bool {
        let end = data - self.before + self.outer_len;
        self.is_special && (end - PAGE_SIZE..end).contains(&address)
    }

    fn after(&self) -> usize {
        let without_access = if self.is_special { PAGE_SIZE } else { 0 };
        self.outer_len - without_access - self.before - self.size
    }

    /// The data in a block.
    pub(super) fn data(&self, outer: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: `before` is below `outer_len`, which is the size of the allocation.
        unsafe { outer.add(self.before) }
    }

    /// The block around some data.
    pub(super) fn outer(&self, data: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: the data starts `before` bytes into the allocation.
        unsafe { data.sub(self.before) }
    }

    fn end(&self, data: NonNull<u8>) -> NonNull<u8> {
        // SAFETY: the data is followed by a guard in the same allocation.
        unsafe { data.add(self.size) }
    }

    /// Fills what is around the data.
    pub(super) fn fill_guards(&self, outer: NonNull<u8>) {
        fill(outer, self.before, GUARD);
        fill(self.end(self.data(outer)), self.after(), GUARD);
    }

    /// Offset from the data of the first guard byte that was changed.
    pub(super) fn damage(&self, data: NonNull<u8>) -> Option<isize> {
        let before = first_difference(self.outer(data), self.before, GUARD)
            .map(|offset| offset as isize - self.before as isize);
        before.or_else(|| {
            let after = first_difference(self.end(data), self.after(), GUARD)?;
            Some((self.size + after) as isize)
        })
    }
}

/// Gives spare special blocks back, for other uses.
fn free_spare() {
    let spare = SPARE.with(std::mem::take);
    for (outer_len, blocks) in spare {
        for outer in blocks {
            let guard = outer + outer_len - PAGE_SIZE;
            set_access(guard, PAGE_SIZE, libc::PROT_READ | libc::PROT_WRITE);
            let outer = NonNull::new(std::ptr::with_exposed_provenance_mut(outer));
            super::free(outer.expect("a block is in memory"), outer_len, PAGE_SIZE);
        }
    }
}

/// Fills a part of a block.
pub(super) fn fill(start: NonNull<u8>, len: usize, value: u8) {
    // SAFETY: callers name a part of one block of guest memory that no one else uses now.
    unsafe { start.as_ptr().write_bytes(value, len) }
}

/// Offset of the first byte in a part of a block that is not `value`.
pub(super) fn first_difference(start: NonNull<u8>, len: usize, value: u8) -> Option<usize> {
    // SAFETY: callers name a part of one block of guest memory that no one else uses now.
    let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), len) };
    bytes.iter().position(|byte| *byte != value)
}
