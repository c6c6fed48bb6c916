//! The machine itself: CPUs, memory, and the project's INF files.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ndis_host::Config;
use ndis_host::inf::Inf;

use super::WorldOptions;

/// Service of the driver.
pub(super) const SERVICE: &str = "netkvm";
/// Identifier of the protocol component in its INF.
pub(super) const PROTOCOL: &str = "VIOPROT";
/// Most CPUs of a machine.
const MOST_CPUS: u64 = 4;

/// Starts the machine.
pub(super) fn start(options: &WorldOptions) -> Result<()> {
    let config = Config {
        seed: options.seed,
        cpus: cpus(options.seed),
        os: options.os,
        mode: options.mode,
        checks: options.checks,
        ..Config::default()
    };
    ndis_host::start(&config)
}

/// The machine doesn't run yet, so the seed chooses by itself. One CPU is a machine, too.
fn cpus(seed: u64) -> usize {
    (1 + (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % MOST_CPUS) as usize
}

/// The INF of the adapter.
pub(super) fn adapter_inf() -> Result<Inf> {
    inf("netkvm.inf")
}

/// The INF of the protocol.
pub(super) fn protocol_inf() -> Result<Inf> {
    inf("vioprot.inf")
}

/// Reads an INF file of the project.
fn inf(name: &str) -> Result<Inf> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "inf", name]
        .iter()
        .collect();
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Inf::parse(&text).with_context(|| path.display().to_string())
}
