//! The list of functions changes, or a path could not be taken: the next change puts it right.

use anyhow::Result;
use wine_host::Machine;

use crate::{FREE, OTHER, TAKEN, VF, VIRTIO, installed, machine, paths, with_vf};

const SETTINGS: &str = r"HKLM\System\CurrentControlSet\Control\VioProt";

fn list(machine: &Machine, device: &str) -> Result<()> {
    machine.set(SETTINGS, "Supported", "REG_MULTI_SZ", device)
}

/// Somebody unticks a box that has nothing to do with functions, and ticks it again.
fn change_something(machine: &Machine) -> Result<()> {
    let path = format!("ms_netbt->ms_tcpip->{VIRTIO}");
    machine.tool(&["disable", &path])?;
    machine.tool(&["enable", &path])?;
    Ok(())
}

#[test]
fn a_path_that_could_not_be_taken_is_taken_with_the_next_change() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    machine.fail(&["Enable*=8007001F"])?;
    installed(&machine)?;
    assert_ne!(paths(&machine, VF)?, TAKEN);
    machine.fail(&[])?;
    change_something(&machine)?;
    assert_eq!(paths(&machine, VF)?, TAKEN);
    assert_eq!(paths(&machine, VIRTIO)?, FREE);
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn an_ordinary_adapter_that_gets_on_the_list_is_taken() -> Result<()> {
    let machine = machine()?;
    installed(&machine)?;
    // Refused; that is no loss, as the adapter is none of ours.
    machine.tool(&["enable", &format!("vioprot->{OTHER}")])?;
    assert_eq!(paths(&machine, OTHER)?, FREE);
    list(&machine, "ven_10ec&dev_8168")?;
    change_something(&machine)?;
    assert_eq!(paths(&machine, OTHER)?, TAKEN);
    Ok(())
}

#[test]
fn what_vioprot_was_refused_while_off_the_list_it_gets_back() -> Result<()> {
    let machine = machine()?;
    // Else one that has been a function would stay one, as its address is not known here.
    machine.set(SETTINGS, "MatchByMac", "REG_DWORD", "0")?;
    list(&machine, "ven_10ec&dev_8168")?;
    installed(&machine)?;
    assert_eq!(paths(&machine, OTHER)?, TAKEN);
    list(&machine, "ven_ffff&dev_ffff")?;
    let own = format!("vioprot->{OTHER}");
    machine.tool(&["disable", &own])?;
    machine.tool(&["enable", &own])?;
    assert!(paths(&machine, OTHER)?.contains(&"vioprot off".to_owned()));
    list(&machine, "ven_10ec&dev_8168")?;
    change_something(&machine)?;
    assert_eq!(paths(&machine, OTHER)?, TAKEN);
    Ok(())
}
