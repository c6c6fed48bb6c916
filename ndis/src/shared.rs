//! A reference-counted value whose making may fail, unlike `Arc`'s.

use alloc::boxed::Box;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::memory::{OutOfMemory, try_box};

struct Counted<T> {
    references: AtomicUsize,
    value: T,
}

/// A share in a value that lives, at one address, until its last share is dropped.
pub struct Shared<T>(NonNull<Counted<T>>);

// SAFETY: shares give `&T` only, to any thread, and the last one drops T on any thread.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Makes the first share.
    ///
    /// # Errors
    ///
    /// [`OutOfMemory`]; `value` is dropped then.
    pub fn try_new(value: T) -> Result<Self, OutOfMemory> {
        let counted = try_box(Counted {
            references: AtomicUsize::new(1),
            value,
        })?;
        Ok(Self(NonNull::from(Box::leak(counted))))
    }

    /// Gives up the share as a pointer that a callback's context can carry.
    #[must_use]
    pub fn into_raw(self) -> *mut T {
        let pointer = &raw const self.counted().value;
        core::mem::forget(self);
        pointer.cast_mut()
    }

    /// Takes back a share given up by [`Self::into_raw`].
    ///
    /// # Safety
    ///
    /// `pointer` comes from `into_raw`, and each call of that is matched by at most one of this.
    #[must_use]
    pub unsafe fn from_raw(pointer: *mut T) -> Self {
        let offset = core::mem::offset_of!(Counted<T>, value);
        // SAFETY: `pointer` is the `value` of a live Counted, by contract.
        unsafe { Self(NonNull::new_unchecked(pointer.byte_sub(offset).cast())) }
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: the share keeps the value alive.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        self.counted().references.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.counted().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        if self.counted().references.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: this was the last share, so nobody else can reach the box.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    struct Counts<'a>(&'a Cell<u32>);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn the_last_share_drops_the_value_once() {
        let dropped = Cell::new(0);
        let first = Shared::try_new(Counts(&dropped)).unwrap();
        let second = first.clone();
        drop(first);
        assert_eq!(dropped.get(), 0);
        drop(second);
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn a_share_survives_the_trip_through_a_context_pointer() {
        let shared = Shared::try_new(7u32).unwrap();
        let raw = shared.clone().into_raw();
        // SAFETY: `raw` is the share given up in the line above.
        let back = unsafe { Shared::from_raw(raw) };
        assert_eq!((*shared, *back), (7, 7));
    }
}
