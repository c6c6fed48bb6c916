//! The nightly toolchain, for the tools that come with no other: sanitizers, Miri, fuzzing.

use anyhow::Result;

use crate::tool::{self, Tool};

/// Its name for rustup.
pub(super) const TOOLCHAIN: &str = "nightly";

/// Adds the toolchain, or its components, unless they are there.
///
/// # Errors
///
/// rustup fails, or is missing.
pub(super) fn require(components: &[&str]) -> Result<()> {
    let installed = Tool::new("rustup")
        .args(["component", "list", "--installed", "--toolchain", TOOLCHAIN])
        .output();
    let has = |component: &&str| {
        installed
            .as_ref()
            .is_ok_and(|parts| parts.lines().any(|part| part.starts_with(*component)))
    };
    if installed.is_ok() && components.iter().all(has) {
        return Ok(());
    }
    let mut install = vec!["toolchain", "install", TOOLCHAIN, "--profile", "minimal"];
    for component in components {
        install.extend(["--component", component]);
    }
    tool::rustup(&install)
}

/// Cargo of this toolchain.
pub(super) fn cargo(verb: &[&str]) -> Tool {
    Tool::new("rustup")
        .args(["run", TOOLCHAIN, "cargo"])
        .args(verb)
}
