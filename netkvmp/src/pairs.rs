//! NetKVM adapters and their virtual functions, as far as the configuration tells.

use netcfg::names::is_netkvm;
use serde::Serialize;

/// An adapter of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adapter {
    pub(crate) name: String,
    pub(crate) pnp_id: String,
    pub(crate) mac: Option<[u8; 6]>,
    /// The version of its driver.
    pub(crate) driver: Option<String>,
    /// Whether the path from VIOPROT is enabled; `None` if there is no such path.
    pub(crate) vioprot: Option<bool>,
}

/// A NetKVM adapter with its virtual function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pair {
    /// The adapter's name.
    pub(crate) adapter: String,
    /// The version of its driver.
    pub(crate) driver: Option<String>,
    /// Its address.
    pub(crate) mac: Option<String>,
    /// The other adapter with that address; if several have it, one that VIOPROT is bound to.
    pub(crate) vf: Option<String>,
    /// The path that carries traffic. Only the driver knows it.
    pub(crate) path: Option<String>,
    /// Why there is no pair.
    pub(crate) why_not: Option<String>,
}

/// Pairs the adapters by address.
pub(crate) fn pair(all: &[Adapter], is_installed: bool) -> Vec<Pair> {
    let netkvm = all.iter().filter(|adapter| is_netkvm(&adapter.pnp_id));
    netkvm
        .map(|adapter| pair_one(adapter, all, is_installed))
        .collect()
}

fn pair_one(adapter: &Adapter, all: &[Adapter], is_installed: bool) -> Pair {
    // A team, a virtual switch or a VLAN on top of the adapter has its address as well, but a virtual
    // function is on the PCI bus, and those are not.
    let twin = |other: &&Adapter| {
        !is_netkvm(&other.pnp_id)
            && is_on_pci(&other.pnp_id)
            && adapter.mac.is_some()
            && other.mac == adapter.mac
    };
    let bound = |other: &&Adapter| other.vioprot == Some(true);
    let mut twins = all.iter().filter(twin);
    let vf = twins.clone().find(bound).or_else(|| twins.next());
    let why_not = match (adapter.mac, vf.map(|vf| vf.vioprot)) {
        _ if !is_installed => Some("VIOPROT is not installed"),
        (None, _) => Some("the adapter has not started"),
        (_, None) => Some("no other adapter has this address"),
        (_, Some(Some(true))) => None,
        (_, Some(Some(false))) => {
            Some("the binding of VIOPROT to the virtual function is disabled")
        }
        (_, Some(None)) => Some("VIOPROT can't be bound to the virtual function"),
    };
    Pair {
        adapter: adapter.name.clone(),
        driver: adapter.driver.clone(),
        mac: adapter.mac.map(spell),
        vf: vf.map(|vf| vf.name.clone()),
        path: None,
        why_not: why_not.map(str::to_owned),
    }
}

fn is_on_pci(pnp_id: &str) -> bool {
    let bus = pnp_id.get(..4);
    bus.is_some_and(|bus| bus.eq_ignore_ascii_case(r"PCI\"))
}

/// `52-54-00-12-34-56`
fn spell(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02X}")).join("-")
}

impl Pair {
    /// Lines for people.
    pub(crate) fn text(&self) -> String {
        let unknown = "unknown";
        let mut lines = vec![
            format!("Adapter:   {}", self.adapter),
            format!("  Driver:  {}", self.driver.as_deref().unwrap_or(unknown)),
            format!("  MAC:     {}", self.mac.as_deref().unwrap_or(unknown)),
            format!("  VF:      {}", self.vf.as_deref().unwrap_or("none")),
            format!("  Path:    {}", self.path.as_deref().unwrap_or(unknown)),
        ];
        lines.extend(self.why_not.as_ref().map(|why| format!("  No pair: {why}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn virtio() -> Adapter {
        Adapter {
            name: "virtio".into(),
            pnp_id: r"PCI\VEN_1AF4&DEV_1041\1".into(),
            mac: Some(MAC),
            driver: Some("1.2.3.4".into()),
            vioprot: Some(false),
        }
    }

    fn vf(mac: [u8; 6], vioprot: Option<bool>) -> Adapter {
        Adapter {
            name: "vf".into(),
            pnp_id: r"PCI\VEN_8086&DEV_1889\1".into(),
            mac: Some(mac),
            driver: None,
            vioprot,
        }
    }

    fn why_not(all: &[Adapter], is_installed: bool) -> Option<String> {
        pair(all, is_installed).remove(0).why_not
    }

    #[test]
    fn a_pair_has_one_address_and_a_binding() {
        let pairs = pair(&[virtio(), vf(MAC, Some(true))], true);
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
        let found = |all: &[Adapter]| pair(all, true).remove(0).vf;
        assert_eq!(found(&[virtio(), team.clone()]), None);
        let all = [virtio(), team, unbound.clone(), vf(MAC, Some(true))];
        assert_eq!(found(&all).as_deref(), Some("vf"));
        assert_eq!(found(&[virtio(), unbound]).as_deref(), Some("unbound"));
    }

    #[test]
    fn each_reason_is_told() {
        let other = [2, 0, 0, 0, 0, 1];
        assert!(
            why_not(&[virtio(), vf(MAC, None)], false)
                .unwrap()
                .contains("not installed")
        );
        assert!(
            why_not(&[virtio(), vf(other, Some(true))], true)
                .unwrap()
                .contains("no other")
        );
        assert!(
            why_not(&[virtio(), vf(MAC, Some(false))], true)
                .unwrap()
                .contains("disabled")
        );
        assert!(
            why_not(&[virtio(), vf(MAC, None)], true)
                .unwrap()
                .contains("can't be bound")
        );
        let waiting = Adapter {
            mac: None,
            ..virtio()
        };
        assert!(
            why_not(&[waiting, vf(MAC, Some(true))], true)
                .unwrap()
                .contains("not started")
        );
    }
}
