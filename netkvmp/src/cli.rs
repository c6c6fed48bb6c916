//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

const EXIT_CODES: &str = "Exit codes:
  0     done, or there was nothing to do
  1     failed; everything is as it was before
  2     wrong usage
  4     administrator rights are missing
  5     the INF is missing
  6     the INF can't be used, or a file that it names is missing
  7     another program is changing the network configuration
  8     failed, and could not be undone fully
  9     a newer version is installed
  10    a component VIOPROT of another service is installed
  3010  done; takes effect with the next restart of Windows";

/// Installs, removes and shows VIOPROT, the NetKVM failover protocol.
#[derive(Debug, Parser)]
#[command(name = "netkvmp", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// The INF of the protocol [default: vioprot.inf beside this program]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) inf: Option<PathBuf>,

    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say what would be done, and do nothing
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,

    /// Name each step on standard error
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,

    /// Fail at once if another program is changing the network configuration
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
}

/// The commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum Command {
    /// Install the protocol, or a newer version of it (as administrator)
    #[command(visible_alias = "i")]
    Install,
    /// Remove the protocol, and what a broken installation has left (as administrator)
    #[command(visible_alias = "u")]
    Uninstall,
    /// Show the protocol, and each NetKVM adapter with its virtual function
    #[command(visible_alias = "q")]
    Query,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from([&["netkvmp"], words].concat())
    }

    #[test]
    fn long_and_short_names_are_the_same_commands() {
        for (long, short, command) in [
            ("install", "i", Command::Install),
            ("uninstall", "u", Command::Uninstall),
            ("query", "q", Command::Query),
        ] {
            assert_eq!(parse(&[long]).unwrap().command, command);
            assert_eq!(parse(&[short]).unwrap().command, command);
        }
    }

    #[test]
    fn options_go_before_and_after_the_command() {
        let arguments = parse(&[
            "--json",
            "i",
            "--inf",
            "x.inf",
            "--dry-run",
            "--no-wait",
            "-v",
        ]);
        let arguments = arguments.unwrap();
        assert!(arguments.json && arguments.dry_run && arguments.no_wait && arguments.verbose);
        assert_eq!(arguments.inf, Some("x.inf".into()));
    }

    #[test]
    fn wrong_usage_has_exit_code_2() {
        for words in [
            &[][..],
            &["remove"],
            &["install", "--force"],
            &["i", "--inf"],
        ] {
            assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words:?}");
        }
        assert_eq!(parse(&["--help"]).unwrap_err().exit_code(), 0);
    }
}
