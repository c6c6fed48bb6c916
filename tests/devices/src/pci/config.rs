//! Configuration space of a type 0 function: registers with write masks, BARs, capabilities.

use super::{Bar, BarKind};

/// Bits of the command register.
pub mod command {
    /// The function answers accesses to its ports.
    pub const PORTS: u16 = 1 << 0;
    /// The function answers accesses to its memory BARs.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may read and write memory, and send messages.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// The function does not raise its interrupt pin.
    pub const INTX_DISABLE: u16 = 1 << 10;
}

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BAR0: usize = 0x10;
const CAPABILITIES: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3C;
const INTERRUPT_PIN: usize = 0x3D;

const STATUS_CAPABILITY_LIST: u16 = 1 << 4;
/// 64-bit memory, not prefetchable.
const BAR_MEMORY_64: u32 = 0b100;
/// 64-bit memory, prefetchable.
const BAR_MEMORY_64_PREFETCHABLE: u32 = 0b1100;
const BAR_PORTS: u32 = 0b1;

/// Identity of a function, as the header states it.
#[derive(Clone, Copy, Debug)]
pub struct HeaderIds {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Subsystem vendor ID.
    pub subsystem_vendor: u16,
    /// Subsystem ID.
    pub subsystem: u16,
    /// Revision ID.
    pub revision: u8,
    /// Base class, subclass and programming interface: `0xBBSSPP`.
    pub class: u32,
}

/// A capability for [`ConfigSpace::add_capability`].
#[derive(Clone, Debug)]
pub struct Capability {
    /// Capability ID.
    pub id: u8,
    /// Where it starts; a multiple of 4, at or above 0x40.
    pub offset: u8,
    /// What follows the ID and the link to the next capability.
    pub body: Vec<u8>,
    /// Bits of `body` that the guest may write; missing bytes are read only.
    pub writable: Vec<u8>,
}

/// The registers of one function, with a mask of writable bits for each.
///
/// ```text
/// value'  =  (value & !mask) | (written & mask)
/// ```
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    bytes: Vec<u8>,
    mask: Vec<u8>,
    bars: Vec<Bar>,
}

impl ConfigSpace {
    /// A header without BARs and capabilities, in `size` bytes (256, or 4096 for PCI Express).
    ///
    /// # Panics
    ///
    /// If `size` is neither.
    pub fn new(ids: HeaderIds, size: usize) -> Self {
        assert!(
            size == 256 || size == 4096,
            "no function has {size} bytes of configuration"
        );
        let mut space = Self {
            bytes: vec![0; size],
            mask: vec![0; size],
            bars: Vec::new(),
        };
        space.put(0x00, &ids.vendor.to_le_bytes());
        space.put(0x02, &ids.device.to_le_bytes());
        space.put(0x08, &[ids.revision]);
        space.put(0x09, &ids.class.to_le_bytes()[..3]);
        space.put(0x2C, &ids.subsystem_vendor.to_le_bytes());
        space.put(0x2E, &ids.subsystem.to_le_bytes());
        space.put(INTERRUPT_PIN, &[1]);

        let writable = command::MEMORY | command::BUS_MASTER | command::INTX_DISABLE;
        space.allow(COMMAND, &writable.to_le_bytes());
        space.allow(INTERRUPT_LINE, &[0xFF]);
        space
    }

    /// Adds a BAR. `prefetchable` is for memory.
    ///
    /// # Panics
    ///
    /// If the size or the index is none that [`Bar`] allows.
    pub fn add_bar(&mut self, bar: Bar, prefetchable: bool) {
        assert!(bar.size.is_power_of_two(), "{bar:?}");
        match bar.kind {
            BarKind::Memory => self.add_memory_bar(bar, prefetchable),
            BarKind::Ports => self.add_port_bar(bar),
        }
        self.bars.push(bar);
    }

    fn add_memory_bar(&mut self, bar: Bar, prefetchable: bool) {
        assert!(bar.size >= 16 && bar.index <= 4, "{bar:?}");
        let kind = if prefetchable {
            BAR_MEMORY_64_PREFETCHABLE
        } else {
            BAR_MEMORY_64
        };
        let at = BAR0 + 4 * usize::from(bar.index);
        self.put(at, &kind.to_le_bytes());
        // The bits below the size stay as they are: sizing reads them back as zero, the kind
        // bits excepted.
        self.allow(at, &(!(bar.size - 1)).to_le_bytes());
    }

    fn add_port_bar(&mut self, bar: Bar) {
        assert!((4..=256).contains(&bar.size) && bar.index <= 5, "{bar:?}");
        let at = BAR0 + 4 * usize::from(bar.index);
        self.put(at, &BAR_PORTS.to_le_bytes());
        self.allow(at, &(!(bar.size as u32 - 1)).to_le_bytes());
        let command = self.mask_u16(COMMAND) | command::PORTS;
        self.allow(COMMAND, &command.to_le_bytes());
    }

    /// Adds a capability at the front of the list.
    ///
    /// # Panics
    ///
    /// If it does not fit where it is wanted.
    pub fn add_capability(&mut self, capability: &Capability) {
        let at = usize::from(capability.offset);
        let end = at + 2 + capability.body.len();
        assert!(
            at >= 0x40 && at.is_multiple_of(4) && end <= 256,
            "{capability:?}"
        );

        let next = self.bytes[CAPABILITIES];
        self.put(at, &[capability.id, next]);
        self.put(at + 2, &capability.body);
        self.allow(at + 2, &capability.writable);
        self.put(CAPABILITIES, &[capability.offset]);

        let status = self.read_u16(STATUS) | STATUS_CAPABILITY_LIST;
        self.put(STATUS, &status.to_le_bytes());
    }

    /// The BARs, in the order in which they were added.
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// Address that the guest gave to a memory BAR.
    pub fn bar_address(&self, index: u8) -> u64 {
        let at = BAR0 + 4 * usize::from(index);
        let mut raw = [0; 8];
        raw.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(raw) & !0xF
    }

    /// Whether memory BARs answer.
    pub fn decodes_memory(&self) -> bool {
        self.command() & command::MEMORY != 0
    }

    /// Whether port BARs answer.
    pub fn decodes_ports(&self) -> bool {
        self.command() & command::PORTS != 0
    }

    /// Whether the function may drive its interrupt pin.
    pub fn drives_pin(&self) -> bool {
        self.command() & command::INTX_DISABLE == 0
    }

    /// Whether the function may reach memory.
    pub fn is_bus_master(&self) -> bool {
        self.command() & command::BUS_MASTER != 0
    }

    /// Reads `data.len()` bytes; what lies outside reads as ones.
    pub fn read(&self, offset: u16, data: &mut [u8]) {
        let from = usize::from(offset);
        for (byte, at) in data.iter_mut().zip(from..) {
            *byte = self.bytes.get(at).copied().unwrap_or(0xFF);
        }
    }

    /// Writes the writable bits of `data`.
    pub fn write(&mut self, offset: u16, data: &[u8]) {
        let from = usize::from(offset);
        for (byte, at) in data.iter().zip(from..) {
            if let (Some(value), Some(mask)) = (self.bytes.get_mut(at), self.mask.get(at)) {
                *value = (*value & !mask) | (byte & mask);
            }
        }
    }

    /// Two bytes at `at`, as the function sees them.
    pub fn read_u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.bytes[at], self.bytes[at + 1]])
    }

    /// Four bytes at `at`, as the function sees them.
    pub fn read_u32(&self, at: usize) -> u32 {
        u32::from(self.read_u16(at)) | u32::from(self.read_u16(at + 2)) << 16
    }

    /// Sets bytes from the function's side, read-only ones included.
    pub fn put(&mut self, at: usize, data: &[u8]) {
        self.bytes[at..at + data.len()].copy_from_slice(data);
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        self.mask[at..at + mask.len()].copy_from_slice(mask);
    }

    fn mask_u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.mask[at], self.mask[at + 1]])
    }

    fn command(&self) -> u16 {
        self.read_u16(COMMAND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: HeaderIds = HeaderIds {
        vendor: 0x1AF4,
        device: 0x1041,
        subsystem_vendor: 0x1AF4,
        subsystem: 0x1100,
        revision: 1,
        class: 0x02_0000,
    };

    fn space() -> ConfigSpace {
        ConfigSpace::new(IDS, 256)
    }

    fn read_u32(space: &ConfigSpace, offset: u16) -> u32 {
        let mut raw = [0; 4];
        space.read(offset, &mut raw);
        u32::from_le_bytes(raw)
    }

    #[test]
    fn the_header_states_the_identity() {
        let space = space();

        assert_eq!(read_u32(&space, 0x00), 0x1041_1AF4);
        assert_eq!(read_u32(&space, 0x08), 0x0200_0001);
        assert_eq!(read_u32(&space, 0x2C), 0x1100_1AF4);
    }

    #[test]
    fn identity_is_read_only() {
        let mut space = space();

        space.write(0x00, &[0; 4]);

        assert_eq!(read_u32(&space, 0x00), 0x1041_1AF4);
    }

    #[test]
    fn sizing_a_bar_shows_its_size_and_its_kind() {
        let mut space = space();
        space.add_bar(Bar::memory(4, 16 << 10), true);

        space.write(0x20, &[0xFF; 4]);
        space.write(0x24, &[0xFF; 4]);

        assert_eq!(read_u32(&space, 0x20), !(16 * 1024 - 1) | 0b1100);
        assert_eq!(read_u32(&space, 0x24), u32::MAX);
    }

    #[test]
    fn a_port_bar_states_its_kind_and_is_switched_by_the_command_register() {
        let mut space = space();
        space.add_bar(Bar::ports(0, 32), false);

        space.write(0x10, &[0xFF; 4]);
        assert_eq!(read_u32(&space, 0x10), !31 | 1);
        assert!(!space.decodes_ports());

        space.write(0x04, &[0x01, 0x00]);
        assert!(space.decodes_ports());
    }

    #[test]
    fn a_bar_keeps_the_address_it_was_given() {
        let mut space = space();
        space.add_bar(Bar::memory(1, 4096), false);

        space.write(0x14, &0xFEBF_1000_u32.to_le_bytes());
        space.write(0x18, &2_u32.to_le_bytes());

        assert_eq!(space.bar_address(1), 0x2_FEBF_1000);
    }

    #[test]
    fn the_newest_capability_heads_the_list() {
        let mut space = space();
        let mut add = |id, offset| {
            space.add_capability(&Capability {
                id,
                offset,
                body: vec![0xAA, 0xBB],
                writable: vec![0x00, 0x0F],
            });
        };
        add(0x01, 0x40);
        add(0x11, 0x50);

        assert_eq!(read_u32(&space, 0x34) & 0xFF, 0x50);
        assert_eq!(read_u32(&space, 0x50), 0xBBAA_4011);
        assert_eq!(read_u32(&space, 0x40), 0xBBAA_0001);
        assert_ne!(space.read_u16(0x06) & (1 << 4), 0);

        space.write(0x50, &[0; 4]);
        assert_eq!(read_u32(&space, 0x50), 0xB0AA_4011);
    }

    #[test]
    fn what_lies_outside_reads_as_ones() {
        assert_eq!(read_u32(&space(), 0x200), u32::MAX);
    }

    #[test]
    fn the_command_register_opens_memory_and_mastering() {
        let mut space = space();
        assert!(!space.decodes_memory() && !space.is_bus_master());

        space.write(0x04, &[0x07, 0x01]);

        assert!(space.decodes_memory() && space.is_bus_master());
        assert_eq!(space.read_u16(0x04), 0x0006, "I/O and SERR# are not there");
    }
}
