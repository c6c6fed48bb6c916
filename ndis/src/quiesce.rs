//! Waiting, at the end of an object's life, for callbacks that may still be due or running.

use crate::event::Event;
use crate::irql::Passive;
use crate::lock::SpinLock;

struct Count {
    pending: u32,
    stopped: bool,
}

/// Counts callbacks from the moment they are asked for until they are finished. Must not move
/// once initialised.
pub(crate) struct Quiesce {
    count: SpinLock<Count>,
    idle: Event,
}

impl Quiesce {
    pub(crate) const fn uninitialized() -> Self {
        Self {
            count: SpinLock::new(Count {
                pending: 0,
                stopped: false,
            }),
            idle: Event::uninitialized(),
        }
    }

    /// # Safety
    ///
    /// As for [`Event::initialize`].
    pub(crate) unsafe fn initialize(&self) {
        // SAFETY: passed on.
        unsafe { self.idle.initialize(true) };
    }

    /// Announces a callback; false: it is too late for one. IRQL <= DISPATCH_LEVEL.
    pub(crate) fn begin(&self) -> bool {
        // SAFETY: timers and work are asked for at IRQL <= DISPATCH_LEVEL; a leaf lock.
        let mut count = unsafe { self.count.lock() };
        if count.stopped {
            return false;
        }
        count.pending = count.pending.saturating_add(1);
        self.idle.clear();
        true
    }

    /// A callback is finished, or will not come: the caller's last touch of the object.
    pub(crate) fn end(&self) {
        // SAFETY: as for `begin`.
        let mut count = unsafe { self.count.lock() };
        count.pending = count.pending.saturating_sub(1);
        if count.pending == 0 {
            self.idle.set();
        }
    }

    /// Lets no new callback begin.
    pub(crate) fn stop(&self) {
        // SAFETY: as for `begin`.
        unsafe { self.count.lock() }.stopped = true;
    }

    /// Waits until the last announced callback is finished.
    pub(crate) fn wait(&self, at: &Passive<'_>) {
        self.idle.wait(at);
        // Who set the event may still hold the lock; after this they are done with the object.
        // SAFETY: the token proves PASSIVE_LEVEL.
        drop(unsafe { self.count.lock() });
    }
}
