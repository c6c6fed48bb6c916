//! `netsh netkvm`, in a small netsh, with parameters from the real `netkvm.inf`.

use anyhow::{Result, ensure};
use wine_host::{Machine, Ran};

const ONE: &str = r"PCI\VEN_1AF4&DEV_1041&SUBSYS_11001AF4&REV_01\3&11583659&0&18";
const TWO: &str = r"PCI\VEN_1AF4&DEV_1000&SUBSYS_00011AF4&REV_00\3&11583659&0&20";
const OTHER: &str = r"PCI\VEN_10EC&DEV_8168&SUBSYS_00000000&REV_02\3&11583659&0&28";

/// The helper is registered by rundll32, as the documentation says.
fn machine() -> Result<Machine> {
    let machine = Machine::new()?;
    machine.put("netkvmco.dll", "pkg")?;
    machine.put("netsh.exe", "pkg")?;
    machine.write(
        "pkg/netkvm.inf",
        include_bytes!("../../../../inf/netkvm.inf"),
    )?;
    register(&machine, "RegisterNetKVMNetShHelper")?;
    Ok(machine)
}

fn register(machine: &Machine, function: &str) -> Result<()> {
    let ran = machine.run(&["rundll32", &format!(r"C:\pkg\netkvmco.dll,{function}")])?;
    ensure!(ran.code == 0, "{ran:?}");
    Ok(())
}

fn with_devices() -> Result<Machine> {
    let machine = machine()?;
    for (device, number) in [(ONE, "0001"), (OTHER, "0002"), (TWO, "0003")] {
        machine.tool(&["device", device, number, r"C:\pkg\netkvm.inf"])?;
    }
    Ok(machine)
}

fn netsh(machine: &Machine, words: &str) -> Result<Ran> {
    let words: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
    machine.run(&[&[r"C:\pkg\netsh.exe", "netkvm"], &words[..]].concat())
}

/// Runs commands, and writes down what each prints and how it ends.
fn session(machine: &Machine, commands: &[&str]) -> Result<String> {
    let mut told = String::new();
    for command in commands {
        let ran = netsh(machine, command)?;
        ensure!(ran.err.is_empty(), "{ran:?}");
        told.push_str(&format!("> {command}\n{}[{}]\n\n", ran.out, ran.code));
    }
    Ok(told)
}

#[test]
fn devices_and_parameters_are_shown() -> Result<()> {
    let machine = with_devices()?;
    insta::assert_snapshot!(session(
        &machine,
        &[
            "show devices",
            "show parameters 0",
            "show paraminfo idx=0 param=*JumboPacket",
            "show paraminfo 1 NetworkAddress",
            "show paraminfo 1 StandbyGraceMs",
            "getparam idx=0 param=*jumbopacket",
            "getparam param=StandbyGraceMs idx=1",
        ]
    )?);
    Ok(())
}

#[test]
fn parameters_are_set_and_checked() -> Result<()> {
    let machine = with_devices()?;
    insta::assert_snapshot!(session(
        &machine,
        &[
            "setparam idx=0 param=StandbyGraceMs value=5000",
            "getparam 0 StandbyGraceMs",
            "getparam 1 StandbyGraceMs",
            "setparam 0 StandbyGraceMs 600001",
            "setparam 0 StandbyGraceMs soon",
            "setparam 0 networkaddress 0256abcdef01",
            "getparam 0 NetworkAddress",
            "setparam 0 NetworkAddress 0256abcdef0199",
            "setparam 2 StandbyGraceMs 1",
            "setparam 0 window 10",
            "setparam 0 StandbyGraceMs",
            "setparam 0 param=StandbyGraceMs size=5",
            "getparam",
        ]
    )?);
    Ok(())
}

#[test]
fn a_dump_can_be_read_back() -> Result<()> {
    let machine = with_devices()?;
    netsh(&machine, "setparam 0 *JumboPacket 9014")?;
    let dump = netsh(&machine, "dump")?;
    assert_eq!(dump.code, 0, "{dump:?}");
    let lines: Vec<&str> = dump.out.lines().collect();
    assert_eq!(
        (lines.first(), lines.last()),
        (Some(&"pushd netkvm"), Some(&"popd"))
    );
    assert!(
        lines.contains(&"setparam idx=0 param=*JumboPacket value=9014"),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"setparam idx=1 param=*JumboPacket value=1514"),
        "{lines:?}"
    );
    for line in lines.iter().filter(|line| line.starts_with("setparam")) {
        let ran = netsh(&machine, line)?;
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
    }
    assert_eq!(netsh(&machine, "dump")?.out, dump.out);
    Ok(())
}

#[test]
fn each_command_has_its_help() -> Result<()> {
    let machine = machine()?;
    insta::assert_snapshot!(session(
        &machine,
        &[
            "?",
            "show ?",
            "show devices ?",
            "show parameters ?",
            "show paraminfo ?",
            "getparam ?",
            "setparam ?",
            "restart ?",
            "nothing",
        ]
    )?);
    Ok(())
}

/// Its table has entries of 40 bytes, not of 48.
#[test]
fn an_older_netsh_knows_the_same_commands() -> Result<()> {
    let machine = with_devices()?;
    for command in [
        "?",
        "show ?",
        "show devices",
        "show parameters 0",
        "getparam 1 StandbyGraceMs",
        "restart ?",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        let old = [r"C:\pkg\netsh.exe", "--old-tables", "netkvm"];
        let told = machine.run(&[&old, &words[..]].concat())?;
        assert_eq!(told, netsh(&machine, command)?, "{command}");
        assert!(!told.out.contains("was not found"), "{told:?}");
    }
    Ok(())
}

#[test]
fn without_devices_there_is_a_warning() -> Result<()> {
    let machine = machine()?;
    let ran = netsh(&machine, "show devices")?;
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "There are no NetKVM devices.\n")
    );
    let dump = netsh(&machine, "dump")?;
    assert_eq!((dump.code, dump.out.as_str()), (0, ""));
    Ok(())
}

#[test]
fn a_device_that_does_not_exist_is_not_restarted() -> Result<()> {
    let machine = with_devices()?;
    let ran = netsh(&machine, "restart 7")?;
    assert_eq!(ran.code, 87, "{ran:?}");
    assert!(
        ran.out.starts_with("Device index is out of range."),
        "{ran:?}"
    );
    Ok(())
}

/// Wine can't restart a device, and gives no reason.
#[test]
fn a_restart_that_fails_is_told() -> Result<()> {
    let machine = with_devices()?;
    let ran = netsh(&machine, "restart idx=1")?;
    let told = "Restarting device 1... failed (error 31).\n";
    assert_eq!((ran.code, ran.out.as_str()), (31, told));
    Ok(())
}

#[test]
fn the_helper_goes_when_it_is_told_to() -> Result<()> {
    let machine = machine()?;
    register(&machine, "UnregisterNetKVMNetShHelper")?;
    let ran = netsh(&machine, "show devices")?;
    assert!(ran.out.contains("was not found"), "{ran:?}");
    Ok(())
}
