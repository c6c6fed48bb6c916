//! Suite `host`: builds the images, whole and with each deliberate fault, and runs the scenarios
//! on them in ndis-host.

use anyhow::Result;

use super::tally::Tally;
use crate::driver::{self, Arch, BuildArgs, test_drivers};
use crate::explore;
use crate::workspace::Workspace;

/// What the suite explores: a minute or so on two processors.
const EXPLORED: &str = "0..1000";

/// Runs the suite.
///
/// # Errors
///
/// The sources can't be searched for mutants.
pub(super) fn run(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let mut native = None;
    for arch in Arch::ALL {
        let args = BuildArgs {
            arch,
            out: None,
            mutant: None,
            quiet: false,
        };
        let built = tally.check(
            &format!("image {}", arch.name()),
            driver::build(workspace, &args),
        );
        if let Some(built) = built {
            println!("  {}", built.summary);
            if arch == Arch::X86_64 {
                native = Some(built.sys);
            }
        }
    }
    for driver in &test_drivers::ALL {
        tally.check(driver.image, test_drivers::build(workspace, driver));
    }
    build_mutants(workspace, tally)?;
    let Some(image) = native else { return Ok(()) };

    let scenarios = workspace
        .cargo("test")
        .args([
            "--profile",
            "tools",
            "--package",
            "scenarios",
            "--test",
            "*",
            "--no-fail-fast",
        ])
        .env("NETKVM_SYS", &image)
        .env("NETKVM_MUTANTS", driver::mutants_folder(workspace))
        .env("TEST_DRIVERS", test_drivers::folder(workspace));
    tally.cargo_test("scenarios", scenarios);
    let explored = explore::program(workspace, false)
        .args(["--seeds", EXPLORED, "--image"])
        .arg(&image)
        .arg("--built-image")
        .run();
    tally.check(&format!("exploration of seeds {EXPLORED}"), explored);
    Ok(())
}

/// Builds every mutant that the sources name. The scenarios find them by name in the folder, so
/// those that the sources no longer name are taken out.
fn build_mutants(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    let names = driver::select_mutants(workspace, "all")?;
    driver::remove_other_mutants(workspace, &names)?;
    for name in names {
        let args = BuildArgs {
            arch: Arch::X86_64,
            out: None,
            mutant: Some(name.clone()),
            quiet: true,
        };
        // Not a test that passes: what counts is that the scenarios find the fault.
        if let Err(error) = driver::build(workspace, &args) {
            eprintln!("error: {error:#}");
            tally.fail(&format!("mutant {name}"));
        }
    }
    Ok(())
}
