//! NetKVM adapters and their virtual functions: what the network configuration tells, and the driver.

use control_device::AdapterRecord;
use netcfg::driver::Told;
use netcfg::interfaces::{Interface, Mac};
use netcfg::names::is_netkvm;
use serde::Serialize;

use crate::told::{self, Configured};

/// An adapter of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adapter {
    pub(crate) name: String,
    pub(crate) pnp_id: String,
    /// While it runs.
    pub(crate) interface: Option<Interface>,
    /// The version of its driver.
    pub(crate) driver: Option<String>,
    /// Whether the path from VIOPROT is enabled; `None` if there is no such path.
    pub(crate) vioprot: Option<bool>,
}

impl Adapter {
    fn mac(&self) -> Option<Mac> {
        self.interface?.mac
    }
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
    /// Bytes, without the Ethernet header. Only the driver tells.
    pub(crate) mtu: Option<u32>,
    /// "up" or "down": its link. Only the driver tells.
    pub(crate) link: Option<&'static str>,
    /// The adapter that the driver has bound; if it tells none, the other adapter with that address; if
    /// several have it, one that VIOPROT is bound to.
    pub(crate) vf: Option<String>,
    /// "vf", "virtio", "none", "switching": the path that carries traffic. Only the driver tells.
    pub(crate) path: Option<&'static str>,
    /// Why it is not the virtual function.
    pub(crate) why_not: Option<String>,
}

/// Pairs the adapters. `told`: what the driver says, if it can be asked.
pub(crate) fn pair(all: &[Adapter], is_installed: bool, told: Option<&Told>) -> Vec<Pair> {
    let netkvm = || all.iter().filter(|adapter| is_netkvm(&adapter.pnp_id));
    let interfaces: Vec<Interface> = netkvm().filter_map(|adapter| adapter.interface).collect();
    netkvm()
        .map(|adapter| {
            let record = told.zip(adapter.interface);
            let record = record.and_then(|(told, interface)| told.of(&interface, &interfaces));
            let vf = partner(adapter, all, record);
            let configured = configured(adapter, vf, is_installed);
            let why_not = match (told, record) {
                (_, Some(record)) => told::why_not(record, configured),
                (Some(_), None) if configured == Configured::Bound => {
                    Some("the driver does not run this adapter".to_owned())
                }
                (_, None) => configured.why_not().map(str::to_owned),
            };
            Pair {
                adapter: adapter.name.clone(),
                driver: adapter.driver.clone(),
                mac: adapter.mac().map(spell),
                mtu: record.map(|record| record.mtu),
                link: record.map(told::link),
                vf: vf.map(|vf| vf.name.clone()),
                path: record.and_then(told::path),
                why_not,
            }
        })
        .collect()
}

/// The virtual function of an adapter.
fn partner<'a>(
    adapter: &Adapter,
    all: &'a [Adapter],
    record: Option<&AdapterRecord>,
) -> Option<&'a Adapter> {
    let luid = record
        .map(|record| record.vf_luid)
        .filter(|luid| *luid != 0);
    let is_bound = |other: &&Adapter| {
        luid.is_some() && other.interface.map(|interface| interface.luid) == luid
    };
    if let Some(vf) = all.iter().find(is_bound) {
        return Some(vf);
    }
    // A team, a virtual switch or a VLAN on top of the adapter has its address as well, but a virtual
    // function is on the PCI bus, and those are not.
    let is_twin = |other: &&Adapter| {
        !is_netkvm(&other.pnp_id)
            && is_on_pci(&other.pnp_id)
            && adapter.mac().is_some()
            && other.mac() == adapter.mac()
    };
    let mut twins = all.iter().filter(is_twin);
    let bound = twins.clone().find(|twin| twin.vioprot == Some(true));
    bound.or_else(|| twins.next())
}

fn configured(adapter: &Adapter, vf: Option<&Adapter>, is_installed: bool) -> Configured {
    match (adapter.mac(), vf.map(|vf| vf.vioprot)) {
        _ if !is_installed => Configured::NotInstalled,
        (None, _) => Configured::NotStarted,
        (_, None) => Configured::NoTwin,
        (_, Some(Some(true))) => Configured::Bound,
        (_, Some(Some(false))) => Configured::Disabled,
        (_, Some(None)) => Configured::Unbindable,
    }
}

fn is_on_pci(pnp_id: &str) -> bool {
    let bus = pnp_id.get(..4);
    bus.is_some_and(|bus| bus.eq_ignore_ascii_case(r"PCI\"))
}

/// `52-54-00-12-34-56`
fn spell(mac: Mac) -> String {
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
        ];
        lines.extend(self.mtu.map(|mtu| format!("  MTU:     {mtu}")));
        lines.extend(self.link.map(|link| format!("  Link:    {link}")));
        lines.push(format!(
            "  VF:      {}",
            self.vf.as_deref().unwrap_or("none")
        ));
        lines.push(format!("  Path:    {}", self.path.unwrap_or(unknown)));
        lines.extend(self.why_not.as_ref().map(|why| format!("  Not VF:  {why}")));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests;
