//! Registers through configuration space, for BARs that cannot be reached otherwise
//! (virtio 1.2, 4.1.4.9).
//!
//! A device has a window there: who writes a BAR, an offset and a width into a capability finds
//! that register in the capability's last field. It is slow, and takes several accesses that must not
//! be mixed with those of another CPU, but it works where a BAR has no address, is not mapped, or
//! is not decoded.

use core::mem::offset_of;

use virtio_spec::pci::{Cap, CapCfgType, CfgCap};

use super::capabilities::{CAPABILITY_ID_VENDOR, LayoutError, Structure, read_len};
use super::chain;
use crate::registers::{ConfigWrite, RegisterAddress, Registers};

/// What a BAR that the window reaches is taken to have: all that an offset can address.
const WINDOW_LEN: u64 = 1 << 32;

/// A lock that keeps accesses apart. The caller brings it, since what a lock has to do depends on
/// where its takers run: doorbells ring, and interrupts are told apart, at any level.
pub trait Exclusive {
    /// Runs `access` while nobody else runs another through this value.
    fn exclusively<T>(&self, access: impl FnOnce() -> T) -> T;
}

/// [`Registers`] that reach mapped BARs as those below do, and the others through the window.
#[derive(Debug)]
pub struct ConfigWindow<R, L> {
    registers: R,
    lock: L,
    /// Where the capability starts.
    at: u16,
    reach: [u64; 6],
    direct: [bool; 6],
}

impl<R: Registers + ConfigWrite, L: Exclusive> ConfigWindow<R, L> {
    /// Finds the window of a function whose `bars` are mapped to these lengths, 0 where they are
    /// not.
    ///
    /// # Errors
    ///
    /// The function has no window, or its capabilities are broken; `registers` is dropped then.
    pub fn find(registers: R, lock: L, bars: &[u64; 6]) -> Result<Self, LayoutError> {
        let mut window = None;
        chain::walk(&registers, |at, id| {
            let kind = u16::from(at).wrapping_add(offset_of!(Cap, cfg_type) as u16);
            if id == CAPABILITY_ID_VENDOR && window.is_none() {
                let kind = CapCfgType::from(registers.config_read8(kind));
                if kind == CapCfgType::Pci {
                    read_len(&registers, at, size_of::<CfgCap>())?;
                    window = Some(u16::from(at));
                }
            }
            Ok(())
        })?;
        let at = window.ok_or(LayoutError::Missing(Structure::Window))?;
        Ok(Self {
            registers,
            lock,
            at,
            reach: bars.map(|len| if len == 0 { WINDOW_LEN } else { len }),
            direct: bars.map(|len| len != 0),
        })
    }

    /// What to give to [`PciTransport::open`](super::PciTransport::open): the bytes that each BAR
    /// can be reached by, be it directly or through the window.
    #[must_use]
    pub const fn reach(&self) -> &[u64; 6] {
        &self.reach
    }

    fn is_direct(&self, at: RegisterAddress) -> bool {
        let direct = self.direct.get(usize::from(at.bar));
        direct.copied().unwrap_or(true)
    }

    /// Points the window at `bytes` bytes.
    fn aim(&self, at: RegisterAddress, bytes: u32) {
        let registers = &self.registers;
        registers.config_write8(self.field(offset_of!(Cap, bar)), at.bar);
        registers.config_write32(self.field(offset_of!(Cap, offset)), at.offset);
        registers.config_write32(self.field(offset_of!(Cap, length)), bytes);
    }

    const fn data(&self) -> u16 {
        self.field(offset_of!(CfgCap, pci_cfg_data))
    }

    /// A field of the capability, which lies inside configuration space as a whole.
    const fn field(&self, offset: usize) -> u16 {
        self.at.wrapping_add(offset as u16)
    }
}

macro_rules! accesses {
    ($($read:ident $write:ident $config_read:ident $config_write:ident $int:ty;)*) => {$(
        fn $read(&self, at: RegisterAddress) -> $int {
            if self.is_direct(at) {
                return self.registers.$read(at);
            }
            self.lock.exclusively(|| {
                self.aim(at, size_of::<$int>() as u32);
                self.registers.$config_read(self.data())
            })
        }

        fn $write(&self, at: RegisterAddress, value: $int) {
            if self.is_direct(at) {
                return self.registers.$write(at, value);
            }
            self.lock.exclusively(|| {
                self.aim(at, size_of::<$int>() as u32);
                self.registers.$config_write(self.data(), value);
            });
        }
    )*};
}

impl<R: Registers + ConfigWrite, L: Exclusive> Registers for ConfigWindow<R, L> {
    fn config_read8(&self, offset: u16) -> u8 {
        self.registers.config_read8(offset)
    }

    fn config_read16(&self, offset: u16) -> u16 {
        self.registers.config_read16(offset)
    }

    fn config_read32(&self, offset: u16) -> u32 {
        self.registers.config_read32(offset)
    }

    accesses! {
        read8 write8 config_read8 config_write8 u8;
        read16 write16 config_read16 config_write16 u16;
        read32 write32 config_read32 config_write32 u32;
    }
}
