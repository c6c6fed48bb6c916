//! Suite `unit`: formatting, clippy, the rules of the house, and the tests of each crate on the
//! build machine.

use anyhow::Result;

use super::tally::Tally;
use crate::driver::{self, Arch, test_drivers};
use crate::lints;
use crate::workspace::{self, Workspace};

/// Runs the suite.
///
/// # Errors
///
/// A part of the toolchain is missing and can't be added.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    workspace::require_component("fmt", "rustfmt")?;
    workspace::require_component("clippy", "clippy")?;
    let format = workspace.cargo("fmt").args(["--all", "--check"]);
    tally.check("formatting", format.run());
    house_rules(workspace, tally);
    clippy(workspace, tally);
    for arch in Arch::ALL {
        workspace::require_target(arch.target())?;
        kernel_clippy(workspace, tally, arch);
    }
    tests(workspace, tally);
    Ok(())
}

fn house_rules(workspace: &Workspace, tally: &mut Tally) {
    for lint in lints::ALL {
        let result = (lint.find)(workspace).and_then(|findings| {
            anyhow::ensure!(findings.is_empty(), "{}", findings.join("\n"));
            Ok(())
        });
        tally.check(lint.name, result);
    }
}

/// Leaves out what builds for Windows only: the driver, and those to try the test host with.
fn images_excluded() -> Vec<String> {
    let images = test_drivers::ALL.iter().map(|driver| driver.package);
    let images = images.chain([driver::PACKAGE]);
    images
        .map(|package| format!("--exclude={package}"))
        .collect()
}

/// Everything that builds on this machine.
fn clippy(workspace: &Workspace, tally: &mut Tally) {
    let command = workspace
        .cargo("clippy")
        .arg("--workspace")
        .args(images_excluded())
        .arg("--all-targets")
        .args(["--", "-D", "warnings"]);
    tally.check("clippy", command.run());
}

/// The crates of the image as the image has them. The release profile is the one that aborts on
/// panic, which a crate without `std` needs.
fn kernel_clippy(workspace: &Workspace, tally: &mut Tally, arch: Arch) {
    let mut command = workspace
        .cargo("clippy")
        .args(["--release", "--target", arch.target()]);
    let test_drivers = test_drivers::ALL.iter().map(|driver| driver.package);
    for package in lints::KERNEL.into_iter().chain(test_drivers) {
        command = command.args(["--package", package]);
    }
    let name = format!("clippy for {}", arch.target());
    tally.check(&name, command.args(["--", "-D", "warnings"]).run());
}

fn tests(workspace: &Workspace, tally: &mut Tally) {
    // In the profile of the other suites, which have most of it built then.
    let all = workspace
        .cargo("test")
        .args(["--profile", "tools"])
        .args(["--workspace", "--exclude", "scenarios"])
        .args(["--exclude", "qemu-host", "--exclude", "wine-host"])
        .args(images_excluded())
        .arg("--no-fail-fast");
    tally.cargo_test("tests of the crates", all);
    // The other tests of these run the image: suites `host` and `qemu`.
    let report = workspace
        .cargo("test")
        .args(["--profile", "tools", "--lib"])
        .args(["--package", "scenarios", "--package", "qemu-host"]);
    tally.cargo_test("tests of the report, and of what speaks to QEMU", report);
}
