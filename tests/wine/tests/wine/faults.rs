//! The engine fails at each of its calls, once; afterwards the machine is as it was.

use anyhow::Result;
use wine_host::Machine;

use crate::{TAKEN, VF, VF_ID, machine, paths};

/// The exit code of a process that the stand-in has ended.
const KILLED: i32 = 99;

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

/// `netkvmp` is ended at each step; whatever is left, `uninstall` cleans it up.
#[test]
fn an_installation_that_is_killed_is_cleaned_up_later() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    for call in [
        "AcquireWriteLock",
        "Initialize",
        "INetCfgClassSetup::Install",
        "SetupInstallFromInfSection",
        "SetupInstallServicesFromInfSection",
        "DllRegisterServer",
        "CoCreateInstance",
        "INetCfgComponentSetup::Install",
        "Enable",
        "QueryBindingPath",
        "NotifyBindingPath",
        "Apply",
        "ApplyRegistryChanges",
        "ApplyPnpChanges",
        "Uninitialize",
    ] {
        machine.fail(&[&format!("{call}=kill")])?;
        let ran = machine.netkvmp(&["install"])?;
        assert_eq!(ran.code, KILLED, "{call}: {ran:?}");
        let ran = machine.netkvmp(&["uninstall"])?;
        assert_eq!(ran.code, 0, "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    Ok(())
}

#[test]
fn a_removal_that_is_killed_is_completed_later() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    for call in [
        "DeInstall",
        "Removing",
        "Apply",
        "ApplyRegistryChanges",
        "Uninitialize",
    ] {
        machine.netkvmp(&["install"])?;
        machine.fail(&[&format!("{call}=kill")])?;
        let ran = machine.netkvmp(&["uninstall"])?;
        assert_eq!(ran.code, KILLED, "{call}: {ran:?}");
        let ran = machine.netkvmp(&["uninstall"])?;
        assert_eq!(ran.code, 0, "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    Ok(())
}

/// A function that keeps a path is no reason to do without the protocol.
#[test]
fn a_path_that_can_not_be_taken_is_no_failure() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    machine.fail(&["Enable=8007001F"])?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let kept = paths(&machine, VF)?;
    let differ: Vec<_> = kept
        .iter()
        .zip(TAKEN)
        .filter(|(is, taken)| is != taken)
        .collect();
    assert_eq!(differ.len(), 1, "{kept:?}");
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

/// The engine says of a path that goes what it was: enabled.
#[test]
fn a_path_that_goes_is_not_touched() -> Result<()> {
    let machine = with_vf()?;
    machine.fail(&["Enable=8007001F"])?;
    machine.netkvmp(&["install"])?;
    machine.calls()?;
    machine.tool(&["deinstall", "ms_tcpip"])?;
    let calls = machine.calls()?;
    assert!(
        calls
            .iter()
            .any(|call| call == "SysNotifyBindingPath" || call == "NotifyBindingPath"),
        "{calls:?}"
    );
    assert!(!calls.iter().any(|call| call == "Enable"), "{calls:?}");
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
