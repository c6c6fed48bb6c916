//! Runs the small drivers that are not netkvm under the judge.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scenarios::strangers;

/// Run lightproto.sys on loopback.sys; the exit code says whether they passed.
#[derive(Debug, Parser)]
#[command(name = "strangers")]
struct Args {
    /// Fixes every random choice of the run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The folder with the images
    #[arg(long, value_name = "DIR", env = "TEST_DRIVERS")]
    drivers: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match strangers::run(&args.drivers, args.seed) {
        Ok(()) => {
            println!("strangers, seed {}: pass", args.seed);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("strangers, seed {}: {error:#}", args.seed);
            ExitCode::FAILURE
        }
    }
}
