//! BARs of QEMU's functions, and their places behind a root port.

use std::ops::Range;

use anyhow::{Result, ensure};
use devices::pci::{Bar, BarKind};

use crate::qtest::{Qtest, Width};

/// A BAR of QEMU's function.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBar {
    /// Its register.
    pub index: u8,
    /// Bytes.
    pub size: u64,
    /// What it decodes.
    pub kind: BarKind,
    /// Where it is in QEMU's memory, or among its ports.
    pub address: u64,
    /// Whether reads of it have no effect.
    pub is_prefetchable: bool,
    is_64_bit: bool,
}

impl PlacedBar {
    /// Whether it takes the next register, too.
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        self.is_64_bit
    }

    /// The BAR as the host has it, to whom all of memory are 64-bit ones.
    #[must_use]
    pub fn for_host(&self) -> Bar {
        Bar {
            index: self.index,
            size: self.size,
            kind: self.kind,
        }
    }

    /// Reads a register in it.
    ///
    /// # Errors
    ///
    /// It ends before, or QEMU does not answer.
    pub fn read(&self, qtest: &mut Qtest, offset: u64, width: Width) -> Result<u64> {
        let address = self.at(offset)?;
        match self.kind {
            BarKind::Memory => qtest.read(address, width),
            BarKind::Ports => qtest.read_port(u16::try_from(address)?, width),
        }
    }

    /// Writes a register in it.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn write(&self, qtest: &mut Qtest, offset: u64, width: Width, value: u64) -> Result<()> {
        let address = self.at(offset)?;
        match self.kind {
            BarKind::Memory => qtest.write(address, width, value),
            BarKind::Ports => qtest.write_port(u16::try_from(address)?, width, value),
        }
    }

    fn at(&self, offset: u64) -> Result<u64> {
        let Self { index, size, .. } = self;
        ensure!(offset < *size, "BAR {index} ends before {offset:#x}");
        Ok(self.address + offset)
    }
}

/// What is free in the windows of a root port.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Memory.
    pub plain: Range<u64>,
    /// Prefetchable memory.
    pub prefetchable: Range<u64>,
    /// I/O ports.
    pub ports: Range<u64>,
}

impl Windows {
    /// Finds a place for the BAR in register `index`, which reads `answer` with all bits of its address
    /// set; there is none for a register that holds no address.
    ///
    /// # Errors
    ///
    /// There is no room for it.
    pub fn place(&mut self, index: u8, answer: u32) -> Result<Option<PlacedBar>> {
        const PORTS: u32 = 1;
        const IS_64_BIT: u32 = 0b100;
        const PREFETCHABLE: u32 = 0b1000;
        if answer == 0 {
            return Ok(None);
        }
        let (kind, flags, window) = if answer & PORTS != 0 {
            (BarKind::Ports, 0b11, &mut self.ports)
        } else if answer & PREFETCHABLE != 0 {
            (BarKind::Memory, 0b1111, &mut self.prefetchable)
        } else {
            (BarKind::Memory, 0b1111, &mut self.plain)
        };
        // 64-bit BARs are smaller than 4 GiB here, so the lower half tells all.
        let size = u64::from(!(answer & !flags)) + 1;
        let address = window.start.next_multiple_of(size);
        window.start = address + size;
        ensure!(
            window.start <= window.end,
            "the BARs do not fit the root port's windows"
        );
        let is_memory = kind == BarKind::Memory;
        Ok(Some(PlacedBar {
            index,
            size,
            kind,
            address,
            is_prefetchable: is_memory && answer & PREFETCHABLE != 0,
            is_64_bit: is_memory && answer & 0b110 == IS_64_BIT,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_of_each_kind_goes_where_its_port_has_a_window_for_it() {
        let mut windows = Windows {
            plain: 0xc010_0000..0xc020_0000,
            prefetchable: 0xc110_0000..0xc120_0000,
            ports: 0xd000..0xe000,
        };
        let answers = [0xffff_ffe1, 0xffff_f000, 0, 0, 0xffff_c00c];
        let bars: Vec<_> = (0..)
            .zip(answers)
            .filter_map(|(index, answer)| windows.place(index, answer).unwrap())
            .map(|bar| (bar.index, bar.size, bar.kind, bar.address))
            .collect();
        let expected = [
            (0, 0x20, BarKind::Ports, 0xd000),
            (1, 0x1000, BarKind::Memory, 0xc010_0000),
            (4, 0x4000, BarKind::Memory, 0xc110_0000),
        ];
        assert_eq!(bars, expected);

        let too_large = windows.place(5, 0xff00_0000);
        assert!(too_large.is_err());
    }
}
