//! How the driver reaches the fake: configuration space, with its window, and registers.

use virtio_net::registers::{ConfigWrite, RegisterAddress, Registers};

use super::Fake;
use crate::config_space::PCI_CFG;

impl Fake {
    fn config_bytes<const N: usize>(&self, offset: u16) -> [u8; N] {
        assert_eq!(
            usize::from(offset) % N,
            0,
            "unaligned read of configuration space"
        );
        if self.0.borrow().gone {
            return [0xff; N];
        }
        if let Some(at) = self.window(offset, N) {
            // What is behind the window needs no decoding.
            let value = self.0.borrow_mut().read(at, N as u32);
            return value.to_le_bytes()[..N].try_into().unwrap();
        }
        let state = self.0.borrow();
        let at = usize::from(offset);
        state.config[at..at + N].try_into().unwrap()
    }

    fn write_config<const N: usize>(&self, offset: u16, value: u32) {
        assert_eq!(usize::from(offset) % N, 0, "unaligned write");
        if self.0.borrow().gone {
            return;
        }
        if let Some(at) = self.window(offset, N) {
            return self.0.borrow_mut().write(at, value, N as u32);
        }
        let field = usize::from(offset - u16::from(PCI_CFG));
        assert!(
            matches!((field, N), (4, 1) | (8 | 12, 4)),
            "write of configuration space"
        );
        let at = usize::from(offset);
        self.0.borrow_mut().aimed = true;
        self.0.borrow_mut().config[at..at + N].copy_from_slice(&value.to_le_bytes()[..N]);
    }

    /// Where the window points, if `offset` is its data.
    fn window(&self, offset: u16, bytes: usize) -> Option<RegisterAddress> {
        let at = usize::from(PCI_CFG);
        if usize::from(offset) != at + 16 || !self.0.borrow().aimed {
            return None;
        }
        let config = &self.0.borrow().config;
        let word = |at: usize| u32::from_le_bytes(config[at..at + 4].try_into().unwrap());
        assert_eq!(word(at + 12) as usize, bytes, "width of the window");
        Some(RegisterAddress {
            bar: config[at + 4],
            offset: word(at + 8),
        })
    }
}

impl ConfigWrite for &Fake {
    fn config_write8(&self, offset: u16, value: u8) {
        self.write_config::<1>(offset, value.into());
    }

    fn config_write16(&self, offset: u16, value: u16) {
        self.write_config::<2>(offset, value.into());
    }

    fn config_write32(&self, offset: u16, value: u32) {
        self.write_config::<4>(offset, value);
    }
}

impl Registers for &Fake {
    fn config_read8(&self, offset: u16) -> u8 {
        u8::from_le_bytes(self.config_bytes(offset))
    }

    fn config_read16(&self, offset: u16) -> u16 {
        u16::from_le_bytes(self.config_bytes(offset))
    }

    fn config_read32(&self, offset: u16) -> u32 {
        u32::from_le_bytes(self.config_bytes(offset))
    }

    fn read8(&self, at: RegisterAddress) -> u8 {
        self.read(at, 1) as u8
    }

    fn read16(&self, at: RegisterAddress) -> u16 {
        self.read(at, 2) as u16
    }

    fn read32(&self, at: RegisterAddress) -> u32 {
        self.read(at, 4)
    }

    fn write8(&self, at: RegisterAddress, value: u8) {
        self.write(at, value.into(), 1);
    }

    fn write16(&self, at: RegisterAddress, value: u16) {
        self.write(at, value.into(), 2);
    }

    fn write32(&self, at: RegisterAddress, value: u32) {
        self.write(at, value, 4);
    }
}
