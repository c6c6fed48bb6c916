//! `cargo xtask bench`: measurements.

mod callgrind;
mod host;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    what: What,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// What ndis-host costs per NBL, apart from the driver
    Host,
}

/// Runs the measurement.
///
/// # Errors
///
/// Something that it needs is missing or does not build, or the load does not pass.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> Result<ExitCode> {
    match args.what {
        What::Host => host::run(workspace, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}
