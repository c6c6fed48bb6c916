//! Programs of Debian's that a suite runs.

use anyhow::{Context, Result, ensure};

use crate::tool::Tool;

/// A program that has to be there.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// The option that makes it tell its version.
    pub(super) option: &'static str,
    /// Debian's package of it.
    pub(super) package: &'static str,
}

impl Program {
    /// Makes sure that it can be started; installs it if that is possible. Returns the first line of what it
    /// says of its version.
    ///
    /// # Errors
    ///
    /// It is missing and can't be installed; the message says how to.
    pub(super) fn require(&self) -> Result<String> {
        let Self { name, package, .. } = *self;
        if let Ok(version) = self.version() {
            return Ok(version);
        }
        ensure!(
            is_root()?,
            "this needs {name}; install it with: apt-get install {package}"
        );
        Tool::new("apt-get").arg("update").show_errors().output()?;
        Tool::new("apt-get")
            .args(["install", "--yes", "--no-install-recommends", package])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .show_errors()
            .output()
            .with_context(|| format!("{name} is missing"))?;
        self.version()
    }

    fn version(&self) -> Result<String> {
        let told = Tool::new(self.name).arg(self.option).output()?;
        let first = told.lines().next().map(str::to_owned);
        first.with_context(|| format!("{} has no version", self.name))
    }
}

/// Whether the user is root.
pub(super) fn is_root() -> Result<bool> {
    Ok(Tool::new("id").arg("--user").output()?.trim() == "0")
}
