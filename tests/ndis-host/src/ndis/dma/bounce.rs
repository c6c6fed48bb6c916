//! Mapping of memory for a device: directly, or by way of a bounce buffer with guards.
//!
//! A bus whose device can't reach a page copies it, and so does Driver Verifier with DMA
//! verification: then device and CPU see each other's data only when the mapping ends, and what
//! was written beside the buffer is found out.

use std::ptr::NonNull;

use crate::memory::{self, PAGE_SIZE};
use crate::ndis::node::{DeviceNode, DmaAccess};
use crate::sched;
use crate::verifier;

/// Bytes before and behind a bounce buffer that nobody may write.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xfb;
/// One in so many pieces of memory is bounced.
const ONE_IN: u64 = 6;

/// A contiguous piece of memory that a device may reach.
pub(super) struct Mapping {
    /// Logical address and bytes: what the device is told.
    pub(super) logical: u64,
    pub(super) len: u32,
    bounce: Option<Bounce>,
}

struct Bounce {
    /// The memory that the driver asked to have mapped.
    original: usize,
    block: NonNull<u8>,
    /// Bytes before the data, the guard among them: the place inside of a page stays.
    before: usize,
}

// SAFETY: the block is plain memory; the baton orders its users.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps `len` bytes at `original`, which are at `physical`.
    pub(super) fn new(
        node: &dyn DeviceNode,
        original: *mut u8,
        physical: u64,
        len: u32,
        access: DmaAccess,
    ) -> Self {
        let bounce = if sched::chance(ONE_IN) {
            Bounce::new(original, len as usize)
        } else {
            None
        };
        let physical = bounce.as_ref().map_or(physical, Bounce::physical);
        Self {
            logical: node.map_dma(physical, len as usize, access),
            len,
            bounce,
        }
    }

    /// Whether `next` continues this mapping, so that one element may describe both.
    pub(super) fn touches(&self, next: &Self) -> bool {
        self.logical + u64::from(self.len) == next.logical
    }

    /// Ends the mapping; with `is_written` the device's data goes to where it belongs.
    pub(super) fn end(self, node: &dyn DeviceNode, is_written: bool, call: &str) {
        node.unmap_dma(self.logical, self.len as usize);
        if let Some(bounce) = self.bounce {
            bounce.end(self.len as usize, is_written, call);
        }
    }
}

impl Bounce {
    /// Copies the memory; `None` when there is none left for that.
    fn new(original: *mut u8, len: usize) -> Option<Self> {
        let before = PAGE_SIZE + original.addr() % PAGE_SIZE;
        let block = memory::allocate(before + len + GUARD, PAGE_SIZE)?;
        // SAFETY: the block is fresh and has room for all; the original is memory of the machine.
        unsafe {
            let data = block.as_ptr().add(before);
            data.sub(GUARD).write_bytes(GUARD_BYTE, GUARD);
            data.copy_from_nonoverlapping(original, len);
            data.add(len).write_bytes(GUARD_BYTE, GUARD);
        }
        Some(Self {
            original: original.expose_provenance(),
            block,
            before,
        })
    }

    fn physical(&self) -> u64 {
        let data = self.block.as_ptr().wrapping_add(self.before);
        memory::physical(data).unwrap_or(0)
    }

    fn end(self, len: usize, is_written: bool, call: &str) {
        let data = self.block.as_ptr().wrapping_add(self.before);
        let original: *mut u8 = std::ptr::with_exposed_provenance_mut(self.original);
        // SAFETY: the block is ours, guards included; the original is the driver's until its list
        // is freed, which is now.
        let intact = unsafe {
            if is_written {
                original.copy_from_nonoverlapping(data, len);
            }
            let guards = [data.sub(GUARD), data.add(len)];
            let is_guard = |at: *mut u8| {
                std::slice::from_raw_parts(at, GUARD)
                    .iter()
                    .all(|byte| *byte == GUARD_BYTE)
            };
            guards.into_iter().all(is_guard)
        };
        verifier::require(149, intact, || {
            format!("{call}: the device wrote beside {len} mapped bytes (0xE6/0F)")
        });
        memory::free(self.block, self.before + len + GUARD, PAGE_SIZE);
    }
}
