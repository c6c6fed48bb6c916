//! Named scenarios: each is one life of the machine, and passes or names what went wrong.
//!
//! Whatever else a case looks at, it passes only if the judge has found no breach by the time that
//! the driver is unloaded, no memory is left, and the device was not misused.

mod adapter;
mod adversary;
mod device;
mod failover;
mod line;
mod loading;
mod oids;
mod power;
mod standby;
mod steps;
mod system;
mod unfit_vf;

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::world::{World, WorldOptions};

/// What a case starts from.
#[derive(Clone, Debug)]
pub struct Setup {
    seed: u64,
    image: PathBuf,
    free: bool,
}

impl Setup {
    /// A deterministic run of this image with this seed.
    #[must_use]
    pub fn new(seed: u64, image: impl Into<PathBuf>) -> Self {
        Self {
            seed,
            image: image.into(),
            free: false,
        }
    }

    /// On real threads and in real time, if `free`.
    #[must_use]
    pub fn free_running(self, free: bool) -> Self {
        Self { free, ..self }
    }

    fn world(&self) -> WorldOptions {
        WorldOptions::new(self.seed, &self.image).free_running(self.free)
    }
}

enum Case {
    /// Runs in a world whose driver is loaded, and is unloaded afterwards.
    InWorld(fn(&mut World) -> Result<()>),
    /// Runs in a world that ends with the case: the machine is off, or has crashed.
    LastInWorld(fn(&mut World) -> Result<()>),
    /// Starts the machine itself.
    Bare(fn(&Setup) -> Result<()>),
}

use Case::{Bare, InWorld, LastInWorld};

const CASES: [(&str, Case); 45] = [
    ("boot", InWorld(adapter::boot)),
    ("pause_storm", InWorld(adapter::pause_storm)),
    ("disable_enable", InWorld(adapter::disable_enable)),
    ("adapter_surprise", InWorld(adapter::adapter_surprise)),
    (
        "keyword_out_of_range",
        InWorld(adapter::keyword_out_of_range),
    ),
    ("boot_standby_grace", InWorld(standby::boot_standby_grace)),
    (
        "no_vioprot_link_down",
        InWorld(standby::no_vioprot_link_down),
    ),
    (
        "uninstall_vioprot_live",
        InWorld(standby::uninstall_vioprot_live),
    ),
    ("vf_first", InWorld(failover::vf_first)),
    ("vf_comes_and_goes", InWorld(failover::vf_comes_and_goes)),
    ("vf_on_uneven_paths", InWorld(failover::vf_on_uneven_paths)),
    ("cancelled_sends", InWorld(failover::cancelled_sends)),
    ("vf_link_flap", InWorld(failover::vf_link_flap)),
    ("vf_surprise", InWorld(failover::vf_surprise)),
    ("oid_sweep", InWorld(oids::oid_sweep)),
    ("oid_faults", InWorld(oids::oid_faults)),
    ("vf_other_mac", InWorld(unfit_vf::vf_other_mac)),
    ("second_vf_same_mac", InWorld(unfit_vf::second_vf_same_mac)),
    ("vf_small_mtu", InWorld(unfit_vf::vf_small_mtu)),
    ("vf_refuses_filter", InWorld(unfit_vf::vf_refuses_filter)),
    (
        "own_adapter_offered",
        InWorld(unfit_vf::own_adapter_offered),
    ),
    ("device_used_id", InWorld(device::device_used_id)),
    ("device_used_length", InWorld(device::device_used_length)),
    ("device_num_buffers", InWorld(device::device_num_buffers)),
    (
        "device_breaks_under_vf",
        InWorld(device::device_breaks_under_vf),
    ),
    ("device_capability", InWorld(device::device_capability)),
    ("device_never_resets", InWorld(device::device_never_resets)),
    (
        "device_features_refused",
        InWorld(device::device_features_refused),
    ),
    ("boot_on_line", InWorld(line::boot_on_line)),
    ("vf_surprise_on_line", InWorld(line::vf_surprise_on_line)),
    ("sleep_resume", InWorld(power::sleep_resume)),
    ("sleep_resume_vf", InWorld(power::sleep_resume_vf)),
    ("sleep_loses_vf", InWorld(power::sleep_loses_vf)),
    ("sleep_brings_vf", InWorld(power::sleep_brings_vf)),
    (
        "hibernate_changed_device",
        InWorld(power::hibernate_changed_device),
    ),
    ("shutdown", LastInWorld(power::shutdown)),
    ("bugcheck", LastInWorld(power::bugcheck)),
    ("rebalance", InWorld(system::rebalance)),
    ("cancelled_removal", InWorld(system::cancelled_removal)),
    ("driver_update", InWorld(system::driver_update)),
    ("vf_driver_first", InWorld(system::vf_driver_first)),
    ("protocol_live", InWorld(system::protocol_live)),
    ("adversary_boot", InWorld(adversary::adversary_boot)),
    ("adversary_failover", InWorld(adversary::adversary_failover)),
    ("truncated_image", Bare(loading::truncated_image)),
];

/// Names of all cases.
pub const NAMES: [&str; CASES.len()] = {
    let mut names = [""; CASES.len()];
    let mut at = 0;
    while at < CASES.len() {
        names[at] = CASES[at].0;
        at += 1;
    }
    names
};

/// Runs the case `name` in this process, which can run only one.
///
/// # Errors
///
/// There is no such case, or the driver did not pass; why.
pub fn run(name: &str, setup: &Setup) -> Result<()> {
    let Some((_, case)) = CASES.iter().find(|(known, _)| *known == name) else {
        bail!("there is no such case; there are: {}", NAMES.join(", "));
    };
    match case {
        InWorld(case) => run_in_world(setup, *case),
        LastInWorld(case) => run_to_the_end(setup, *case),
        Bare(case) => case(setup),
    }
}

fn run_in_world(setup: &Setup, case: fn(&mut World) -> Result<()>) -> Result<()> {
    let mut world = World::start(&setup.world())?;
    case(&mut world).inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.finish();
    ensure!(ending.is_clean(), "{ending}");
    Ok(())
}

/// Nothing is taken down afterwards: there is nobody left to do it.
fn run_to_the_end(setup: &Setup, case: fn(&mut World) -> Result<()>) -> Result<()> {
    let mut world = World::start(&WorldOptions::new(setup.seed, &setup.image))?;
    case(&mut world).inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.left();
    ensure!(ending.is_clean(), "{ending}");
    std::mem::forget(world);
    Ok(())
}
