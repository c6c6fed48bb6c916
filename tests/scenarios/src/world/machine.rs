//! The machine itself: CPUs, memory, and the project's INF files.

use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use ndis_host::Config;
use ndis_host::inf::Inf;

use super::WorldOptions;
use super::backend::Backend;

/// Service of the driver.
pub(super) const SERVICE: &str = "netkvm";
/// Service of a second copy of it, which drives the VF where that is a virtio device.
pub(super) const VF_SERVICE: &str = "vfvendor";
/// Identifier of the protocol component in its INF.
pub(super) const PROTOCOL: &str = "VIOPROT";

/// Starts the machine.
pub(super) fn start(options: &WorldOptions) -> Result<()> {
    let backend = options.backend.as_deref();
    let config = Config {
        ram_bytes: backend.map_or_else(|| Config::default().ram_bytes, Backend::memory),
        low_memory: backend.map_or(0, Backend::low_memory),
        // Another device has no way to ask the machine's IOMMU.
        iommu: backend.map(|_| false),
        seed: options.seed,
        cpus: options.cpus,
        os: options.os,
        checks: options.checks,
        settings: options.settings,
    };
    ndis_host::start(&config)
}

/// The project's INF files.
struct Infs {
    adapter: Inf,
    protocol: Inf,
}

static INFS: LazyLock<Result<Infs, String>> = LazyLock::new(|| {
    let read = |name| inf(name).map_err(|error| format!("{error:#}"));
    Ok(Infs {
        adapter: read("netkvm.inf")?,
        protocol: read("vioprot.inf")?,
    })
});

/// Reads the project's INF files, if nobody has yet.
///
/// # Errors
///
/// One can't be read.
pub fn read_infs() -> Result<()> {
    infs().map(|_| ())
}

fn infs() -> Result<&'static Infs> {
    INFS.as_ref().map_err(|error| anyhow!("{error}"))
}

/// The INF of the adapter.
pub(super) fn adapter_inf() -> Result<&'static Inf> {
    Ok(&infs()?.adapter)
}

/// The INF of the protocol.
pub(super) fn protocol_inf() -> Result<&'static Inf> {
    Ok(&infs()?.protocol)
}

/// Reads an INF file of the project.
fn inf(name: &str) -> Result<Inf> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "..", "inf", name]
        .iter()
        .collect();
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Inf::parse(&text).with_context(|| path.display().to_string())
}
