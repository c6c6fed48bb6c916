//! Runs the user-mode programs in fresh Wine prefixes.
//!
//! A prefix is a small Windows of its own. Making one takes ten seconds, so one is made and kept under
//! `target/wine`, and each test gets a copy, its files shared by hard links and its registry its own.

mod built;
mod driver;
mod machine;
mod network;
mod template;

use std::path::PathBuf;

use anyhow::Result;

pub use driver::{Answer, Asked, ask};
pub use machine::{Machine, Ran};
pub use network::Network;

/// A program or DLL of the product, as it was built for `x86_64-pc-windows-gnu`.
///
/// # Errors
///
/// It has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    built::file("tools", name)
}
