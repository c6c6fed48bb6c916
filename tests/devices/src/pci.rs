//! What a PCI function and the machine around it are to each other.
//!
//! [`PciFunction`] is the function as the host bridge sees it, [`PciHost`] the machine as the
//! function sees it. [`ConfigSpace`] and [`MsixTable`] are the parts that every function needs.
//!
//! A function calls its host from within the calls that the host makes, after it let go of its own
//! state. So the host holds nothing across a call into a function that its own [`PciHost`] methods
//! need, and these only take notes: they never call into a function.

mod config;
mod dma;
mod msix;

pub use config::{Capability, ConfigSpace, HeaderIds, command};
pub use dma::{DmaFault, DmaMap, DmaMemory, direct_memory, translated_memory};
pub use msix::{MsixMessage, MsixTable};

/// What a BAR decodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BarKind {
    /// 64-bit memory; it takes the registers `index` and `index + 1`.
    Memory,
    /// I/O ports; it takes one register.
    Ports,
}

/// A base address register.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bar {
    /// Register that holds the (low half of the) address: 0 to 4 for memory, 0 to 5 for ports.
    pub index: u8,
    /// Bytes, a power of two: at least 16 of memory, at least 4 and at most 256 ports.
    pub size: u64,
    /// What it decodes.
    pub kind: BarKind,
}

impl Bar {
    /// A BAR of memory.
    pub const fn memory(index: u8, size: u64) -> Self {
        Self {
            index,
            size,
            kind: BarKind::Memory,
        }
    }

    /// A BAR of ports.
    pub const fn ports(index: u8, size: u64) -> Self {
        Self {
            index,
            size,
            kind: BarKind::Ports,
        }
    }
}

/// A PCI function.
pub trait PciFunction: Send {
    /// Reads 1, 2 or 4 bytes of configuration space, little endian.
    fn config_read(&mut self, offset: u16, data: &mut [u8]);

    /// Writes 1, 2 or 4 bytes of configuration space, little endian.
    fn config_write(&mut self, offset: u16, data: &[u8]);

    /// Lists the BARs.
    fn bars(&self) -> Vec<Bar>;

    /// Reads 1, 2, 4 or 8 bytes of a BAR. All bits are one while its decoding is off.
    fn bar_read(&mut self, bar: u8, offset: u64, data: &mut [u8]);

    /// Writes 1, 2, 4 or 8 bytes of a BAR.
    fn bar_write(&mut self, bar: u8, offset: u64, data: &[u8]);

    /// Loses what it was told: its power went off, or has just come back.
    fn lose_power(&mut self) {}

    /// Does the work that doorbells and frames asked for.
    ///
    /// The host calls this some time after [`PciHost::wake`]; calls without need are harmless.
    fn process(&mut self);
}

/// The machine that a function is plugged into.
pub trait PciHost: Send + Sync {
    /// An MSI-X message left the function.
    fn message(&self, address: u64, data: u32);

    /// The function drives its interrupt pin, or no longer does. A line is level triggered: it
    /// stays asserted until the function says otherwise.
    fn set_line(&self, asserted: bool);

    /// The function asks for a call of [`PciFunction::process`] soon.
    fn wake(&self);

    /// The guest's memory, which the function reads and writes as a bus master, by the addresses
    /// that its driver gave it.
    fn memory(&self) -> DmaMemory;
}
