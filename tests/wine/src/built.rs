//! What was built for the tests.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// The folder that holds everything of this workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo builds to.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A file of the build for `x86_64-pc-windows-gnu`.
///
/// # Errors
///
/// It has not been built.
pub(crate) fn file(profile: &str, name: &str) -> Result<PathBuf> {
    there(
        target()
            .join("x86_64-pc-windows-gnu")
            .join(profile)
            .join(name),
    )
}

/// The stand-in for the driver's control device.
///
/// # Errors
///
/// It has not been built.
pub(crate) fn stand_in() -> Result<PathBuf> {
    there(target().join("test-drivers/control.sys"))
}

/// The program of this machine that asks the real driver.
///
/// # Errors
///
/// It has not been built.
pub(crate) fn ask_driver() -> Result<PathBuf> {
    there(target().join("tools/ask_driver"))
}

fn there(path: PathBuf) -> Result<PathBuf> {
    ensure!(
        path.exists(),
        "{} is missing; `cargo xtask test wine` builds it",
        path.display()
    );
    Ok(path)
}
