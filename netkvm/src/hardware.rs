//! The function's BARs and PCI configuration space, as the virtio core wants them.

use ndis::Failed;
use ndis::mmio::Bar;
use ndis::ports::Ports;
use ndis_sys as sys;
use virtio_net::registers::{RegisterAddress, Registers};

/// Configuration space, for NdisMGetBusData.
const CONFIG_SPACE: u32 = sys::PCI_WHICHSPACE_CONFIG;
/// Where the six base address registers are.
const FIRST_BAR: u16 = 0x10;

/// What a base address register with its lowest bit set stands for (PCI 3.0, 6.2.5.1).
const IS_PORTS: u32 = 1;

/// The BARs of an adapter, as far as the system gave it their memory and ports.
pub(crate) struct Bars {
    miniport: sys::NDIS_HANDLE,
    bars: [Option<Mapped>; 6],
}

enum Mapped {
    Memory(Bar),
    Ports(Ports),
}

// SAFETY: the handle may be used on any CPU.
unsafe impl Send for Bars {}
// SAFETY: as above.
unsafe impl Sync for Bars {}

impl Bars {
    /// Maps every resource that one of the function's BARs names.
    ///
    /// # Errors
    ///
    /// NDIS can't map one of memory.
    ///
    /// # Safety
    ///
    /// As for [`Bar::map`] and [`Ports::register`]; `resources` are those of the adapter.
    pub(crate) unsafe fn map(
        miniport: sys::NDIS_HANDLE,
        resources: &[sys::CM_PARTIAL_RESOURCE_DESCRIPTOR],
    ) -> Result<Self, Failed> {
        let mut bars = Self {
            miniport,
            bars: [const { None }; 6],
        };
        let mut wide = false;
        for index in 0u16..6 {
            if core::mem::take(&mut wide) {
                continue;
            }
            let register = FIRST_BAR.saturating_add(index.saturating_mul(4));
            let low = bars.config_read32(register);
            let mapped = if low & IS_PORTS != 0 {
                // SAFETY: by contract.
                unsafe { claim_ports(miniport, resources, low & !0b11) }
            } else {
                wide = low & 0b110 == 0b100;
                let high = if wide {
                    bars.config_read32(register.saturating_add(4))
                } else {
                    0
                };
                let base = u64::from(high) << 32 | u64::from(low & !0xf);
                // SAFETY: by contract.
                unsafe { map_memory(miniport, resources, base)? }
            };
            if let Some(slot) = bars.bars.get_mut(usize::from(index)) {
                *slot = mapped;
            }
        }
        Ok(bars)
    }

    /// The mapped length of each BAR.
    pub(crate) fn lengths(&self) -> [u64; 6] {
        self.bars
            .each_ref()
            .map(|bar| bar.as_ref().map_or(0, |bar| u64::from(bar.len())))
    }

    /// Cuts the device off from memory.
    pub(crate) fn disable_bus_mastering(&self) {
        disable_bus_mastering(self.miniport);
    }

    fn bar(&self, at: RegisterAddress) -> Option<&Mapped> {
        self.bars.get(usize::from(at.bar))?.as_ref()
    }

    fn config<const N: usize>(&self, offset: u16) -> [u8; N] {
        let mut bytes = [0xff; N];
        // SAFETY: the buffer has N bytes; configuration space may be read at any level.
        unsafe {
            sys::NdisMGetBusData(
                self.miniport,
                CONFIG_SPACE,
                u32::from(offset),
                bytes.as_mut_ptr().cast(),
                N as u32,
            );
        }
        bytes
    }
}

/// Maps the memory of the BAR at `base`, unless the system gave us none.
///
/// # Safety
///
/// As for [`Bar::map`].
unsafe fn map_memory(
    miniport: sys::NDIS_HANDLE,
    resources: &[sys::CM_PARTIAL_RESOURCE_DESCRIPTOR],
    base: u64,
) -> Result<Option<Mapped>, Failed> {
    let Some(range) = range(resources, sys::CmResourceTypeMemory, base) else {
        return Ok(None);
    };
    // SAFETY: by contract.
    let bar = unsafe { Bar::map(miniport, range.Start, range.Length)? };
    Ok(Some(Mapped::Memory(bar)))
}

/// Claims the ports of the BAR at `base`, unless the system gave us none. What is in ports is often
/// in memory, too, so going without them is no failure yet (virtio 1.2, 4.1.4).
///
/// # Safety
///
/// As for [`Ports::register`].
unsafe fn claim_ports(
    miniport: sys::NDIS_HANDLE,
    resources: &[sys::CM_PARTIAL_RESOURCE_DESCRIPTOR],
    base: u32,
) -> Option<Mapped> {
    let range = range(resources, sys::CmResourceTypePort, base.into())?;
    // SAFETY: by contract.
    let ports = unsafe { Ports::register(miniport, base, range.Length) };
    ports.ok().map(Mapped::Ports)
}

/// The resource of this type, of memory or of ports, that starts at `base`.
fn range(
    resources: &[sys::CM_PARTIAL_RESOURCE_DESCRIPTOR],
    kind: u8,
    base: u64,
) -> Option<sys::CM_RESOURCE_RANGE> {
    resources.iter().find_map(|resource| {
        if resource.Type != kind {
            return None;
        }
        // SAFETY: memory and ports have the member that any range has.
        let range = unsafe { resource.u.Generic };
        let start = range.Start;
        (start.cast_unsigned() == base).then_some(range)
    })
}

impl Mapped {
    fn len(&self) -> u32 {
        match self {
            Self::Memory(bar) => bar.len(),
            Self::Ports(ports) => ports.len(),
        }
    }
}

macro_rules! accessors {
    ($($read:ident $write:ident $int:ty;)*) => {
        impl Mapped {$(
            fn $read(&self, offset: u32) -> $int {
                match self {
                    Self::Memory(bar) => bar.$read(offset),
                    Self::Ports(ports) => ports.$read(offset),
                }
            }

            fn $write(&self, offset: u32, value: $int) {
                match self {
                    Self::Memory(bar) => bar.$write(offset, value),
                    Self::Ports(ports) => ports.$write(offset, value),
                }
            }
        )*}
    };
}

accessors! {
    read8 write8 u8;
    read16 write16 u16;
    read32 write32 u32;
}

impl Registers for Bars {
    fn config_read8(&self, offset: u16) -> u8 {
        u8::from_le_bytes(self.config(offset))
    }

    fn config_read16(&self, offset: u16) -> u16 {
        u16::from_le_bytes(self.config(offset))
    }

    fn config_read32(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.config(offset))
    }

    fn read8(&self, at: RegisterAddress) -> u8 {
        self.bar(at).map_or(u8::MAX, |bar| bar.read8(at.offset))
    }

    fn read16(&self, at: RegisterAddress) -> u16 {
        self.bar(at).map_or(u16::MAX, |bar| bar.read16(at.offset))
    }

    fn read32(&self, at: RegisterAddress) -> u32 {
        self.bar(at).map_or(u32::MAX, |bar| bar.read32(at.offset))
    }

    fn write8(&self, at: RegisterAddress, value: u8) {
        if let Some(bar) = self.bar(at) {
            bar.write8(at.offset, value);
        }
    }

    fn write16(&self, at: RegisterAddress, value: u16) {
        if let Some(bar) = self.bar(at) {
            bar.write16(at.offset, value);
        }
    }

    fn write32(&self, at: RegisterAddress, value: u32) {
        if let Some(bar) = self.bar(at) {
            bar.write32(at.offset, value);
        }
    }
}

/// Cuts an adapter's device off from memory (PCI 3.0, 6.2.2).
pub(crate) fn disable_bus_mastering(miniport: sys::NDIS_HANDLE) {
    const COMMAND: u32 = 4;
    const BUS_MASTER: u16 = 1 << 2;
    let mut command = [0u8; 2];
    // SAFETY: the adapter's own configuration space, into a local.
    unsafe {
        let bytes = command.as_mut_ptr().cast();
        sys::NdisMGetBusData(miniport, sys::PCI_WHICHSPACE_CONFIG, COMMAND, bytes, 2);
    }
    let off = u16::from_le_bytes(command) & !BUS_MASTER;
    let mut command = off.to_le_bytes();
    // SAFETY: the adapter's own configuration space, out of a local.
    unsafe {
        let bytes = command.as_mut_ptr().cast();
        sys::NdisMSetBusData(miniport, sys::PCI_WHICHSPACE_CONFIG, COMMAND, bytes, 2);
    }
}
