//! `netkvmco.dll`, a helper of netsh: `netsh netkvm` lists NetKVM devices, and shows and changes their
//! parameters.
//!
//! [`params`] says what a parameter may be, [`commands`] what the commands do and print; both know no
//! Windows. The other modules read devices and registry, and speak with netsh.

#![cfg_attr(
    not(windows),
    allow(dead_code, reason = "the edge to netsh is Windows-only")
)]

mod commands;
#[cfg(test)]
mod help {
    // The build script, which puts the strings into the DLL, includes the file, too.
    include!("help.rs");
}
mod params;

#[cfg(windows)]
mod devices;
#[cfg(windows)]
mod netsh;
#[cfg(windows)]
mod register;
#[cfg(windows)]
mod tables;
