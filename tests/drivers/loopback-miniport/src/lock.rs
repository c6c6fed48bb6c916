//! A spin lock with what it protects.

use core::cell::UnsafeCell;

use ndis_sys::{KSPIN_LOCK, KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};

/// State that one CPU at a time may see. IRQL <= DISPATCH_LEVEL.
pub(crate) struct Locked<T> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: `with` lets one CPU in at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Unlocked state. A spin lock is free when it is zero.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            lock: UnsafeCell::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `body` with the lock held. It must not call NDIS.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: at or below DISPATCH_LEVEL, as all our callers are; the lock is nonpaged.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        // SAFETY: the lock is held, so this is the only reference.
        let result = body(unsafe { &mut *self.value.get() });
        // SAFETY: taken above, and its level with it.
        unsafe { KeReleaseSpinLock(self.lock.get(), irql) };
        result
    }
}
