//! `cargo xtask migrate`: builds the driver if its sources changed and runs the scenario on it.

use std::path::PathBuf;
use std::process::{self, ExitCode};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::driver::{self, Arch, BuildArgs};
use crate::suites;
use crate::workspace::Workspace;

/// What the driver's devices are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// Models in the test host, in virtual time
    Embedded,
    /// Those of two QEMU processes, between which the guest migrates
    Qemu,
}

/// How QEMU's VF comes and goes.
#[derive(Clone, Copy, ValueEnum)]
enum Hotplug {
    /// By ACPI, as q35 has it
    Acpi,
    /// By the registers of the PCI Express slot
    Native,
}

/// Layout of the rings of QEMU's devices.
#[derive(Clone, Copy, ValueEnum)]
enum Ring {
    /// Split virtqueues
    Split,
    /// Packed virtqueues
    Packed,
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    /// File to stream in both directions [default: the driver image]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Fixes every random choice of the run: the same seed, the same run
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Draw the throughput over time, with the path as colour
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Architecture of the image; it runs natively, so it has to be this machine's
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// What the driver's devices are
    #[arg(long, value_enum, default_value_t = Backend::Embedded)]
    backend: Backend,
    /// QEMU: how the VF comes and goes [default: acpi]
    #[arg(long, value_enum)]
    hotplug: Option<Hotplug>,
    /// QEMU: layout of the rings [default: split]
    #[arg(long, value_enum)]
    ring: Option<Ring>,
    /// QEMU: how often the guest migrates [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    hops: Option<u32>,
}

impl MigrateArgs {
    /// The package and the program in it that run the scenario.
    fn program(&self) -> [&'static str; 2] {
        match self.backend {
            Backend::Embedded => ["scenarios", "migrate"],
            Backend::Qemu => ["qemu-host", "qemu_migrate"],
        }
    }

    /// Options of QEMU's that were given, as its program takes them.
    fn of_qemu(&self) -> Vec<String> {
        let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        let pairs = [
            (
                "--hotplug",
                self.hotplug.and_then(|it| it.to_possible_value()).map(name),
            ),
            (
                "--ring",
                self.ring.and_then(|it| it.to_possible_value()).map(name),
            ),
            ("--hops", self.hops.map(|hops| hops.to_string())),
        ];
        let given = pairs
            .into_iter()
            .filter_map(|(name, value)| Some([name.to_owned(), value?]));
        given.flatten().collect()
    }
}

/// Runs the scenario. Its exit code becomes this program's.
///
/// # Errors
///
/// The image does not build, or can't run on this machine, or the scenario can't be built; QEMU is wanted
/// and missing, or its options are given without it.
pub(crate) fn run(workspace: &Workspace, args: &MigrateArgs) -> Result<ExitCode> {
    match args.backend {
        Backend::Embedded => ensure!(
            args.of_qemu().is_empty(),
            "--hotplug, --ring and --hops are options of `--backend qemu`"
        ),
        Backend::Qemu => suites::require_qemu().map(drop)?,
    }
    if args.arch.name() != std::env::consts::ARCH {
        bail!(
            "an {} image can't run here, this machine is {}; \
             `cargo xtask build --arch {0}` builds and inspects it",
            args.arch.name(),
            std::env::consts::ARCH
        );
    }
    let image = BuildArgs {
        arch: args.arch,
        out: None,
        mutant: None,
        quiet: args.json,
    };
    let built = driver::build(workspace, &image)?;

    let mut scenario = workspace.cargo("run");
    if args.json {
        scenario = scenario.arg("--quiet");
    }
    let [package, program] = args.program();
    scenario = scenario
        .args(["--profile", "tools"])
        .args(["--package", package, "--bin", program, "--"])
        .arg("--image")
        .arg(built.sys)
        .args(["--seed", &args.seed.to_string()])
        .args(args.of_qemu());
    if args.json {
        scenario = scenario.arg("--json");
    }
    for (name, path) in [("--file", &args.file), ("--plot", &args.plot)] {
        if let Some(path) = path {
            scenario = scenario.arg(name).arg(path);
        }
    }
    let status = scenario.status()?;
    // A program that a signal ended has no code of its own.
    process::exit(status.code().unwrap_or(101));
}
