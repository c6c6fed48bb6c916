//! `cargo xtask test`: the suites, and the sum over everything that they ran.
//!
//! Without names it runs all.

use std::process::ExitCode;
use std::thread;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

mod core;
mod host;
mod nightly;
mod packages;
mod qemu;
mod tally;
mod tsan;
mod unit;
mod wine;

pub(crate) use qemu::require_qemu;
use tally::Tally;

/// A suite by name.
struct Suite {
    name: &'static str,
    /// It waits more than it works, and runs while the one before it does.
    is_beside: bool,
    run: fn(&Workspace, &mut Tally) -> Result<()>,
}

/// In the order in which they run: what fails quickly first.
const ALL: [Suite; 6] = [
    Suite {
        name: "unit",
        is_beside: false,
        run: unit::run,
    },
    Suite {
        name: "core",
        is_beside: false,
        run: core::run,
    },
    Suite {
        name: "host",
        is_beside: false,
        run: host::run,
    },
    Suite {
        name: "qemu",
        is_beside: false,
        run: qemu::run,
    },
    Suite {
        name: "tsan",
        is_beside: false,
        run: tsan::run,
    },
    Suite {
        name: "wine",
        is_beside: true,
        run: wine::run,
    },
];

/// Runs the named suites, or all. The last line is the sum.
///
/// # Errors
///
/// A name is unknown.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let mut sum = Tally::default();
    for together in chosen.chunk_by(|_, next| next.is_beside) {
        for (suite, tally) in run_together(workspace, together) {
            println!("suite {}: {tally}", suite.name);
            sum.add(tally);
        }
    }
    for name in &sum.failures {
        println!("failed: {name}");
    }
    println!("{sum}");
    Ok(if sum.is_success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs suites at the same time, each with what it has found.
fn run_together(workspace: &Workspace, suites: &[&'static Suite]) -> Vec<(&'static Suite, Tally)> {
    thread::scope(|scope| {
        let running: Vec<_> = suites
            .iter()
            .map(|suite| (*suite, scope.spawn(|| run_one(workspace, suite))))
            .collect();
        let ended = running.into_iter().map(|(suite, thread)| {
            let tally = thread.join().unwrap_or_else(|_| failed(suite));
            (suite, tally)
        });
        ended.collect()
    })
}

fn run_one(workspace: &Workspace, suite: &Suite) -> Tally {
    let mut tally = Tally::default();
    // A suite that can't go on has failed; the others still run.
    if let Err(error) = (suite.run)(workspace, &mut tally) {
        eprintln!("error: {error:#}");
        tally.fail(suite.name);
    }
    tally
}

/// Of a suite that has panicked.
fn failed(suite: &Suite) -> Tally {
    let mut tally = Tally::default();
    tally.fail(suite.name);
    tally
}

fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    let known = || ALL.map(|suite| suite.name).join(", ");
    for name in names {
        if !ALL.iter().any(|suite| suite.name == name) {
            bail!("no suite `{name}`; there are: {}", known());
        }
    }
    let wanted = |suite: &&Suite| names.is_empty() || names.iter().any(|name| name == suite.name);
    Ok(ALL.iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<Vec<&'static str>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(choose(&names)?.iter().map(|suite| suite.name).collect())
    }

    #[test]
    fn no_name_means_all_suites() {
        assert_eq!(
            chosen(&[]).unwrap(),
            ["unit", "core", "host", "qemu", "tsan", "wine"]
        );
    }

    #[test]
    fn named_suites_run_once_each() {
        assert_eq!(chosen(&["host", "host"]).unwrap(), ["host"]);
    }

    #[test]
    fn an_unknown_suite_is_refused_with_the_list_of_those_that_exist() {
        let error = chosen(&["unit", "units"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "no suite `units`; there are: unit, core, host, qemu, tsan, wine"
        );
    }
}
