use control_device::{Flags, Path, WhyNot};

use super::*;

const MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const OTHER: Mac = [2, 0, 0, 0, 0, 1];
const VIRTIO_LUID: u64 = 0x0006_0000_0100_0000;
const VF_LUID: u64 = 0x0006_0000_0200_0000;

fn interface(luid: u64, mac: Mac) -> Option<Interface> {
    let mac = Some(mac);
    Some(Interface { luid, mac })
}

fn virtio() -> Adapter {
    Adapter {
        name: "virtio".into(),
        pnp_id: r"PCI\VEN_1AF4&DEV_1041\1".into(),
        interface: interface(VIRTIO_LUID, MAC),
        driver: Some("1.2.3.4".into()),
        vioprot: Some(false),
    }
}

fn vf(mac: Mac, vioprot: Option<bool>) -> Adapter {
    Adapter {
        name: "vf".into(),
        pnp_id: r"PCI\VEN_8086&DEV_1889\1".into(),
        interface: interface(VF_LUID, mac),
        driver: None,
        vioprot,
    }
}

fn record(path: Path, reason: WhyNot) -> AdapterRecord {
    AdapterRecord {
        luid: VIRTIO_LUID,
        mtu: 1500,
        why_not: reason.code(),
        detail: reason.detail(),
        flags: Flags::STANDBY.bits(),
        mac: MAC,
        path: path.code(),
        ..AdapterRecord::default()
    }
}

fn told(adapters: impl Into<Vec<AdapterRecord>>) -> Told {
    Told {
        protocol_installed: true,
        adapters: adapters.into(),
    }
}

/// The first pair, with the protocol installed.
fn first(all: &[Adapter], told: Option<&Told>) -> Pair {
    pair(all, true, told).remove(0)
}

fn why_not(all: &[Adapter], is_installed: bool) -> String {
    let pair = pair(all, is_installed, None).remove(0);
    pair.why_not.expect("a reason")
}

#[test]
fn a_pair_has_one_address_and_a_binding() {
    let pairs = pair(&[virtio(), vf(MAC, Some(true))], true, None);
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].vf.as_deref(), Some("vf"));
    assert_eq!(pairs[0].mac.as_deref(), Some("52-54-00-12-34-56"));
    assert_eq!(pairs[0].driver.as_deref(), Some("1.2.3.4"));
    assert_eq!(pairs[0].why_not, None);
}

#[test]
fn neither_a_team_nor_an_unbound_twin_is_taken_for_the_function() {
    let team = Adapter {
        name: "team".into(),
        pnp_id: r"COMPOSITEBUS\MS_IMPLAT_MP\{1}".into(),
        ..vf(MAC, Some(true))
    };
    let unbound = Adapter {
        name: "unbound".into(),
        ..vf(MAC, Some(false))
    };
    let found = |all: &[Adapter]| first(all, None).vf;
    assert_eq!(found(&[virtio(), team.clone()]), None);
    let all = [virtio(), team, unbound.clone(), vf(MAC, Some(true))];
    assert_eq!(found(&all).as_deref(), Some("vf"));
    assert_eq!(found(&[virtio(), unbound]).as_deref(), Some("unbound"));
}

#[test]
fn without_the_driver_the_configuration_gives_the_reason() {
    let both = |mac, vioprot| [virtio(), vf(mac, vioprot)];
    let waiting = Adapter {
        interface: None,
        ..virtio()
    };
    for (all, is_installed, part) in [
        (both(MAC, None), false, "not installed"),
        (both(OTHER, Some(true)), true, "no other adapter"),
        (both(MAC, Some(false)), true, "disabled"),
        (both(MAC, None), true, "can't be bound"),
        ([waiting, vf(MAC, Some(true))], true, "not started"),
    ] {
        let why = why_not(&all, is_installed);
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn the_driver_knows_path_link_and_mtu() {
    let all = [virtio(), vf(MAC, Some(true))];
    let none = first(&all, None);
    assert_eq!((none.path, none.link, none.mtu), (None, None, None));
    for (path, name) in [
        (Path::Vf, "vf"),
        (Path::Virtio, "virtio"),
        (Path::None, "none"),
        (Path::Switching, "switching"),
    ] {
        let pair = first(&all, Some(&told([record(path, WhyNot::Carries)])));
        assert_eq!(pair.path, Some(name));
        assert_eq!((pair.link, pair.mtu), (Some("down"), Some(1500)));
        assert_eq!(pair.why_not, None);
    }
    let up = AdapterRecord {
        flags: Flags::LINK_UP.bits(),
        ..record(Path::Virtio, WhyNot::Settling)
    };
    assert_eq!(first(&all, Some(&told([up]))).link, Some("up"));
}

#[test]
fn the_driver_is_right_where_it_answers() {
    let down = told([record(Path::Virtio, WhyNot::LinkDown)]);
    let carries = told([record(Path::Vf, WhyNot::Carries)]);
    for vioprot in [Some(true), Some(false), None] {
        let all = [virtio(), vf(MAC, vioprot)];
        let why = first(&all, Some(&down)).why_not.expect("a reason");
        assert!(why.contains("link is down"), "{why}");
        assert_eq!(first(&all, Some(&carries)).why_not, None);
    }
    let missing = told([record(Path::Virtio, WhyNot::NoVf)]);
    let why = first(&[virtio(), vf(MAC, Some(false))], Some(&missing));
    assert!(why.why_not.expect("a reason").contains("disabled"));
}

#[test]
fn an_adapter_has_the_record_of_its_luid() {
    let second = Adapter {
        name: "second".into(),
        interface: interface(7, MAC),
        ..virtio()
    };
    let of_second = AdapterRecord {
        luid: 7,
        ..record(Path::None, WhyNot::NotInstalled)
    };
    let told = told([of_second, record(Path::Virtio, WhyNot::NoVf)]);
    let pairs = pair(&[virtio(), second], true, Some(&told));
    let paths: Vec<_> = pairs.iter().map(|pair| pair.path).collect();
    assert_eq!(paths, [Some("virtio"), Some("none")]);
}

#[test]
fn an_adapter_without_a_record_is_not_the_drivers() {
    let foreign = AdapterRecord {
        mac: OTHER,
        luid: 7,
        ..record(Path::Vf, WhyNot::Carries)
    };
    let all = [virtio(), vf(MAC, Some(true))];
    let pair = first(&all, Some(&told([foreign])));
    assert_eq!(pair.path, None);
    let why = pair.why_not.expect("a reason");
    assert!(why.contains("does not run"), "{why}");
    // What the configuration knows is nearer to the cause.
    let pair = first(&[virtio()], Some(&told([foreign])));
    assert!(pair.why_not.expect("a reason").contains("no other adapter"));
}

#[test]
fn the_function_is_the_one_that_the_driver_has_bound() {
    let twin = Adapter {
        name: "twin".into(),
        interface: interface(9, MAC),
        ..vf(MAC, Some(true))
    };
    let all = [virtio(), twin, vf(OTHER, Some(true))];
    let found = |vf_luid| {
        let bound = AdapterRecord {
            vf_luid,
            ..record(Path::Vf, WhyNot::Carries)
        };
        first(&all, Some(&told([bound]))).vf
    };
    assert_eq!(found(VF_LUID).as_deref(), Some("vf"));
    // It is gone from the table of interfaces, or there is none.
    assert_eq!(found(77).as_deref(), Some("twin"));
    assert_eq!(found(0).as_deref(), Some("twin"));
}

#[test]
fn the_text_has_what_is_known() {
    let all = [virtio(), vf(MAC, Some(true))];
    let text = first(&all, None).text();
    assert!(text.contains("  Path:    unknown"), "{text}");
    assert!(
        !text.contains("Link:") && !text.contains("Not VF:"),
        "{text}"
    );
    let down = told([record(Path::Virtio, WhyNot::LinkDown)]);
    let text = first(&all, Some(&down)).text();
    for line in [
        "  MTU:     1500",
        "  Link:    down",
        "  VF:      vf",
        "  Path:    virtio",
    ] {
        assert!(text.lines().any(|told| told == line), "{text}");
    }
    assert!(
        text.contains("  Not VF:  the virtual function's link is down"),
        "{text}"
    );
}
