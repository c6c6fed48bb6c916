//! The load that `cargo xtask bench host` measures: one adapter, one TCP connection, one way.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use ndis_host::verifier::Checks;
use serde::Serialize;

use crate::world::{AdapterOptions, DriverImage, SECOND_NS, World, WorldOptions};

/// Time that the load may take.
const LIMIT_NS: u64 = 600 * SECOND_NS;

/// Which way the payload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    /// From the guest.
    Send,
    /// To the guest.
    Receive,
}

/// Carry a load through the driver, and say how much that was.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench_host")]
pub struct LoadArgs {
    /// Which way the payload goes
    #[arg(long, value_enum)]
    pub direction: Direction,
    /// Bytes of payload
    #[arg(long, value_name = "N")]
    pub bytes: u64,
    /// Run on real threads and in real time
    #[arg(long)]
    pub free: bool,
    /// Fixes every random choice of the run
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    pub image: PathBuf,
}

/// What a load was.
#[derive(Clone, Debug, Serialize)]
pub struct Load {
    /// Where the image was.
    pub image_base: usize,
    /// How long it is.
    pub image_bytes: usize,
    /// NBLs that passed the driver's upper edge, both ways.
    pub nbls: u64,
    /// Real time from the first byte to the last.
    pub seconds: f64,
}

/// Carries the load. Once per process.
///
/// # Errors
///
/// The driver did not carry it, or broke a rule.
pub fn run(args: &LoadArgs) -> Result<Load> {
    let options = WorldOptions {
        checks: Checks::Light,
        ..WorldOptions::new(args.seed, &DriverImage::read(&args.image)?).free_running(args.free)
    };
    let mut world = World::start(&options)?;
    world.add_adapter(&AdapterOptions::default())?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)?;

    let image = world.driver_range();
    let before = nbls(&world);
    let started = Instant::now();
    let bytes = match args.direction {
        Direction::Send => [args.bytes, 0],
        Direction::Receive => [0, args.bytes],
    };
    let traffic = world.start_uneven_traffic(bytes);
    world.wait_for_bytes(traffic, args.bytes, LIMIT_NS)?;
    let seconds = started.elapsed().as_secs_f64();
    let nbls = nbls(&world) - before;
    world.finish_traffic(traffic, LIMIT_NS)?;

    let ending = world.finish();
    ensure!(ending.is_clean(), "{ending}");
    Ok(Load {
        image_base: image.start,
        image_bytes: image.len(),
        nbls,
        seconds,
    })
}

/// NBLs so far. The driver indicates one for each frame.
fn nbls(world: &World) -> u64 {
    let counters = world.tcpip.counters();
    counters.lists_sent + counters.frames_received
}
