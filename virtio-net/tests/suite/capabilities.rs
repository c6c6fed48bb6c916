//! Finding the structures: what QEMU describes is found, what cannot be true is refused.

use virtio_net::registers::RegisterAddress;
use virtio_net::transport::pci::PciTransport;
use virtio_net::transport::pci::capabilities::{LayoutError, Place, Structure, Structures};

use crate::config_space::{FakeCapability, capabilities, config_space};
use crate::fake::{BAR, BARS, Fake};

const NOTIFY: usize = 2;
const DEVICE: usize = 3;
const COMMON: usize = 5;

fn open(capabilities: &[FakeCapability]) -> Result<Structures, LayoutError> {
    open_with(capabilities, &BARS)
}

fn open_with(capabilities: &[FakeCapability], bars: &[u64; 6]) -> Result<Structures, LayoutError> {
    let fake = Fake::with(|state| state.config = config_space(capabilities));
    PciTransport::open(&fake, bars).map(|transport| *transport.structures().unwrap())
}

/// QEMU's capabilities with one of them changed.
fn changed(index: usize, change: impl FnOnce(&mut FakeCapability)) -> [FakeCapability; 6] {
    let mut all = capabilities();
    change(&mut all[index]);
    all
}

fn place(capability: &FakeCapability) -> Place {
    let FakeCapability {
        bar,
        offset,
        length,
        ..
    } = *capability;
    Place {
        bar,
        offset,
        length,
    }
}

#[test]
fn the_structures_of_qemu_are_found() {
    let at = |offset| RegisterAddress { bar: BAR, offset };
    let expected = Structures {
        common: at(0),
        common_len: 0x1000,
        notify: at(0x3000),
        notify_len: 0x1000,
        notify_multiplier: 4,
        isr: at(0x1000),
        device: at(0x2000),
        device_len: 0x1000,
    };
    assert_eq!(open(&capabilities()), Ok(expected));
}

#[test]
fn a_function_off_the_bus_is_gone() {
    let fake = Fake::with(|state| state.gone = true);
    assert_eq!(
        PciTransport::open(&fake, &BARS).err(),
        Some(LayoutError::Gone)
    );
}

#[test]
fn a_function_without_capabilities_is_refused() {
    let fake = Fake::with(|state| state.config[6] = 0);
    assert_eq!(
        PciTransport::open(&fake, &BARS).err(),
        Some(LayoutError::NoCapabilities)
    );
}

#[test]
fn a_chain_that_loops_ends_the_search() {
    let looping = changed(COMMON, |common| common.next = 0xdc);
    assert_eq!(open(&looping), Err(LayoutError::Loop));
    let itself = changed(COMMON, |common| common.next = common.at);
    assert_eq!(open(&itself), Err(LayoutError::Loop));
}

#[test]
fn a_chain_that_leads_into_the_header_ends_there() {
    let early = changed(NOTIFY, |notify| notify.next = 0x10);
    assert_eq!(open(&early), Err(LayoutError::Missing(Structure::Common)));
}

#[test]
fn the_low_bits_of_a_link_do_not_count() {
    let odd = changed(NOTIFY, |notify| notify.next |= 3);
    assert!(open(&odd).is_ok());
}

#[test]
fn a_capability_over_the_end_of_configuration_space_is_refused() {
    let cut = changed(COMMON, |common| common.len = 0x7d);
    assert_eq!(open(&cut), Err(LayoutError::CapabilityCut { at: 0x84 }));
    let fits = changed(COMMON, |common| common.len = 0x7c);
    assert!(open(&fits).is_ok());
    let last = [FakeCapability {
        at: 0xfc,
        len: 16,
        ..capabilities()[COMMON]
    }];
    assert_eq!(open(&last), Err(LayoutError::CapabilityCut { at: 0xfc }));
}

#[test]
fn a_capability_shorter_than_its_kind_is_refused() {
    let short = changed(COMMON, |common| common.len = 15);
    assert_eq!(
        open(&short),
        Err(LayoutError::CapabilityShort { at: 0x84, len: 15 })
    );
    let short = changed(NOTIFY, |notify| notify.len = 16);
    assert_eq!(
        open(&short),
        Err(LayoutError::CapabilityShort { at: 0xb4, len: 16 })
    );
}

#[test]
fn each_structure_has_to_be_there() {
    let missing = |index, structure| {
        let without = changed(index, |capability| capability.kind = 0x77);
        assert_eq!(open(&without), Err(LayoutError::Missing(structure)));
    };
    missing(NOTIFY, Structure::Notify);
    missing(DEVICE, Structure::Device);
    missing(4, Structure::Isr);
    missing(COMMON, Structure::Common);
}

#[test]
fn a_structure_outside_its_bar_is_refused() {
    let check = |offset, length| {
        let outside = changed(DEVICE, |device| {
            device.offset = offset;
            device.length = length;
        });
        let expected = LayoutError::OutsideBar(Structure::Device, place(&outside[DEVICE]));
        assert_eq!(open(&outside), Err(expected));
    };
    check(0x4000, 4);
    check(0x3000, 0x1001);
    check(0xffff_fff0, 0x20);
    check(0, u32::MAX);
}

#[test]
fn a_structure_too_short_for_its_fields_is_refused() {
    let short = changed(COMMON, |common| common.length = 0x37);
    let expected = LayoutError::TooShort(Structure::Common, place(&short[COMMON]));
    assert_eq!(open(&short), Err(expected));
    assert!(open(&changed(COMMON, |common| common.length = 0x38)).is_ok());
}

#[test]
fn a_misaligned_structure_is_refused() {
    let check = |index: usize, structure, offset| {
        let moved = changed(index, |capability| {
            capability.offset += offset;
            capability.length -= 16;
        });
        let expected = LayoutError::Misaligned(structure, place(&moved[index]));
        assert_eq!(open(&moved), Err(expected));
    };
    check(COMMON, Structure::Common, 2);
    check(DEVICE, Structure::Device, 2);
    check(NOTIFY, Structure::Notify, 1);
}

#[test]
fn doorbells_at_odd_offsets_are_refused() {
    let odd = changed(NOTIFY, |notify| notify.multiplier = 3);
    assert_eq!(open(&odd), Err(LayoutError::OddNotifyMultiplier(3)));
    assert!(open(&changed(NOTIFY, |notify| notify.multiplier = 0)).is_ok());
}

#[test]
fn capabilities_of_other_kinds_may_look_like_anything() {
    // Vendor data (kind 9) may be six bytes long; what is reserved (kind 7) may be nonsense.
    let check = |at: u8, kind, len| {
        let mut all = capabilities().to_vec();
        all[5].next = at;
        let other = FakeCapability {
            at,
            kind,
            len,
            next: 0,
            bar: 0xff,
            offset: u32::MAX,
            ..all[5]
        };
        all.push(other);
        assert!(open(&all).is_ok());
    };
    check(0x40, 9, 6);
    check(0x40, 7, 0);
    check(0xfc, 9, 0xff);
}

#[test]
fn the_first_usable_instance_counts() {
    let [first, .., common] = capabilities();
    let second = FakeCapability {
        at: 0x44,
        offset: 0x100,
        ..common
    };
    let reserved = FakeCapability {
        at: 0x54,
        bar: 6,
        next: 0xdc,
        ..common
    };
    let unmapped = FakeCapability {
        at: 0x64,
        bar: 0,
        next: 0x54,
        ..common
    };
    let mut all = vec![unmapped, reserved, first];
    all.extend_from_slice(&capabilities()[1..5]);
    all.push(FakeCapability {
        next: 0x44,
        ..common
    });
    all.push(second);
    assert_eq!(open(&all).map(|found| found.common.offset), Ok(0));
}

#[test]
fn a_structure_in_a_bar_that_is_not_mapped_is_missing() {
    let mut bars = BARS;
    bars[usize::from(BAR)] = 0;
    let expected = LayoutError::Missing(Structure::Common);
    assert_eq!(open_with(&capabilities(), &bars), Err(expected));
}

#[test]
#[cfg_attr(miri, ignore = "long, and nothing of it is unsafe")]
fn any_configuration_space_is_survived() {
    // A generator of its own keeps the run the same everywhere.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next_byte = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as u8
    };
    let mut found = 0;
    for _ in 0..20_000 {
        let fake = Fake::with(|state| {
            for _ in 0..8 {
                state.config[usize::from(next_byte())] = next_byte();
            }
        });
        if let Ok(transport) = PciTransport::open(&fake, &BARS) {
            let structures = transport.structures().unwrap();
            let end = structures.device.offset + structures.device_len;
            assert!(u64::from(end) <= BARS[usize::from(structures.device.bar)]);
            found += 1;
        }
    }
    assert!(found > 0, "most changes are harmless");
}
