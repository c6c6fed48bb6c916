//! Configuration space with capabilities in it: those of QEMU, or what a test makes of them.

use crate::fake::{BAR, COMMON, DEVICE, ISR, NOTIFY};

/// Where the window is in configuration space.
pub(crate) const PCI_CFG: u8 = 0xc8;
/// The upper byte of the control word of MSI-X, and the bit that enables it.
pub(crate) const MSIX_CONTROL: usize = 0xdf;
pub(crate) const MSIX_ENABLED: u8 = 0x80;

/// A virtio capability: what is at its place in configuration space.
#[derive(Clone, Copy)]
pub(crate) struct FakeCapability {
    pub(crate) at: u8,
    pub(crate) id: u8,
    pub(crate) next: u8,
    pub(crate) len: u8,
    pub(crate) kind: u8,
    pub(crate) bar: u8,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    /// What follows in a notification capability.
    pub(crate) multiplier: u32,
}

/// The capabilities of QEMU's virtio-net-pci: MSI-X, then five of virtio.
pub(crate) fn capabilities() -> [FakeCapability; 6] {
    let virtio = |at, next, kind, offset, length| FakeCapability {
        at,
        id: 9,
        next,
        len: 16,
        kind,
        bar: BAR,
        offset,
        length,
        multiplier: 0,
    };
    [
        FakeCapability {
            id: 0x11,
            kind: 0,
            len: 3, // its control word: four vectors
            ..virtio(0xdc, 0xc8, 0, 0, 0)
        },
        FakeCapability {
            bar: 0,
            len: 20,
            ..virtio(PCI_CFG, 0xb4, 5, 0, 0)
        },
        FakeCapability {
            multiplier: 4,
            len: 20,
            ..virtio(0xb4, 0xa4, 2, NOTIFY, 0x1000)
        },
        virtio(0xa4, 0x94, 4, DEVICE, 0x1000),
        virtio(0x94, 0x84, 3, ISR, 0x1000),
        virtio(0x84, 0, 1, COMMON, 0x1000),
    ]
}

/// What a transitional function has in configuration space instead of a modern one's: its numbers,
/// and BAR 0 in ports.
pub(crate) fn make_transitional(config: &mut [u8; 256]) {
    config[2..4].copy_from_slice(&0x1000_u16.to_le_bytes());
    config[8] = 0;
    config[0x10..0x14].copy_from_slice(&0xc041_u32.to_le_bytes());
}

/// Configuration space with these capabilities, the first of which begins the chain.
pub(crate) fn config_space(capabilities: &[FakeCapability]) -> [u8; 256] {
    let mut config = [0; 256];
    let mut put = |at: usize, bytes: &[u8]| {
        for (to, from) in config.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    };
    put(0, &[0xf4, 0x1a, 0x41, 0x10]);
    put(6, &[0x10, 0, 1]);
    put(0x34, &[capabilities.first().map_or(0, |first| first.at)]);
    for capability in capabilities {
        let at = usize::from(capability.at);
        let FakeCapability {
            id,
            next,
            len,
            kind,
            bar,
            ..
        } = *capability;
        put(at, &[id, next, len, kind, bar]);
        put(at + 8, &capability.offset.to_le_bytes());
        put(at + 12, &capability.length.to_le_bytes());
        if kind == 2 && len >= 20 {
            put(at + 16, &capability.multiplier.to_le_bytes());
        }
    }
    config
}
