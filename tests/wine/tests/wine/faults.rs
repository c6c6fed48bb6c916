//! The engine fails at each of its calls, once; afterwards the machine is as it was.

use anyhow::Result;
use wine_host::Machine;

use crate::{VF, VF_ID, machine};

fn with_vf() -> Result<Machine> {
    let machine = machine()?;
    machine.tool(&["adapter", VF, VF_ID])?;
    machine.tool(&["rescan"])?;
    Ok(machine)
}

#[test]
fn an_installation_that_fails_leaves_nothing_behind() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    for call in [
        "AcquireWriteLock",
        "Initialize",
        "FindComponent",
        "QueryNetCfgClass",
        "INetCfgClassSetup::Install",
        "SetupInstallFromInfSection",
        "SetupInstallServicesFromInfSection",
        "DllRegisterServer",
        "CoCreateInstance",
        "GetSupportedNotifications",
        "INetCfgComponentControl::Initialize",
        "INetCfgComponentSetup::Install",
        "Enable",
        "QueryBindingPath",
        "NotifyBindingPath",
        "Apply",
        "ApplyRegistryChanges",
        "ApplyPnpChanges",
    ] {
        machine.fail(&[&format!("{call}=8007001F")])?;
        let ran = machine.netkvmp(&["install"])?;
        assert_eq!(ran.code, 1, "{call}: {ran:?}");
        assert!(ran.err.contains("0x8007001f"), "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    Ok(())
}

#[test]
fn a_removal_that_fails_is_undone() -> Result<()> {
    let machine = with_vf()?;
    machine.netkvmp(&["install"])?;
    let before = machine.state()?;
    for call in [
        "AcquireWriteLock",
        "Initialize",
        "FindComponent",
        "QueryNetCfgClass",
        "DeInstall",
        "Removing",
        "Apply",
        "ApplyRegistryChanges",
    ] {
        machine.fail(&[&format!("{call}=8007001F")])?;
        let ran = machine.netkvmp(&["uninstall"])?;
        assert_eq!(ran.code, 1, "{call}: {ran:?}");
        assert!(ran.err.contains("0x8007001f"), "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    Ok(())
}

#[test]
fn what_can_not_be_undone_is_told_and_cleaned_up_later() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    machine.fail(&["Apply*=8007001F"])?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(ran.err.contains("netkvmp uninstall"), "{ran:?}");
    machine.fail(&[])?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}
