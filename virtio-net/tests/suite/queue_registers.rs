//! Describing queues to the device, and ringing their doorbells.

use virtio_net::bring_up::{Found, Negotiated};
use virtio_net::features::{self, Features};
use virtio_net::queue::{QueueAddresses, QueueSize, QueueSizeError};
use virtio_net::transport::pci::queues::{QueueSetup, QueueSetupError};

use crate::config_space::{capabilities, config_space};
use crate::fake::{Fake, Write};

const SETUP: QueueSetup = QueueSetup {
    index: 1,
    size: match QueueSize::new(128) {
        Ok(size) => size,
        Err(_) => panic!("128 is a size"),
    },
    addresses: QueueAddresses {
        descriptors: 0x1122_3344_5566_7700,
        driver: 0x8899_aabb_ccdd_ee00,
        device: 0x0102_0304_0506_0700,
    },
    vector: Some(2),
};

fn negotiated(fake: &Fake) -> Negotiated<&Fake> {
    negotiated_with(fake, features::DEFAULT.without(Features::NOTIF_CONFIG_DATA))
}

fn negotiated_with(fake: &Fake, mask: Features) -> Negotiated<&Fake> {
    let found = Found::new(fake.open(), 1, || {}).unwrap();
    let negotiated = found.negotiate(mask).unwrap();
    fake.take_log();
    negotiated
}

#[test]
fn a_queue_is_enabled_after_everything_else_was_said() {
    let fake = Fake::new();
    negotiated(&fake).set_up_queue(&SETUP).unwrap();
    let expected = [
        Write::Select(1),
        Write::Vector(2),
        Write::Size(128),
        Write::Half(0x20, 0x5566_7700),
        Write::Half(0x24, 0x1122_3344),
        Write::Half(0x28, 0xccdd_ee00),
        Write::Half(0x2c, 0x8899_aabb),
        Write::Half(0x30, 0x0506_0700),
        Write::Half(0x34, 0x0102_0304),
        Write::Enable(1),
    ];
    assert_eq!(fake.take_log(), expected);
}

#[test]
fn the_doorbell_is_where_the_device_has_it() {
    let fake = Fake::with(|state| state.queues[1].notify_offset = 7);
    let mut negotiated = negotiated(&fake);
    let doorbell = negotiated.set_up_queue(&SETUP).unwrap();
    assert_eq!(doorbell.queue(), 1);
    let live = negotiated.start().unwrap();
    fake.take_log();
    live.notify(doorbell, 0xffff);
    assert_eq!(fake.take_log(), [Write::Doorbell(4 * 7, 1)]);
}

/// Rings the doorbell of queue 1 at progress 0x8042, with `mask` negotiated.
fn ring(fake: &Fake, mask: Features) -> Vec<Write> {
    let mut negotiated = negotiated_with(fake, mask);
    let doorbell = negotiated.set_up_queue(&SETUP).unwrap();
    let wide = negotiated.features().contains(Features::NOTIFICATION_DATA);
    assert_eq!(doorbell.tells_progress(), wide);
    let live = negotiated.start().unwrap();
    fake.take_log();
    live.notify(doorbell, 0x8042);
    fake.take_log()
}

#[test]
fn a_doorbell_says_what_was_negotiated() {
    let fake = Fake::new();
    let (progress, name) = (Features::NOTIFICATION_DATA, Features::NOTIF_CONFIG_DATA);
    assert_eq!(ring(&fake, Features::NONE), [Write::Doorbell(4, 1)]);
    assert_eq!(ring(&fake, name), [Write::Doorbell(4, 0x101)]);
    assert_eq!(ring(&fake, progress), [Write::WideDoorbell(4, 0x8042_0001)]);
    let both = [Write::WideDoorbell(4, 0x8042_0101)];
    assert_eq!(ring(&fake, progress | name), both);
}

#[test]
fn a_doorbell_that_cannot_be_wide_is_not() {
    let check = |offset, multiplier, length| {
        let fake = Fake::with(|state| {
            let mut all = capabilities();
            all[2].offset += offset;
            all[2].multiplier = multiplier;
            all[2].length = length;
            state.config = config_space(&all);
        });
        let found = Found::new(fake.open(), 1, || {}).unwrap();
        let features = found.negotiate(Features::ALL).unwrap().features();
        features.contains(Features::NOTIFICATION_DATA)
    };
    assert!(check(0, 4, 0x1000) && check(4, 0, 4) && check(0, 8, 0x100));
    assert!(!check(2, 4, 0x100));
    assert!(!check(0, 2, 0x1000));
    assert!(!check(0, 0, 3));
}

#[test]
fn a_wide_doorbell_ends_inside_the_structure() {
    let fake = Fake::with(|state| {
        let mut all = capabilities();
        all[2].length = 7;
        state.config = config_space(&all);
    });
    let narrow = negotiated_with(&fake, Features::NONE).set_up_queue(&SETUP);
    assert!(narrow.is_ok());
    let mut wide = negotiated_with(&fake, Features::NOTIFICATION_DATA);
    let outside = QueueSetupError::DoorbellOutside { notify_offset: 1 };
    assert_eq!(wide.set_up_queue(&SETUP), Err(outside));
}

#[test]
fn all_queues_share_a_doorbell_where_the_multiplier_is_zero() {
    let fake = Fake::with(|state| {
        let mut all = capabilities();
        all[2].multiplier = 0;
        all[2].length = 2;
        state.config = config_space(&all);
    });
    assert_eq!(ring(&fake, Features::NONE), [Write::Doorbell(0, 1)]);
}

#[test]
fn a_field_that_the_device_does_not_have_is_not_read() {
    let fake = Fake::with(|state| {
        let mut all = capabilities();
        all[5].length = 0x38;
        state.config = config_space(&all);
    });
    assert_eq!(
        ring(&fake, Features::ALL),
        [Write::WideDoorbell(4, 0x8042_0001)]
    );
}

#[test]
fn a_doorbell_outside_the_structure_is_refused() {
    let check = |notify_offset, multiplier, length| {
        let fake = Fake::with(|state| {
            let mut all = capabilities();
            all[2].multiplier = multiplier;
            all[2].length = length;
            state.config = config_space(&all);
            state.queues[1].notify_offset = notify_offset;
        });
        negotiated(&fake).set_up_queue(&SETUP).map(drop)
    };
    let outside = |notify_offset| Err(QueueSetupError::DoorbellOutside { notify_offset });
    assert_eq!(check(0x400, 4, 0x1000), outside(0x400));
    assert_eq!(check(0x3ff, 4, 0x1000), Ok(()));
    assert_eq!(check(2, 0x8000_0000, 0x1000), outside(2));
    assert_eq!(check(u16::MAX, 0, 2), Ok(()));
    assert_eq!(check(1, 2, 3), outside(1));
}

#[test]
fn a_queue_that_is_not_there_is_absent() {
    let fake = Fake::with(|state| state.queues[1].max = 0);
    fake.change(|state| state.queues[1].size = 0);
    let mut negotiated = negotiated(&fake);
    assert_eq!(
        negotiated.max_queue_size(0),
        Ok(QueueSize::new(256).unwrap())
    );
    assert_eq!(negotiated.max_queue_size(1), Err(QueueSetupError::Absent));
    assert_eq!(negotiated.max_queue_size(3), Err(QueueSetupError::Absent));
    assert_eq!(
        negotiated.max_queue_size(u16::MAX),
        Err(QueueSetupError::Absent)
    );
}

#[test]
fn sizes_are_held_against_what_the_device_has() {
    let fake = Fake::with(|state| {
        state.queues[0].max = 100;
        state.queues[1].max = 64;
    });
    let mut negotiated = negotiated(&fake);
    let rounded = QueueSize::new(64).unwrap();
    assert_eq!(negotiated.max_queue_size(0), Ok(rounded));
    let max = QueueSize::new(64).unwrap();
    assert_eq!(
        negotiated.set_up_queue(&SETUP),
        Err(QueueSetupError::TooLarge { max })
    );
    assert_eq!(fake.0.borrow().queues[1].enabled, 0);
}

#[test]
fn a_size_is_chosen_between_the_wish_and_the_device() {
    let choose = |max, wish| {
        let fake = Fake::with(|state| state.queues[0].max = max);
        let mask = features::DEFAULT.without(Features::NOTIF_CONFIG_DATA);
        let mut negotiated = negotiated_with(&fake, mask.without(Features::RING_PACKED));
        negotiated.choose_queue_size(0, wish).map(QueueSize::get)
    };
    assert_eq!(choose(256, 1024), Ok(256));
    assert_eq!(choose(256, 100), Ok(64));
    assert_eq!(choose(256, 0), Ok(2));
    assert_eq!(choose(1000, u16::MAX), Ok(512));
    assert_eq!(choose(u16::MAX, u16::MAX), Ok(32768));
    let bad = Err(QueueSetupError::BadMaximum(QueueSizeError(1)));
    assert_eq!(choose(1, 16), bad);
}

#[test]
fn a_packed_queue_may_have_any_size() {
    let choose = |max, wish| {
        let fake = Fake::with(|state| state.queues[0].max = max);
        let mask = features::DEFAULT.without(Features::NOTIF_CONFIG_DATA);
        let mut negotiated = negotiated_with(&fake, mask | Features::RING_PACKED);
        negotiated.choose_queue_size(0, wish).map(QueueSize::get)
    };
    assert_eq!(choose(1000, u16::MAX), Ok(1000));
    assert_eq!(choose(1000, 100), Ok(100));
    assert_eq!(choose(1, 16), Ok(1));
    assert_eq!(choose(u16::MAX, u16::MAX), Ok(32768));
}

#[test]
fn a_vector_that_the_device_does_not_take_is_refused() {
    let fake = Fake::with(|state| state.vectors = 2);
    let mut negotiated = negotiated(&fake);
    let refused = |vector| Err(QueueSetupError::VectorRefused { vector });
    assert_eq!(negotiated.set_up_queue(&SETUP).map(drop), refused(2));
    assert_eq!(fake.0.borrow().queues[1].enabled, 0);
    assert_eq!(negotiated.set_config_vector(Some(9)), refused(9));
    assert_eq!(negotiated.set_config_vector(Some(0xffff)), refused(0xffff));
    assert_eq!(negotiated.set_config_vector(Some(0)), Ok(()));
    assert_eq!(fake.0.borrow().config_vector, 0);
    assert_eq!(negotiated.set_config_vector(None), Ok(()));
    assert_eq!(fake.0.borrow().config_vector, 0xffff);
}

#[test]
fn a_queue_is_set_up_once() {
    let fake = Fake::new();
    let mut negotiated = negotiated(&fake);
    assert!(negotiated.set_up_queue(&SETUP).is_ok());
    assert_eq!(
        negotiated.set_up_queue(&SETUP),
        Err(QueueSetupError::AlreadyEnabled)
    );
}

#[test]
fn a_device_that_left_has_no_queues() {
    let fake = Fake::new();
    let mut negotiated = negotiated(&fake);
    fake.change(|state| state.gone = true);
    assert_eq!(
        negotiated.set_up_queue(&SETUP),
        Err(QueueSetupError::Absent)
    );
}
