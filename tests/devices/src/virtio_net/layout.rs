//! Where things are: configuration space and the parts of the register BAR.
//!
//! Offsets and the order of the capability list are those of QEMU's device on a PCI Express port.

use super::{Interface, VirtioNetConfig};
use crate::pci::{Bar, Capability, ConfigSpace, HeaderIds, MsixTable};

/// The BAR of the registers.
pub(super) const REGISTER_BAR: Bar = Bar::memory(4, 16 << 10);
/// The BAR of the MSI-X table.
pub(super) const MSIX_BAR: Bar = Bar::memory(1, 4 << 10);

/// The BAR of the legacy registers.
pub(super) const LEGACY_BAR: Bar = Bar::ports(0, 64);

/// Bytes of each part of the register BAR.
const REGION_SIZE: u32 = 0x1000;
pub(super) const COMMON: u64 = 0x0000;
pub(super) const ISR: u64 = 0x1000;
pub(super) const DEVICE: u64 = 0x2000;
pub(super) const NOTIFY: u64 = 0x3000;
/// Distance between the doorbells of two queues.
pub(super) const NOTIFY_MULTIPLIER: u64 = 4;

/// The capability through which registers are reached by configuration accesses.
pub(super) const PCI_CFG_CAPABILITY: u8 = 0xC8;
/// Its window.
pub(super) const PCI_CFG_DATA: u16 = PCI_CFG_CAPABILITY as u16 + 16;

const VENDOR_SPECIFIC: u8 = 0x09;
const POWER_MANAGEMENT: u8 = 0x01;
const PCI_EXPRESS: u8 = 0x10;

const IDS: HeaderIds = HeaderIds {
    vendor: 0x1AF4,
    device: 0x1041,
    subsystem_vendor: 0x1AF4,
    subsystem: 0x1100,
    revision: 1,
    class: 0x02_0000,
};

/// With a legacy interface: the subsystem states the kind of device (virtio 1.2, 4.1.2.3).
const LEGACY_IDS: HeaderIds = HeaderIds {
    device: 0x1000,
    subsystem: 1,
    revision: 0,
    ..IDS
};

/// A part of the register BAR, as its capability states it (virtio 1.2, 4.1.4).
struct Region {
    capability: u8,
    kind: u8,
    offset: u64,
}

const REGIONS: [Region; 4] = [
    Region {
        capability: 0x84,
        kind: 1,
        offset: COMMON,
    },
    Region {
        capability: 0x94,
        kind: 3,
        offset: ISR,
    },
    Region {
        capability: 0xA4,
        kind: 4,
        offset: DEVICE,
    },
    Region {
        capability: 0xB4,
        kind: 2,
        offset: NOTIFY,
    },
];
const KIND_NOTIFY: u8 = 2;
const KIND_PCI_CFG: u8 = 5;

/// Offset of the notify capability's `offset` field in configuration space.
pub(super) const NOTIFY_OFFSET_FIELD: usize = 0xB4 + 8;

/// A fresh MSI-X table.
pub(super) fn msix_table(config: &VirtioNetConfig) -> MsixTable {
    MsixTable::new(config.vectors, MSIX_BAR, 0xDC)
}

/// Whether the function has the capabilities of virtio 1 and the BAR that they point to.
pub(super) fn has_capabilities(interface: Interface) -> bool {
    interface != Interface::Legacy
}

/// Whether the function has the legacy registers.
pub(super) fn has_ports(interface: Interface) -> bool {
    interface != Interface::Modern
}

/// A fresh configuration space with everything a driver looks for.
pub(super) fn config_space(msix: &MsixTable, interface: Interface) -> ConfigSpace {
    let ids = if has_ports(interface) {
        LEGACY_IDS
    } else {
        IDS
    };
    let mut space = ConfigSpace::new(ids, 4096);
    if has_ports(interface) {
        space.add_bar(LEGACY_BAR, false);
    }
    space.add_bar(MSIX_BAR, false);
    if has_capabilities(interface) {
        space.add_bar(REGISTER_BAR, true);
    }

    space.add_capability(&pci_express());
    space.add_capability(&power_management());
    if has_capabilities(interface) {
        for region in &REGIONS {
            space.add_capability(&region.capability());
        }
        space.add_capability(&pci_cfg());
    }
    space.add_capability(&msix.capability());
    space
}

impl Region {
    fn capability(&self) -> Capability {
        let mut body = vec![0, self.kind, REGISTER_BAR.index, 0, 0, 0];
        body.extend((self.offset as u32).to_le_bytes());
        body.extend(REGION_SIZE.to_le_bytes());
        if self.kind == KIND_NOTIFY {
            body.extend((NOTIFY_MULTIPLIER as u32).to_le_bytes());
        }
        vendor_specific(self.capability, body, Vec::new())
    }
}

/// The window: `bar`, `offset` and `length` are the driver's to write, the data follows.
fn pci_cfg() -> Capability {
    let mut body = vec![0; 18];
    body[1] = KIND_PCI_CFG;
    let mut writable = vec![0xFF; 18];
    writable[..2].fill(0);
    writable[3..6].fill(0);
    vendor_specific(PCI_CFG_CAPABILITY, body, writable)
}

/// Fills in the length that leads every vendor specific capability.
fn vendor_specific(offset: u8, mut body: Vec<u8>, writable: Vec<u8>) -> Capability {
    body[0] = body.len() as u8 + 2;
    Capability {
        id: VENDOR_SPECIFIC,
        offset,
        body,
        writable,
    }
}

/// Revision 1.2, power state writable.
fn power_management() -> Capability {
    Capability {
        id: POWER_MANAGEMENT,
        offset: 0x7C,
        body: vec![0x03, 0, 0, 0, 0, 0],
        writable: vec![0, 0, 0x03],
    }
}

/// An endpoint, version 2, on a link of 2.5 GT/s by one lane; no function-level reset.
fn pci_express() -> Capability {
    let mut body = vec![0; 58];
    let mut put = |offset: usize, value: u32| {
        // Offsets are those of the specification, which counts from the capability ID.
        body[offset - 2..offset + 2].copy_from_slice(&value.to_le_bytes());
    };
    put(0x04, 1 << 15);
    put(0x0C, 0x11);
    put(0x10, 0x11 << 16);
    body[0] = 2;
    Capability {
        id: PCI_EXPRESS,
        offset: 0x40,
        body,
        writable: vec![0, 0, 0, 0, 0, 0, 0xFF, 0x7F],
    }
}
