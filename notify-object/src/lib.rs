//! `netkvmno.dll`, the notify object of the protocol VIOPROT.
//!
//! Windows' network configuration engine loads it, by the class identifier in `vioprot.inf`, into
//! whatever process changes the configuration, and asks it about binding paths. It sees to it that a
//! virtual function keeps VIOPROT and no other protocol, and that VIOPROT is bound to nothing else.
//!
//! [`policy`] decides; it and [`standby`], [`vf_list`] and [`withheld`] know no COM. The other modules ask
//! the engine, the registry, the interface table and the driver for facts, and do what was decided.

#![cfg_attr(
    not(windows),
    allow(dead_code, reason = "the COM edge, which uses it, is Windows-only")
)]

mod policy;
mod standby;
mod vf_list;
mod withheld;

#[cfg(windows)]
mod macs;
#[cfg(windows)]
mod notify;
#[cfg(windows)]
mod server;
#[cfg(windows)]
mod settings;
#[cfg(windows)]
mod work;
