//! A newer package takes the place of an older one.

use anyhow::Result;
use wine_host::Machine;

use crate::faults::{is_cleaned_up, is_undone};
use crate::{TAKEN, VF, installed, paths, with_vf};

const COMMAND: [&str; 3] = ["install", "--inf", r"C:\new\oem9.inf"];

/// A machine with a virtual function that VIOPROT is installed on, and version 2 in `C:\new`.
fn with_newer() -> Result<Machine> {
    let machine = with_vf()?;
    machine.put("netkvmno.dll", "new")?;
    for file in ["netkvm.sys", "vioprot.cat"] {
        let content = std::fs::read(machine.path(&format!("pkg/{file}")))?;
        machine.write(&format!("new/{file}"), &content)?;
    }
    let inf = std::fs::read_to_string(machine.path("pkg/vioprot.inf"))?;
    let newer = inf.replace("1.0.0.0", "2.0.0.0");
    assert_ne!(newer, inf);
    machine.write("new/oem9.inf", newer.as_bytes())?;
    Ok(machine)
}

#[test]
fn a_newer_version_takes_the_place_of_the_old_one() -> Result<()> {
    let machine = with_newer()?;
    let nothing = machine.state()?;
    installed(&machine)?;
    let before = machine.state()?;
    machine.calls()?;
    let ran = machine.netkvmp(&COMMAND)?;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (
            0,
            "VIOPROT 2.0.0.0 is installed (oem9.inf) in place of 1.0.0.0. No restart is needed.\n"
        ),
        "{ran:?}"
    );
    let renamed = |line: &String| line.replace("package vioprot.inf", "package oem9.inf");
    let mut after: Vec<String> = before.iter().map(renamed).collect();
    after.sort();
    assert_eq!(machine.state()?, after);
    assert_eq!(paths(&machine, VF)?, TAKEN);
    // The function got nothing back in between.
    let calls = machine.calls()?;
    assert!(calls.iter().any(|call| call == "Removing"), "{calls:?}");
    assert!(!calls.iter().any(|call| call == "Enable"), "{calls:?}");

    let again = machine.netkvmp(&COMMAND)?;
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "VIOPROT 2.0.0.0 is installed already. Nothing to do.\n")
    );
    let gone = machine.netkvmp(&["uninstall"])?;
    assert_eq!(gone.code, 0, "{gone:?}");
    assert_eq!(machine.state()?, nothing);
    Ok(())
}

#[test]
fn an_older_version_is_refused() -> Result<()> {
    let machine = with_newer()?;
    let ran = machine.netkvmp(&COMMAND)?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let before = machine.state()?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 9, "{ran:?}");
    for word in ["2.0.0.0", "1.0.0.0", "older", "netkvmp uninstall"] {
        assert!(ran.err.contains(word), "{ran:?}");
    }
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_version() -> Result<()> {
    let machine = with_newer()?;
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
        "INetCfgClassSetup::Install",
        "SetupInstallFromInfSection",
        "SetupInstallServicesFromInfSection",
        "DllRegisterServer",
        "INetCfgComponentSetup::Install",
        "QueryBindingPath",
        "ApplyPnpChanges",
    ];
    is_undone(&machine, &COMMAND, &calls)?;
    let ran = machine.netkvmp(&COMMAND)?;
    assert_eq!(ran.code, 0, "{ran:?}");
    Ok(())
}

#[test]
fn an_upgrade_that_is_killed_is_cleaned_up_later() -> Result<()> {
    let machine = with_newer()?;
    let calls = [
        "DeInstall",
        "Removing",
        "Apply",
        "ApplyRegistryChanges",
        "INetCfgClassSetup::Install",
        "SetupInstallServicesFromInfSection",
        "INetCfgComponentSetup::Install",
        "QueryBindingPath",
        "ApplyPnpChanges",
    ];
    is_cleaned_up(&machine, || installed(&machine), &COMMAND, &calls)
}

/// Ended between the two components, with nobody there to give anything back; then either command helps.
#[test]
fn an_upgrade_that_is_killed_is_completed_by_the_next() -> Result<()> {
    let machine = with_newer()?;
    installed(&machine)?;
    machine.fail(&["INetCfgClassSetup::Install=kill"])?;
    machine.netkvmp(&COMMAND)?;
    assert_eq!(paths(&machine, VF)?, &TAKEN[..3]);
    let ran = machine.netkvmp(&COMMAND)?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(paths(&machine, VF)?, TAKEN);
    Ok(())
}
