//! Progress while runs are under way, and the result.

use std::fs;
use std::io::IsTerminal;
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::Failure;
use super::args::ExploreArgs;
use super::list;
use super::search::Search;
use super::shrink::Reduced;

const BAR: &str = "{bar:40} {pos} of {len} seeds, {per_sec}, {eta} left  {msg}";
/// Most choices that a command line lists; longer lists go to a file.
const MOST_INLINE: usize = 60;
/// Lines of a failed run that are shown; the file has all.
const SHOWN_LINES: usize = 60;
/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The display of a search: a bar on a terminal, else a line every now and then.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: bool,
    last_line: Instant,
}

impl Progress {
    /// A display for these seeds; `quiet` shows nothing.
    pub(super) fn new(seeds: &Range<u64>, quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if quiet || !is_terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let style =
            ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(seeds.end - seeds.start), target);
        Self {
            bar: bar.with_style(style),
            lines: !quiet && !is_terminal,
            last_line: Instant::now(),
        }
    }

    /// A run has passed.
    pub(super) fn step(&mut self, case: &'static str) {
        self.bar.set_message(case);
        self.bar.inc(1);
        if self.lines && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let (done, of) = (self.bar.position(), self.bar.length().unwrap_or(0));
            eprintln!("{done} of {of} seeds passed");
        }
    }

    /// Time has passed.
    pub(super) fn tick(&self) {
        self.bar.tick();
    }

    /// The search is over.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Tells how many seeds passed, and how fast.
pub(super) fn seeds(search: &Search<'_>) {
    println!(
        "{} runs passed in {:.1} s, {:.0} per second",
        search.passes(),
        search.took.as_secs_f64(),
        per_second(search)
    );
}

fn per_second(search: &Search<'_>) -> f64 {
    search.passes() as f64 / search.took.as_secs_f64().max(1e-9)
}

/// Tells of a failure: what, what the run said last, and how to run it again.
pub(super) fn failure(args: &ExploreArgs, failure: &Failure) -> Result<()> {
    let said = &failure.outcome.said;
    let lines: Vec<&str> = said.lines().collect();
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        println!("  {line}");
    }
    let file = keep(args, failure, "log", said)?;
    println!("all that it said: {}", file.display());
    println!("{}", describe(failure));
    println!("run it again: {}", command(args, failure));
    Ok(())
}

/// One line: the seed, the case, and what went wrong first.
fn describe(Failure { run, outcome }: &Failure) -> String {
    let (seed, case) = (run.seed, run.case);
    format!(
        "seed {seed}, {case}: {} ({})",
        outcome.headline(),
        outcome.end
    )
}

/// Tells what is left of the schedule of a failure.
pub(super) fn reduced(args: &ExploreArgs, failure: &Failure, reduced: &Reduced) -> Result<()> {
    let told = |line: &&str| line.starts_with("choice: ") || line.starts_with("rule ");
    for line in reduced.outcome.said.lines().filter(told) {
        println!("  {line}");
    }
    println!(
        "{} of {} choices are {} ({} runs)",
        reduced.choices.len(),
        reduced.before,
        if reduced.is_minimal {
            "all that it takes"
        } else {
            "left, and the time is over"
        },
        reduced.runs
    );
    println!(
        "run that again: {}",
        reduced_command(args, failure, reduced)?
    );
    Ok(())
}

/// Prints the result as one JSON object.
pub(super) fn as_json(
    args: &ExploreArgs,
    search: &Search<'_>,
    found: Option<(&Failure, Option<&Reduced>)>,
) -> Result<()> {
    let failure = match found {
        None => Value::Null,
        Some((failure, reduced)) => failure_as_json(args, failure, reduced)?,
    };
    let object = json!({
        "seeds": [args.seeds.start, args.seeds.end],
        "jobs": args.jobs(),
        "passed": search.passes(),
        "passed_by_case": search.passed,
        "seconds": search.took.as_secs_f64(),
        "runs_per_second": per_second(search),
        "failure": failure,
    });
    println!("{object}");
    Ok(())
}

fn failure_as_json(
    args: &ExploreArgs,
    failure: &Failure,
    reduced: Option<&Reduced>,
) -> Result<Value> {
    let schedule = match reduced {
        None => Value::Null,
        Some(reduced) => json!({
            "choices_before": reduced.before,
            "choices": list::format(&reduced.choices),
            "minimal": reduced.is_minimal,
            "replay": reduced_command(args, failure, reduced)?,
        }),
    };
    Ok(json!({
        "seed": failure.run.seed,
        "case": failure.run.case,
        "rule": failure.outcome.rule(),
        "what": failure.outcome.headline(),
        "end": failure.outcome.end.to_string(),
        "log": keep(args, failure, "log", &failure.outcome.said)?,
        "replay": command(args, failure),
        "reduced": schedule,
    }))
}

/// The command that runs a failure again.
fn command(args: &ExploreArgs, failure: &Failure) -> String {
    let mut command = command_of_seed(args, failure);
    if let Some(only) = &args.only {
        command += &format!(" --only {only}");
    }
    if let Some(path) = &args.only_from {
        command += &format!(" --only-from {}", path.display());
    }
    command
}

/// The command that runs it again with a reduced schedule, in line if it is short.
fn reduced_command(args: &ExploreArgs, failure: &Failure, reduced: &Reduced) -> Result<String> {
    let list = list::format(&reduced.choices);
    let file = keep(args, failure, "schedule", &list)?;
    let command = command_of_seed(args, failure);
    Ok(if reduced.choices.len() <= MOST_INLINE {
        format!("{command} --only '{list}'")
    } else {
        format!("{command} --only-from {}", file.display())
    })
}

fn command_of_seed(args: &ExploreArgs, Failure { run, .. }: &Failure) -> String {
    let (seed, case) = (run.seed, run.case);
    let mut command = format!("cargo xtask explore --seeds {seed} --case {case}");
    if !args.built_image {
        command += &format!(" --image {}", args.image.display());
    }
    command
}

/// Keeps text about a failure in a file.
fn keep(
    args: &ExploreArgs,
    Failure { run, .. }: &Failure,
    kind: &str,
    text: &str,
) -> Result<PathBuf> {
    let path = args.out.join(format!("{}-{}.{kind}", run.case, run.seed));
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}
