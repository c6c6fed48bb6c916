//! `netkvmp`: installs, removes and shows VIOPROT, the protocol that binds the NetKVM adapter to its
//! virtual function. `docs/netkvmp.md` describes it.
//!
//! [`deploy`], [`inf`], [`pairs`] and [`told`] know no Windows: they are what can go wrong, and what there is
//! to say of it, and are tested on any machine. [`windows`] does what they decide.

#![cfg_attr(
    not(windows),
    allow(dead_code, reason = "the program itself is Windows-only")
)]

mod cli;
mod deploy;
mod failure;
mod inf;
mod pairs;
mod report;
mod told;
mod version;

#[cfg(windows)]
mod program;
#[cfg(windows)]
mod windows;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    program::main()
}

#[cfg(not(windows))]
fn main() -> std::process::ExitCode {
    eprintln!("netkvmp runs on Windows");
    std::process::ExitCode::FAILURE
}
