//! Sweeps: everything of a kind that could be asked of a driver, asked.

mod oids;

pub use oids::{OidSweep, oids};
