//! Runs the user-mode programs in fresh Wine prefixes.
//!
//! A prefix is a small Windows of its own. Making one takes ten seconds, so one is made and kept under
//! `target/wine`, and each test gets a copy, its files shared by hard links and its registry its own.

mod built;
mod driver;
mod machine;
mod network;
mod template;

pub use driver::{Answer, Asked, ask};
pub use machine::{Machine, Ran};
pub use network::Network;
