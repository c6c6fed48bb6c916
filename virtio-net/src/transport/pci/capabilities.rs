//! Finding the virtio structures: the vendor capabilities of the function (virtio 1.2, 4.1.4).
//!
//! Everything read here comes from the device. The walk is bounded, and a structure is believed only
//! where it lies inside a BAR that is mapped, is aligned and is long enough for what we use of it.

use core::mem::offset_of;

use virtio_spec::pci::{Cap, CapCfgType, NotifyCap};

use super::{chain, common};
use crate::registers::{RegisterAddress, Registers};

const CONFIG_END: u16 = 0x100;
pub(super) const CAPABILITY_ID_VENDOR: u8 = 0x09;

/// Bytes that the driver needs of an interrupt status and of a notification structure at least.
const ISR_LEN: u32 = 1;
const NOTIFY_LEN: u32 = 2;

/// One of the structures that a device describes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Structure {
    /// Common configuration.
    Common,
    /// Doorbells.
    Notify,
    /// Interrupt status.
    Isr,
    /// Device-specific configuration.
    Device,
    /// The window in configuration space, which is used only by
    /// [`ConfigWindow`](super::window::ConfigWindow).
    Window,
}

/// Where the structures lie, checked against the BARs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Structures {
    /// Start of the common configuration; what we use of it lies inside its BAR.
    pub common: RegisterAddress,
    /// Bytes of the common configuration; not all devices have its later fields.
    pub common_len: u32,
    /// Start of the doorbells.
    pub notify: RegisterAddress,
    /// Bytes of the doorbells.
    pub notify_len: u32,
    /// Bytes between two values of a queue's notify offset; even.
    pub notify_multiplier: u32,
    /// The interrupt status register.
    pub isr: RegisterAddress,
    /// Start of the device-specific configuration.
    pub device: RegisterAddress,
    /// Bytes of the device-specific configuration.
    pub device_len: u32,
}

impl Structures {
    /// Whether every doorbell can be one of 32 bits (virtio 1.2, 4.1.4.4.1).
    pub(super) const fn have_wide_doorbells(&self) -> bool {
        (self.notify.offset | self.notify_multiplier) & 3 == 0 && self.notify_len >= 4
    }
}

/// A function whose structures cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LayoutError {
    /// A capability reaches over the end of configuration space.
    CapabilityCut {
        /// Its offset in configuration space.
        at: u8,
    },
    /// A capability is shorter than its kind.
    CapabilityShort {
        /// Its offset in configuration space.
        at: u8,
        /// Its length by its own account.
        len: u8,
    },
    /// Configuration space reads all ones.
    Gone,
    /// BAR 0 does not hold the registers of the legacy interface: it is not one of I/O ports, or
    /// not mapped, or too short.
    LegacyRegisters {
        /// Bytes of it that are mapped.
        len: u64,
    },
    /// The chain of capabilities does not end.
    Loop,
    /// A structure's start is not a multiple of what its fields need.
    Misaligned(Structure, Place),
    /// No usable capability describes the structure.
    Missing(Structure),
    /// The function has no capabilities at all: not a virtio device of version 1 or later.
    NoCapabilities,
    /// The doorbells would lie at odd offsets.
    OddNotifyMultiplier(u32),
    /// A structure does not lie inside its BAR.
    OutsideBar(Structure, Place),
    /// A structure is shorter than the fields that the driver uses.
    TooShort(Structure, Place),
}

/// A structure by the device's account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The base address register.
    pub bar: u8,
    /// Bytes from the start of the BAR.
    pub offset: u32,
    /// Bytes of the structure.
    pub length: u32,
}

/// Walks the capabilities and checks what they describe.
///
/// The first instance of each structure whose BAR is mapped counts (virtio 1.2, 4.1.4.1).
pub(super) fn find(registers: &impl Registers, bars: &[u64; 6]) -> Result<Structures, LayoutError> {
    let mut found = Found::default();
    chain::walk(registers, |at, id| match id {
        CAPABILITY_ID_VENDOR => found.note(registers, at, bars),
        _ => Ok(()),
    })?;
    found.finish()
}

/// The first usable place of each structure so far.
#[derive(Default)]
struct Found {
    common: Option<Place>,
    notify: Option<(Place, u32)>,
    isr: Option<Place>,
    device: Option<Place>,
}

impl Found {
    /// Takes in the vendor capability at `at`, unless it is of a kind or in a BAR we do not use.
    fn note(
        &mut self,
        registers: &impl Registers,
        at: u8,
        bars: &[u64; 6],
    ) -> Result<(), LayoutError> {
        let Some(capability) = Capability::read(registers, at)? else {
            return Ok(());
        };
        let place = capability.place;
        let Some(bar_len) = bars
            .get(usize::from(place.bar))
            .copied()
            .filter(|len| *len > 0)
        else {
            return Ok(());
        };

        match capability.kind {
            CapCfgType::Common if self.common.is_none() => {
                place.check(Structure::Common, common::LEN, 4, bar_len)?;
                self.common = Some(place);
            }
            CapCfgType::Notify if self.notify.is_none() => {
                place.check(Structure::Notify, NOTIFY_LEN, 2, bar_len)?;
                self.notify = Some((place, capability.read_multiplier(registers)?));
            }
            CapCfgType::Isr if self.isr.is_none() => {
                place.check(Structure::Isr, ISR_LEN, 1, bar_len)?;
                self.isr = Some(place);
            }
            CapCfgType::Device if self.device.is_none() => {
                place.check(Structure::Device, 0, 4, bar_len)?;
                self.device = Some(place);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Structures, LayoutError> {
        let common = self.common.ok_or(LayoutError::Missing(Structure::Common))?;
        let (notify, notify_multiplier) =
            self.notify.ok_or(LayoutError::Missing(Structure::Notify))?;
        let isr = self.isr.ok_or(LayoutError::Missing(Structure::Isr))?;
        let device = self.device.ok_or(LayoutError::Missing(Structure::Device))?;
        Ok(Structures {
            common: common.start(),
            common_len: common.length,
            notify: notify.start(),
            notify_len: notify.length,
            notify_multiplier,
            isr: isr.start(),
            device: device.start(),
            device_len: device.length,
        })
    }
}

/// A vendor capability, `virtio_pci_cap`, whose bytes lie inside configuration space.
struct Capability {
    at: u8,
    len: u8,
    kind: CapCfgType,
    place: Place,
}

impl Capability {
    /// Reads the capability at `at`, unless it is of a kind that describes no structure: such may
    /// have any length and content (virtio 1.2, 4.1.4.1 and 4.1.4.8).
    fn read(registers: &impl Registers, at: u8) -> Result<Option<Self>, LayoutError> {
        let field = |offset: usize| u16::from(at).wrapping_add(offset as u16);
        let kind = registers.config_read8(field(offset_of!(Cap, cfg_type)));
        let kind = CapCfgType::from(kind);
        if !matches!(
            kind,
            CapCfgType::Common | CapCfgType::Notify | CapCfgType::Isr | CapCfgType::Device
        ) {
            return Ok(None);
        }
        let len = read_len(registers, at, size_of::<Cap>())?;
        Ok(Some(Self {
            at,
            len,
            kind,
            place: Place {
                bar: registers.config_read8(field(offset_of!(Cap, bar))),
                offset: registers.config_read32(field(offset_of!(Cap, offset))),
                length: registers.config_read32(field(offset_of!(Cap, length))),
            },
        }))
    }

    /// Reads what follows in a notification capability, `virtio_pci_notify_cap`.
    fn read_multiplier(&self, registers: &impl Registers) -> Result<u32, LayoutError> {
        if usize::from(self.len) < size_of::<NotifyCap>() {
            return Err(LayoutError::CapabilityShort {
                at: self.at,
                len: self.len,
            });
        }
        let offset = offset_of!(NotifyCap, notify_off_multiplier) as u16;
        let multiplier = registers.config_read32(u16::from(self.at).wrapping_add(offset));
        // The specification allows 0 and even powers of two; evenness is what the access needs.
        if multiplier & 1 != 0 {
            return Err(LayoutError::OddNotifyMultiplier(multiplier));
        }
        Ok(multiplier)
    }
}

/// Reads the length of the capability at `at`, which has to be `needed` or more and to end inside
/// configuration space.
pub(super) fn read_len(
    registers: &impl Registers,
    at: u8,
    needed: usize,
) -> Result<u8, LayoutError> {
    let len = registers.config_read8(u16::from(at).wrapping_add(2));
    if usize::from(len) < needed {
        return Err(LayoutError::CapabilityShort { at, len });
    }
    if u16::from(at).wrapping_add(len.into()) > CONFIG_END {
        return Err(LayoutError::CapabilityCut { at });
    }
    Ok(len)
}

impl Place {
    const fn start(self) -> RegisterAddress {
        RegisterAddress {
            bar: self.bar,
            offset: self.offset,
        }
    }

    /// Checks that the structure has `needed` bytes, starts at a multiple of `align` (a power of
    /// two) and ends inside `bar_len` bytes that 32 bits can address.
    fn check(
        self,
        structure: Structure,
        needed: u32,
        align: u32,
        bar_len: u64,
    ) -> Result<(), LayoutError> {
        if self.length < needed {
            return Err(LayoutError::TooShort(structure, self));
        }
        if self.offset & align.wrapping_sub(1) != 0 {
            return Err(LayoutError::Misaligned(structure, self));
        }
        match self.offset.checked_add(self.length) {
            Some(end) if u64::from(end) <= bar_len => Ok(()),
            _ => Err(LayoutError::OutsideBar(structure, self)),
        }
    }
}
