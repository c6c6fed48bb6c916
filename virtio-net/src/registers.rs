//! How this crate reaches a PCI function: the trait that the caller implements.

/// A place in one of the function's BARs, be it of memory or of I/O ports.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct RegisterAddress {
    /// Base address register, `0..=5`. A 64-bit BAR goes by its lower number.
    pub bar: u8,
    /// Bytes from the start of the BAR.
    pub offset: u32,
}

impl RegisterAddress {
    /// The address `bytes` further on, or `None` where the 32-bit offset ends.
    #[must_use]
    pub const fn checked_add(self, bytes: u32) -> Option<Self> {
        match self.offset.checked_add(bytes) {
            Some(offset) => Some(Self {
                bar: self.bar,
                offset,
            }),
            None => None,
        }
    }

    /// The address `bytes` further on, inside a structure whose end is known to be addressable.
    #[must_use]
    pub(crate) const fn within(self, bytes: u32) -> Self {
        Self {
            bar: self.bar,
            offset: self.offset.wrapping_add(bytes),
        }
    }
}

/// Access to one PCI function: its configuration space and its BARs.
///
/// Every method is one access of exactly its width (virtio 1.2, 4.1.3.1); values are in the byte
/// order of the CPU. 64-bit fields are written as two 32-bit halves by this crate.
///
/// # Implementing
///
/// * A BAR may be of memory or of I/O ports: a device may put any structure into either, and the
///   legacy interface is always in ports. The implementation knows which is which, and accesses
///   ports as the platform does (`in` and `out` on x86-64, a mapped window elsewhere).
/// * A read of a function that is gone answers all ones, as the bus does; it must not fault.
/// * An address outside the mapped BARs reads as all ones, and a write there does nothing. This
///   crate passes only addresses inside the BAR sizes that it was given.
/// * A register write becomes visible to the device after all memory writes before it. A plain
///   store to uncached memory has that property on x86-64; on AArch64 a store barrier comes first.
/// * Methods take `&self` since doorbells ring from several CPUs at once.
pub trait Registers {
    /// Reads a byte of configuration space.
    fn config_read8(&self, offset: u16) -> u8;
    /// Reads two bytes of configuration space; `offset` is even.
    fn config_read16(&self, offset: u16) -> u16;
    /// Reads four bytes of configuration space; `offset` is a multiple of four.
    fn config_read32(&self, offset: u16) -> u32;

    /// Reads an 8-bit register.
    fn read8(&self, at: RegisterAddress) -> u8;
    /// Reads a 16-bit register; the offset is even.
    fn read16(&self, at: RegisterAddress) -> u16;
    /// Reads a 32-bit register; the offset is a multiple of four.
    fn read32(&self, at: RegisterAddress) -> u32;

    /// Writes an 8-bit register.
    fn write8(&self, at: RegisterAddress, value: u8);
    /// Writes a 16-bit register; the offset is even.
    fn write16(&self, at: RegisterAddress, value: u16);
    /// Writes a 32-bit register; the offset is a multiple of four.
    fn write32(&self, at: RegisterAddress, value: u32);
}

/// Writes to a function's configuration space, for
/// [`ConfigWindow`](crate::transport::pci::window::ConfigWindow) alone.
///
/// Every method is one access of exactly its width, as in [`Registers`].
pub trait ConfigWrite {
    /// Writes a byte of configuration space.
    fn config_write8(&self, offset: u16, value: u8);
    /// Writes two bytes of configuration space; `offset` is even.
    fn config_write16(&self, offset: u16, value: u16);
    /// Writes four bytes of configuration space; `offset` is a multiple of four.
    fn config_write32(&self, offset: u16, value: u32);
}
