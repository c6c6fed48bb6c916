//! `cargo xtask test`: the suites, and the sum over everything that they ran.
//!
//! Without names it runs all but the one that needs Wine.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

mod core;
mod host;
mod nightly;
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
    /// Whether it runs without being named.
    is_usual: bool,
    run: fn(&Workspace, &mut Tally) -> Result<()>,
}

/// In the order in which they run: what fails quickly first.
const ALL: [Suite; 6] = [
    Suite {
        name: "unit",
        is_usual: true,
        run: unit::run,
    },
    Suite {
        name: "core",
        is_usual: true,
        run: core::run,
    },
    Suite {
        name: "host",
        is_usual: true,
        run: host::run,
    },
    Suite {
        name: "qemu",
        is_usual: true,
        run: qemu::run,
    },
    Suite {
        name: "tsan",
        is_usual: true,
        run: tsan::run,
    },
    Suite {
        name: "wine",
        is_usual: false,
        run: wine::run,
    },
];

/// Runs the named suites, or the usual ones. The last line is the sum.
///
/// # Errors
///
/// A name is unknown.
pub(crate) fn run(workspace: &Workspace, names: &[String]) -> Result<ExitCode> {
    let chosen = choose(names)?;
    let mut sum = Tally::default();
    for suite in chosen {
        let mut tally = Tally::default();
        // A suite that can't go on has failed; the others still run.
        if let Err(error) = (suite.run)(workspace, &mut tally) {
            eprintln!("error: {error:#}");
            tally.fail(suite.name);
        }
        println!("suite {}: {tally}", suite.name);
        sum.add(tally);
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

fn choose(names: &[String]) -> Result<Vec<&'static Suite>> {
    let known = || ALL.map(|suite| suite.name).join(", ");
    for name in names {
        if !ALL.iter().any(|suite| suite.name == name) {
            bail!("no suite `{name}`; there are: {}", known());
        }
    }
    let wanted = |suite: &&Suite| {
        if names.is_empty() {
            suite.is_usual
        } else {
            names.iter().any(|name| name == suite.name)
        }
    };
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
    fn no_name_means_the_usual_suites() {
        assert_eq!(
            chosen(&[]).unwrap(),
            ["unit", "core", "host", "qemu", "tsan"]
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
