//! The drivers that are compared. Each has a sender and a receiver for one queue.

#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod floor_packed;
pub mod floor_split;
pub mod netkvm;
pub mod virtio_drivers;

use std::cell::Cell;
use std::rc::Rc;

/// One direction of a driver.
pub trait Driver {
    /// What is measured. A sender takes back all that the device has sent, and sends `batch` packets;
    /// a receiver takes up to `batch` packets and lends their buffers again. Returns how many
    /// packets that was.
    fn turn(&mut self, batch: u32) -> u32;

    /// What has to be done before a turn and does not belong to the ring.
    fn before(&mut self, _batch: u32) {}

    /// The same after a turn.
    fn after(&mut self) {}
}

/// A doorbell: counts how often it rings.
#[derive(Clone, Debug, Default)]
pub struct Bell(Rc<Cell<u64>>);

impl Bell {
    /// Rings it.
    #[inline]
    pub fn ring(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// How often it rang.
    #[must_use]
    pub fn rings(&self) -> u64 {
        self.0.get()
    }
}
