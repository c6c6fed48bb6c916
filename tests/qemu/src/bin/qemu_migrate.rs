//! Streams a file through the driver while the guest migrates between QEMUs, and reports.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use qemu_host::backend::{QemuOptions, Ring};
use qemu_host::hotplug::Style;
use qemu_host::rig::QemuRig;
use scenarios::args::MigrateArgs;
use scenarios::migration;

/// Stream a file through the driver while the guest migrates between QEMUs.
#[derive(Parser)]
#[command(name = "qemu_migrate")]
struct Args {
    #[command(flatten)]
    migrate: MigrateArgs,
    /// How the VF comes and goes
    #[arg(long, value_enum, default_value = "acpi")]
    hotplug: Style,
    /// Layout of the rings that the devices offer
    #[arg(long, value_enum, default_value = "split")]
    ring: Ring,
    /// How often the guest migrates
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    hops: u32,
    /// One more property of the adapter's device on the hosts that the guest is to migrate to; the guest
    /// stays where it is if that offers too little
    #[arg(long = "destination-property", value_name = "NAME=VALUE")]
    destination: Vec<String>,
    /// QEMU
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    qemu: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = QemuOptions {
        qemu: args.qemu,
        ring: args.ring,
        messages: None,
        properties: Vec::new(),
        destination: args.destination,
        hotplug: args.hotplug,
        primary: true,
    };
    let mut rig = QemuRig::new(options, args.hops);
    migration::run_and_tell(&args.migrate, &mut rig)
}
