//! Runs one failover scenario with the driver image on QEMU's devices.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use qemu_host::scenarios::verdict::TooSlow;
use qemu_host::scenarios::{NO_VERDICT, SCENARIOS, ScenarioArgs, run};

fn main() -> ExitCode {
    let args = ScenarioArgs::parse();
    let Some(name) = &args.name else {
        for scenario in SCENARIOS {
            let slow = if scenario.is_slow { " (slow)" } else { "" };
            println!("{}{slow}", scenario.name);
        }
        return ExitCode::SUCCESS;
    };
    let started = Instant::now();
    match run(name, &args) {
        Ok(()) => {
            println!("{name}: pass, {:.2} s", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error:#}");
            match error.downcast_ref::<TooSlow>() {
                Some(_) => ExitCode::from(NO_VERDICT),
                None => ExitCode::FAILURE,
            }
        }
    }
}
