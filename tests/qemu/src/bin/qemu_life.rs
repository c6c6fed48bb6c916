//! Runs one life of the driver image on QEMU's virtio-net-pci, and prints what it cost.

use std::process::ExitCode;

use clap::Parser;
use qemu_host::life::{self, LifeArgs};

fn main() -> ExitCode {
    let args = LifeArgs::parse();
    let told = match &args.case {
        None => life::run(&args).and_then(|report| life::to_json(&report)),
        Some(case) => life::run_case(case, &args).map(|()| format!("{case}: pass")),
    };
    match told {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
