//! The device's wish for an announcement (`VIRTIO_NET_S_ANNOUNCE`, virtio 1.2, 5.1.6.5.4).
//!
//! The wish is a bit that stays until it is acknowledged, by a command that takes its time, and it is
//! seen by everybody who looks at the configuration meanwhile. So it is served when it appears, and
//! again when it is there although an acknowledgement was accepted. A device that can't be told, or
//! that refuses to be, is served once.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The least time between two announcements, in milliseconds. Devices leave 50 between theirs
/// (virtio 1.2 names no figure); one that asks without end does not make the guest flood its network.
const LEAST_INTERVAL_MS: u64 = 20;

/// What has become of the device's wishes.
pub(crate) struct Announcing {
    /// The wish has been seen, and nothing said since that it is over.
    is_seen: AtomicBool,
    /// When the last was served, in milliseconds of uptime; 0 for never.
    served_ms: AtomicU64,
}

impl Announcing {
    pub(crate) const fn new() -> Self {
        Self {
            is_seen: AtomicBool::new(false),
            served_ms: AtomicU64::new(0),
        }
    }

    /// Notes whether the device has a wish. True: it is a new one, to be acknowledged. Any level.
    pub(crate) fn is_new(&self, asks: bool) -> bool {
        if asks {
            !self.is_seen.swap(true, Ordering::AcqRel)
        } else {
            self.is_seen.store(false, Ordering::Release);
            false
        }
    }

    /// The device has accepted an acknowledgement: what it asks for from now on is new.
    pub(crate) fn acknowledged(&self) {
        self.is_seen.store(false, Ordering::Release);
    }

    /// Whether it is time for an announcement, which is sent then.
    pub(crate) fn is_time(&self, now_ms: u64) -> bool {
        let last = self.served_ms.load(Ordering::Relaxed);
        if last != 0 && now_ms.saturating_sub(last) < LEAST_INTERVAL_MS {
            return false;
        }
        self.served_ms.store(now_ms.max(1), Ordering::Relaxed);
        true
    }
}
