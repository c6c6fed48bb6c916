//! A stand-in for Windows' network configuration engine, registered as CLSID_CNetCfg in a Wine prefix.
//!
//! It has the interfaces that installers and notify objects use, keeps components and bindings in the
//! registry, installs a component from its INF through Wine's setupapi, and calls notify objects in the
//! order and with the arguments that Microsoft documents. It is a test double, so it also fails where it
//! is told to ([`knobs`]) and writes down who called what.
//!
//! What it does not have: answer files, property pages, the order of bindings, upgrades.

mod analysis;

#[cfg(windows)]
mod component;
#[cfg(windows)]
mod enums;
#[cfg(windows)]
mod give;
#[cfg(windows)]
mod installer;
#[cfg(windows)]
mod knobs;
#[cfg(windows)]
mod lock;
#[cfg(windows)]
mod objects;
#[cfg(windows)]
mod path;
#[cfg(windows)]
mod server;
#[cfg(windows)]
mod setup;
#[cfg(windows)]
mod store;
#[cfg(windows)]
mod world;
