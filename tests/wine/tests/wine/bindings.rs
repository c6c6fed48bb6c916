//! Who is bound to what: the notify object's work, read from the binding table.

use anyhow::{Context, Result};
use wine_host::{Machine, Network};

use crate::{
    FREE, OTHER, OTHER_ID, TAKEN, VF, VIRTIO, VIRTIO_ID, add_vf, furnish, installed, machine,
    paths, with_vf,
};

const SETTINGS: &str = r"HKLM\System\CurrentControlSet\Control\VioProt";

#[test]
fn a_function_that_is_there_at_installation_keeps_vioprot_only() -> Result<()> {
    let machine = with_vf()?;
    installed(&machine)?;
    assert_eq!(paths(&machine, VF)?, TAKEN);
    assert_eq!(paths(&machine, VIRTIO)?, FREE);
    assert_eq!(paths(&machine, OTHER)?, FREE);
    let state = machine.state()?;
    let lists: Vec<_> = state
        .iter()
        .filter(|line| line.starts_with("linkage"))
        .collect();
    assert_eq!(lists, [&format!(r"linkage vioprot \Device\{VF}")]);
    Ok(())
}

#[test]
fn a_function_that_comes_later_keeps_vioprot_only() -> Result<()> {
    let machine = machine()?;
    installed(&machine)?;
    add_vf(&machine)?;
    assert_eq!(paths(&machine, VF)?, TAKEN);
    assert_eq!(paths(&machine, VIRTIO)?, FREE);
    assert_eq!(paths(&machine, OTHER)?, FREE);
    Ok(())
}

#[test]
fn an_ordinary_adapter_that_comes_later_keeps_everything_but_vioprot() -> Result<()> {
    let machine = machine()?;
    installed(&machine)?;
    machine.tool(&["adapter", VF, &OTHER_ID.replace("28", "30")])?;
    machine.tool(&["rescan"])?;
    assert_eq!(paths(&machine, VF)?, FREE);
    Ok(())
}

#[test]
fn the_function_gets_back_what_it_had_and_no_more() -> Result<()> {
    let machine = with_vf()?;
    machine.tool(&["disable", &format!("ms_netbt->ms_tcpip->{VF}")])?;
    let before = machine.state()?;
    installed(&machine)?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

/// NetBT stands on both protocols, and only one of its two paths had been enabled.
#[test]
fn of_two_paths_of_one_owner_only_the_one_that_was_taken_comes_back() -> Result<()> {
    let machine = machine()?;
    let instance = "{00000000-0000-0000-0000-000000000014}";
    let (id, service) = ("ms_tcpip6", "Tcpip6");
    machine.tool(&["component", instance, id, service, "tdi", "ndis5,ndis4"])?;
    add_vf(&machine)?;
    machine.tool(&["disable", &format!("ms_netbt->ms_tcpip->{VF}")])?;
    let before = machine.state()?;
    assert!(before.contains(&format!("ms_netbt->ms_tcpip6->{VF} on")));
    installed(&machine)?;
    let state = machine.state()?;
    assert!(state.contains(&format!("ms_netbt->ms_tcpip6->{VF} off")));
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn a_function_that_is_absent_gets_its_bindings_when_it_is_back() -> Result<()> {
    let machine = with_vf()?;
    installed(&machine)?;
    machine.tool(&["remove-adapter", VF])?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(&format!("Not there: {VF}")), "{ran:?}");
    let is_record = |line: &String| line.starts_with("withheld");
    let state = machine.state()?;
    let record = state.iter().find(|line| is_record(line));
    let record = record.context("no record")?;
    assert!(record.contains(&format!("ms_tcpip->{VF}")), "{record}");
    let ran = machine.netkvmp(&["uninstall", "--json"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let told = format!(r#"{{"absent":["{VF}"],"result":"nothing-installed"}}"#);
    assert_eq!(ran.out.trim(), told);
    // It is back, as it was when it went.
    add_vf(&machine)?;
    for line in paths(&machine, VF)? {
        let owner = line.strip_suffix(" on").context(line.clone())?;
        machine.tool(&["disable", &format!("{owner}->{VF}")])?;
    }
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(&format!("record of {VF}")), "{ran:?}");
    assert_eq!(paths(&machine, VF)?, &FREE[..3]);
    assert!(!machine.state()?.iter().any(is_record));
    Ok(())
}

#[test]
fn a_function_that_came_later_gets_its_bindings_when_vioprot_goes() -> Result<()> {
    let machine = machine()?;
    installed(&machine)?;
    add_vf(&machine)?;
    machine.netkvmp(&["uninstall"])?;
    assert_eq!(paths(&machine, VF)?, &FREE[..3]);
    Ok(())
}

#[test]
fn a_function_that_goes_and_comes_back_is_taken_again() -> Result<()> {
    let machine = machine()?;
    installed(&machine)?;
    add_vf(&machine)?;
    machine.tool(&["remove-adapter", VF])?;
    machine.tool(&["rescan"])?;
    assert!(paths(&machine, VF)?.is_empty());
    add_vf(&machine)?;
    assert_eq!(paths(&machine, VF)?, TAKEN);
    machine.netkvmp(&["uninstall"])?;
    assert_eq!(paths(&machine, VF)?, &FREE[..3]);
    Ok(())
}

#[test]
fn ticking_a_box_does_not_help() -> Result<()> {
    let machine = with_vf()?;
    installed(&machine)?;
    machine.tool(&["enable", &format!("ms_tcpip->{VF}")])?;
    machine.tool(&["enable", &format!("vioprot->{OTHER}")])?;
    machine.tool(&["enable", &format!("vioprot->{VIRTIO}")])?;
    assert_eq!(paths(&machine, VF)?, TAKEN);
    assert_eq!(paths(&machine, OTHER)?, FREE);
    assert_eq!(paths(&machine, VIRTIO)?, FREE);
    Ok(())
}

#[test]
fn the_administrators_list_counts() -> Result<()> {
    let machine = with_vf()?;
    machine.set(SETTINGS, "Supported", "REG_MULTI_SZ", "ven_10ec&dev_8168")?;
    machine.set(SETTINGS, "NoDefaults", "REG_DWORD", "1")?;
    installed(&machine)?;
    assert_eq!(paths(&machine, OTHER)?, TAKEN);
    assert_eq!(paths(&machine, VF)?, FREE);
    Ok(())
}

/// A machine with two interfaces of one address, and their identifiers; they are not adapters of its
/// configuration yet.
pub(crate) fn twins() -> Result<(Machine, String, String)> {
    let mac = "52:54:00:12:34:56";
    let machine = Machine::on(Network::with(&[mac, mac])?)?;
    let table = machine.tool(&["interfaces"])?;
    let find = |name: &str| {
        let line = table.lines().find(|line| line.ends_with(name));
        let line = line.with_context(|| format!("no {name} in {table}"))?;
        anyhow::ensure!(line.contains(mac), "{line}");
        Ok(line.split(' ').next().unwrap_or_default().to_owned())
    };
    let (virtio, other) = (find("nic0")?, find("nic1")?);
    Ok((machine, virtio, other))
}

#[test]
fn an_adapter_with_the_address_of_netkvm_is_a_function() -> Result<()> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, &virtio, &other)?;
    installed(&machine)?;
    assert_eq!(paths(&machine, &other)?, TAKEN);
    assert_eq!(paths(&machine, &virtio)?, FREE);
    let status = machine.netkvmp(&["query"])?;
    assert!(status.out.contains("52-54-00-12-34-56"), "{status:?}");
    assert!(!status.out.contains("Not VF"), "{status:?}");
    Ok(())
}

#[test]
fn unless_the_administrator_says_that_addresses_do_not_count() -> Result<()> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, &virtio, &other)?;
    machine.set(SETTINGS, "MatchByMac", "REG_DWORD", "0")?;
    installed(&machine)?;
    assert_eq!(paths(&machine, &other)?, FREE);
    assert_eq!(paths(&machine, &virtio)?, FREE);
    Ok(())
}

#[test]
fn netkvm_that_comes_later_makes_a_function_of_its_twin() -> Result<()> {
    let (machine, virtio, other) = twins()?;
    furnish(&machine, VIRTIO, &other)?;
    installed(&machine)?;
    assert_eq!(paths(&machine, &other)?, FREE);
    machine.tool(&["adapter", &virtio, VIRTIO_ID])?;
    machine.tool(&["rescan"])?;
    assert_eq!(paths(&machine, &other)?, TAKEN);
    assert_eq!(paths(&machine, &virtio)?, FREE);
    Ok(())
}
