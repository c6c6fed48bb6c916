//! The orderings between the two sides of a queue, named for what they are there for.
//!
//! `VIRTIO_F_ORDER_PLATFORM` is not negotiated, so the device orders its accesses like another CPU
//! of this system (virtio 1.2, 6 "Reserved Feature Bits") and the CPU's own fences suffice.

use core::sync::atomic::{Ordering, fence};

/// Between publishing the available index and reading whether the device wants a notification.
///
/// A store must be seen before a later load, which only the full fence gives (virtio 1.2,
/// 2.7.13.4.1). Without it the driver could read "do not notify" while the device, about to sleep,
/// reads the old index.
#[inline]
pub(crate) fn before_reading_notification_wish() {
    fence(Ordering::SeqCst);
}

/// Between asking for interrupts and looking for used buffers once more.
///
/// The mirror image: the device must see the wish, or the driver must see the buffer (virtio 1.2,
/// 2.7.14, the note on missed notifications).
#[inline]
pub(crate) fn before_rechecking_used() {
    fence(Ordering::SeqCst);
}

/// How the available index is stored: descriptors and ring entries first (virtio 1.2, 2.7.13.3.1).
pub(crate) const PUBLISH_AVAILABLE: Ordering = Ordering::Release;

/// How the used index is loaded: used elements and buffer contents after it (virtio 1.2, 2.7.8.2,
/// where the device has to write them before the index).
pub(crate) const OBSERVE_USED: Ordering = Ordering::Acquire;
