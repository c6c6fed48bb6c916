//! Nonpaged pool: the global allocator of the driver, and allocations that may fail.
//!
//! A failed allocation is an ordinary event in the kernel. `Box::new` and `Vec::push` can't
//! report one, so the driver allocates through [`try_box`], [`try_vec`] and
//! [`crate::shared::Shared`] only.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

use ndis_sys as sys;

use crate::POOL_TAG;

/// Alignment that the pool gives every block on 64-bit Windows.
const POOL_ALIGNMENT: usize = 16;

/// The kernel's no-execute nonpaged pool as a Rust allocator. IRQL <= DISPATCH_LEVEL.
pub struct NonPagedPool;

// SAFETY: ExAllocatePoolWithTag returns null or a block of the size asked for, aligned to 16
// bytes, that stays ours until ExFreePoolWithTag. Larger alignments are cut out of a larger block
// whose own address is kept in the word before the aligned one.
unsafe impl GlobalAlloc for NonPagedPool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= POOL_ALIGNMENT {
            return allocate(layout.size());
        }
        let Some(padded) = layout.size().checked_add(layout.align()) else {
            return ptr::null_mut();
        };
        let block = allocate(padded);
        if block.is_null() {
            return block;
        }
        // The pool's alignment leaves at least 16 bytes before the next multiple of `align`,
        // or the block is moved up by a whole `align`: room for one pointer either way.
        let skip = layout
            .align()
            .wrapping_sub(block.addr() & layout.align().wrapping_sub(1));
        let aligned = block.wrapping_add(skip);
        // SAFETY: `aligned - 8` lies in the block: `skip` is between 16 and `align`.
        unsafe { aligned.cast::<*mut u8>().wrapping_sub(1).write(block) };
        aligned
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let block = if layout.align() <= POOL_ALIGNMENT {
            pointer
        } else {
            // SAFETY: `alloc` stored the block's address there for layouts like this one.
            unsafe { pointer.cast::<*mut u8>().wrapping_sub(1).read() }
        };
        if cfg!(mutant = "leak_pool") {
            return;
        }
        // SAFETY: `block` came from `allocate` and is freed once, by GlobalAlloc's contract.
        unsafe { sys::ExFreePoolWithTag(block.cast(), POOL_TAG) };
    }
}

fn allocate(bytes: usize) -> *mut u8 {
    // SAFETY: NonPagedPoolNx may be allocated at IRQL <= DISPATCH_LEVEL, which all our callers
    // keep; `bytes` is not zero, by GlobalAlloc's contract.
    unsafe { sys::ExAllocatePoolWithTag(sys::NonPagedPoolNx, bytes, POOL_TAG) }.cast()
}

/// The pool has no more memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

impl From<OutOfMemory> for crate::Failed {
    fn from(_: OutOfMemory) -> Self {
        Self::RESOURCES
    }
}

/// Moves `value` into a block of its own.
///
/// # Errors
///
/// [`OutOfMemory`]; `value` is dropped then.
pub fn try_box<T>(value: T) -> Result<Box<T>, OutOfMemory> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::new(value));
    }
    // SAFETY: the layout has a size.
    let block = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if block.is_null() {
        return Err(OutOfMemory);
    }
    // SAFETY: `block` is valid for one T, and is the allocation that Box<T> frees.
    unsafe {
        block.write(value);
        Ok(Box::from_raw(block))
    }
}

/// Fills a vector with the values that `make` gives for 0..`len`.
///
/// # Errors
///
/// [`OutOfMemory`], or what `make` fails with; values made until then are dropped.
pub fn try_vec<T, E: From<OutOfMemory>>(
    len: usize,
    mut make: impl FnMut(usize) -> Result<T, E>,
) -> Result<Vec<T>, E> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| OutOfMemory)?;
    for index in 0..len {
        values.push(make(index)?);
    }
    Ok(values)
}

/// Appends `value` if there is memory for it.
///
/// # Errors
///
/// [`OutOfMemory`]; the vector is unchanged then.
pub fn try_push<T>(values: &mut Vec<T>, value: T) -> Result<(), OutOfMemory> {
    values.try_reserve(1).map_err(|_| OutOfMemory)?;
    values.push(value);
    Ok(())
}
