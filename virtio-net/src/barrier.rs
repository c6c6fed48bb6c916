//! The orderings between the two sides of a queue, named for what they are there for.
//!
//! Without `VIRTIO_F_ORDER_PLATFORM` the device orders its accesses like another CPU of this system
//! (virtio 1.2, 6 "Reserved Feature Bits"), and the orderings between CPUs suffice. With it the
//! device may be hardware, and the barriers are those that the platform has for hardware.
//!
//! | platform | between CPUs | towards hardware |
//! | --- | --- | --- |
//! | x86 | loads and stores in order, full fence | the same: ordinary memory is coherent with devices, whose accesses come in the same order. `sfence` would order write-combining stores, of which there are none |
//! | aarch64 | acquire, release, `dmb ish` | further `dmb osh`: a device lies in the outer shareable domain |
//!
//! Which ones is decided once, when a queue is made: where there is no difference, no code asks.

use core::sync::atomic::{Ordering, fence};

use crate::features::Features;

/// How what publishes buffers is stored: the available index, or the flags of the first descriptor.
///
/// Descriptors and ring entries first (virtio 1.2, 2.7.13.3.1 and 2.8.21.1.1).
pub(crate) const PUBLISH_AVAILABLE: Ordering = Ordering::Release;

/// How what tells of used buffers is loaded: the used index, or the flags of a descriptor.
///
/// Used elements and buffer contents after it (virtio 1.2, 2.7.8.2, where the device has to write
/// them before the index).
pub(crate) const OBSERVE_USED: Ordering = Ordering::Acquire;

/// The barriers of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Barriers {
    platform: bool,
}

impl Barriers {
    /// The barriers that `features`, as negotiated, ask for.
    pub(crate) const fn new(features: Features) -> Self {
        Self {
            platform: features.contains(Features::ORDER_PLATFORM),
        }
    }

    /// Before a store with [`PUBLISH_AVAILABLE`], and part of it.
    #[inline]
    pub(crate) fn before_publishing(self) {
        if self.differ() {
            hardware::stores_before_stores();
        }
    }

    /// Between publishing buffers and reading whether the device wants a notification.
    ///
    /// A store must be seen before a later load, which only the full fence gives (virtio 1.2,
    /// 2.7.13.4.1 and 2.8.21.3.1). Without it the driver could read "do not notify" while the device,
    /// about to sleep, does not see the buffers.
    #[inline]
    pub(crate) fn before_reading_notification_wish(self) {
        self.full();
    }

    /// After a load with [`OBSERVE_USED`], and part of it.
    #[inline]
    pub(crate) fn after_observing_used(self) {
        if self.differ() {
            hardware::loads_before_accesses();
        }
    }

    /// Between asking for interrupts and looking for used buffers once more.
    ///
    /// The mirror image: the device must see the wish, or the driver must see the buffer (virtio 1.2,
    /// 2.7.14 and 2.8.22, the notes on missed notifications).
    #[inline]
    pub(crate) fn before_rechecking_used(self) {
        self.full();
    }

    #[inline]
    fn full(self) {
        if self.differ() {
            hardware::all();
        } else {
            fence(Ordering::SeqCst);
        }
    }

    /// Whether hardware needs more than another CPU does. Known to be false where it never does.
    #[inline]
    const fn differ(self) -> bool {
        hardware::DIFFERS && self.platform
    }
}

/// Barriers of the outer shareable domain.
#[cfg(all(target_arch = "aarch64", not(miri)))]
mod hardware {
    use core::arch::asm;

    pub(super) const DIFFERS: bool = true;

    #[inline]
    pub(super) fn stores_before_stores() {
        // SAFETY: a barrier changes neither registers nor memory.
        unsafe { asm!("dmb oshst", options(nostack, preserves_flags)) };
    }

    #[inline]
    pub(super) fn loads_before_accesses() {
        // SAFETY: a barrier changes neither registers nor memory.
        unsafe { asm!("dmb oshld", options(nostack, preserves_flags)) };
    }

    #[inline]
    pub(super) fn all() {
        // SAFETY: a barrier changes neither registers nor memory.
        unsafe { asm!("dmb osh", options(nostack, preserves_flags)) };
    }
}

/// No barriers of its own: hardware is ordered with as another CPU is.
#[cfg(not(all(target_arch = "aarch64", not(miri))))]
mod hardware {
    pub(super) const DIFFERS: bool = false;

    pub(super) const fn stores_before_stores() {}
    pub(super) const fn loads_before_accesses() {}
    pub(super) const fn all() {}
}
