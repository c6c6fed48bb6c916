//! Windows' network configuration engine, INetCfg, as safe types: components, binding paths, the
//! write lock and the classes that install.
//!
//! The engine knows components (adapters, protocols, clients, services), each of a class and with an
//! identifier of its INF, and binding paths: a chain from an owner down to an adapter. Whoever changes
//! something holds the one write lock of the system.
//!
//! COM marks some answers as success with a value (`S_FALSE`, `NETCFG_S_REBOOT`) that the methods of
//! the `windows` crate drop; where such an answer matters, the method table is called directly.
//!
//! Beside the engine, the crate reads the table of interfaces ([`interfaces`]) and asks the driver
//! ([`driver`]), for programs put the three together; `server` is what the in-process COM servers around
//! the engine have in common.
//!
//! On other systems than Windows the crate has [`names`], and of the other two what decides.

pub mod driver;
pub mod interfaces;
pub mod names;

#[cfg(windows)]
pub mod class;
#[cfg(windows)]
mod component;
#[cfg(windows)]
mod enumerate;
#[cfg(windows)]
mod module;
#[cfg(windows)]
mod path;
#[cfg(windows)]
pub mod server;
#[cfg(windows)]
mod session;
#[cfg(windows)]
mod text;

#[cfg(windows)]
pub use component::Component;
#[cfg(windows)]
pub use module::{own_module, own_path};
#[cfg(windows)]
pub use path::Path;
#[cfg(windows)]
pub use session::{Apartment, Applied, Locked, Removal, Session};
#[cfg(windows)]
pub use text::{hand_out, take};
