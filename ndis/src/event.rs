//! Events to wait for at PASSIVE_LEVEL, and a lock built on one.

use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr;

use ndis_sys as sys;

use crate::irql::Passive;

/// An event that stays set until it is cleared. Once initialised it must not move.
pub struct Event(UnsafeCell<sys::KEVENT>);

// SAFETY: the kernel synchronises all access to a KEVENT.
unsafe impl Sync for Event {}
// SAFETY: as above; moving is excluded by `initialize`'s contract.
unsafe impl Send for Event {}

impl Event {
    /// A KEVENT that is not initialised yet.
    #[must_use]
    pub const fn uninitialized() -> Self {
        Self(UnsafeCell::new(sys::zeroed()))
    }

    /// Initialises the event in place, set or not. Any IRQL.
    ///
    /// # Safety
    ///
    /// The event has reached its final address, and nobody uses it yet.
    pub unsafe fn initialize(&self, set: bool) {
        // SAFETY: the storage is nonpaged and stays in place, by contract.
        unsafe { sys::KeInitializeEvent(self.0.get(), sys::NotificationEvent, u8::from(set)) };
    }

    /// Sets the event. IRQL <= DISPATCH_LEVEL.
    pub fn set(&self) {
        // SAFETY: initialised, by `initialize`'s contract; Wait is FALSE, so any level up to
        // DISPATCH_LEVEL will do.
        unsafe { sys::KeSetEvent(self.0.get(), 0, 0) };
    }

    /// Clears the event. IRQL <= DISPATCH_LEVEL.
    pub fn clear(&self) {
        // SAFETY: as for `set`.
        unsafe { sys::KeClearEvent(self.0.get()) };
    }

    /// Waits until the event is set.
    pub fn wait(&self, _at: &Passive<'_>) {
        self.wait_for(ptr::null_mut());
    }

    /// Waits until the event is set, at most `milliseconds`. False: it was not.
    pub fn wait_at_most(&self, milliseconds: u32, _at: &Passive<'_>) -> bool {
        // Relative times are negative, in units of 100 ns.
        let mut timeout = i64::from(milliseconds).saturating_mul(-10_000);
        self.wait_for(ptr::from_mut(&mut timeout).cast()) == sys::STATUS_SUCCESS
    }

    fn wait_for(&self, timeout: *mut sys::LARGE_INTEGER) -> sys::NTSTATUS {
        // SAFETY: callers prove PASSIVE_LEVEL; the event is initialised; `timeout` is null or
        // points to a local of the caller.
        unsafe {
            sys::KeWaitForSingleObject(
                self.0.get().cast(),
                sys::Executive,
                sys::KernelMode,
                0,
                timeout,
            )
        }
    }
}

/// A lock for code at PASSIVE_LEVEL that may wait while it holds it.
///
/// Who holds it is in a critical region: normal kernel APCs are held off, and with them the suspension of the
/// thread, which may be a program's (Microsoft Learn, KeEnterCriticalRegion).
pub struct PassiveLock<T> {
    free: UnsafeCell<sys::KEVENT>,
    value: UnsafeCell<T>,
}

// SAFETY: the synchronisation event lets one thread at a time reach `value`.
unsafe impl<T: Send> Sync for PassiveLock<T> {}
// SAFETY: an unlocked lock is a plain value; moving ends with `initialize`.
unsafe impl<T: Send> Send for PassiveLock<T> {}

impl<T> PassiveLock<T> {
    /// A lock that is not initialised yet.
    pub const fn uninitialized(value: T) -> Self {
        Self {
            free: UnsafeCell::new(sys::zeroed()),
            value: UnsafeCell::new(value),
        }
    }

    /// Initialises the lock in place, free.
    ///
    /// # Safety
    ///
    /// The lock has reached its final address, and nobody uses it yet.
    pub unsafe fn initialize(&self) {
        // SAFETY: the storage is nonpaged and stays in place, by contract.
        unsafe { sys::KeInitializeEvent(self.free.get(), sys::SynchronizationEvent, 1) };
    }

    /// Waits for the lock. Not recursive.
    pub fn lock<'a>(&'a self, _at: &Passive<'_>) -> PassiveGuard<'a, T> {
        // SAFETY: the token proves PASSIVE_LEVEL; a wait without time-out ends with the event. The
        // guard ends the critical region.
        unsafe {
            sys::KeEnterCriticalRegion();
            sys::KeWaitForSingleObject(
                self.free.get().cast(),
                sys::Executive,
                sys::KernelMode,
                0,
                ptr::null_mut(),
            )
        };
        PassiveGuard(self, PhantomData)
    }
}

/// The right to touch a [`PassiveLock`]'s value.
#[must_use = "the lock is released when the guard is dropped"]
pub struct PassiveGuard<'a, T>(&'a PassiveLock<T>, ThisThread);

/// A critical region is the thread's that entered it.
type ThisThread = PhantomData<*mut ()>;

impl<T> Deref for PassiveGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for PassiveGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard proves that this thread holds the lock.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for PassiveGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: initialised; Wait is FALSE. `lock` entered the region, in this thread.
        unsafe {
            sys::KeSetEvent(self.0.free.get(), 0, 0);
            sys::KeLeaveCriticalRegion();
        }
    }
}
