//! A field that is filled in once, when its owner has reached its final address.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that is made after its owner, because it points back to it.
pub struct Later<T> {
    value: UnsafeCell<Option<T>>,
    filled: AtomicBool,
}

// SAFETY: the value is written once, before `filled` is released, and only read after that.
unsafe impl<T: Send + Sync> Sync for Later<T> {}

impl<T> Later<T> {
    /// No value yet.
    #[must_use]
    pub const fn empty() -> Self {
        Self {
            value: UnsafeCell::new(None),
            filled: AtomicBool::new(false),
        }
    }

    /// Fills the value in.
    ///
    /// # Safety
    ///
    /// Called at most once.
    pub unsafe fn fill(&self, value: T) {
        // SAFETY: nobody reads before `filled` is set, and this is the only write.
        unsafe { *self.value.get() = Some(value) };
        self.filled.store(true, Ordering::Release);
    }

    /// The value, once there is one.
    pub fn get(&self) -> Option<&T> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: filled, so never written again.
        unsafe { (*self.value.get()).as_ref() }
    }
}
