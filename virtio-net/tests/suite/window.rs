//! Registers through configuration space.

use std::cell::Cell;

use virtio_net::bring_up::Found;
use virtio_net::config::MacAddress;
use virtio_net::features::Features;
use virtio_net::queue::{QueueAddresses, QueueSize};
use virtio_net::registers::Registers;
use virtio_net::transport::pci::PciTransport;
use virtio_net::transport::pci::capabilities::{LayoutError, Structure};
use virtio_net::transport::pci::queues::QueueSetup;
use virtio_net::transport::pci::window::{ConfigWindow, Exclusive};

use crate::config_space::{capabilities, config_space};
use crate::fake::{BARS, DRIVER_OK, Fake, Write};

/// Counts its uses, and fails the test when they overlap.
#[derive(Debug, Default)]
struct Lock {
    held: Cell<bool>,
    uses: Cell<u32>,
}

impl Exclusive for &Lock {
    fn exclusively<T>(&self, access: impl FnOnce() -> T) -> T {
        assert!(!self.held.replace(true));
        self.uses.set(self.uses.get() + 1);
        let value = access();
        self.held.set(false);
        value
    }
}

const UNMAPPED: [u64; 6] = [0; 6];

#[test]
fn a_device_whose_bars_are_not_mapped_is_driven_through_the_window() {
    // Its registers do not decode either: what comes, comes through the window.
    let fake = Fake::with(|state| state.deaf = true);
    let lock = Lock::default();
    let window = ConfigWindow::find(&fake, &lock, &UNMAPPED).unwrap();
    let reach = *window.reach();
    assert_eq!(reach, [1 << 32; 6]);
    let transport = PciTransport::open(window, &reach).unwrap();
    let found = Found::new(transport, 1, || {}).unwrap();
    let mut negotiated = found.negotiate(Features::ALL).unwrap();
    let config = negotiated.config().unwrap();
    let mac = MacAddress::new([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    assert_eq!((config.mac, config.mtu), (mac, Some(1500)));
    let setup = QueueSetup {
        index: 1,
        size: QueueSize::new(64).unwrap(),
        addresses: QueueAddresses {
            descriptors: 0x1_0000_0000,
            driver: 0x800,
            device: 0xa00,
        },
        vector: Some(1),
    };
    let doorbell = negotiated.set_up_queue(&setup).unwrap();
    let live = negotiated.start().unwrap();
    assert_eq!(fake.status() & DRIVER_OK, DRIVER_OK);
    assert_eq!(fake.0.borrow().queues[1].addresses[0], 0x1_0000_0000);
    fake.take_log();
    live.notify(doorbell, 7);
    assert_eq!(fake.take_log(), [Write::WideDoorbell(4, 7 << 16 | 0x101)]);
    fake.change(|state| state.isr = 1);
    assert_eq!(live.read_isr().bits(), 1);
    assert!(lock.uses.get() > 20);
}

#[test]
fn a_mapped_bar_is_reached_directly() {
    let fake = Fake::new();
    let lock = Lock::default();
    let window = ConfigWindow::find(&fake, &lock, &BARS).unwrap();
    let reach = *window.reach();
    assert_eq!((reach[4], reach[0]), (0x4000, 1 << 32));
    let transport = PciTransport::open(window, &reach).unwrap();
    let found = Found::new(transport, 1, || {}).unwrap();
    assert!(found.negotiate(Features::ALL).is_ok());
    assert_eq!(lock.uses.get(), 0);
}

#[test]
fn a_function_without_a_window_has_none() {
    let mut all = capabilities();
    all[1].kind = 9;
    let none = Fake::with(|state| state.config = config_space(&all));
    let lock = Lock::default();
    let found = ConfigWindow::find(&none, &lock, &UNMAPPED);
    let missing = LayoutError::Missing(Structure::Window);
    assert_eq!(found.err(), Some(missing));

    let mut all = capabilities();
    all[1].len = 16;
    let short = Fake::with(|state| state.config = config_space(&all));
    let found = ConfigWindow::find(&short, &lock, &UNMAPPED);
    let cut = LayoutError::CapabilityShort { at: 0xc8, len: 16 };
    assert_eq!(found.err(), Some(cut));
}

#[test]
fn configuration_space_is_read_as_it_is() {
    let fake = Fake::new();
    let lock = Lock::default();
    let window = ConfigWindow::find(&fake, &lock, &UNMAPPED).unwrap();
    assert_eq!(window.config_read32(0), 0x1041_1af4);
    assert_eq!(window.config_read16(2), 0x1041);
    assert_eq!(window.config_read8(8), 1);
}
