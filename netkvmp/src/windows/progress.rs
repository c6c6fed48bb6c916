//! What is being done, for who waits.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::ProgressBar;

/// A spinner on a terminal; with `--verbose`, a line for each step.
pub(crate) struct Progress {
    spinner: ProgressBar,
    is_verbose: bool,
}

impl Progress {
    /// Shows itself only if standard error is a terminal.
    pub(crate) fn new(is_verbose: bool) -> Self {
        let spinner = if is_verbose {
            ProgressBar::hidden()
        } else {
            ProgressBar::new_spinner()
        };
        Self {
            spinner,
            is_verbose,
        }
    }

    /// Names the step that begins.
    pub(crate) fn announce(&self, step: &str) {
        if self.is_verbose {
            // Nobody listens, perhaps; the work is done all the same.
            let _ = writeln!(io::stderr(), "{step}");
        } else if !self.spinner.is_hidden() {
            self.spinner.set_message(step.to_owned());
            self.spinner.enable_steady_tick(Duration::from_millis(100));
        }
    }

    /// Takes the spinner away.
    pub(crate) fn end(&self) {
        self.spinner.finish_and_clear();
    }
}
