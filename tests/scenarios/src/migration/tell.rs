//! What a program that migrates does: run, tell, and say by its exit code how it went.

use std::process::ExitCode;

use anyhow::{Context, Result};

use super::{Rig, Run};
use crate::args::MigrateArgs;
use crate::report::{self, Verdict};

/// Runs the migration, prints the report and draws the picture. Fails unless the run passed.
pub fn run_and_tell(args: &MigrateArgs, rig: &mut dyn Rig) -> ExitCode {
    let (run, walked) = super::run(args, rig, |args, run| {
        // The process ends with a failure either way.
        if let Err(error) = tell(args, run) {
            eprintln!("error: {error:#}");
        }
    });
    let told = run.as_ref().map_or(Ok(()), |run| tell(args, run));
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
