//! Running other programs: with their output shown, captured, or read line by line.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Command, ExitStatus, Stdio};
use std::{env, io};

use anyhow::{Context, Result, bail};

/// A command line under construction.
pub(crate) struct Tool {
    command: Command,
}

impl Tool {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            command: Command::new(program),
        }
    }

    /// The cargo that runs this program, with the given verb.
    pub(crate) fn cargo(verb: &str) -> Self {
        Self::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).arg(verb)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Keeps a variable of this program's from it.
    pub(crate) fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(key);
        self
    }

    /// Lets it say on this program's standard error what it has to say, progress bars too.
    pub(crate) fn show_errors(mut self) -> Self {
        self.command.stderr(Stdio::inherit());
        self
    }

    /// Runs it with this program's own input and output, and returns how it ended.
    ///
    /// # Errors
    ///
    /// It can't be started.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        let status = self.command.status();
        self.started(status)
    }

    /// Runs it with this program's own input and output.
    ///
    /// # Errors
    ///
    /// It can't be started, or fails.
    pub(crate) fn run(mut self) -> Result<()> {
        let status = self.command.status();
        let line = self.line();
        let status = self.started(status)?;
        if !status.success() {
            bail!("`{line}` failed ({status})");
        }
        Ok(())
    }

    /// Runs it and returns what it prints.
    ///
    /// # Errors
    ///
    /// It can't be started, fails (with what it said on standard error), or prints no UTF-8.
    pub(crate) fn output(mut self) -> Result<String> {
        let output = self.command.stdin(Stdio::null()).output();
        let line = self.line();
        let output = self.started(output)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{line}` failed ({})\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("output of `{line}`"))
    }

    /// Runs it, passes on each line that it prints as it comes, and shows it to `each_line`.
    ///
    /// # Errors
    ///
    /// It can't be started, or its output can't be read.
    pub(crate) fn watch(mut self, mut each_line: impl FnMut(&str)) -> Result<ExitStatus> {
        let child = self.command.stdout(Stdio::piped()).spawn();
        let mut child = self.started(child)?;
        if let Some(output) = child.stdout.take() {
            // Not `lines()`: a test may print bytes that are no UTF-8.
            for line in BufReader::new(output).split(b'\n') {
                let line = line?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                each_line(&line);
            }
        }
        Ok(child.wait()?)
    }

    fn started<T>(&self, result: io::Result<T>) -> Result<T> {
        let program = self.command.get_program().to_string_lossy();
        result.with_context(|| format!("can't start `{program}`"))
    }

    fn line(&self) -> String {
        let words = [self.command.get_program()]
            .into_iter()
            .chain(self.command.get_args());
        words
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Runs rustup.
///
/// # Errors
///
/// It fails; or it is missing, and the message says what to do.
pub(crate) fn rustup(args: &[&str]) -> Result<()> {
    let line = format!("rustup {}", args.join(" "));
    eprintln!("{line}");
    match Command::new("rustup").args(args).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("`{line}` failed ({status})"),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "this toolchain lacks a part, and rustup isn't there to add it; \
             install rustup (https://rustup.rs), then run: {line}"
        ),
        Err(error) => Err(error).with_context(|| format!("can't start `{line}`")),
    }
}
