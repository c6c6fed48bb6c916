//! Runs cases over many seeds until one fails.

use std::process::ExitCode;

use clap::Parser;
use scenarios::explore::args::ExploreArgs;
use scenarios::explore::explore;

fn main() -> ExitCode {
    match explore(&ExploreArgs::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
