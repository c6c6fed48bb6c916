//! The legacy interface: found where nothing else is, driven by its registers, never asked.

use virtio_net::bring_up::{Found, Negotiated};
use virtio_net::config::ConfigError;
use virtio_net::features::{Features, Interface};
use virtio_net::queue::split::SplitLayout;
use virtio_net::queue::{QueueSize, QueueSizeError};
use virtio_net::transport::legacy_layout::LegacyAddressError;
use virtio_net::transport::pci::capabilities::{LayoutError, Structure};
use virtio_net::transport::pci::queues::{QueueSetup, QueueSetupError};
use virtio_net::transport::pci::ring_reset::QueueResetError;
use virtio_net::transport::pci::{PciTransport, ReadConfigError, ResetError};

use crate::config_space::{capabilities, config_space, make_transitional};
use crate::fake::{ACKNOWLEDGE, BARS, DRIVER, DRIVER_OK, Fake, Write};
use crate::legacy_ports::{LEGACY_BARS, PORTS_LEN, enable_msix, legacy};

fn open(fake: &Fake) -> Result<PciTransport<&Fake>, LayoutError> {
    PciTransport::open(fake, &LEGACY_BARS)
}

fn negotiated(fake: &Fake) -> Negotiated<&Fake> {
    let found = Found::new(open(fake).unwrap(), 1, || {}).unwrap();
    let negotiated = found.negotiate(Features::ALL).unwrap();
    fake.take_log();
    negotiated
}

fn setup(start: u64, size: u16) -> QueueSetup {
    let size = QueueSize::new(size).unwrap();
    QueueSetup {
        index: 1,
        size,
        addresses: SplitLayout::legacy(size).addresses_at(start).unwrap(),
        vector: None,
    }
}

#[test]
fn a_device_without_structures_is_driven_by_its_ports() {
    let fake = legacy(|_| {});
    let transport = open(&fake).unwrap();
    assert_eq!(transport.interface(), Interface::Legacy);
    assert_eq!(transport.structures(), None);
    assert_eq!(transport.read_queue_count(), None);

    let bare = legacy(|state| state.config[6] = 0); // no capabilities at all
    assert_eq!(open(&bare).unwrap().interface(), Interface::Legacy);
}

#[test]
fn a_device_with_both_interfaces_is_driven_by_the_modern_one() {
    let fake = Fake::with(|state| {
        state.config = config_space(&capabilities());
        make_transitional(&mut state.config);
    });
    let mut bars = BARS;
    bars[0] = PORTS_LEN;
    let interface = |bars| PciTransport::open(&fake, bars).unwrap().interface();
    assert_eq!(interface(&bars), Interface::Modern);
    // Unless its BAR is not mapped.
    assert_eq!(interface(&LEGACY_BARS), Interface::Legacy);
}

#[test]
fn only_a_transitional_device_has_ports() {
    let missing = Some(LayoutError::Missing(Structure::Common));
    for (at, value) in [(0, 0xf5), (2, 0x41), (3, 0x11), (8, 1)] {
        let other = legacy(|state| state.config[at] = value);
        assert_eq!(open(&other).err(), missing, "byte {at}");
    }
    let broken = legacy(|state| {
        state.config = config_space(&{
            let mut all = capabilities();
            all[5].length = 8;
            all
        });
        make_transitional(&mut state.config);
    });
    // A device that has structures is not driven past them because one is bad.
    let refused = PciTransport::open(&broken, &[PORTS_LEN, 0, 0, 0, 0x4000, 0]);
    assert!(matches!(refused, Err(LayoutError::TooShort(..))));
}

#[test]
fn ports_have_to_be_ports_and_enough_of_them() {
    let memory = legacy(|state| state.config[0x10] = 0x40);
    let refused = LayoutError::LegacyRegisters { len: PORTS_LEN };
    assert_eq!(open(&memory).err(), Some(refused));
    let fake = legacy(|_| {});
    for len in [0, 23] {
        let refused = LayoutError::LegacyRegisters { len };
        let opened = PciTransport::open(&fake, &[len, 0, 0, 0, 0, 0]);
        assert_eq!(opened.err(), Some(refused));
    }
    assert!(PciTransport::open(&fake, &[24, 0, 0, 0, 0, 0]).is_ok());
}

#[test]
fn features_are_told_in_one_word_and_not_asked_about() {
    let fake = legacy(|_| {});
    let found = Found::new(open(&fake).unwrap(), 1, || {}).unwrap();
    let negotiated = found.negotiate(Features::ALL).unwrap();
    let accepted = negotiated.features();
    assert_eq!(accepted.bits() >> 32, 0);
    let driven = ACKNOWLEDGE | DRIVER;
    let expected = [
        Write::Status(0),
        Write::Status(ACKNOWLEDGE),
        Write::Status(driven),
        Write::Accepted(0, accepted.word(0)),
    ];
    assert_eq!(fake.take_log(), expected);

    let mut negotiated = negotiated;
    negotiated.set_up_queue(&setup(0x10_0000, 256)).unwrap();
    let live = negotiated.start().unwrap();
    assert_eq!(live.interface(), Interface::Legacy);
    assert_eq!(fake.status(), driven | DRIVER_OK);
    let (_, stopped) = live.stop(1, || {});
    assert!(stopped.is_ok());
    assert_eq!(fake.0.borrow().queues[1].page, 0);
}

#[test]
fn a_queue_is_told_by_its_page() {
    let fake = legacy(|_| {});
    let mut negotiated = negotiated(&fake);
    let setup = setup(0x12_3000, 256);
    let doorbell = negotiated.set_up_queue(&setup).unwrap();
    assert_eq!(fake.take_log(), [Write::Select(1), Write::Page(0x123)]);
    assert_eq!(
        negotiated.set_up_queue(&setup),
        Err(QueueSetupError::AlreadyEnabled)
    );
    let live = negotiated.start().unwrap();
    fake.take_log();
    live.notify(doorbell, 0xffff);
    assert_eq!(fake.take_log(), [Write::LegacyDoorbell(1)]);
}

#[test]
fn the_size_of_a_queue_is_the_devices() {
    let fake = legacy(|state| state.queues[0].max = 100);
    let mut negotiated = negotiated(&fake);
    let size = QueueSize::new(256).unwrap();
    assert_eq!(negotiated.max_queue_size(1), Ok(size));
    assert_eq!(negotiated.choose_queue_size(1, 16), Ok(size));
    let bad = QueueSetupError::BadMaximum(QueueSizeError(100));
    assert_eq!(negotiated.max_queue_size(0), Err(bad));
    assert_eq!(negotiated.max_queue_size(3), Err(QueueSetupError::Absent));
    let other = negotiated.set_up_queue(&setup(0x10_0000, 128));
    assert_eq!(other, Err(QueueSetupError::LegacySize { size }));
    assert_eq!(fake.0.borrow().queues[1].page, 0);
}

#[test]
fn a_queue_that_the_device_would_not_find_is_refused() {
    let fake = legacy(|_| {});
    let mut negotiated = negotiated(&fake);
    let mut check = |setup: QueueSetup, why| {
        let refused = Err(QueueSetupError::LegacyAddresses(why));
        assert_eq!(negotiated.set_up_queue(&setup), refused);
    };
    check(setup(0x10_0800, 256), LegacyAddressError::Layout);
    check(setup(1 << 44, 256), LegacyAddressError::TooHigh);
    let mut packed_closely = setup(0x10_0000, 256);
    packed_closely.addresses.device -= 0x800;
    check(packed_closely, LegacyAddressError::Layout);
    assert!(fake.0.borrow().queues.iter().all(|queue| queue.page == 0));
}

#[test]
fn vectors_are_there_while_msix_is_enabled() {
    let fake = legacy(|_| {});
    let mut negotiated = negotiated(&fake);
    let refused = |vector| Err(QueueSetupError::VectorRefused { vector });
    assert_eq!(negotiated.set_config_vector(None), Ok(()));
    assert_eq!(negotiated.set_config_vector(Some(1)), refused(1));
    assert_eq!(fake.take_log(), []);

    fake.change(|state| enable_msix(state, true));
    assert_eq!(negotiated.set_config_vector(Some(1)), Ok(()));
    assert_eq!(negotiated.set_config_vector(Some(4)), refused(4));
    let setup = QueueSetup {
        vector: Some(2),
        ..setup(0x10_0000, 256)
    };
    fake.take_log();
    negotiated.set_up_queue(&setup).unwrap();
    let expected = [Write::Select(1), Write::Vector(2), Write::Page(0x100)];
    assert_eq!(fake.take_log(), expected);
}

#[test]
fn the_configuration_moves_with_the_vectors() {
    let fake = legacy(|_| {});
    let negotiated = negotiated(&fake);
    let without = negotiated.config().unwrap();
    assert_eq!(without.mac.map(|mac| mac.octets()[5]), Some(0x56));
    assert_eq!(without.max_queue_pairs, 4);
    assert_eq!((without.speed_mbps, without.hash), (None, None));
    fake.change(|state| enable_msix(state, true));
    assert_eq!(negotiated.config(), Ok(without));
}

#[test]
fn the_configuration_is_read_until_two_readings_agree() {
    // The fake changes the address with each read.
    let fake = legacy(|state| state.changes = 20);
    assert!(negotiated(&fake).config().is_ok());
    assert_eq!(fake.0.borrow().changes, 0);
    let restless = legacy(|state| state.changes = u32::MAX);
    let unstable = ConfigError::Unreadable(ReadConfigError::Unstable);
    assert_eq!(negotiated(&restless).config(), Err(unstable));
}

#[test]
fn a_configuration_ends_with_the_ports() {
    let fake = legacy(|_| {});
    let transport = PciTransport::open(&fake, &[31, 0, 0, 0, 0, 0]).unwrap();
    let found = Found::new(transport, 1, || {}).unwrap();
    let negotiated = found.negotiate(Features::MTU).unwrap();
    let outside = ReadConfigError::Outside {
        offset: 10,
        len: 11,
    };
    let expected = Err(ConfigError::Unreadable(outside));
    assert_eq!(negotiated.config(), expected);
}

#[test]
fn interrupts_and_health_are_read_in_the_ports() {
    let fake = legacy(|_| {});
    let mut negotiated = negotiated(&fake);
    negotiated.set_up_queue(&setup(0x10_0000, 256)).unwrap();
    let live = negotiated.start().unwrap();
    fake.change(|state| state.isr = 3);
    assert_eq!(live.read_isr().bits(), 3);
    assert!(live.read_isr().is_empty());
    assert_eq!(live.read_link(), Ok(true));
    let refused = live.reset_queue(1, 1, || {});
    assert!(matches!(refused, Err(QueueResetError::NotNegotiated)));
    fake.change(|state| state.gone = true);
    assert!(matches!(live.reset(1, || {}), Err(ResetError::Gone(_))));
}
