//! Streams a file through the driver while the VF leaves and comes back, and reports.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use scenarios::args::MigrateArgs;
use scenarios::migration::{self, Run};
use scenarios::report::{self, Verdict};

fn main() -> ExitCode {
    let args = MigrateArgs::parse();
    let (run, walked) = migration::run(&args, |args, run| {
        // The process ends with a failure either way.
        if let Err(error) = tell(args, run) {
            eprintln!("error: {error:#}");
        }
    });
    let told = run.as_ref().map_or(Ok(()), |run| tell(&args, run));
    for error in [&walked, &told]
        .into_iter()
        .filter_map(|it| it.as_ref().err())
    {
        eprintln!("error: {error:#}");
    }
    let passed = run.is_some_and(|run| run.outcome.verdict() == Verdict::Pass);
    if passed && walked.is_ok() && told.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Prints the report, and draws the picture.
fn tell(args: &MigrateArgs, run: &Run) -> Result<()> {
    if args.json {
        println!("{}", report::to_json(&run.outcome)?);
    } else {
        print!("{}", report::to_table(&run.outcome));
    }
    if let Some(path) = &args.plot {
        let svg = report::draw(&run.outcome, &run.throughput)?;
        std::fs::write(path, svg).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
