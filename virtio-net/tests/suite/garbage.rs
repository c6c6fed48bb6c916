//! A function that answers anything: whatever it says, the driver comes to an end, and touches
//! nothing outside of the BARs and nothing of configuration space.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;
use virtio_net::bring_up::Found;
use virtio_net::features::{self, Features, Interface};
use virtio_net::queue::split::SplitLayout;
use virtio_net::queue::{QueueAddresses, QueueSize};
use virtio_net::registers::{ConfigWrite, RegisterAddress, Registers};
use virtio_net::transport::pci::PciTransport;
use virtio_net::transport::pci::queues::QueueSetup;
use virtio_net::transport::pci::window::{ConfigWindow, Exclusive};

use crate::config_space::{capabilities, config_space, make_transitional};
use crate::fake::BAR;

const TRIES: u32 = 3;
/// More accesses than the longest way through takes.
const MANY: u32 = 20_000;

/// Memory that remembers what is written, and lies about it now and then.
#[derive(Debug)]
struct Garbage {
    config: [u8; 256],
    lengths: [u64; 6],
    memory: RefCell<Vec<u8>>,
    /// One read in so many is a lie; 0 for none.
    lies: u64,
    random: Cell<u64>,
    accesses: Cell<u32>,
    /// Whether configuration space tells the truth.
    frank: bool,
    /// Whether the window is in use, for which configuration space is written.
    windowed: bool,
}

impl Garbage {
    fn next(&self) -> u64 {
        let mut random = self.random.get();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        self.random.set(random);
        random >> 16
    }

    fn count(&self) {
        self.accesses.set(self.accesses.get() + 1);
        assert!(self.accesses.get() < MANY, "no end in sight");
    }

    /// `value`, or a lie: anything, or all ones.
    fn answer(&self, value: u64) -> u64 {
        self.count();
        if self.lies == 0 || !self.next().is_multiple_of(self.lies) {
            return value;
        }
        match self.next() % 4 {
            0 => u64::MAX,
            1 => 0,
            _ => self.next(),
        }
    }

    /// The place in memory of an access, which has to be one inside a BAR.
    fn place(&self, at: RegisterAddress, width: usize) -> usize {
        let len = self.lengths[usize::from(at.bar)];
        let end = u64::from(at.offset) + width as u64;
        assert!(end <= len, "{at:?} + {width} in a BAR of {len:#x}");
        assert_eq!(at.offset as usize % width, 0, "{at:?} + {width}");
        let whole = self.memory.borrow().len() - 8;
        (usize::from(at.bar) * 0x4000 + at.offset as usize) % whole
    }

    fn read(&self, at: RegisterAddress, width: usize) -> u64 {
        let place = self.place(at, width);
        let memory = self.memory.borrow();
        let bytes = memory[place..place + width].iter().rev();
        let value = bytes.fold(0, |value, byte| value << 8 | u64::from(*byte));
        self.answer(value)
    }

    fn write(&self, at: RegisterAddress, value: u64, width: usize) {
        self.count();
        let place = self.place(at, width);
        let bytes = &value.to_le_bytes()[..width];
        let mut memory = self.memory.borrow_mut();
        if (at.bar, at.offset) == (BAR, 0x3a) {
            // The reset of a queue is over at once.
            memory[0x1001c..0x1001e].fill(0);
        } else {
            memory[place..place + width].copy_from_slice(bytes);
        }
    }

    fn config(&self, offset: u16, width: usize) -> u64 {
        let at = usize::from(offset);
        assert_eq!(at % width, 0);
        let bytes = self.config[at..at + width].iter().rev();
        let value = bytes.fold(0, |value, byte| value << 8 | u64::from(*byte));
        if self.frank {
            return value;
        }
        self.answer(value)
    }

    fn write_config(&self, offset: u16) {
        self.count();
        assert!(self.windowed && (0x40..0x100).contains(&offset));
    }
}

impl Registers for &Garbage {
    fn config_read8(&self, offset: u16) -> u8 {
        self.config(offset, 1) as u8
    }
    fn config_read16(&self, offset: u16) -> u16 {
        self.config(offset, 2) as u16
    }
    fn config_read32(&self, offset: u16) -> u32 {
        self.config(offset, 4) as u32
    }
    fn read8(&self, at: RegisterAddress) -> u8 {
        self.read(at, 1) as u8
    }
    fn read16(&self, at: RegisterAddress) -> u16 {
        self.read(at, 2) as u16
    }
    fn read32(&self, at: RegisterAddress) -> u32 {
        self.read(at, 4) as u32
    }
    fn write8(&self, at: RegisterAddress, value: u8) {
        self.write(at, value.into(), 1);
    }
    fn write16(&self, at: RegisterAddress, value: u16) {
        self.write(at, value.into(), 2);
    }
    fn write32(&self, at: RegisterAddress, value: u32) {
        self.write(at, value.into(), 4);
    }
}

impl ConfigWrite for &Garbage {
    fn config_write8(&self, offset: u16, _: u8) {
        self.write_config(offset);
    }
    fn config_write16(&self, offset: u16, _: u16) {
        self.write_config(offset);
    }
    fn config_write32(&self, offset: u16, _: u32) {
        self.write_config(offset);
    }
}

struct NoLock;

impl Exclusive for NoLock {
    fn exclusively<T>(&self, access: impl FnOnce() -> T) -> T {
        access()
    }
}

fn setup(interface: Interface, index: u16, size: QueueSize) -> QueueSetup {
    let addresses = match interface {
        Interface::Modern => None,
        Interface::Legacy => SplitLayout::legacy(size).addresses_at(0x10_0000),
    };
    QueueSetup {
        index,
        size,
        addresses: addresses.unwrap_or(QueueAddresses {
            descriptors: 0x1000,
            driver: 0x2000,
            device: 0x3000,
        }),
        vector: None,
    }
}

/// Goes all the way, as far as it leads; says how many steps that were.
fn drive<R: Registers>(registers: R, lengths: &[u64; 6]) -> u32 {
    let Ok(transport) = PciTransport::open(registers, lengths) else {
        return 0;
    };
    let interface = transport.interface();
    let Ok(found) = Found::new(transport, TRIES, || {}) else {
        return 1;
    };
    let Ok(mut negotiated) = found.negotiate(Features::ALL) else {
        return 2;
    };
    assert_eq!(negotiated.features().bits() >> 64, 0);
    let _ = negotiated.config();
    let _ = negotiated.set_config_vector(Some(1));
    let mut doorbells = Vec::new();
    for index in [0, 1, 2, 0x8000, u16::MAX] {
        let Ok(size) = negotiated.choose_queue_size(index, 256) else {
            continue;
        };
        doorbells.extend(negotiated.set_up_queue(&setup(interface, index, size)));
    }
    let Ok(live) = negotiated.start() else {
        return 3;
    };
    doorbells
        .iter()
        .for_each(|doorbell| live.notify(*doorbell, u16::MAX));
    let (_, _) = (live.read_isr(), live.read_health());
    let (_, _) = (live.config(), live.read_link_status());
    let mut steps = 4;
    if let Ok(proof) = live.reset_queue(1, TRIES, || {}) {
        steps = 5;
        let _ = live.enable_queue(proof, &setup(interface, 1, QueueSize::MAX));
    }
    let (transport, _) = live.stop(TRIES, || {});
    let Ok(found) = Found::new(transport, TRIES, || {}) else {
        return steps;
    };
    let _ = found.renegotiate(features::DEFAULT, Features::NONE);
    steps
}

fn garbage(bytes: &[(u8, u8)], kind: u8, lies: u64, seed: u64, fill: u8) -> Garbage {
    let mut config = config_space(&capabilities());
    let mut lengths = [64, 0x1000, 0, 0, 0x4000, 0];
    if kind & 1 != 0 {
        make_transitional(&mut config);
    }
    if kind & 2 != 0 {
        lengths[usize::from(BAR)] = 0;
    }
    for (at, value) in bytes {
        config[usize::from(*at)] = *value;
    }
    let mut memory = vec![fill; 0x14000 + 8];
    // Enough of a device that the way leads on: features and three queues.
    memory[0x10000..0x10040].fill(0);
    memory[0x10004..0x10008].fill(0xff);
    memory[0x10012] = 3;
    memory[0x10018] = 64;
    memory[..24].fill(0);
    memory[12] = 64;
    Garbage {
        config,
        lengths,
        memory: RefCell::new(memory),
        lies,
        random: Cell::new(seed | 1),
        accesses: Cell::new(0),
        frank: kind & 8 != 0,
        windowed: kind & 4 != 0,
    }
}

fn drive_all(device: &Garbage) -> u32 {
    if !device.windowed {
        return drive(device, &device.lengths);
    }
    match ConfigWindow::find(device, NoLock, &device.lengths) {
        Ok(window) => {
            let reach = *window.reach();
            drive(window, &reach)
        }
        Err(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_a_device_answers_the_driver_ends_and_stays_inside(
        bytes in prop::collection::vec((any::<u8>(), any::<u8>()), 0..8),
        kind in 0_u8..16,
        lies in prop_oneof![Just(0), Just(1), Just(2), 3_u64..200],
        seed: u64,
        fill: u8,
    ) {
        drive_all(&garbage(&bytes, kind, lies, seed, fill));
    }
}

#[test]
fn the_way_leads_to_its_end_now_and_then() {
    // Otherwise the test above would say little.
    let reached = |kind| {
        let ways = (0..300).map(|seed| {
            let lies = [0, 100, 10, 2][seed as usize % 4];
            drive_all(&garbage(&[], kind, lies, seed * 77, 0))
        });
        ways.collect::<Vec<_>>()
    };
    let modern = reached(8);
    assert!((1..=5).all(|step| modern.contains(&step)), "{modern:?}");
    let legacy = reached(8 | 3);
    assert!((1..=4).all(|step| legacy.contains(&step)), "{legacy:?}");
    assert!(reached(0).contains(&5) && reached(4).contains(&0) && reached(3).contains(&4));
}
