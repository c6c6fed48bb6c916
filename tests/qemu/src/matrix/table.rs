//! The table.

use super::{Entry, Interface, Wire};
use crate::backend::Ring;
use crate::seen::Reach;

/// Entries that belong together.
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Makes them.
    pub entries: fn() -> Vec<Entry>,
}

/// All there is.
pub const GROUPS: [Group; 8] = [
    group("rings", rings),
    group("vectors", vectors),
    group("interfaces", interfaces),
    group("mtu", mtu),
    group("offers", offers),
    group("offers_of_a_tap", offers_of_a_tap),
    group("queue_sizes", queue_sizes),
    group("not_there_yet", not_there_yet),
];

const fn group(name: &'static str, entries: fn() -> Vec<Entry>) -> Group {
    Group { name, entries }
}

const BOTH: [Ring; 2] = [Ring::Split, Ring::Packed];

/// What the rings can do, in all combinations: whether there is each is QEMU's to say.
fn rings() -> Vec<Entry> {
    const CHOICES: [(&str, &str); 3] = [
        ("mrg_rxbuf", "MRG_RXBUF"),
        ("event_idx", "EVENT_IDX"),
        ("indirect_desc", "INDIRECT_DESC"),
    ];
    let mut entries = Vec::new();
    for ring in BOTH {
        for chosen in 0..1 << CHOICES.len() {
            let mut entry = Entry::new(ring.name(), ring, "");
            for (bit, (property, feature)) in CHOICES.into_iter().enumerate() {
                let on = chosen >> bit & 1 != 0;
                let value = if on { "on" } else { "off" };
                entry.properties.push(format!("{property}={value}"));
                if on {
                    entry.expected.offers.push(feature);
                } else {
                    entry.expected.lacks.push(feature);
                    entry.name.push_str(&format!("_no_{property}"));
                }
            }
            let packed = &mut entry.expected;
            match ring {
                Ring::Packed => packed.offers.push("RING_PACKED"),
                Ring::Split => packed.lacks.push("RING_PACKED"),
            }
            entries.push(entry);
        }
    }
    entries
}

/// Vectors for all, for some, for none, and more than there is a use for.
fn vectors() -> Vec<Entry> {
    let counts = [0, 1, 2, 3, 4, 16].into_iter();
    let with = |count: usize| {
        let ring = if count.is_multiple_of(2) {
            Ring::Split
        } else {
            Ring::Packed
        };
        let name = format!("vectors_{count}");
        let mut entry = Entry::new(&name, ring, &format!("vectors={count}"));
        entry.sleeps = 1;
        entry.expected.vectors = count;
        entry
    };
    counts.map(with).collect()
}

/// Devices that are reached in other ways: by I/O ports as well, or by nothing else, and by doorbells in odd
/// places. All sleep, since what they are told when they wake up goes the same way.
fn interfaces() -> Vec<Entry> {
    const TRANSITIONAL: &str = "disable-legacy=off,disable-modern=off";
    const LEGACY: &str = "disable-legacy=off,disable-modern=on";
    let both = BOTH.into_iter();
    let transitional = both.map(|ring| {
        let name = format!("transitional_{}", ring.name());
        let mut entry = Entry::new(&name, ring, TRANSITIONAL);
        entry.expected.reach.port_bars.push(0);
        entry
    });
    let mut entries: Vec<_> = transitional.collect();
    for (name, more, lacks) in [
        ("legacy", "", &[][..]),
        ("legacy_no_mrg_rxbuf", "mrg_rxbuf=off", &["MRG_RXBUF"]),
        ("legacy_no_any_layout", "any_layout=off", &["ANY_LAYOUT"]),
        ("legacy_no_event_idx", "event_idx=off", &["EVENT_IDX"]),
        (
            "legacy_plain",
            "mrg_rxbuf=off,any_layout=off,indirect_desc=off,event_idx=off",
            &["MRG_RXBUF", "ANY_LAYOUT", "INDIRECT_DESC", "EVENT_IDX"],
        ),
        ("legacy_no_ctrl_vq", "ctrl_vq=off", &["CTRL_VQ"]),
    ] {
        let mut entry = legacy(name, &format!("{LEGACY},{more}"));
        entry.expected.lacks.extend(lacks);
        entries.push(entry);
    }
    for count in [0, 1] {
        let name = format!("legacy_vectors_{count}");
        let mut entry = legacy(&name, &format!("{LEGACY},vectors={count}"));
        entry.expected.vectors = count;
        entries.push(entry);
    }
    // Its queues can't be made shorter than they are.
    let mut long = legacy("legacy_long_ring", &format!("{LEGACY},rx_queue_size=1024"));
    long.expected.rings = [1024, 256];
    entries.push(long);

    let mut iommu = Entry::new("iommu_platform", Ring::Packed, "iommu_platform=on");
    iommu.expected.offers.push("IOMMU_PLATFORM");
    entries.push(iommu);
    entries.extend(odd_doorbells());
    for entry in &mut entries {
        entry.sleeps = 2;
    }
    entries
}

fn odd_doorbells() -> [Entry; 4] {
    const PAGE: u64 = 4096;
    let pages = BOTH.map(|ring| {
        let name = format!("page_per_vq_{}", ring.name());
        let mut entry = Entry::new(&name, ring, "page-per-vq=on");
        entry.expected.reach.doorbell_distance = PAGE;
        entry
    });
    // There are doorbells in ports besides, of which memory is as good.
    let mut ports = Entry::new("modern_pio_notify", Ring::Packed, "modern-pio-notify=on");
    ports.expected.reach.port_bars.push(2);
    let mut conventional = Entry::new("no_pci_express", Ring::Split, "x-disable-pcie=on");
    conventional.expected.reach.is_express = false;
    let [split, packed] = pages;
    [split, packed, ports, conventional]
}

fn legacy(name: &str, properties: &str) -> Entry {
    let mut entry = Entry::new(name, Ring::Split, properties);
    entry.expected.interface = Interface::Legacy;
    entry.expected.reach = Reach {
        port_bars: vec![0],
        doorbell_distance: 0,
        is_express: false,
    };
    entry.expected.lacks.push("VERSION_1");
    entry
}

/// The device names an MTU, and the administrator may want another one: the smaller one counts.
fn mtu() -> Vec<Entry> {
    const JUMBO: &str = "*JumboPacket=9014";
    let rows: [(&str, u32, Option<&str>, &str, u32); 6] = [
        ("host_mtu_1500", 1500, None, "", 1500),
        ("host_mtu_1400", 1400, None, "", 1400),
        ("host_mtu_9000", 9000, None, "", 1500),
        ("host_mtu_9000_jumbo", 9000, Some(JUMBO), "", 9000),
        (
            "host_mtu_9000_jumbo_no_mrg_rxbuf",
            9000,
            Some(JUMBO),
            ",mrg_rxbuf=off",
            9000,
        ),
        ("host_mtu_1400_jumbo", 1400, Some(JUMBO), "", 1400),
    ];
    let entry = |(name, stated, setting, more, expected)| {
        let properties = format!("host_mtu={stated}{more}");
        let mut entry = Entry::new(name, Ring::Split, &properties);
        entry.settings.extend(setting);
        entry.sleeps = 1;
        entry.expected.offers.push("MTU");
        entry.expected.mtu = expected;
        entry
    };
    rows.into_iter().map(entry).collect()
}

/// Devices that lack what QEMU's have by themselves. MAC is none of them: it offers an address always.
fn offers() -> Vec<Entry> {
    without(
        Wire::Socket,
        &[
            ("ctrl_vq", &["CTRL_VQ"]),
            ("ctrl_rx", &["CTRL_RX"]),
            ("ctrl_vlan", &["CTRL_VLAN"]),
            ("ctrl_rx_extra", &["CTRL_RX_EXTRA"]),
            ("ctrl_mac_addr", &["CTRL_MAC_ADDR"]),
            ("ctrl_guest_offloads", &["CTRL_GUEST_OFFLOADS"]),
            ("guest_announce", &["GUEST_ANNOUNCE"]),
            ("status", &["STATUS"]),
            ("gso", &["GSO"]),
            ("any_layout", &["ANY_LAYOUT"]),
            ("notify_on_empty", &["NOTIFY_ON_EMPTY"]),
            ("queue_reset", &["RING_RESET"]),
        ],
    )
}

/// As above, of what takes a cable that has it, too.
fn offers_of_a_tap() -> Vec<Entry> {
    without(
        Wire::Tap(1),
        &[
            ("csum", &["CSUM"]),
            ("host_tso4", &["HOST_TSO4"]),
            ("host_tso6", &["HOST_TSO6"]),
            ("host_ecn", &["HOST_ECN"]),
            ("host_ufo", &["HOST_UFO"]),
            ("guest_csum", &["GUEST_CSUM"]),
            ("guest_tso4", &["GUEST_TSO4"]),
            ("guest_tso6", &["GUEST_TSO6"]),
            ("guest_ecn", &["GUEST_ECN"]),
            ("guest_ufo", &["GUEST_UFO"]),
        ],
    )
}

/// One that has it all, and for each property one without.
fn without(wire: Wire, properties: &[(&str, &[&'static str])]) -> Vec<Entry> {
    let mut all = Entry::new("as_it_comes", Ring::Packed, "");
    all.wire = wire;
    let features = properties.iter().flat_map(|(_, features)| *features);
    all.expected.offers.extend(features);
    let mut entries = vec![all];
    for (number, (property, features)) in properties.iter().enumerate() {
        let ring = BOTH.get(number % 2).copied().unwrap_or(Ring::Split);
        let mut entry = Entry::new(&format!("no_{property}"), ring, &format!("{property}=off"));
        entry.wire = wire;
        entry.expected.lacks.extend(*features);
        entries.push(entry);
    }
    entries
}

/// The driver asks for a ring of a size, and the device may have less. QEMU gives 256 to 1024 for what is
/// received, and 256 for what is sent: more, and that only with vhost-user.
fn queue_sizes() -> Vec<Entry> {
    const MANY: [&str; 2] = ["*ReceiveBuffers=4096", "*TransmitBuffers=4096"];
    let mut entries = Vec::new();
    for (ring, receive) in [
        (Ring::Split, 256),
        (Ring::Packed, 512),
        (Ring::Split, 1024),
        (Ring::Packed, 1024),
    ] {
        let name = format!("rx_queue_size_{receive}_{}", ring.name());
        let mut entry = Entry::new(&name, ring, &format!("rx_queue_size={receive}"));
        entry.settings.extend(MANY);
        entry.expected.rings = [receive, 256];
        entries.push(entry);
    }
    let mut sending = Entry::new("tx_queue_size_1024", Ring::Split, "tx_queue_size=1024");
    sending.settings.extend(MANY);
    entries.push(sending);

    let mut few = Entry::new("few_buffers", Ring::Split, "rx_queue_size=1024");
    few.settings
        .extend(["*ReceiveBuffers=16", "*TransmitBuffers=16"]);
    few.expected.rings = [16, 16];
    entries.push(few);
    entries
}

/// What the driver is offered and does nothing with. Who teaches it to has to come by here.
fn not_there_yet() -> Vec<Entry> {
    const PAIRS: &str = "mq=on,vectors=6";
    let tap = |name, ring, properties: &str, leaves: &[&'static str]| {
        let mut entry = Entry::new(name, ring, properties);
        entry.wire = Wire::Tap(1);
        entry.expected.leaves.extend(leaves);
        entry
    };
    let several = |name, ring, more: &str, leaves: &[&'static str]| {
        let mut entry = tap(name, ring, &format!("{PAIRS},{more}"), leaves);
        entry.wire = Wire::Tap(2);
        entry.expected.vectors = 6;
        entry
    };
    let mut entries = vec![
        several("several_queue_pairs", Ring::Split, "", &["MQ"]),
        several("spread_by_hash", Ring::Packed, "rss=on", &["MQ", "RSS"]),
        several("hash_reports", Ring::Split, "hash=on", &["HASH_REPORT"]),
        tap(
            "checksums_of_what_is_sent",
            Ring::Split,
            "",
            &["CSUM", "CTRL_GUEST_OFFLOADS"],
        ),
        tap(
            "checksums_of_what_is_received",
            Ring::Packed,
            "",
            &["GUEST_CSUM", "CTRL_GUEST_OFFLOADS"],
        ),
        tap(
            "segments_of_what_is_sent",
            Ring::Packed,
            "",
            &["HOST_TSO4", "HOST_TSO6", "HOST_ECN"],
        ),
        tap(
            "segments_of_what_is_received",
            Ring::Split,
            "",
            &["GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN"],
        ),
        tap(
            "coalesced_segments",
            Ring::Packed,
            "guest_rsc_ext=on",
            &["RSC_EXT"],
        ),
    ];
    for (name, properties, leaves) in [
        ("link_speed", "speed=1000,duplex=full", "SPEED_DUPLEX"),
        ("vlan_filter", "", "CTRL_VLAN"),
        ("queue_reset", "", "RING_RESET"),
    ] {
        let mut entry = Entry::new(name, Ring::Packed, properties);
        entry.expected.leaves.push(leaves);
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn entries_have_names_of_their_own_and_what_is_without_something_has_a_twin_that_has_it() {
        for group in GROUPS {
            let entries = (group.entries)();
            let names: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
            assert_eq!(names.len(), entries.len(), "{}", group.name);
        }
        for entries in [rings(), offers(), offers_of_a_tap()] {
            let offered: BTreeSet<_> = entries
                .iter()
                .flat_map(|entry| &entry.expected.offers)
                .collect();
            let lacking = entries.iter().flat_map(|entry| &entry.expected.lacks);
            assert_eq!(lacking.collect::<BTreeSet<_>>(), offered);
        }
    }
}
