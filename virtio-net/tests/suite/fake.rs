//! A virtio-net function made of plain numbers, laid out as QEMU lays its own out: structures in a
//! memory BAR, and on demand the legacy interface in ports.
//!
//! It is strict: an access of the wrong width, or where nothing is, fails the test. Everything written
//! is kept in a log, so that tests can assert the order.

mod access;

use std::cell::RefCell;

use virtio_net::registers::RegisterAddress;
use virtio_net::transport::pci::PciTransport;

use crate::config_space::{capabilities, config_space};

/// The BAR of the structures, and that of the legacy interface.
pub(crate) const BAR: u8 = 4;
pub(crate) const PORTS: u8 = 0;
pub(crate) const BARS: [u64; 6] = [0, 0x1000, 0, 0, 0x4000, 0];
pub(crate) const COMMON: u32 = 0;
pub(crate) const ISR: u32 = 0x1000;
pub(crate) const DEVICE: u32 = 0x2000;
pub(crate) const NOTIFY: u32 = 0x3000;

pub(crate) const ACKNOWLEDGE: u8 = 1;
pub(crate) const DRIVER: u8 = 2;
pub(crate) const DRIVER_OK: u8 = 4;
pub(crate) const FEATURES_OK: u8 = 8;
pub(crate) const NEEDS_RESET: u8 = 64;
pub(crate) const FAILED: u8 = 128;

/// A register write as the device saw it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Write {
    /// Word of the accepted features, and its bits.
    Accepted(u32, u32),
    Status(u8),
    ConfigVector(u16),
    Select(u16),
    Size(u16),
    Vector(u16),
    Enable(u16),
    /// Half of an address: offset in the common configuration and value.
    Half(u32, u32),
    /// Offset in the notification structure and value.
    Doorbell(u32, u16),
    /// The same with 32 bits.
    WideDoorbell(u32, u32),
    /// Reset of the selected queue.
    QueueReset(u16),
    /// Page of the selected queue, on the legacy interface.
    Page(u32),
    /// Doorbell of the legacy interface.
    LegacyDoorbell(u16),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FakeQueue {
    pub(crate) max: u16,
    pub(crate) size: u16,
    pub(crate) vector: u16,
    pub(crate) enabled: u16,
    pub(crate) notify_offset: u16,
    /// What `NOTIF_CONFIG_DATA` calls the queue.
    pub(crate) name: u16,
    /// How many reads its reset takes.
    pub(crate) reset_reads: u32,
    pub(crate) resetting: bool,
    /// The legacy interface's address.
    pub(crate) page: u32,
    /// Descriptors, driver area, device area.
    pub(crate) addresses: [u64; 3],
}

/// What the function is; tests change it at will.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) config: [u8; 256],
    /// Removed from the bus.
    pub(crate) gone: bool,
    /// Memory decoding switched off.
    pub(crate) deaf: bool,
    pub(crate) offered: u128,
    pub(crate) accepted: [u32; 4],
    pub(crate) status: u8,
    /// Status bits that do not stay when written.
    pub(crate) refused_status: u8,
    /// Status bits that come up with `DRIVER_OK`.
    pub(crate) status_at_start: u8,
    /// How many reads of the status a reset takes.
    pub(crate) reset_reads: u32,
    pub(crate) generation: u8,
    /// How many more reads of the device configuration change it.
    pub(crate) changes: u32,
    pub(crate) net: Vec<u8>,
    pub(crate) isr: u8,
    /// Entries in the MSI-X table.
    pub(crate) vectors: u16,
    pub(crate) config_vector: u16,
    pub(crate) queue_count: u16,
    pub(crate) queues: Vec<FakeQueue>,
    pub(crate) log: Vec<Write>,
    /// Whether a write to `queue_reset` does nothing.
    pub(crate) ignores_queue_reset: bool,
    /// Whether the window was pointed at something.
    aimed: bool,
    pub(crate) selected: u16,
    offered_word: u32,
    accepted_word: u32,
}

#[derive(Debug)]
pub(crate) struct Fake(pub(crate) RefCell<State>);

impl Fake {
    /// A healthy device with three queues that offers everything.
    pub(crate) fn new() -> Self {
        let queue = |notify_offset| FakeQueue {
            max: 256,
            size: 256,
            vector: 0xffff,
            notify_offset,
            name: 0x100 + notify_offset,
            ..FakeQueue::default()
        };
        let mut net = vec![0; 0x1000];
        net[..24].copy_from_slice(&[
            0x52, 0x54, 0, 0x12, 0x34, 0x56, // MAC address
            1, 0, // link up
            4, 0, // queue pairs
            0xdc, 0x05, // MTU
            0x10, 0x27, 0, 0, // speed
            1, 40, // full duplex, hash key
            128, 0, // indirection table
            0xff, 0xff, 0xff, 0xff, // hash types
        ]);
        Self(RefCell::new(State {
            config: config_space(&capabilities()),
            gone: false,
            deaf: false,
            offered: u128::MAX,
            accepted: [0; 4],
            status: 0,
            refused_status: 0,
            status_at_start: 0,
            reset_reads: 0,
            generation: 0,
            changes: 0,
            net,
            isr: 0,
            vectors: 4,
            config_vector: 0xffff,
            queue_count: 3,
            queues: (0..3).map(queue).collect(),
            log: Vec::new(),
            ignores_queue_reset: false,
            aimed: false,
            selected: 0,
            offered_word: 0,
            accepted_word: 0,
        }))
    }

    /// The healthy device after `change`.
    pub(crate) fn with(change: impl FnOnce(&mut State)) -> Self {
        let fake = Self::new();
        change(&mut fake.0.borrow_mut());
        fake
    }

    pub(crate) fn open(&self) -> PciTransport<&Self> {
        PciTransport::open(self, &BARS).expect("the fake is well laid out")
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.borrow_mut());
    }

    pub(crate) fn status(&self) -> u8 {
        self.0.borrow().status
    }

    /// Hands the log over and begins a new one.
    pub(crate) fn take_log(&self) -> Vec<Write> {
        std::mem::take(&mut self.0.borrow_mut().log)
    }

    fn read(&self, at: RegisterAddress, width: u32) -> u32 {
        let mut state = self.0.borrow_mut();
        if state.gone || state.deaf {
            return u32::MAX >> (32 - 8 * width);
        }
        state.read(at, width)
    }

    fn write(&self, at: RegisterAddress, value: u32, width: u32) {
        let mut state = self.0.borrow_mut();
        if !state.gone && !state.deaf {
            state.write(at, value, width);
        }
    }
}

impl State {
    fn read(&mut self, at: RegisterAddress, width: u32) -> u32 {
        if at.bar == PORTS {
            return self.read_port(at.offset, width);
        }
        assert_eq!(at.bar, BAR);
        match at.offset {
            ISR => std::mem::take(&mut self.isr).into(),
            DEVICE..NOTIFY => self.read_net(at.offset - DEVICE, width),
            offset => self.read_common(offset, width),
        }
    }

    fn write(&mut self, at: RegisterAddress, value: u32, width: u32) {
        if at.bar == PORTS {
            return self.write_port(at.offset, value, width);
        }
        assert_eq!(at.bar, BAR);
        match at.offset {
            NOTIFY.. => {
                let offset = at.offset - NOTIFY;
                self.log.push(match width {
                    2 => Write::Doorbell(offset, value as u16),
                    4 => Write::WideDoorbell(offset, value),
                    _ => panic!("doorbell of {width}"),
                });
            }
            offset => self.write_common(offset, value, width),
        }
    }

    pub(crate) fn queue(&mut self) -> &mut FakeQueue {
        &mut self.queues[usize::from(self.selected)]
    }

    pub(crate) fn read_net(&mut self, offset: u32, width: u32) -> u32 {
        if self.changes > 0 {
            self.changes -= 1;
            self.generation = self.generation.wrapping_add(1);
            self.net[5] = self.net[5].wrapping_add(1);
        }
        let at = offset as usize;
        let bytes = &self.net[at..at + width as usize];
        bytes
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn read_common(&mut self, offset: u32, width: u32) -> u32 {
        let (value, expected_width) = match offset {
            0x04 => (Self::word(self.offered, self.offered_word), 4),
            0x10 => (self.config_vector.into(), 2),
            0x12 => (self.queue_count.into(), 2),
            0x14 => (self.read_status().into(), 1),
            0x15 => (self.generation.into(), 1),
            0x18 => (self.queue().size.into(), 2),
            0x1a => (self.queue().vector.into(), 2),
            0x1c => (self.queue().enabled.into(), 2),
            0x1e => (self.queue().notify_offset.into(), 2),
            0x38 => (self.queue().name.into(), 2),
            0x3a => (self.read_queue_reset().into(), 2),
            _ => panic!("read of {offset:#x}"),
        };
        assert_eq!(width, expected_width, "read of {offset:#x}");
        value
    }

    fn word(features: u128, index: u32) -> u32 {
        features.checked_shr(32 * index).unwrap_or(0) as u32
    }

    pub(crate) fn read_status(&mut self) -> u8 {
        if self.reset_reads > 0 {
            self.reset_reads -= 1;
            if self.reset_reads == 0 {
                self.status = 0;
            }
        }
        self.status
    }

    fn read_queue_reset(&mut self) -> u16 {
        let queue = self.queue();
        if queue.reset_reads > 0 {
            queue.reset_reads -= 1;
        } else if queue.resetting {
            queue.resetting = false;
            queue.clear();
        }
        queue.resetting.into()
    }

    fn write_common(&mut self, offset: u32, value: u32, width: u32) {
        let half = value as u16;
        let expected_width = match offset {
            0x00 => {
                self.offered_word = value;
                4
            }
            0x08 => {
                self.accepted_word = value;
                4
            }
            0x0c => {
                self.accepted[self.accepted_word as usize] = value;
                self.log.push(Write::Accepted(self.accepted_word, value));
                4
            }
            0x10 => {
                self.config_vector = self.taken(half);
                self.log.push(Write::ConfigVector(half));
                2
            }
            0x14 => {
                self.write_status(value as u8);
                1
            }
            _ => self.write_queue(offset, value),
        };
        assert_eq!(width, expected_width, "write of {offset:#x}");
    }

    fn write_queue(&mut self, offset: u32, value: u32) -> u32 {
        let half = value as u16;
        let written = match offset {
            0x16 => {
                self.selected = half;
                Write::Select(half)
            }
            0x18 => {
                self.queue().size = half;
                Write::Size(half)
            }
            0x1a => {
                self.queue().vector = self.taken(half);
                Write::Vector(half)
            }
            0x1c => {
                self.queue().enabled = half;
                Write::Enable(half)
            }
            0x3a => {
                assert_eq!(half, 1);
                self.queue().resetting = !self.ignores_queue_reset;
                Write::QueueReset(half)
            }
            0x20..0x38 => {
                let area = (offset - 0x20) as usize / 8;
                let shift = (offset & 4) * 8;
                let address = &mut self.queue().addresses[area];
                *address = *address & !(0xffff_ffff << shift) | u64::from(value) << shift;
                self.log.push(Write::Half(offset, value));
                return 4;
            }
            _ => panic!("write of {offset:#x}"),
        };
        self.log.push(written);
        2
    }

    /// What a vector register holds after `vector` was written.
    pub(crate) fn taken(&self, vector: u16) -> u16 {
        if vector < self.vectors {
            vector
        } else {
            0xffff
        }
    }

    pub(crate) fn write_status(&mut self, status: u8) {
        self.log.push(Write::Status(status));
        if status == 0 {
            self.reset();
            return;
        }
        let starts = status & DRIVER_OK != 0 && self.status & DRIVER_OK == 0;
        self.status = status & !self.refused_status;
        if starts {
            self.status |= self.status_at_start;
        }
    }

    /// As QEMU does: the accepted features stay.
    fn reset(&mut self) {
        if self.reset_reads == 0 {
            self.status = 0;
        }
        self.config_vector = 0xffff;
        self.queues.iter_mut().for_each(FakeQueue::clear);
    }
}

impl FakeQueue {
    fn clear(&mut self) {
        self.size = self.max;
        self.vector = 0xffff;
        self.enabled = 0;
        self.page = 0;
        self.addresses = [0; 3];
    }
}
