//! Who may be bound to which adapter.
//!
//! | | VIOPROT | any other protocol, client or service |
//! |---|---|---|
//! | virtual function | kept | refused |
//! | NetKVM itself | refused | not our business |
//! | any other adapter | refused | not our business |

pub(crate) use netcfg::interfaces::Mac;
use netcfg::names::{VIOPROT, is_netkvm};

use crate::standby::Standby;
use crate::vf_list::VfList;

/// What is known of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The device instance path.
    pub(crate) pnp_id: String,
    /// The address; a stopped adapter tells none.
    pub(crate) mac: Option<Mac>,
    /// For a NetKVM adapter: whether it may have a virtual function.
    pub(crate) standby: Standby,
    /// It has been a virtual function before.
    pub(crate) is_known: bool,
}

/// What an adapter is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A virtio adapter.
    NetKvm,
    /// A virtual function.
    Vf,
    /// Anything else.
    Other,
}

/// What is to become of a binding path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Left as it is.
    Keep,
    /// Disabled.
    Refuse,
}

/// The rules, with the administrator's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    list: VfList,
    matches_by_mac: bool,
}

impl Policy {
    /// The rules with this list. `matches_by_mac`: an address shared with a NetKVM adapter that may have
    /// a virtual function makes one, too.
    pub(crate) fn new(list: VfList, matches_by_mac: bool) -> Self {
        Self {
            list,
            matches_by_mac,
        }
    }

    /// Says what `adapter` is, given all adapters of the machine.
    pub(crate) fn kind(&self, adapter: &Facts, all: &[Facts]) -> Kind {
        if is_netkvm(&adapter.pnp_id) {
            Kind::NetKvm
        } else if self.list.has(&adapter.pnp_id) || self.pairs_by_mac(adapter, all) {
            Kind::Vf
        } else {
            Kind::Other
        }
    }

    /// A team, a virtual switch or a VLAN on top of NetKVM has NetKVM's address as well; but a function
    /// that was passed through is on the PCI bus, and those are not. While one of the two is stopped there
    /// is nothing to compare, and a function stays what it was; so it does while the driver does not run
    /// the NetKVM adapter.
    fn pairs_by_mac(&self, adapter: &Facts, all: &[Facts]) -> bool {
        let on_pci = adapter
            .pnp_id
            .get(..4)
            .is_some_and(|bus| bus.eq_ignore_ascii_case(r"PCI\"));
        if !self.matches_by_mac || !on_pci {
            return false;
        }
        let mut netkvm = all.iter().filter(|other| is_netkvm(&other.pnp_id));
        match adapter.mac {
            None => adapter.is_known,
            Some(mac) => netkvm.any(|other| match (other.standby, other.mac) {
                (Standby::No, _) => false,
                (Standby::Unknown, _) | (_, None) => adapter.is_known,
                (Standby::Likely, Some(other)) => other == mac && is_station(&mac),
            }),
        }
    }
}

/// Tells whether `mac` can be the address of one adapter: neither nothing nor a group.
fn is_station(mac: &Mac) -> bool {
    *mac != [0; 6] && mac.first().is_some_and(|first| first & 1 == 0)
}

/// Tells whether the component identifier `id` is our protocol's.
pub(crate) fn is_vioprot(id: &str) -> bool {
    id.eq_ignore_ascii_case(VIOPROT)
}

/// Judges a path from the component `owner` down to an adapter of this kind.
pub(crate) fn judge(owner: &str, kind: Kind) -> Verdict {
    match (is_vioprot(owner), kind) {
        (true, Kind::Vf) | (false, Kind::NetKvm | Kind::Other) => Verdict::Keep,
        (true, Kind::NetKvm | Kind::Other) | (false, Kind::Vf) => Verdict::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const VIRTIO: &str = r"PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01\3&1";
    const X540: &str = r"PCI\VEN_8086&DEV_1515&SUBSYS_00008086&REV_01\3&2";
    const REALTEK: &str = r"PCI\VEN_10EC&DEV_8168&SUBSYS_00000000&REV_02\3&3";
    const TEAM: &str = r"COMPOSITEBUS\MS_IMPLAT_MP\{1}";

    fn adapter(pnp_id: &str, mac: Option<Mac>) -> Facts {
        Facts {
            pnp_id: pnp_id.into(),
            mac,
            ..Facts::default()
        }
    }

    fn policy(matches_by_mac: bool) -> Policy {
        Policy::new(VfList::new(true, vec![]), matches_by_mac)
    }

    #[test]
    fn each_cell_of_the_table() {
        for id in ["VIOPROT", "vioprot"] {
            assert_eq!(judge(id, Kind::Vf), Verdict::Keep);
            assert_eq!(judge(id, Kind::NetKvm), Verdict::Refuse);
            assert_eq!(judge(id, Kind::Other), Verdict::Refuse);
        }
        assert_eq!(judge("ms_tcpip", Kind::Vf), Verdict::Refuse);
        assert_eq!(judge("ms_tcpip", Kind::NetKvm), Verdict::Keep);
        assert_eq!(judge("ms_tcpip", Kind::Other), Verdict::Keep);
    }

    #[test]
    fn a_function_on_the_list_needs_no_address() {
        assert_eq!(policy(true).kind(&adapter(X540, None), &[]), Kind::Vf);
    }

    #[test]
    fn the_address_of_a_virtio_adapter_makes_a_function() {
        let all = [adapter(VIRTIO, Some(MAC)), adapter(REALTEK, Some(MAC))];
        assert_eq!(policy(true).kind(&all[1], &all), Kind::Vf);
        assert_eq!(policy(false).kind(&all[1], &all), Kind::Other);
    }

    #[test]
    fn a_function_that_is_stopped_stays_one() {
        let known = |mac| Facts {
            is_known: true,
            ..adapter(REALTEK, mac)
        };
        for (virtio, own) in [(Some(MAC), None), (None, Some(MAC)), (None, None)] {
            let all = [adapter(VIRTIO, virtio), known(own)];
            assert_eq!(policy(true).kind(&all[1], &all), Kind::Vf);
            assert_eq!(policy(false).kind(&all[1], &all), Kind::Other);
            assert_eq!(policy(true).kind(&adapter(REALTEK, own), &all), Kind::Other);
        }
        // It runs, and its address is another one now.
        let all = [adapter(VIRTIO, Some(MAC)), known(Some([2; 6]))];
        assert_eq!(policy(true).kind(&all[1], &all), Kind::Other);
    }

    #[test]
    fn the_address_of_a_virtio_adapter_that_is_no_standby_makes_none() {
        let virtio = |standby| Facts {
            standby,
            ..adapter(VIRTIO, Some(MAC))
        };
        for is_known in [false, true] {
            let nic = Facts {
                is_known,
                ..adapter(REALTEK, Some(MAC))
            };
            let kind = |standby| policy(true).kind(&nic, &[virtio(standby), nic.clone()]);
            assert_eq!(kind(Standby::No), Kind::Other);
            assert_eq!(kind(Standby::Likely), Kind::Vf);
            let as_before = if is_known { Kind::Vf } else { Kind::Other };
            assert_eq!(kind(Standby::Unknown), as_before);
        }
        // One standby with the address is enough.
        let all = [
            virtio(Standby::No),
            virtio(Standby::Likely),
            adapter(REALTEK, Some(MAC)),
        ];
        assert_eq!(policy(true).kind(&all[2], &all), Kind::Vf);
    }

    #[test]
    fn the_address_of_any_other_adapter_does_not() {
        let all = [
            adapter(REALTEK, Some(MAC)),
            adapter(&REALTEK.replace("8168", "8169"), Some(MAC)),
        ];
        assert_eq!(policy(true).kind(&all[0], &all), Kind::Other);
    }

    #[test]
    fn what_stacks_on_virtio_is_no_function() {
        let all = [adapter(VIRTIO, Some(MAC)), adapter(TEAM, Some(MAC))];
        assert_eq!(policy(true).kind(&all[1], &all), Kind::Other);
    }

    #[test]
    fn virtio_is_never_a_function_even_if_the_list_says_so() {
        let list = VfList::new(true, vec!["ven_1af4&dev_1041".into()]);
        let policy = Policy::new(list, true);
        let all = [adapter(VIRTIO, Some(MAC)), adapter(VIRTIO, Some(MAC))];
        assert_eq!(policy.kind(&all[0], &all), Kind::NetKvm);
    }

    #[test]
    fn no_address_and_group_addresses_match_nothing() {
        for mac in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
            let all = [adapter(VIRTIO, Some(mac)), adapter(REALTEK, Some(mac))];
            assert_eq!(policy(true).kind(&all[1], &all), Kind::Other);
        }
        let unknown = [adapter(VIRTIO, None), adapter(REALTEK, None)];
        assert_eq!(policy(true).kind(&unknown[1], &unknown), Kind::Other);
    }
}
