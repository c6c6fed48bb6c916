//! `cargo xtask explore`: builds the driver if its sources changed, and runs cases over seeds.

use std::process::{self, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::driver::{self, Arch, BuildArgs};
use crate::tool::Tool;
use crate::workspace::Workspace;

/// All options are those of the program that explores; `--help` shows them.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct ExploreArgs {
    /// Options, see `cargo xtask explore --help`
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTION"
    )]
    options: Vec<String>,
}

/// Explores. The program's exit code becomes this program's.
///
/// # Errors
///
/// The image does not build, or the program can't be built.
pub(crate) fn run(workspace: &Workspace, args: &ExploreArgs) -> Result<ExitCode> {
    let has = |name: &str| {
        let with_value = format!("{name}=");
        let mut options = args.options.iter();
        options.any(|option| option == name || option.starts_with(&with_value))
    };
    let asks = ["--help", "-h"].iter().any(|name| has(name));
    let mut program = program(workspace, has("--json"));
    if asks {
        // Without an image its own complaint would come first.
        program = program.env("NETKVM_SYS", "");
    } else if !has("--image") {
        let image = BuildArgs {
            arch: Arch::X86_64,
            out: None,
            mutant: None,
            quiet: has("--json"),
        };
        let built = driver::build(workspace, &image)?;
        program = program.arg("--image").arg(built.sys).arg("--built-image");
    }
    let status = program.args(&args.options).status()?;
    // A program that a signal ended has no code of its own.
    process::exit(status.code().unwrap_or(101));
}

/// The program that explores, with the folder for what it keeps.
pub(crate) fn program(workspace: &Workspace, quiet: bool) -> Tool {
    let mut run = workspace.cargo("run");
    if quiet {
        run = run.arg("--quiet");
    }
    run.args(["--profile", "tools", "--package", "scenarios"])
        .args(["--bin", "explore", "--", "--out"])
        .arg(workspace.target.join("explore"))
}
