//! The driver image in ndis-host: the migration, every case, and the deliberate faults.
//!
//! Each run is a process of its own: the machine is one per process, and a verdict ends it.
//! `cargo xtask test host` builds the images, says where they are, and runs this.

mod cases;
mod explore;
mod free;
mod migrate;
mod mutants;
mod process;
mod strangers;
