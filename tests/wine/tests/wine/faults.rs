//! The engine fails at each of its calls, once; afterwards the machine is as it was.

use anyhow::Result;
use wine_host::Machine;

use crate::{FREE, TAKEN, VF, installed, paths, with_vf};

/// The exit code of a process that the stand-in has ended.
const KILLED: i32 = 99;

/// Runs the command once for each call of the engine, which fails; each run undoes what it has done.
pub(crate) fn is_undone(machine: &Machine, command: &[&str], calls: &[&str]) -> Result<()> {
    let before = machine.state()?;
    for call in calls {
        machine.fail(&[&format!("{call}=8007001F")])?;
        let ran = machine.netkvmp(command)?;
        assert_eq!(ran.code, 1, "{call}: {ran:?}");
        assert!(ran.err.contains("0x8007001f"), "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    Ok(())
}

/// Prepares the machine, and ends the command at a call of the engine; once for each call. Whatever is
/// left, `uninstall` cleans it up.
pub(crate) fn is_cleaned_up(
    machine: &Machine,
    prepare: impl Fn() -> Result<()>,
    command: &[&str],
    calls: &[&str],
) -> Result<()> {
    let before = machine.state()?;
    for call in calls {
        prepare()?;
        machine.fail(&[&format!("{call}=kill")])?;
        let ran = machine.netkvmp(command)?;
        assert_eq!(ran.code, KILLED, "{call}: {ran:?}");
        let ran = machine.netkvmp(&["uninstall"])?;
        assert_eq!(ran.code, 0, "{call}: {ran:?}");
        assert_eq!(machine.state()?, before, "{call}");
    }
    Ok(())
}

#[test]
fn an_installation_that_fails_leaves_nothing_behind() -> Result<()> {
    let machine = with_vf()?;
    let calls = [
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
    ];
    is_undone(&machine, &["install"], &calls)?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    Ok(())
}

#[test]
fn an_installation_that_is_killed_is_cleaned_up_later() -> Result<()> {
    let machine = with_vf()?;
    let calls = [
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
    ];
    is_cleaned_up(&machine, || Ok(()), &["install"], &calls)
}

#[test]
fn a_removal_that_is_killed_is_completed_later() -> Result<()> {
    let machine = with_vf()?;
    let calls = [
        "DeInstall",
        "Removing",
        "Apply",
        "ApplyRegistryChanges",
        "Uninitialize",
    ];
    let installed = || installed(&machine);
    is_cleaned_up(&machine, installed, &["uninstall"], &calls)
}

/// A function that keeps its paths is no reason to do without the protocol.
#[test]
fn paths_that_can_not_be_taken_are_no_failure() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    machine.fail(&["Enable*=8007001F"])?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let kept = paths(&machine, VF)?;
    assert_eq!(kept, [&FREE[..3], &TAKEN[3..]].concat());
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

/// The engine says of a path that goes what it was: enabled.
#[test]
fn a_path_that_goes_is_not_touched() -> Result<()> {
    let machine = with_vf()?;
    machine.fail(&["Enable*=8007001F"])?;
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
    installed(&machine)?;
    let calls = [
        "AcquireWriteLock",
        "Initialize",
        "FindComponent",
        "QueryNetCfgClass",
        "DeInstall",
        "Removing",
        "Apply",
        "ApplyRegistryChanges",
    ];
    is_undone(&machine, &["uninstall"], &calls)
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
