//! How the driver talks to the device besides the queues: PCI so far.
//!
//! A further transport (there is MMIO) would sit beside [`pci`] and offer the same steps to
//! [`bring_up`](crate::bring_up).

pub mod legacy_layout;
pub mod pci;
