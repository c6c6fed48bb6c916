//! Configuration space: who the function is, and the chain of its capabilities (PCI 3.0, 6.7).

use super::capabilities::LayoutError;
use crate::registers::Registers;

const VENDOR_ID: u16 = 0x00;
const DEVICE_ID: u16 = 0x02;
const STATUS: u16 = 0x06;
const STATUS_HAS_CAPABILITIES: u16 = 1 << 4;
const REVISION_ID: u16 = 0x08;
const CAPABILITIES: u16 = 0x34;

/// Capabilities lie behind the 64-byte header and are four bytes or longer.
const FIRST_CAPABILITY: u8 = 0x40;
const MAX_CAPABILITIES: u32 = 48;

/// Who makes virtio devices (virtio 1.2, 4.1.2).
const VIRTIO_VENDOR: u16 = 0x1af4;
/// The network device that also speaks, or speaks nothing but, the legacy interface.
const TRANSITIONAL_NET: u16 = 0x1000;

/// Whether nobody answers: all ones where the vendor would be.
pub(super) fn is_off_the_bus(registers: &impl Registers) -> bool {
    registers.config_read16(VENDOR_ID) == u16::MAX
}

/// Whether the function is a network device with the legacy interface (virtio 1.2, 4.1.2.1).
pub(super) fn is_transitional_net(registers: &impl Registers) -> bool {
    registers.config_read16(VENDOR_ID) == VIRTIO_VENDOR
        && registers.config_read16(DEVICE_ID) == TRANSITIONAL_NET
        && registers.config_read8(REVISION_ID) == 0
}

/// Shows `visit` each capability: its offset, a multiple of four from 0x40 on, and its identifier.
///
/// # Errors
///
/// Nobody answers, there is no chain, it does not end, or what `visit` says.
pub(super) fn walk(
    registers: &impl Registers,
    mut visit: impl FnMut(u8, u8) -> Result<(), LayoutError>,
) -> Result<(), LayoutError> {
    if is_off_the_bus(registers) {
        return Err(LayoutError::Gone);
    }
    if registers.config_read16(STATUS) & STATUS_HAS_CAPABILITIES == 0 {
        return Err(LayoutError::NoCapabilities);
    }
    let mut next = registers.config_read8(CAPABILITIES) & !3;
    for _ in 0..MAX_CAPABILITIES {
        if next < FIRST_CAPABILITY {
            return Ok(());
        }
        let at = u16::from(next);
        visit(next, registers.config_read8(at))?;
        next = registers.config_read8(at.wrapping_add(1)) & !3;
    }
    Err(LayoutError::Loop)
}
