//! Spin locks that guard what they protect.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use ndis_sys as sys;

use crate::irql::Dispatch;

/// A value that one CPU at a time may touch, at DISPATCH_LEVEL.
///
/// Never held across a call that hands NET_BUFFER_LISTs, OID requests or status to NDIS: NDIS may
/// come back into the driver from inside such a call (Microsoft Learn,
/// "NdisMSendNetBufferListsComplete").
pub struct SpinLock<T> {
    lock: UnsafeCell<sys::KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: the kernel's spin lock lets one CPU at a time reach `value`, which may move between
// CPUs since it is Send.
unsafe impl<T: Send> Sync for SpinLock<T> {}
// SAFETY: an unlocked lock is a plain value.
unsafe impl<T: Send> Send for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock. A KSPIN_LOCK is initialised by setting it to zero (Microsoft Learn,
    /// "KeInitializeSpinLock"; the header's inline does no more).
    pub const fn new(value: T) -> Self {
        Self {
            lock: UnsafeCell::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for the lock at IRQL <= DISPATCH_LEVEL and raises to DISPATCH_LEVEL until the guard
    /// is dropped.
    ///
    /// # Safety
    ///
    /// The current level is at or below DISPATCH_LEVEL, and this CPU doesn't hold the lock. Guards
    /// are dropped in the reverse order of their making.
    pub unsafe fn lock(&self) -> SpinGuard<'_, T> {
        // SAFETY: the lock word lives as long as `self`; the level is right by contract.
        let old = unsafe { sys::KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        SpinGuard {
            lock: self,
            old: Some(old),
            on_this_cpu: PhantomData,
        }
    }

    /// Waits for the lock at DISPATCH_LEVEL.
    ///
    /// # Safety
    ///
    /// This CPU doesn't hold the lock.
    pub unsafe fn lock_at<'a>(&'a self, _at: Dispatch<'a>) -> SpinGuard<'a, T> {
        // SAFETY: the token proves the level; the lock word lives as long as `self`.
        unsafe { sys::KeAcquireSpinLockAtDpcLevel(self.lock.get()) };
        SpinGuard {
            lock: self,
            old: None,
            on_this_cpu: PhantomData,
        }
    }
}

/// The right to touch a [`SpinLock`]'s value.
#[must_use = "the lock is released when the guard is dropped"]
pub struct SpinGuard<'a, T> {
    lock: &'a SpinLock<T>,
    /// The level to go back to, when taking the lock raised it.
    old: Option<sys::KIRQL>,
    on_this_cpu: PhantomData<*mut ()>,
}

impl<T> Deref for SpinGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this CPU holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for SpinGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this CPU holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for SpinGuard<'_, T> {
    fn drop(&mut self) {
        let lock = self.lock.lock.get();
        match self.old {
            // SAFETY: `old` is what taking this lock returned, and the lock is still held.
            Some(old) => unsafe { sys::KeReleaseSpinLock(lock, old) },
            // SAFETY: the lock was taken at DISPATCH_LEVEL, where we still are.
            None => unsafe { sys::KeReleaseSpinLockFromDpcLevel(lock) },
        }
    }
}
