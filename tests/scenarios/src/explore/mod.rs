//! Runs cases over many seeds, each in a process of its own, until one fails.
//!
//! | module | what it has |
//! |---|---|
//! | [`args`] | the command line |
//! | `draw` | what a seed stands for: a case |
//! | `server` | forks the processes; everything that is the same for all of them is there before |
//! | `outcome` | how a run ended, and whether two runs failed in the same way |
//! | `search` | the seeds, on all processors, up to the first failure |
//! | `shrink` | the schedule of a failure, reduced |
//! | `list` | a schedule as text |
//! | `tell` | progress, and the result |

pub mod args;
mod draw;
mod list;
mod outcome;
mod search;
mod server;
mod shrink;
mod tell;

use anyhow::{Context, Result};
use ndis_host::sched::choices::Plan;

use crate::cases;
use crate::world::{DriverImage, WorldOptions, read_infs};
use args::ExploreArgs;
use draw::Run;
use outcome::Outcome;
use search::Search;
use server::Server;

/// Explores, and tells what it found. Whether every run passed.
///
/// # Errors
///
/// It can't begin, or can't go on.
pub fn explore(args: &ExploreArgs) -> Result<bool> {
    if let Some(name) = &args.case {
        cases::expect_known(name)?;
    }
    let image = DriverImage::read(&args.image)?;
    read_infs()?;
    let server = Server::new(image, args.jobs(), args.time_out());
    let only = list::of_args(args)?;

    let mut search = Search::new(&server, args);
    let found = search.go(only.as_deref())?;
    if !args.json {
        tell::seeds(&search);
    }
    let Some(failure) = found else {
        if args.json {
            tell::as_json(args, &search, None)?;
        }
        return Ok(true);
    };
    if !args.json {
        tell::failure(args, &failure)?;
    }
    let reduced = match args.shrink {
        true => Some(shrink::reduce(&server, &failure, only)?),
        false => None,
    };
    match &reduced {
        _ if args.json => tell::as_json(args, &search, Some((&failure, reduced.as_ref())))?,
        Some(reduced) => tell::reduced(args, &failure, reduced)?,
        None => {}
    }
    Ok(false)
}

/// A run that did not pass.
struct Failure {
    run: Run,
    outcome: Outcome,
}

/// Runs a case in this process, by a plan.
fn run_here(run: &Run, image: &DriverImage, plan: Plan) -> Result<()> {
    ndis_host::sched::choices::plan(plan);
    cases::run(run.case, &WorldOptions::new(run.seed, image))
        .with_context(|| format!("{}, seed {}", run.case, run.seed))
}
