//! Runs one named scenario on the driver image.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scenarios::cases;
use scenarios::world::{DriverImage, WorldOptions};

/// Run one scenario; the exit code says whether the driver passed.
#[derive(Debug, Parser)]
#[command(name = "scenario")]
struct Args {
    /// Name of the scenario; none: list them
    name: Option<String>,
    /// Fixes every random choice of the run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Run on real threads and in real time, with the checks that cost little; the seed does not
    /// fix the run then
    #[arg(long)]
    free: bool,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    image: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let Some(name) = args.name else {
        cases::NAMES.iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    let passed = DriverImage::read(&args.image).and_then(|image| {
        let options = WorldOptions::new(args.seed, &image).free_running(args.free);
        cases::run(&name, &options)
    });
    match passed {
        Ok(()) => {
            println!("{name}, seed {}: pass", args.seed);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}, seed {}: {error:#}", args.seed);
            ExitCode::FAILURE
        }
    }
}
