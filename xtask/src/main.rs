//! `cargo xtask`: builds the driver image, runs the tests and the migration scenario.
//!
//! A thin layer over cargo: whatever can be done by a test or a program of the workspace is done
//! there. What belongs here is the knowledge of targets, linker, artefact paths and suites.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::driver::{BuildArgs, Selection};
use crate::explore::ExploreArgs;
use crate::migrate::MigrateArgs;
use crate::workspace::Workspace;

mod bench;
mod driver;
mod explore;
mod keywords;
mod lints;
mod migrate;
mod suites;
mod tool;
mod workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build netkvm.sys and netkvm.pdb, and check the image
    Build {
        /// Architecture of the image
        #[arg(long, value_enum, default_value_t = Selection::All)]
        arch: Selection,
        /// Where to put <arch>/netkvm.sys and netkvm.pdb [default: target/driver]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Build with one deliberate fault, or with each in turn (`all`)
        #[arg(long, value_name = "NAME", hide = true)]
        mutant: Option<String>,
    },
    /// Build the small drivers that the test host is tried with
    BuildTestDrivers,
    /// Stream a file through the driver while the VF leaves and comes back
    Migrate(MigrateArgs),
    /// Measure: what the host itself costs
    Bench(BenchArgs),
    /// Run cases over seeds until one fails; tell how to run that one again
    Explore(ExploreArgs),
    /// Run all test suites, or the named ones; the last line is the sum
    Test {
        /// Suites to run
        #[arg(value_name = "SUITE")]
        suites: Vec<String>,
    },
    /// Check the layering of the crates, their lint settings and the length of the files
    Check,
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let workspace = Workspace::load()?;
    match task {
        Task::Build { arch, out, mutant } => build(&workspace, arch, out, mutant.as_deref()),
        Task::BuildTestDrivers => build_test_drivers(&workspace),
        Task::Migrate(args) => migrate::run(&workspace, &args),
        Task::Bench(args) => bench::run(&workspace, &args).map(|()| ExitCode::SUCCESS),
        Task::Explore(args) => explore::run(&workspace, &args),
        Task::Test { suites } => suites::run(&workspace, &suites),
        Task::Check => check(&workspace),
    }
}

fn build(
    workspace: &Workspace,
    arch: Selection,
    out: Option<PathBuf>,
    mutant: Option<&str>,
) -> Result<ExitCode> {
    let mutants = match mutant {
        None => vec![None],
        Some(name) => driver::select_mutants(workspace, name)?
            .into_iter()
            .map(Some)
            .collect(),
    };
    for mutant in &mutants {
        for &arch in arch.archs() {
            let args = BuildArgs {
                arch,
                out: out.clone(),
                mutant: mutant.clone(),
                quiet: false,
            };
            let built = driver::build(workspace, &args)?;
            println!("{}", built.sys.display());
            println!("  {}", built.summary);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn build_test_drivers(workspace: &Workspace) -> Result<ExitCode> {
    for driver in &driver::test_drivers::ALL {
        let image = driver::test_drivers::build(workspace, driver)?;
        println!("{}", image.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn check(workspace: &Workspace) -> Result<ExitCode> {
    let mut clean = true;
    for lint in lints::ALL {
        let findings = (lint.find)(workspace)?;
        for finding in &findings {
            eprintln!("{}: {finding}", lint.name);
        }
        clean &= findings.is_empty();
    }
    println!("{}", if clean { "clean" } else { "not clean" });
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
