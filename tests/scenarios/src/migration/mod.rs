//! The migration: a file goes both ways over one connection while the VF leaves and comes back.
//!
//! | phase | from | until |
//! |---|---|---|
//! | `vf` | the connection is opened, the VF carries | 30 % of the bytes have arrived |
//! | `vf-withdrawn` | the host asks for the VF | the guest has ejected it |
//! | `virtio` | then | 60 % of the bytes have arrived, and the guest is on the other host |
//! | `vf-back` | a VF is plugged | it carries, and everything has arrived |
//!
//! With several migrations each has its share of the bytes; the phases of the second and later ones are
//! numbered, and the next migration begins in `vf-back`.
//!
//! The ends give their bytes at a pace that makes the whole last about as long as the VF's way back
//! takes, so that every phase has traffic, however small the file is.

mod meter;
mod pace;
mod phases;
mod rig;
mod tally;
mod tell;

use std::fs::File;
use std::path::Path as FilePath;

use anyhow::{Context, Result, ensure};
use ndis_host::image;

use crate::args::MigrateArgs;
use crate::report::{Outcome, Throughput};

pub use rig::{Embedded, Rig};
pub use tell::run_and_tell;

/// What a run gives.
pub struct Run {
    /// What was found.
    pub outcome: Outcome,
    /// Bytes over time.
    pub throughput: Throughput,
}

/// Runs the migration in this process, which can run only one.
///
/// # Errors
///
/// The run could not go on: the reason. What was found until then is part of the run all the same,
/// if it got as far as its first phase.
pub fn run(
    args: &MigrateArgs,
    rig: &mut dyn Rig,
    last_words: fn(&MigrateArgs, &Run),
) -> (Option<Run>, Result<()>) {
    match prepare(args) {
        Ok(job) => phases::run(&job, args, rig, last_words),
        Err(error) => (None, Err(error)),
    }
}

/// What is to be streamed, through what.
struct Job {
    size: u64,
    arch: &'static str,
}

fn prepare(args: &MigrateArgs) -> Result<Job> {
    let image = std::fs::read(&args.image).with_context(|| args.image.display().to_string())?;
    let machine = image::inspect(&image)
        .with_context(|| args.image.display().to_string())?
        .machine;
    let payload = args.payload();
    let size = open(payload)?
        .metadata()
        .with_context(|| payload.display().to_string())?
        .len();
    ensure!(
        size > 0,
        "{} is empty: there is nothing to stream",
        payload.display()
    );
    Ok(Job {
        size,
        arch: arch_name(machine),
    })
}

fn open(path: &FilePath) -> Result<File> {
    File::open(path).with_context(|| path.display().to_string())
}

/// The name of a PE machine number.
fn arch_name(machine: u16) -> &'static str {
    match machine {
        0x8664 => "x86_64",
        0xaa64 => "aarch64",
        _ => "unknown",
    }
}
