//! The user-mode programs under Wine.

mod bindings;
mod control;
mod faults;
mod files;
mod lists;
mod netsh;
mod setup;
mod upgrade;

use anyhow::{Result, ensure};
use wine_host::Machine;

pub(crate) const VIRTIO: &str = "{00000000-0000-0000-0000-000000000001}";
pub(crate) const VF: &str = "{00000000-0000-0000-0000-000000000002}";
pub(crate) const OTHER: &str = "{00000000-0000-0000-0000-000000000003}";

pub(crate) const VIRTIO_ID: &str = r"PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01\3&11583659&0&18";
pub(crate) const VF_ID: &str = r"PCI\VEN_8086&DEV_1889&SUBSYS_00008086&REV_02\3&11583659&0&20";
pub(crate) const OTHER_ID: &str = r"PCI\VEN_10EC&DEV_8168&SUBSYS_00000000&REV_02\3&11583659&0&28";

/// A machine with TCP/IP, NetBT and a client on it, a NetKVM adapter, and one that is neither.
pub(crate) fn machine() -> Result<Machine> {
    let machine = Machine::new()?;
    furnish(&machine, VIRTIO, OTHER)?;
    Ok(machine)
}

/// The same, with a virtual function.
pub(crate) fn with_vf() -> Result<Machine> {
    let machine = machine()?;
    add_vf(&machine)?;
    Ok(machine)
}

/// A virtual function comes.
pub(crate) fn add_vf(machine: &Machine) -> Result<()> {
    machine.tool(&["adapter", VF, VF_ID])?;
    machine.tool(&["rescan"])?;
    Ok(())
}

/// Installs VIOPROT.
pub(crate) fn installed(machine: &Machine) -> Result<()> {
    let ran = machine.netkvmp(&["install"])?;
    ensure!(ran.code == 0, "{ran:?}");
    Ok(())
}

pub(crate) fn furnish(machine: &Machine, virtio: &str, other: &str) -> Result<()> {
    for (last, id, service, upper, lower) in [
        ("11", "ms_tcpip", "Tcpip", "tdi", "ndis5,ndis4"),
        ("12", "ms_netbt", "NetBT", "netbios", "tdi"),
        (
            "13",
            "ms_msclient",
            "LanmanWorkstation",
            "noupper",
            "netbios",
        ),
    ] {
        let instance = format!("{{00000000-0000-0000-0000-0000000000{last}}}");
        machine.tool(&["component", &instance, id, service, upper, lower])?;
    }
    machine.tool(&["adapter", virtio, VIRTIO_ID])?;
    machine.tool(&["adapter", other, OTHER_ID])?;
    machine.tool(&["rescan"])?;
    Ok(())
}

/// The paths that end at `adapter`: owner, and whether it is enabled.
pub(crate) fn paths(machine: &Machine, adapter: &str) -> Result<Vec<String>> {
    let end = format!("->{adapter}");
    let state = machine.state()?;
    let paths = state
        .iter()
        .filter(|line| line.contains(&end) && !line.starts_with("withheld"));
    Ok(paths.map(|line| line.replace(&end, "")).collect())
}

pub(crate) const FREE: [&str; 4] = [
    "ms_msclient->ms_netbt->ms_tcpip on",
    "ms_netbt->ms_tcpip on",
    "ms_tcpip on",
    "vioprot off",
];

pub(crate) const TAKEN: [&str; 4] = [
    "ms_msclient->ms_netbt->ms_tcpip off",
    "ms_netbt->ms_tcpip off",
    "ms_tcpip off",
    "vioprot on",
];
