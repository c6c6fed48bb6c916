//! What a PCI function and the machine around it are to each other.
//!
//! [`PciFunction`] is the function as the host bridge sees it, [`PciHost`] the machine as the
//! function sees it. [`ConfigSpace`] and [`MsixTable`] are the parts that every function needs.
//!
//! A function calls its host from within the calls that the host makes, after it let go of its own
//! state. So the host holds nothing across a call into a function that its own [`PciHost`] methods
//! need, and these only take notes: they never call into a function.

mod config;
mod msix;

pub use config::{Capability, ConfigSpace, HeaderIds, command};
pub use msix::{MsixMessage, MsixTable};

use vm_memory::GuestMemoryMmap;

/// A 64-bit memory BAR; it takes the registers `index` and `index + 1`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bar {
    /// Register that holds the low half, 0 to 4.
    pub index: u8,
    /// Bytes, a power of two of at least 16.
    pub size: u64,
}

/// A PCI function.
pub trait PciFunction: Send {
    /// Reads 1, 2 or 4 bytes of configuration space, little endian.
    fn config_read(&mut self, offset: u16, data: &mut [u8]);

    /// Writes 1, 2 or 4 bytes of configuration space, little endian.
    fn config_write(&mut self, offset: u16, data: &[u8]);

    /// Lists the memory BARs.
    fn bars(&self) -> Vec<Bar>;

    /// Reads 1, 2, 4 or 8 bytes of a BAR. All bits are one while memory decoding is off.
    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]);

    /// Writes 1, 2, 4 or 8 bytes of a BAR.
    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]);

    /// Does the work that doorbells and frames asked for.
    ///
    /// The host calls this some time after [`PciHost::wake`]; calls without need are harmless.
    fn process(&mut self);
}

/// The machine that a function is plugged into.
pub trait PciHost: Send + Sync {
    /// An MSI-X message left the function.
    fn message(&self, address: u64, data: u32);

    /// The function asks for a call of [`PciFunction::process`] soon.
    fn wake(&self);

    /// The guest's memory, which the function reads and writes as a bus master.
    fn memory(&self) -> GuestMemoryMmap;
}
