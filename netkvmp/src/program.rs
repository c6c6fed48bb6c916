//! The program: command line in, report and exit code out.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{self, ExitCode};

use clap::Parser;
use netcfg::Apartment;
use serde_json::json;

use crate::cli::{Arguments, Command};
use crate::deploy::Choice;
use crate::deploy::install::install;
use crate::deploy::uninstall::uninstall;
use crate::failure::{Failure, Trouble};
use crate::report::Report;
use crate::windows::{self, Progress, Windows};

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let progress = Progress::new(arguments.verbose);
    let outcome = run(&arguments, &progress);
    progress.end();
    let code = match &outcome {
        Ok(report) => report.exit_code(),
        Err(failure) => failure.exit_code(),
    };
    tell(&outcome, arguments.json);
    // `ExitCode` has eight bits, Windows has thirty-two.
    process::exit(code.cast_signed());
}

fn run(arguments: &Arguments, progress: &Progress) -> Result<Report, Failure> {
    let apartment = Apartment::enter().map_err(|error| {
        Failure::Unchanged(Trouble {
            what: "starting COM".into(),
            reason: windows::words(&error),
        })
    })?;
    let mut system = Windows::new(&apartment, progress);
    let choice = Choice {
        inf: arguments.inf.clone().unwrap_or_else(beside_program),
        is_dry: arguments.dry_run,
        is_hasty: arguments.no_wait,
    };
    match arguments.command {
        Command::Install => install(&mut system, &choice),
        Command::Uninstall => uninstall(&mut system, &choice),
        Command::Query => windows::query(&mut system).map_err(Failure::Unchanged),
    }
}

/// `vioprot.inf` in the folder of this program.
fn beside_program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.with_file_name("vioprot.inf")
}

/// Results go to standard output, failures to standard error; in JSON all goes to standard output.
fn tell(outcome: &Result<Report, Failure>, as_json: bool) {
    let mut out = io::stdout();
    let told = match outcome {
        Ok(report) if as_json => {
            writeln!(out, "{}", serde_json::to_value(report).unwrap_or_default())
        }
        Err(failure) if as_json => {
            let code = failure.exit_code();
            let told = json!({
                "result": "failed",
                "code": code,
                "message": failure.to_string(),
                "reboot": failure.needs_reboot(),
            });
            writeln!(out, "{told}")
        }
        Ok(report) => writeln!(out, "{}", report.text()),
        Err(failure) => writeln!(io::stderr(), "netkvmp: {failure}"),
    };
    // Nobody listens, perhaps; the exit code tells all the same.
    let _ = told.and_then(|()| out.flush());
}
