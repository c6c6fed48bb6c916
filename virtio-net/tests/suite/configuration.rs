//! The device configuration: what is negotiated is read whole, or not believed.

use virtio_net::bring_up::{Found, Negotiated};
use virtio_net::config::{ConfigError, Duplex, HashLimits, MacAddress, NetConfig};
use virtio_net::features::Features;
use virtio_net::transport::pci::ReadConfigError;

use crate::fake::{Fake, State};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn negotiated(fake: &Fake, mask: Features) -> Negotiated<&Fake> {
    Found::new(fake.open(), 1, || {})
        .unwrap()
        .negotiate(mask)
        .unwrap()
}

fn config(fake: &Fake) -> Result<NetConfig, ConfigError> {
    negotiated(fake, Features::ALL).config()
}

#[test]
fn everything_that_is_negotiated_is_read() {
    let expected = NetConfig {
        mac: MacAddress::new(MAC),
        link_up: true,
        announce: false,
        max_queue_pairs: 4,
        mtu: Some(1500),
        speed_mbps: Some(10_000),
        duplex: Some(Duplex::Full),
        hash: Some(HashLimits {
            max_key_len: 40,
            max_table_len: Some(128),
            types: 0x1ff,
        }),
    };
    assert_eq!(config(&Fake::new()), Ok(expected));
    assert_eq!(expected.mac.map(MacAddress::octets), Some(MAC));
}

#[test]
fn what_is_not_negotiated_is_not_read() {
    let fake = Fake::with(|state| {
        state.net.clear(); // a read would fail the test
    });
    let expected = NetConfig {
        mac: None,
        link_up: true,
        announce: false,
        max_queue_pairs: 1,
        mtu: None,
        speed_mbps: None,
        duplex: None,
        hash: None,
    };
    assert_eq!(negotiated(&fake, Features::NONE).config(), Ok(expected));
}

#[test]
fn the_link_follows_the_status() {
    let fake = Fake::new();
    let mut negotiated = negotiated(&fake, Features::ALL);
    fake.change(|state| state.net[6] = 2); // announce, link down
    assert_eq!(negotiated.config().map(|config| config.link_up), Ok(false));

    negotiated
        .set_up_queue(&virtio_net::transport::pci::queues::QueueSetup {
            index: 0,
            size: virtio_net::queue::QueueSize::new(2).unwrap(),
            addresses: virtio_net::queue::QueueAddresses {
                descriptors: 0,
                driver: 0,
                device: 0,
            },
            vector: None,
        })
        .unwrap();
    let live = negotiated.start().unwrap();
    assert_eq!(live.read_link(), Ok(false));
    let status = live.read_link_status().unwrap();
    assert!(!status.up && status.announce);
    fake.change(|state| state.net[6] = 1);
    assert_eq!(live.read_link(), Ok(true));
    assert_eq!(live.config().map(|config| config.link_up), Ok(true));
}

#[test]
fn an_address_that_no_station_has_is_refused() {
    let check = |mac: [u8; 6]| {
        let fake = Fake::with(|state| state.net[..6].copy_from_slice(&mac));
        assert_eq!(config(&fake), Err(ConfigError::BadMac(mac)));
    };
    check([0; 6]);
    check([0xff; 6]);
    check([1, 0, 0x5e, 0, 0, 1]);
}

#[test]
fn an_mtu_below_68_is_refused() {
    let with = |mtu: u16| Fake::with(|state| state.net[10..12].copy_from_slice(&mtu.to_le_bytes()));
    assert_eq!(config(&with(67)), Err(ConfigError::BadMtu(67)));
    assert_eq!(config(&with(68)).map(|config| config.mtu), Ok(Some(68)));
    assert_eq!(
        config(&with(65535)).map(|config| config.mtu),
        Ok(Some(65535))
    );
}

#[test]
fn an_announcement_is_asked_for_with_its_feature_only() {
    let fake = Fake::with(|state| state.net[6] = 3);
    assert_eq!(config(&fake).map(|config| config.announce), Ok(true));
    let mask = Features::ALL & !Features::GUEST_ANNOUNCE;
    let without = negotiated(&fake, mask).config().unwrap();
    assert!(without.link_up && !without.announce);
}

#[test]
fn a_number_of_queue_pairs_that_cannot_be_is_refused() {
    let with =
        |pairs: u16| Fake::with(|state| state.net[8..10].copy_from_slice(&pairs.to_le_bytes()));
    for bad in [0, 0x8001, 0xffff] {
        assert_eq!(config(&with(bad)), Err(ConfigError::BadQueuePairs(bad)));
    }
    for good in [1, 0x8000] {
        assert_eq!(
            config(&with(good)).map(|config| config.max_queue_pairs),
            Ok(good)
        );
    }
    let features = Features::RSS | Features::CTRL_VQ;
    let by_rss = negotiated(&with(7), features).config().unwrap();
    assert_eq!(by_rss.max_queue_pairs, 7);
    let nothing = negotiated(&with(0), Features::CTRL_VQ).config().unwrap();
    assert_eq!(nothing.max_queue_pairs, 1);
}

#[test]
fn a_speed_that_is_none_is_unknown() {
    let with = |speed: u32, duplex: u8| {
        let fake = Fake::with(|state| {
            state.net[12..16].copy_from_slice(&speed.to_le_bytes());
            state.net[16] = duplex;
        });
        let config = config(&fake).unwrap();
        (config.speed_mbps, config.duplex)
    };
    assert_eq!(
        with(0x7fff_ffff, 0),
        (Some(0x7fff_ffff), Some(Duplex::Half))
    );
    assert_eq!(with(0x8000_0000, 2), (None, None));
    assert_eq!(with(u32::MAX, 0xff), (None, None));
    assert_eq!(with(0, 1), (Some(0), Some(Duplex::Full)));
}

#[test]
fn hash_limits_below_the_least_are_refused() {
    let with = |key: u8, table: u16| {
        Fake::with(|state| {
            state.net[17] = key;
            state.net[18..20].copy_from_slice(&table.to_le_bytes());
        })
    };
    assert_eq!(config(&with(39, 128)), Err(ConfigError::BadHashKeyLen(39)));
    let short = ConfigError::BadIndirectionTableLen(127);
    assert_eq!(config(&with(40, 127)), Err(short));
    // Without RSS there is no table, whatever is there.
    let features = Features::HASH_REPORT | Features::CTRL_VQ;
    let hash = negotiated(&with(40, 0), features).config().unwrap().hash;
    let expected = HashLimits {
        max_key_len: 40,
        max_table_len: None,
        types: 0x1ff,
    };
    assert_eq!(hash, Some(expected));
}

#[test]
fn a_configuration_that_changes_is_read_again() {
    let fake = Fake::with(|state| state.changes = 20);
    assert!(config(&fake).is_ok());
    assert_eq!(fake.0.borrow().changes, 0);
}

#[test]
fn a_configuration_that_never_rests_is_given_up() {
    let fake = Fake::with(|state| state.changes = u32::MAX);
    assert_eq!(
        config(&fake),
        Err(ConfigError::Unreadable(ReadConfigError::Unstable))
    );
}

#[test]
fn a_field_beyond_the_configuration_is_not_read() {
    let cut = |state: &mut State| {
        let mut capabilities = crate::config_space::capabilities();
        capabilities[3].length = 11;
        state.config = crate::config_space::config_space(&capabilities);
    };
    let outside = ReadConfigError::Outside {
        offset: 10,
        len: 11,
    };
    assert_eq!(
        config(&Fake::with(cut)),
        Err(ConfigError::Unreadable(outside))
    );
}

#[test]
fn the_configuration_of_a_device_that_left_is_not_believed() {
    let fake = Fake::new();
    let negotiated = negotiated(&fake, Features::ALL);
    fake.change(|state| state.gone = true);
    let gone = ConfigError::Unreadable(ReadConfigError::Gone);
    assert_eq!(negotiated.config(), Err(gone));
}
