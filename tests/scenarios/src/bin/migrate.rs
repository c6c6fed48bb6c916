//! Streams a file through the driver while the VF leaves and comes back, and reports.

use std::process::ExitCode;

use clap::Parser;
use scenarios::args::MigrateArgs;
use scenarios::migration::{self, Embedded};

fn main() -> ExitCode {
    migration::run_and_tell(&MigrateArgs::parse(), &mut Embedded)
}
