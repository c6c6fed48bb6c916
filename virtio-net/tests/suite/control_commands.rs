//! The bytes of every command, what each needs, and which are refused.

use virtio_net::config::MacAddress;
use virtio_net::control::{
    Coalescing, Command, GroupAddress, HashConfig, Invalid, Limits, Mode, RssConfig, SubmitError,
    VlanId,
};
use virtio_net::features::Features;

use crate::control_bed::{Bed, LIMITS};

fn station(last: u8) -> MacAddress {
    MacAddress::new([0x52, 0x54, 0, 1, 2, last]).unwrap()
}

fn group(last: u8) -> GroupAddress {
    GroupAddress::new([0x33, 0x33, 0, 0, 0, last]).unwrap()
}

const COALESCING: Coalescing = Coalescing {
    max_packets: 0x0102_0304,
    max_usecs: 0x0506_0708,
};

/// What the device reads, and into how many bytes it writes.
fn sent(command: &Command<'_>) -> (Vec<u8>, u32) {
    let mut bed = Bed::new(2, Features::ALL);
    bed.submit(command).unwrap();
    bed.take();
    let held = &bed.held[0];
    // Header, data if there are any, and what is written: each a descriptor.
    assert_eq!(held.lens[0], 2);
    assert_eq!(held.lens.len(), if held.command.len() > 2 { 3 } else { 2 });
    (held.command.clone(), *held.lens.last().unwrap())
}

#[test]
fn each_mode_is_a_command_with_a_byte() {
    for (mode, number) in Mode::ALL.into_iter().zip(0..) {
        assert_eq!(sent(&Command::Mode(mode, true)), (vec![0, number, 1], 1));
        assert_eq!(sent(&Command::Mode(mode, false)), (vec![0, number, 0], 1));
    }
}

#[test]
fn a_mac_table_is_two_counted_lists() {
    let table = Command::MacTable {
        unicast: &[station(7)],
        multicast: &[group(8), group(9)],
    };
    let bytes = [
        &[1, 0][..],
        &[1, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 7],
        &[2, 0, 0, 0],
        &[0x33, 0x33, 0, 0, 0, 8, 0x33, 0x33, 0, 0, 0, 9],
    ];
    assert_eq!(sent(&table), (bytes.concat(), 1));

    let empty = Command::MacTable {
        unicast: &[],
        multicast: &[],
    };
    assert_eq!(sent(&empty), (vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1));
}

#[test]
fn an_address_is_its_octets() {
    let bytes = vec![1, 1, 0x52, 0x54, 0, 1, 2, 3];
    assert_eq!(sent(&Command::Mac(station(3))), (bytes, 1));
}

#[test]
fn a_vlan_is_a_little_endian_number() {
    let vlan = VlanId::new(0xabc).unwrap();
    assert_eq!(sent(&Command::AddVlan(vlan)), (vec![2, 0, 0xbc, 0x0a], 1));
    assert_eq!(
        sent(&Command::RemoveVlan(vlan)),
        (vec![2, 1, 0xbc, 0x0a], 1)
    );
}

#[test]
fn an_acknowledged_announcement_has_no_data() {
    assert_eq!(sent(&Command::AcknowledgeAnnouncement), (vec![3, 0], 1));
}

#[test]
fn queue_pairs_are_a_number() {
    assert_eq!(sent(&Command::Pairs(4)), (vec![4, 0, 4, 0], 1));
}

#[test]
fn rss_has_its_table_between_mask_and_key() {
    let rss = Command::Rss(RssConfig {
        hash: HashConfig {
            types: 0x104,
            key: &[0xa, 0xb, 0xc],
        },
        unclassified: 3,
        table: &[0, 1, 2, 0],
        transmit_queues: 2,
    });
    let bytes = [
        &[4, 1][..],
        &[4, 1, 0, 0],
        &[3, 0],
        &[3, 0],
        &[0, 0, 1, 0, 2, 0, 0, 0],
        &[2, 0],
        &[3, 0xa, 0xb, 0xc],
    ];
    assert_eq!(sent(&rss), (bytes.concat(), 1));
}

#[test]
fn a_hash_has_reserved_words_in_the_place_of_the_table() {
    let hash = Command::Hash(HashConfig {
        types: 0x3f,
        key: &[1, 2],
    });
    let bytes = [
        &[4, 2][..],
        &[0x3f, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &[2, 1, 2],
    ];
    assert_eq!(sent(&hash), (bytes.concat(), 1));
}

#[test]
fn offloads_go_by_the_numbers_of_their_features_but_for_tunnels() {
    let offloads = |features| {
        let (bytes, _) = sent(&Command::GuestOffloads(features));
        assert_eq!(bytes[..2], [5, 0]);
        u64::from_le_bytes(bytes[2..].try_into().unwrap())
    };
    assert_eq!(offloads(Features::NONE), 0);
    assert_eq!(
        offloads(Features::GUEST_CSUM | Features::GUEST_TSO4 | Features::GUEST_TSO6),
        1 << 1 | 1 << 7 | 1 << 8
    );
    assert_eq!(
        offloads(Features::GUEST_ECN | Features::GUEST_UFO),
        1 << 9 | 1 << 10
    );
    assert_eq!(
        offloads(Features::GUEST_USO4 | Features::GUEST_USO6 | Features::RSC_EXT),
        1 << 54 | 1 << 55 | 1 << 61
    );
    assert_eq!(offloads(Features::GUEST_UDP_TUNNEL_GSO), 1 << 46);
    assert_eq!(offloads(Features::GUEST_UDP_TUNNEL_GSO_CSUM), 1 << 47);
}

#[test]
fn coalescing_is_packets_and_then_microseconds() {
    let values = [4, 3, 2, 1, 8, 7, 6, 5];
    let with = |start: &[u8]| [start, &values].concat();
    assert_eq!(
        sent(&Command::CoalesceTransmit(COALESCING)),
        (with(&[6, 0]), 1)
    );
    assert_eq!(
        sent(&Command::CoalesceReceive(COALESCING)),
        (with(&[6, 1]), 1)
    );
    assert_eq!(
        sent(&Command::CoalesceQueue(5, COALESCING)),
        (with(&[6, 2, 5, 0, 0, 0]), 1)
    );
}

#[test]
fn a_query_has_room_for_the_answer_before_the_acknowledgement() {
    assert_eq!(
        sent(&Command::QueryCoalescing(6)),
        (vec![6, 3, 6, 0, 0, 0], 8 + 1)
    );
}

/// One command of each kind with the features that the specification asks for.
fn with_needs() -> Vec<(Command<'static>, Features)> {
    const HASH: HashConfig<'static> = HashConfig { types: 0, key: &[] };
    const RSS: RssConfig<'static> = RssConfig {
        hash: HASH,
        unclassified: 0,
        table: &[0],
        transmit_queues: 1,
    };
    let vlan = VlanId::new(1).unwrap();
    let table = Command::MacTable {
        unicast: &[],
        multicast: &[],
    };
    let mut all = vec![
        (Command::AcknowledgeAnnouncement, Features::GUEST_ANNOUNCE),
        (Command::AddVlan(vlan), Features::CTRL_VLAN),
        (Command::RemoveVlan(vlan), Features::CTRL_VLAN),
        (
            Command::CoalesceQueue(0, COALESCING),
            Features::VQ_NOTF_COAL,
        ),
        (Command::QueryCoalescing(0), Features::VQ_NOTF_COAL),
        (Command::CoalesceReceive(COALESCING), Features::NOTF_COAL),
        (Command::CoalesceTransmit(COALESCING), Features::NOTF_COAL),
        (
            Command::GuestOffloads(Features::GUEST_TSO4),
            Features::CTRL_GUEST_OFFLOADS | Features::GUEST_TSO4,
        ),
        (Command::Hash(HASH), Features::HASH_REPORT),
        (
            Command::Mac(station(1)),
            Features::CTRL_MAC_ADDR | Features::CTRL_RX,
        ),
        (table, Features::CTRL_RX),
        (Command::Pairs(1), Features::MQ),
        (Command::Rss(RSS), Features::RSS),
    ];
    let rx = [Mode::Promiscuous, Mode::AllMulticast];
    all.extend(Mode::ALL.map(|mode| {
        let feature = if rx.contains(&mode) {
            Features::CTRL_RX
        } else {
            Features::CTRL_RX_EXTRA
        };
        (Command::Mode(mode, true), feature)
    }));
    all
}

#[test]
fn a_command_needs_exactly_its_features() {
    for (command, needs) in with_needs() {
        let needs = needs | Features::CTRL_VQ;
        assert!(Bed::new(1, needs).submit(&command).is_ok(), "{command:?}");
        for bit in (0..128).map(|bit| Features::from_bits(1 << bit)) {
            let without = Bed::new(1, Features::ALL & !bit).submit(&command);
            let expected = SubmitError::NotNegotiated { lacking: bit };
            if needs.contains(bit) {
                assert_eq!(without, Err(expected), "{command:?}");
            } else {
                assert!(without.is_ok(), "{command:?} without {bit:?}");
            }
        }
    }
}

fn refusal(command: &Command<'_>) -> Invalid {
    let mut bed = Bed::new(1, Features::ALL);
    match bed.submit(command) {
        Err(SubmitError::Invalid(why)) => {
            bed.take();
            assert!(bed.held.is_empty());
            why
        }
        other => panic!("{command:?} gave {other:?}"),
    }
}

#[test]
fn addresses_beyond_the_limit_are_refused() {
    let unicast = Command::MacTable {
        unicast: &[station(1); 3],
        multicast: &[],
    };
    let multicast = Command::MacTable {
        unicast: &[],
        multicast: &[group(1); 4],
    };
    let too_many = |len, max| Invalid::TooManyAddresses { len, max };
    assert_eq!(refusal(&unicast), too_many(3, 2));
    assert_eq!(refusal(&multicast), too_many(4, 3));
}

#[test]
fn queues_that_there_are_not_are_refused() {
    let out_of_range = |pairs| Invalid::PairsOutOfRange { pairs, max: 4 };
    assert_eq!(refusal(&Command::Pairs(0)), out_of_range(0));
    assert_eq!(refusal(&Command::Pairs(5)), out_of_range(5));
    let no_such = |queue| Invalid::NoSuchQueue { queue };
    assert_eq!(refusal(&Command::QueryCoalescing(8)), no_such(8));
    assert_eq!(refusal(&Command::CoalesceQueue(9, COALESCING)), no_such(9));
}

#[test]
fn a_hash_beyond_the_device_is_refused() {
    let hash = |types, key| refusal(&Command::Hash(HashConfig { types, key }));
    assert_eq!(hash(1, &[]), Invalid::KeyMissing);
    assert_eq!(hash(0x201, &[1]), Invalid::UnsupportedHashTypes(0x200));
    let too_long = Invalid::KeyTooLong { len: 41, max: 40 };
    assert_eq!(hash(1, &[0; 41]), too_long);
}

#[test]
fn rss_beyond_the_device_is_refused() {
    let good = RssConfig {
        hash: HashConfig {
            types: 1,
            key: &[1; 40],
        },
        unclassified: 0,
        table: &[0, 1, 2, 3, 0, 1, 2, 3],
        transmit_queues: 4,
    };
    assert!(
        Bed::new(1, Features::ALL)
            .submit(&Command::Rss(good))
            .is_ok()
    );

    let table = |table| refusal(&Command::Rss(RssConfig { table, ..good }));
    assert_eq!(table(&[]), Invalid::TableNotPowerOfTwo(0));
    assert_eq!(table(&[0; 3]), Invalid::TableNotPowerOfTwo(3));
    assert_eq!(table(&[0; 16]), Invalid::TableTooLong { len: 16, max: 8 });
    assert_eq!(table(&[0, 4]), Invalid::NoSuchQueue { queue: 4 });

    let unclassified = Command::Rss(RssConfig {
        unclassified: 4,
        ..good
    });
    assert_eq!(refusal(&unclassified), Invalid::NoSuchQueue { queue: 4 });
    let transmit_queues = Command::Rss(RssConfig {
        transmit_queues: 5,
        ..good
    });
    let out_of_range = Invalid::PairsOutOfRange { pairs: 5, max: 4 };
    assert_eq!(refusal(&transmit_queues), out_of_range);
}

#[test]
fn what_is_no_receive_offload_is_refused() {
    let offloads = Features::GUEST_CSUM | Features::CSUM;
    assert_eq!(
        refusal(&Command::GuestOffloads(offloads)),
        Invalid::NotOffloads(Features::CSUM)
    );
}

#[test]
fn the_largest_commands_fit_their_slots() {
    let limits = Limits {
        unicast: 100,
        multicast: 300,
        rss_entries: 512,
        hash_key: 255,
        ..LIMITS
    };
    let rss = RssConfig {
        hash: HashConfig {
            types: 1,
            key: &[9; 255],
        },
        unclassified: 0,
        table: &[1; 512],
        transmit_queues: 1,
    };
    let table = Command::MacTable {
        unicast: &[station(1); 100],
        multicast: &[group(2); 300],
    };
    let mut bed = Bed::with_limits(2, Features::ALL, limits);
    bed.submit(&table).unwrap();
    bed.submit(&Command::Rss(rss)).unwrap();
    bed.take();
    assert_eq!(bed.held[0].command.len(), 2 + 8 + 400 * 6);
    assert_eq!(bed.held[1].command.len(), 2 + 10 + 1024 + 1 + 255);
    // The device's parser finds every field where it belongs.
    bed.answer(1);
    bed.answer(0);
    assert_eq!(bed.state.table.1.len(), 300);
}

#[test]
fn addresses_and_vlans_are_what_they_say() {
    assert!(GroupAddress::new([0xff; 6]).is_some());
    assert!(GroupAddress::new([0x52, 0x54, 0, 0, 0, 1]).is_none());
    assert!(VlanId::new(0).is_some());
    assert!(VlanId::new(4094).is_some());
    assert!(VlanId::new(4095).is_none());
}
