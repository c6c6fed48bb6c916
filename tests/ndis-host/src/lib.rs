//! A Windows kernel, an NDIS and a judge, in user mode on Linux.

#![expect(
    non_upper_case_globals,
    reason = "constants of ndis-sys keep the names of the headers"
)]

pub mod image;
pub mod inf;
pub mod memory;
pub mod mmio;
pub mod ndis;
pub mod ntoskrnl;
pub mod pnp;
pub mod registry;
pub mod sched;
pub mod verifier;

use std::io::Write;

use ntoskrnl::OsVersion;
use sched::{Mode, Settings};
use verifier::Checks;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// Number of virtual CPUs.
    pub cpus: usize,
    /// Size of guest memory, a multiple of the page size.
    pub ram_bytes: usize,
    /// Which Windows the machine runs.
    pub os: OsVersion,
    /// What the judge looks at.
    pub checks: Checks,
    /// Whether devices reach memory through an IOMMU, so that their addresses are not physical
    /// ones and an access outside of a mapping is a breach; without a wish the seed decides.
    pub iommu: Option<bool>,
    /// Bytes that the memory file has in front of guest memory, whole pages. The machine does not use
    /// them; a process that shares the file may.
    pub low_memory: usize,
    /// How the machine runs, how much is left to chance, and how fast time passes.
    pub settings: Settings,
}

impl Config {
    /// A machine for throughput: it runs freely, and the judge makes only the checks that cost
    /// little.
    #[must_use]
    pub fn free_running() -> Self {
        Self {
            settings: Settings {
                mode: Mode::FreeRunning,
                ..Settings::default()
            },
            checks: Checks::Light,
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            cpus: 2,
            ram_bytes: 512 << 20,
            os: OsVersion::BASELINE,
            checks: Checks::Thorough,
            iommu: None,
            low_memory: 0,
            settings: Settings::default(),
        }
    }
}

/// One in this many seeds runs with a special pool.
const SPECIAL_POOL_ONE_IN: u64 = 4;
/// Exit code of a process in which host code panicked.
const PANIC_EXIT: i32 = 101;

/// Builds what is built once per process and is the same for all: for a process that forks before
/// it starts the machine.
pub fn warm_up() {
    mmio::warm_up();
}

/// Starts the machine; the caller becomes its first thread. Once per process.
///
/// # Errors
///
/// When guest memory cannot be had.
pub fn start(config: &Config) -> anyhow::Result<()> {
    end_process_on_panic();
    sched::start_with(config.seed, config.cpus, config.settings);
    verifier::set_checks(config.checks);
    if config.checks == Checks::Light {
        ndis::set_ownership(ndis::Ownership::Light);
    }
    memory::start(config.low_memory, config.ram_bytes)?;
    memory::pool::set_special(config.seed % SPECIAL_POOL_ONE_IN == SPECIAL_POOL_ONE_IN - 1);
    // One machine in four; drawn in any case, so that the wish changes nothing else.
    let drawn = sched::chance(4);
    memory::set_iommu(config.iommu.unwrap_or(drawn));
    mmio::start();
    ntoskrnl::start(config.os);
    Ok(())
}

/// The address of an exported routine, for drivers that are linked into this program and call it
/// as an image does.
///
/// # Panics
///
/// When neither ntoskrnl.exe nor ndis.sys exports it.
pub fn export(name: &str) -> *const () {
    let kernel = ntoskrnl::exports().into_iter();
    let ndis = ndis::exports().into_iter();
    let ndis = ndis.map(|(name, address)| (name, std::ptr::with_exposed_provenance(address)));
    let found = kernel.chain(ndis).find(|(exported, _)| *exported == name);
    let Some((_, address)) = found else {
        panic!("{name} is not exported")
    };
    std::ptr::with_exposed_provenance(sched::gate(address.expose_provenance()))
}

/// Makes any panic end the process: unwinding through a driver's frames is not possible, and a
/// context that dies with the baton would leave all others asleep.
fn end_process_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        // Not `eprintln!`: a test harness keeps that until a test ends, and this one does not.
        // When even this cannot be written there is nothing left to be done about it.
        let _ = writeln!(std::io::stderr(), "{panic}\n{trace}");
        std::process::exit(PANIC_EXIT);
    }));
}
