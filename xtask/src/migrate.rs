//! `cargo xtask migrate`: builds the driver if its sources changed and runs the scenario on it.

use std::path::PathBuf;
use std::process::{self, ExitCode};

use anyhow::{Result, bail};
use clap::Args;

use crate::driver::{self, Arch, BuildArgs};
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// File to stream in both directions [default: the driver image]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Fixes every random choice of the run: the same seed, the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Draw the throughput over time, with the path as colour
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Architecture of the image; it runs natively, so it has to be this machine's
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
}

/// Runs the scenario. Its exit code becomes this program's.
///
/// # Errors
///
/// The image does not build, or can't run on this machine, or the scenario can't be built.
pub(crate) fn run(workspace: &Workspace, args: &MigrateArgs) -> Result<ExitCode> {
    if args.arch.name() != std::env::consts::ARCH {
        bail!(
            "an {} image can't run here, this machine is {}; \
             `cargo xtask build --arch {0}` builds and inspects it",
            args.arch.name(),
            std::env::consts::ARCH
        );
    }
    let image = BuildArgs {
        arch: args.arch,
        out: None,
        mutant: None,
        quiet: args.json,
    };
    let built = driver::build(workspace, &image)?;

    let mut scenario = workspace.cargo("run");
    if args.json {
        scenario = scenario.arg("--quiet");
    }
    scenario = scenario
        .args([
            "--profile",
            "tools",
            "--package",
            "scenarios",
            "--bin",
            "migrate",
            "--",
        ])
        .arg("--image")
        .arg(built.sys)
        .args(["--seed", &args.seed.to_string()]);
    if args.json {
        scenario = scenario.arg("--json");
    }
    for (name, path) in [("--file", &args.file), ("--plot", &args.plot)] {
        if let Some(path) = path {
            scenario = scenario.arg(name).arg(path);
        }
    }
    let status = scenario.status()?;
    // A program that a signal ended has no code of its own.
    process::exit(status.code().unwrap_or(101));
}
