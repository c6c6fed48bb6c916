//! `netkvmp` as an administrator uses it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};

use crate::{TAKEN, VF, VIRTIO, machine, paths, with_vf};

fn starts(state: &[String], word: &str) -> usize {
    state.iter().filter(|line| line.starts_with(word)).count()
}

#[test]
fn install_again_and_uninstall_twice() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    let first = machine.netkvmp(&["install"])?;
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(
        first.out,
        "VIOPROT 1.0.0.0 is installed (vioprot.inf). No restart is needed.\n"
    );
    let installed = machine.state()?;
    for line in [
        "component VIOPROT",
        "service vioprot",
        "class registered",
        "package",
    ] {
        assert_eq!(starts(&installed, line), 1, "{installed:?}");
    }
    let second = machine.netkvmp(&["i"])?;
    assert_eq!(second.code, 0, "{second:?}");
    assert_eq!(
        second.out,
        "VIOPROT 1.0.0.0 is installed already. Nothing to do.\n"
    );
    assert_eq!(machine.state()?, installed);

    let gone = machine.netkvmp(&["uninstall"])?;
    assert_eq!(gone.code, 0, "{gone:?}");
    assert_eq!(
        gone.out,
        "Removed: component VIOPROT, package vioprot.inf. No restart is needed.\n"
    );
    assert_eq!(machine.state()?, before);
    let nothing = machine.netkvmp(&["u"])?;
    assert_eq!(
        (nothing.code, nothing.out.as_str()),
        (0, "VIOPROT is not installed. Nothing to do.\n")
    );
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn a_newer_windows_runs_everything_from_the_driver_store() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    machine.set(
        r"HKLM\Software\NetcfgStandIn",
        "Build",
        "REG_DWORD",
        "26100",
    )?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(paths(&machine, VF)?, TAKEN);
    assert!(!machine.path("windows/system32/netkvmno.dll").exists());
    let server =
        r"HKLM\Software\Classes\CLSID\{F69513F1-8E1A-4F35-82D9-046406970E6D}\InprocServer32";
    let class = machine.run(&["reg", "query", server, "/ve"])?;
    assert!(
        class
            .out
            .to_ascii_lowercase()
            .contains(r"c:\store\netkvmno.dll"),
        "{class:?}"
    );
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn the_engine_is_called_as_documented() -> Result<()> {
    let machine = with_vf()?;
    machine.calls()?;
    machine.netkvmp(&["install"])?;
    let calls = machine.calls()?;
    let order = [
        "AcquireWriteLock",
        "Initialize",
        "INetCfgClassSetup::Install",
        "CoCreateInstance",
        "GetSupportedNotifications",
        "INetCfgComponentControl::Initialize",
        "INetCfgComponentSetup::Install",
        "QueryBindingPath",
        "Apply",
        "ApplyRegistryChanges",
        "ApplyPnpChanges",
        "Uninitialize",
        "ReleaseWriteLock",
    ];
    let mut rest = calls.iter();
    for call in order {
        assert!(
            rest.any(|made| made == call),
            "{call} is not in its place: {calls:?}"
        );
    }
    Ok(())
}

#[test]
fn a_restart_that_is_needed_is_told() -> Result<()> {
    let machine = machine()?;
    for (call, command) in [
        ("Install", "install"),
        ("DeInstall", "uninstall"),
        ("Apply", "install"),
        ("Apply", "uninstall"),
    ] {
        machine.set(r"HKLM\Software\NetcfgStandIn", "Reboot", "REG_SZ", call)?;
        let ran = machine.netkvmp(&[command])?;
        assert_eq!(ran.code, 3010 & 0xff, "{call}: {ran:?}");
        assert!(ran.out.contains("Restart Windows"), "{call}: {ran:?}");
    }
    Ok(())
}

#[test]
fn a_restart_that_is_needed_is_told_by_a_failure_too() -> Result<()> {
    let machine = machine()?;
    let knobs = r"HKLM\Software\NetcfgStandIn";
    machine.set(knobs, "Reboot", "REG_SZ", "DeInstall")?;
    machine.netkvmp(&["install"])?;
    machine.fail(&["Apply=8007001F"])?;
    let ran = machine.netkvmp(&["uninstall", "--json"])?;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains(r#""reboot":true"#), "{ran:?}");
    machine.fail(&["Apply=8007001F", "Cancel=8007001F"])?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(ran.err.contains("Restart Windows, then run"), "{ran:?}");
    Ok(())
}

#[test]
fn what_others_need_is_not_removed() -> Result<()> {
    let machine = with_vf()?;
    machine.netkvmp(&["install"])?;
    let before = machine.state()?;
    machine.set(
        r"HKLM\Software\NetcfgStandIn",
        "Referenced",
        "REG_DWORD",
        "1",
    )?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("still need it"), "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn the_component_of_another_service_is_left_alone() -> Result<()> {
    let machine = machine()?;
    let instance = "{00000000-0000-0000-0000-000000000015}";
    machine.tool(&[
        "component",
        instance,
        "VIOPROT",
        "netkvmp",
        "noupper",
        "ndis5",
    ])?;
    machine.tool(&["rescan"])?;
    let before = machine.state()?;
    for command in ["install", "uninstall"] {
        let ran = machine.netkvmp(&[command])?;
        assert_eq!(ran.code, 10, "{ran:?}");
        assert!(ran.err.contains("\"netkvmp\""), "{ran:?}");
        assert_eq!(machine.state()?, before);
    }
    let query = machine.netkvmp(&["query"])?;
    assert!(
        query.out.contains("its service is \"netkvmp\""),
        "{query:?}"
    );
    Ok(())
}

#[test]
fn a_component_without_its_service_is_replaced() -> Result<()> {
    let machine = with_vf()?;
    machine.netkvmp(&["install"])?;
    let installed = machine.state()?;
    let key = r"HKLM\System\CurrentControlSet\Services\vioprot";
    let ran = machine.run(&["reg", "delete", key, "/f"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(machine.state()?, installed);
    Ok(())
}

#[test]
fn a_restart_that_is_due_is_told() -> Result<()> {
    let machine = machine()?;
    let before = machine.state()?;
    machine.fail(&["Initialize=8004A025"])?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("restarted first"), "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn a_missing_inf_is_named() -> Result<()> {
    let machine = machine()?;
    let before = machine.state()?;
    let ran = machine.netkvmp(&["install", "--inf", r"C:\nowhere\vioprot.inf"])?;
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(
        ran.err.contains(r"C:\nowhere\vioprot.inf does not exist"),
        "{ran:?}"
    );
    std::fs::remove_file(machine.path("pkg/vioprot.inf"))?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 5, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn a_corrupt_inf_is_refused_before_anything_is_touched() -> Result<()> {
    let machine = machine()?;
    let before = machine.state()?;
    let inf = std::fs::read(machine.path("pkg/vioprot.inf"))?;
    let cut = inf.get(..300).context("the INF is short")?;
    for content in [&b""[..], b"\x00\x01\x02", cut] {
        machine.write("pkg/vioprot.inf", content)?;
        let ran = machine.netkvmp(&["install"])?;
        assert_eq!(ran.code, 6, "{ran:?}");
        assert!(ran.err.contains("can't be used"), "{ran:?}");
    }
    machine.write("pkg/vioprot.inf", &inf)?;
    std::fs::remove_file(machine.path("pkg/netkvmno.dll"))?;
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 6, "{ran:?}");
    assert!(
        ran.err.contains("netkvmno.dll, which is not beside it"),
        "{ran:?}"
    );
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn who_holds_the_lock_is_told_and_waited_for() -> Result<()> {
    let machine = machine()?;
    let before = machine.state()?;
    let tool = r"C:\pkg\netcfg-tool.exe";
    let mut holder = machine.spawn(&[tool, "hold-lock", "The other program", "8"])?;
    let mut said = String::new();
    BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut said)?;
    assert_eq!(said.trim(), "held");
    for command in ["install", "uninstall"] {
        let ran = machine.netkvmp(&[command, "--no-wait"])?;
        assert_eq!(ran.code, 7, "{ran:?}");
        assert!(ran.err.contains("\"The other program\""), "{ran:?}");
    }
    assert_eq!(machine.state()?, before);
    let ran = machine.netkvmp(&["install"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    holder.wait()?;
    Ok(())
}

#[test]
fn without_rights_nothing_happens() -> Result<()> {
    let machine = machine()?;
    let before = machine.state()?;
    for command in ["install", "uninstall"] {
        let ran = machine.run(&[
            r"C:\pkg\netcfg-tool.exe",
            "limited",
            r"C:\pkg\netkvmp.exe",
            command,
        ])?;
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(ran.err.contains("Run as administrator"), "{ran:?}");
    }
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn a_dry_run_tells_and_does_nothing() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    let ran = machine.netkvmp(&["install", "--dry-run"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.out.lines().count(), 3, "{ran:?}");
    assert_eq!(machine.state()?, before);
    Ok(())
}

#[test]
fn half_an_installation_is_seen_and_removed() -> Result<()> {
    let machine = with_vf()?;
    let before = machine.state()?;
    // The package alone.
    std::fs::copy(
        machine.path("pkg/vioprot.inf"),
        machine.path("windows/inf/vioprot.inf"),
    )?;
    let query = machine.netkvmp(&["query"])?;
    assert!(query.out.contains("incomplete"), "{query:?}");
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "Removed: package vioprot.inf. No restart is needed.\n")
    );
    assert_eq!(machine.state()?, before);
    // All but the package.
    machine.netkvmp(&["install"])?;
    std::fs::remove_file(machine.path("windows/inf/vioprot.inf"))?;
    let ran = machine.netkvmp(&["uninstall"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    let left: Vec<String> = machine.state()?;
    assert_eq!(starts(&left, "component VIOPROT"), 0, "{left:?}");
    assert_eq!(starts(&left, "service vioprot"), 0, "{left:?}");
    Ok(())
}

#[test]
fn json_is_one_object_on_standard_output() -> Result<()> {
    let machine = machine()?;
    let done = machine.netkvmp(&["install", "--json"])?;
    insta::assert_snapshot!(done.out, @r#"{"inf":"vioprot.inf","reboot":false,"result":"installed","version":"1.0.0.0"}"#);
    let failed = machine.netkvmp(&["install", "--json", "--inf", r"C:\no.inf"])?;
    assert_eq!(failed.code, 5);
    insta::assert_snapshot!(failed.out, @r#"{"code":5,"message":"C:\\no.inf does not exist; give the place of vioprot.inf with --inf","reboot":false,"result":"failed"}"#);
    Ok(())
}

/// A device that takes nothing, and a pipe that nobody reads from any more.
#[test]
fn an_output_that_takes_nothing_changes_no_exit_code() -> Result<()> {
    let machine = machine()?;
    let full = || Ok(File::options().write(true).open("/dev/full")?);
    let closed = || {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        Ok(File::from(OwnedFd::from(writer)))
    };
    let outputs: [&dyn Fn() -> Result<File>; 2] = [&full, &closed];
    for output in outputs {
        for (arguments, code) in [
            (["query", "--json"], 0),
            // One line after the other, to standard output and to standard error.
            (["query", "--no-wait"], 0),
            (["install", "--verbose"], 0),
            (["uninstall", "--verbose"], 0),
            (["install", "--inf=no"], 5),
        ] {
            let [command, option] = arguments;
            let words = [r"C:\pkg\netkvmp.exe", command, option];
            let ended = machine.run_into(&words, output()?, output()?)?;
            assert_eq!(ended, code, "{arguments:?}");
        }
    }
    Ok(())
}

#[test]
fn query_says_what_it_can_not_know() -> Result<()> {
    let machine = machine()?;
    let driver =
        r"HKLM\System\CurrentControlSet\Control\Class\{4D36E972-E325-11CE-BFC1-08002BE10318}\0001";
    machine.set(driver, "NetCfgInstanceId", "REG_SZ", VIRTIO)?;
    machine.set(driver, "DriverVersion", "REG_SZ", "1.2.3.4")?;
    let ran = machine.netkvmp(&["query"])?;
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out);
    Ok(())
}
