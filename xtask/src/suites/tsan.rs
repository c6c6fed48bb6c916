//! Suite `tsan`: the host itself under ThreadSanitizer, on real threads, and without an image.
//!
//! ThreadSanitizer needs the nightly toolchain, and a standard library that is built with it.

use anyhow::Result;

use super::nightly;
use super::tally::Tally;
use crate::tool::Tool;
use crate::workspace::Workspace;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A fault handler may allocate here: the fault is the driver's own access to a register, which
/// does not happen in the middle of an allocation.
const OPTIONS: &str = "report_signal_unsafe=0";

/// Runs the suite.
///
/// # Errors
///
/// The nightly toolchain is missing and can't be added.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    nightly::require(&["rust-src"])?;
    // The suite can fail: it looks for a race that is there.
    let seen = test(workspace, &["race"]);
    tally.cargo_test("a race that is there", seen);
    let machine = test(
        workspace,
        &["sched_free", "processor_block", "processor_groups"],
    );
    tally.cargo_test("the machine", machine);
    // All runs of these become free ones.
    let stack = test(workspace, &["native_stack"])
        .args(["--", "--skip", "the_same_seed_is_the_same_run"])
        .env("NDIS_HOST_FREE", "yes");
    tally.cargo_test("native drivers", stack);
    Ok(())
}

fn test(workspace: &Workspace, names: &[&str]) -> Tool {
    let mut command = nightly::cargo(&["test", "--manifest-path"])
        .arg(workspace.root.join("Cargo.toml"))
        .args(["--target", TARGET, "-Zbuild-std"])
        .args(["--profile", "tools", "--package", "ndis-host"])
        .arg("--target-dir")
        .arg(workspace.target.join("tsan"))
        .arg("--no-fail-fast")
        .env("RUSTFLAGS", "-Zsanitizer=thread")
        .env("TSAN_OPTIONS", OPTIONS);
    for name in names {
        command = command.args(["--test", name]);
    }
    command
}
