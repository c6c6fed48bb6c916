//! `cargo xtask bench`: measurements.

mod callgrind;
mod host;
pub(crate) mod ring;

use anyhow::{Result, ensure};
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
    /// `ring`: compare our driver's counts with the baseline, and measure nothing else
    #[arg(long, conflicts_with = "json")]
    check: bool,
    /// `ring`: make our driver's counts the baseline
    #[arg(long, conflicts_with_all = ["json", "check"])]
    bless: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// What ndis-host costs per NBL, apart from the driver
    Host,
    /// What a packet costs at the ring: our driver core, its peers, and the least possible
    Ring,
}

/// Runs the measurement.
///
/// # Errors
///
/// Something that it needs is missing or does not build, or the load does not pass.
pub(crate) fn run(workspace: &Workspace, args: &BenchArgs) -> Result<()> {
    match args.what {
        What::Host => {
            ensure!(!args.check && !args.bless, "`host` has no baseline");
            host::run(workspace, args.json)
        }
        What::Ring if args.check => ring::check(workspace),
        What::Ring if args.bless => ring::bless(workspace),
        What::Ring => ring::run(workspace, args.json),
    }
}
