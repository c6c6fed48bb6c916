//! What a driver says to NDIS, made safe by ownership.
//!
//! | module | what it turns into a type |
//! |---|---|
//! | [`irql`] | the interrupt level that a piece of code runs at |
//! | [`chain`], [`frame`] | NET_BUFFER_LISTs that somebody lent us and must get back, and the bytes in them |
//! | [`pool`] | NET_BUFFER_LISTs of our own |
//! | [`lock`], [`event`], [`rundown`], [`shared`] | what several CPUs share |
//! | [`timer`], [`work`] | what runs later |
//! | [`dma`], [`mmio`], [`ports`] | what the device sees, and what we see of the device |
//! | [`oid`], [`config`], [`event_log`] | requests, settings, messages to the administrator |
//! | [`control_device`] | a device that programs open |
//! | [`memory`] | nonpaged pool, as the global allocator and as fallible boxes |
//!
//! The kernel never unwinds, so nothing here panics; whatever can fail says so.

#![cfg_attr(not(test), no_std)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

pub mod chain;
pub mod config;
pub mod control_device;
pub mod dma;
pub mod event;
pub mod event_log;
pub mod frame;
pub mod irql;
#[cfg(test)]
mod kernel_for_tests;
pub mod later;
pub mod lock;
pub mod memory;
pub mod mmio;
pub mod oid;
pub mod percpu;
pub mod pool;
pub mod ports;
mod quiesce;
pub mod registry;
pub mod rundown;
pub mod shared;
pub mod time;
pub mod timer;
pub mod turns;
pub mod work;

/// An NDIS status code as an error: anything but `NDIS_STATUS_SUCCESS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub ndis_sys::NDIS_STATUS);

impl Failed {
    /// The failure of an allocation.
    pub const RESOURCES: Self = Self(ndis_sys::NDIS_STATUS_RESOURCES);

    /// Turns a final status into a result. `NDIS_STATUS_PENDING` counts as a failure here: who
    /// may get it looks for it first.
    ///
    /// # Errors
    ///
    /// Every status but `NDIS_STATUS_SUCCESS`.
    pub const fn check(status: ndis_sys::NDIS_STATUS) -> Result<(), Self> {
        if status == ndis_sys::NDIS_STATUS_SUCCESS {
            Ok(())
        } else {
            Err(Self(status))
        }
    }
}

/// Kernel pool tag of everything that this driver allocates ("NKvm" in a pool dump).
pub const POOL_TAG: u32 = u32::from_le_bytes(*b"NKvm");

/// The header of an NDIS structure: its type, the revision that is filled in, and that revision's
/// size (Microsoft Learn, "Specifying NDIS Version Information").
#[must_use]
pub const fn header(kind: u8, revision: u8, size: u16) -> ndis_sys::NDIS_OBJECT_HEADER {
    ndis_sys::NDIS_OBJECT_HEADER {
        Type: kind,
        Revision: revision,
        Size: size,
    }
}
