//! Suite `wine`: the user-mode programs in Wine, against stand-ins for Windows' network configuration
//! and for the driver's control device, which answers as the driver does in the test host.

use std::path::PathBuf;

use anyhow::Result;

use super::packages::Program;
use super::tally::Tally;
use crate::driver::{self, Arch, BuildArgs, test_drivers};
use crate::workspace::{self, Workspace};

const TARGET: &str = "x86_64-pc-windows-gnu";
/// What people build for on Windows. To look the crates over takes neither linker nor SDK.
const MSVC: [&str; 2] = ["x86_64-pc-windows-msvc", "aarch64-pc-windows-msvc"];
const PROGRAMS: [Program; 5] = [
    program("wine", "--version", "wine"),
    program(
        "x86_64-w64-mingw32-gcc",
        "--version",
        "gcc-mingw-w64-x86-64-win32",
    ),
    // What the tests of MAC addresses make network namespaces with.
    program("ip", "-Version", "iproute2"),
    program("unshare", "--version", "util-linux"),
    program("nsenter", "--version", "util-linux"),
];

const fn program(name: &'static str, option: &'static str, package: &'static str) -> Program {
    Program {
        name,
        option,
        package,
    }
}

/// The crates whose Windows half only a Windows target compiles.
const PACKAGES: [&str; 6] = [
    "netcfg",
    "notify-object",
    "netkvmp",
    "netkvmco",
    "wine-engine",
    "wine-programs",
];

/// Runs the suite.
///
/// # Errors
///
/// Wine, the linker or the target is missing and can't be installed.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    for program in &PROGRAMS {
        program.require()?;
    }
    let targets = || MSVC.iter().copied().chain([TARGET]);
    for target in targets() {
        workspace::require_target(target)?;
    }
    let packages = || PACKAGES.iter().flat_map(|package| ["--package", package]);
    let clippy = workspace
        .cargo("clippy")
        .args(["--profile", "tools"])
        .args(targets().flat_map(|target| ["--target", target]))
        .args(packages())
        .args(["--", "-D", "warnings"]);
    tally.check("clippy for Windows", clippy.run());
    // It has no `std`, and so can't unwind, as the other profile would.
    let prng =
        workspace
            .cargo("build")
            .args(["--release", "--target", TARGET, "--package", "wine-prng"]);
    let programs = workspace
        .cargo("build")
        .args(["--profile", "tools", "--target", TARGET])
        .args(packages());
    let programs = tally.check("programs", prng.run().and_then(|()| programs.run()));
    let image = tally.check("image and what asks it", build_driver(workspace));
    let (Some(()), Some(image)) = (programs, image) else {
        return Ok(());
    };
    let tests = workspace
        .cargo("test")
        .args(["--profile", "tools", "--package", "wine-host"])
        // It runs beside another suite, and Wine's start is heavy.
        .args(["--no-fail-fast", "--", "--test-threads=1"])
        .env("NETKVM_SYS", image);
    tally.cargo_test("programs in Wine", tests);
    Ok(())
}

/// Builds what the driver's answers come from: the image, the program that asks it in the test host, and
/// the stand-in that has its device in Wine. Returns the path of the image.
fn build_driver(workspace: &Workspace) -> Result<PathBuf> {
    test_drivers::build(workspace, &test_drivers::CONTROL_STAND_IN)?;
    let built = driver::build(
        workspace,
        &BuildArgs {
            arch: Arch::X86_64,
            out: None,
            mutant: None,
            quiet: false,
        },
    )?;
    workspace
        .cargo("build")
        .args(["--profile", "tools", "--package", "scenarios"])
        .args(["--bin", "ask_driver"])
        .run()?;
    Ok(built.sys)
}
