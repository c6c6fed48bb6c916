//! Discovery, features, status, registers.

use super::super::*;
use super::driver::{Driver, MAC, ring};
use crate::pci::PciFunction;

const BASIC: u128 = feature::VERSION_1 | feature::MAC;

fn config() -> VirtioNetConfig {
    VirtioNetConfig::new(MAC)
}

fn read_config(driver: &mut Driver, offset: u16) -> u32 {
    let mut data = [0; 4];
    driver.device.config_read(offset, &mut data);
    u32::from_le_bytes(data)
}

/// ID, offset and the 16 bytes of every capability, in the order of the list.
fn capabilities(driver: &mut Driver) -> Vec<(u8, u8, Vec<u8>)> {
    let mut at = read_config(driver, 0x34) as u8;
    let mut list = Vec::new();
    while at != 0 {
        let words = [0, 4, 8, 12, 16].map(|offset| read_config(driver, u16::from(at) + offset));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        list.push((bytes[0], at, bytes.clone()));
        at = bytes[1];
    }
    list
}

#[test]
fn the_function_looks_like_qemus() {
    let mut driver = Driver::new(config());

    assert_eq!(read_config(&mut driver, 0x00), 0x1041_1AF4);
    assert_eq!(read_config(&mut driver, 0x08), 0x0200_0001);
    assert_eq!(read_config(&mut driver, 0x2C), 0x1100_1AF4);
    let list = capabilities(&mut driver);
    let places: Vec<(u8, u8)> = list.iter().map(|(id, at, _)| (*id, *at)).collect();
    assert_eq!(
        places,
        [
            (0x11, 0xDC),
            (0x09, 0xC8),
            (0x09, 0xB4),
            (0x09, 0xA4),
            (0x09, 0x94),
            (0x09, 0x84),
            (0x01, 0x7C),
            (0x10, 0x40),
        ]
    );
    let (_, _, notify) = &list[2];
    assert_eq!(notify[2..6], [20, 2, 4, 0]);
    assert_eq!(notify[8..20], [0, 0x30, 0, 0, 0, 0x10, 0, 0, 4, 0, 0, 0]);
}

#[test]
fn device_configuration_states_address_link_and_mtu() {
    let mut driver = Driver::new(VirtioNetConfig {
        mtu: 9000,
        ..config()
    });

    let fields: [u8; 8] = driver.read(0x2000);
    assert_eq!(
        fields,
        [MAC[0], MAC[1], MAC[2], MAC[3], MAC[4], MAC[5], 1, 0]
    );
    assert_eq!(driver.read(0x2008), 1_u16.to_le_bytes());
    assert_eq!(driver.read(0x200A), 9000_u16.to_le_bytes());
}

#[test]
fn a_clean_start_is_no_misuse_and_ends_in_driver_ok() {
    let mut driver = Driver::running(config(), BASIC);

    assert_eq!(driver.status(), 15);
    assert_eq!(
        driver.take_events(),
        [DeviceEvent::Reset, DeviceEvent::DriverOk]
    );
    assert_eq!(driver.control.misuses(), Vec::<String>::new());
    assert_eq!(driver.control.state().features, BASIC);
}

#[test]
fn features_without_version_1_are_refused() {
    let mut driver = Driver::new(config());
    driver.negotiate(feature::MAC);
    assert_eq!(driver.status(), 3);
}

#[test]
fn features_that_are_not_on_offer_are_refused() {
    let mut driver = Driver::new(config());
    driver.negotiate(BASIC | 1 << 22);
    assert_eq!(driver.status(), 3);
}

#[test]
fn access_platform_has_to_be_taken_if_it_is_on_offer() {
    let mut driver = Driver::new(config().with(feature::ACCESS_PLATFORM));
    driver.negotiate(BASIC);
    assert_eq!(driver.status(), 3);

    driver.negotiate(BASIC | feature::ACCESS_PLATFORM);
    assert_eq!(driver.status(), 11);
}

#[test]
fn the_offer_is_what_was_configured() {
    let mut driver = Driver::new(config().with(feature::STANDBY).without(feature::MTU));
    let expected = feature::MAC
        | feature::MRG_RXBUF
        | feature::STATUS
        | feature::INDIRECT_DESC
        | feature::EVENT_IDX
        | feature::VERSION_1
        | feature::STANDBY;
    assert_eq!(driver.offered(), expected);
}

#[test]
fn failover_is_negotiated_when_the_word_with_standby_is_written() {
    let mut driver = Driver::new(config().with(feature::STANDBY));
    let standby = ((feature::STANDBY | feature::VERSION_1) >> 32) as u32;

    driver.set_status(3);
    driver.write_feature_word(0, feature::MAC as u32);
    assert_eq!(driver.take_events(), []);
    driver.write_feature_word(1, standby);
    assert_eq!(driver.take_events(), [DeviceEvent::FailoverNegotiated]);
}

#[test]
fn feature_words_survive_a_reset_and_a_stale_one_negotiates_failover() {
    let features = BASIC | feature::STANDBY;
    let mut driver = Driver::running(config().with(feature::STANDBY), features);
    driver.set_status(0);
    driver.take_events();

    // Low word first: the high one still has STANDBY.
    driver.set_status(3);
    driver.write_feature_word(0, feature::MAC as u32);
    assert_eq!(driver.take_events(), [DeviceEvent::FailoverNegotiated]);
    driver.write_feature_word(1, 1);
    assert_eq!(driver.take_events(), []);

    driver.set_status(11);
    assert_eq!(driver.control.state().features, BASIC);
}

#[test]
fn high_word_first_never_negotiates_failover_by_accident() {
    let features = BASIC | feature::STANDBY;
    let mut driver = Driver::running(config().with(feature::STANDBY), features);
    driver.take_events();

    driver.negotiate(BASIC);

    assert_eq!(driver.take_events(), [DeviceEvent::Reset]);
}

#[test]
fn standby_that_is_not_on_offer_is_no_failover() {
    let mut driver = Driver::new(config());
    driver.negotiate(BASIC | feature::STANDBY);
    assert_eq!(driver.take_events(), [DeviceEvent::Reset]);
    assert_eq!(driver.status(), 3);
}

#[test]
fn features_are_closed_after_features_ok() {
    let mut driver = Driver::running(config().with(feature::STANDBY), BASIC);
    driver.take_events();

    driver.write_feature_word(1, ((feature::STANDBY | feature::VERSION_1) >> 32) as u32);

    assert_eq!(driver.take_events(), []);
    assert_eq!(driver.control.counters().misuses, 1);
}

#[test]
fn a_reset_forgets_everything_but_the_feature_words() {
    let mut driver = Driver::running(config(), BASIC);

    driver.set_status(0);

    assert_eq!(driver.status(), 0);
    driver.write(0x16, &1_u16.to_le_bytes());
    assert_eq!(driver.read(0x1C), [0, 0], "queue_enable");
    assert_eq!(driver.read(0x1A), [0xFF, 0xFF], "queue_msix_vector");
    assert_eq!(driver.read(0x20), [0; 4], "queue_desc");
    assert_eq!(driver.control.state().features, 0);
    driver.write(0x08, &1_u32.to_le_bytes());
    assert_eq!(driver.read(0x0C), [1, 0, 0, 0], "driver_feature");
}

#[test]
fn driver_ok_without_features_ok_breaks_the_device() {
    let mut driver = Driver::new(config());
    driver.set_status(7);
    assert_eq!(
        driver.status() & device_status::NEEDS_RESET,
        device_status::NEEDS_RESET
    );
    assert!(driver.broken().unwrap().contains("FEATURES_OK"));
}

#[test]
fn a_queue_outside_memory_breaks_the_device_until_it_is_reset() {
    let mut driver = Driver::new(config());
    driver.negotiate(BASIC);
    driver.write(0x24, &0x77_u32.to_le_bytes());
    driver.write(0x1C, &1_u16.to_le_bytes());
    assert!(driver.broken().unwrap().contains("outside memory"));

    driver.bring_up(BASIC);
    assert_eq!(driver.status(), 15);
}

#[test]
fn queue_sizes_are_powers_of_two_up_to_the_maximum() {
    let mut driver = Driver::new(config());
    driver.negotiate(BASIC);
    assert_eq!(driver.read(0x18), 256_u16.to_le_bytes());

    for (written, read) in [(64_u16, 64_u16), (100, 64), (512, 64)] {
        driver.write(0x18, &written.to_le_bytes());
        assert_eq!(driver.read(0x18), read.to_le_bytes());
    }
    assert_eq!(driver.control.counters().misuses, 2);
}

#[test]
fn there_are_two_queues() {
    let mut driver = Driver::new(config());
    assert_eq!(driver.read(0x12), 2_u16.to_le_bytes());
    driver.write(0x16, &2_u16.to_le_bytes());
    assert_eq!(driver.read(0x18), [0, 0], "a queue of size 0 is not there");
}

#[test]
fn a_vector_that_does_not_exist_reads_back_as_none() {
    let mut driver = Driver::new(config());
    driver.write(0x10, &3_u16.to_le_bytes());
    assert_eq!(driver.read(0x10), [3, 0]);
    driver.write(0x10, &4_u16.to_le_bytes());
    assert_eq!(driver.read(0x10), [0xFF, 0xFF]);
}

#[test]
fn a_link_change_raises_the_configuration_interrupt() {
    let mut driver = Driver::running(config(), BASIC | feature::STATUS);
    let generation = driver.read::<1>(0x15);

    driver.control.set_link(false);
    driver.control.set_link(false);

    assert_eq!(driver.take_messages(), [0x40]);
    assert_eq!(driver.read(0x2006), [0, 0]);
    assert_ne!(driver.read::<1>(0x15), generation);
    assert_eq!(driver.read(0x1000), [3], "ISR");
    assert_eq!(driver.read(0x1000), [0], "reading clears it");
}

#[test]
fn the_configuration_may_change_silently_before_driver_ok() {
    let mut driver = Driver::new(config());
    driver.control.set_link(false);
    assert!(driver.take_messages().is_empty());
    assert_eq!(driver.read(0x2006), [0, 0]);
}

#[test]
fn registers_are_reached_through_configuration_space_too() {
    let mut driver = Driver::new(config());
    driver.device.config_write(0xCC, &[4]);
    driver.device.config_write(0xD0, &0x2000_u32.to_le_bytes());
    driver.device.config_write(0xD4, &4_u32.to_le_bytes());

    assert_eq!(read_config(&mut driver, 0xD8).to_le_bytes(), MAC[..4]);
}

#[test]
fn without_memory_decoding_the_bars_are_not_there() {
    let mut driver = Driver::new(config());
    driver.device.config_write(0x04, &4_u16.to_le_bytes());
    assert_eq!(driver.read(0x12), [0xFF, 0xFF]);
}

#[test]
fn the_end_of_bus_mastering_is_the_end_of_the_driver() {
    let mut driver = Driver::running(config(), BASIC);
    driver.device.config_write(0x04, &2_u16.to_le_bytes());
    assert_eq!(driver.status(), 11);
}

#[test]
fn doorbells_before_driver_ok_are_misuse() {
    let mut driver = Driver::new(config());
    driver.negotiate(BASIC);
    driver.set_up_queue(0);

    driver.kick(0);

    assert_eq!(
        driver.control.misuses(),
        ["Receive: doorbell of a queue that does not run"]
    );
}

#[test]
fn a_queue_stays_where_it_was_enabled() {
    let mut driver = Driver::running(config(), BASIC);
    driver.write(0x20, &[0; 4]);
    assert_eq!(driver.read(0x20), (ring(1) as u32).to_le_bytes());
    assert_eq!(driver.control.counters().misuses, 1);
}

#[test]
fn another_offer_takes_effect_at_the_next_reset() {
    let mut driver = Driver::running(config(), BASIC);
    let before = driver.offered();

    driver.control.offer_from_reset(BASIC);
    assert_eq!(driver.offered(), before);
    driver.set_status(0);

    assert_eq!(driver.offered(), BASIC);
}

#[test]
fn a_power_cycle_forgets_registers_that_a_reset_keeps() {
    let mut driver = Driver::running(config(), BASIC);
    driver.control.offer_from_reset(BASIC);

    driver.control.power_cycle();

    assert_eq!(
        read_config(&mut driver, 0x04) as u16,
        0,
        "the command register"
    );
    driver.device.config_write(0x04, &6_u16.to_le_bytes());
    assert_eq!(driver.status(), 0);
    assert_eq!(driver.offered(), BASIC);
    assert!(driver.take_events().contains(&DeviceEvent::PowerCycled));
}

#[test]
fn without_msix_the_pin_follows_the_isr_register() {
    let mut driver = Driver::running(config(), BASIC | feature::STATUS);
    let mut control = [0; 2];
    driver.device.config_read(0xDE, &mut control);
    driver
        .device
        .config_write(0xDE, &[control[0], control[1] & 0x7F]);
    assert!(!driver.line());

    driver.control.set_link(false);

    assert!(driver.line());
    assert_eq!(driver.read::<1>(0x1000), [3]);
    assert!(
        !driver.line(),
        "reading the ISR register lets go of the pin"
    );
    assert_eq!(driver.read::<1>(0x1000), [0]);
}

#[test]
fn a_pin_that_is_disabled_is_not_driven() {
    let mut driver = Driver::running(config(), BASIC | feature::STATUS);
    driver.device.config_write(0xDE, &[0, 0]);
    driver.device.config_write(0x04, &0x0406_u16.to_le_bytes());

    driver.control.set_link(false);
    assert!(!driver.line());

    driver.device.config_write(0x04, &0x0006_u16.to_le_bytes());
    assert!(driver.line());
}
