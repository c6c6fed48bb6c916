//! Suite `qemu`: the driver image on the virtio-net device of a QEMU process.

use std::fs::OpenOptions;

use anyhow::{Context, Result, ensure};

use super::packages::{Program, is_root};
use super::tally::Tally;
use crate::driver::{self, Arch, BuildArgs};
use crate::tool::Tool;
use crate::workspace::Workspace;

const QEMU: Program = Program {
    name: "qemu-system-x86_64",
    option: "--version",
    package: "qemu-system-x86",
};
/// What makes TAP devices.
const TUN: &str = "/dev/net/tun";

/// Runs the suite.
///
/// # Errors
///
/// QEMU is missing and can't be installed.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    println!("  {}", require_qemu()?);
    let args = BuildArgs {
        arch: Arch::X86_64,
        out: None,
        mutant: None,
        quiet: false,
    };
    let built = tally.check("image x86_64", driver::build(workspace, &args));
    let Some(image) = built.map(|built| built.sys) else {
        return Ok(());
    };
    let mut lives = workspace
        .cargo("test")
        .args(["--profile", "tools", "--package", "qemu-host"])
        .args(["--test", "*", "--no-fail-fast", "--", "--show-output"])
        .env("NETKVM_SYS", &image);
    if let Err(why) = can_make_taps() {
        println!(
            "  not run, and not counted: devices on a TAP, which take root and {TUN} ({why:#})"
        );
        lives = lives.args(["--skip", "_on_a_tap_"]);
    }
    tally.cargo_test("lives on QEMU's device", lives);
    Ok(())
}

/// Whether this user may make TAP devices.
fn can_make_taps() -> Result<()> {
    ensure!(is_root()?, "the user is not root");
    let tun = OpenOptions::new().read(true).write(true).open(TUN);
    tun.map(drop).context(TUN)?;
    // A container's root may not.
    let namespace = Tool::new("unshare").args(["--net", "true"]).output();
    namespace.map(drop)
}

/// Makes sure that there is a QEMU; installs it if that is possible. Returns what it says of its
/// version.
///
/// # Errors
///
/// It is missing and can't be installed.
pub(crate) fn require_qemu() -> Result<String> {
    QEMU.require()
}
