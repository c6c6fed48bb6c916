//! Failover as QEMU's own tests have it, and more, with the driver as the guest.
//!
//! QEMU's test (`tests/qtest/virtio-net-failover.c`) plays the guest by a few register accesses. Here the
//! guest is the driver image, its VF's driver a second copy of it, and there is traffic. A scenario of
//! QEMU's has QEMU's name, and what that asserts is asserted: events, states, which card is there. Besides,
//! it is asserted what the guest makes of it: who carries, that nothing is lost and nothing comes twice,
//! that nobody above hears of a switch.
//!
//! | module | what it has |
//! |---|---|
//! | [`rack`] | the machine and its cards, as a backend |
//! | [`stage`] | the world and QEMU, and the steps that scenarios share |
//! | [`flow`] | traffic |
//! | [`events`] | what QEMU tells |
//! | [`verdict`] | what has to be true in the end |
//! | `deaf` | a driver that does not take STANDBY |
//! | the others | scenarios |

mod abort;
mod deaf;
pub mod events;
pub mod flow;
mod hotplug;
mod links;
mod migrate;
mod multi;
mod params;
mod peek;
mod power;
pub mod rack;
pub mod stage;
mod traps;
mod unfit;
pub mod verdict;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use scenarios::world::{DriverImage, MILLISECOND_NS, SECOND_NS, WorldOptions};

use crate::backend::Ring;
use crate::hotplug::Style;
use rack::RackOptions;
use stage::Stage;
use verdict::Outcome;

/// Time from one ping to the next: real time, so there can't be too many.
const PING_NS: u64 = MILLISECOND_NS;
/// Time for what has to come: a card, a link, a state.
const LIMIT_NS: u64 = 10 * SECOND_NS;

/// How the program ends when the machine was too slow for it to say anything.
pub const NO_VERDICT: u8 = 2;

/// Run one failover scenario on QEMU.
#[derive(Clone, Debug, Parser)]
#[command(name = "qemu_scenario")]
pub struct ScenarioArgs {
    /// Its name; without one they are listed
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How cards come and go
    #[arg(long, value_enum, default_value = "acpi")]
    pub hotplug: Style,
    /// Layout of the rings that the devices offer
    #[arg(long, value_enum, default_value = "split")]
    pub ring: Ring,
    /// What the host chooses where it may
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// QEMU
    #[arg(long, value_name = "PROGRAM", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,
    /// The driver image to load
    #[arg(long, value_name = "netkvm.sys", env = "NETKVM_SYS")]
    pub image: Option<PathBuf>,
}

/// A scenario: it begins with an empty stage.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// It takes half a minute, by QEMU's nature.
    pub is_slow: bool,
    run: fn(&mut Stage) -> Outcome,
}

const fn quick(name: &'static str, run: fn(&mut Stage) -> Outcome) -> Scenario {
    Scenario {
        name,
        is_slow: false,
        run,
    }
}

const fn slow(name: &'static str, run: fn(&mut Stage) -> Outcome) -> Scenario {
    Scenario {
        name,
        is_slow: true,
        run,
    }
}

/// Those of QEMU's own test, by its names, then ours.
#[rustfmt::skip]
pub const SCENARIOS: &[Scenario] = &[
    quick("params/error/id", params::error_id),
    quick("params/error/pcie", params::error_pcie),
    quick("params/on", params::on),
    quick("params/on_mismatch", params::on_mismatch),
    quick("params/off", params::off),
    quick("params/enabled", params::enabled),
    quick("params/guest_off", params::guest_off),
    quick("hotplug/1", hotplug::one),
    quick("hotplug/1_reverse", hotplug::one_reverse),
    quick("hotplug/2", hotplug::two),
    quick("hotplug/2_reverse", hotplug::two_reverse),
    quick("migrate/on/out", migrate::on_out),
    quick("migrate/on/in", migrate::on_in),
    quick("migrate/off/out", migrate::off_out),
    quick("migrate/off/in", migrate::off_in),
    quick("migrate/off/abort", abort::off),
    quick("migrate/guest_off/out", migrate::guest_off_out),
    quick("migrate/guest_off/in", migrate::guest_off_in),
    quick("migrate/guest_off/abort", abort::guest_off),
    quick("migrate/abort/wait-unplug", abort::wait_unplug),
    quick("migrate/abort/active", abort::active),
    slow("migrate/abort/timeout", abort::timeout),
    quick("migrate/multi/out", multi::out),
    quick("migrate/multi/in", multi::arrive),
    quick("trap/disabled_guest", traps::disabled_guest),
    quick("trap/stale_feature_word", traps::stale_feature_word),
    quick("trap/reset_shows_primary", traps::reset_shows_primary),
    quick("trap/standby_given_up", traps::standby_given_up),
    quick("trap/stale_bars", traps::stale_bars),
    quick("trap/other_mac", traps::other_mac),
    quick("trap/duplicate_id", traps::duplicate_id),
    quick("trap/standby_leaves_first", traps::standby_leaves_first),
    quick("more/no_vf_at_destination", migrate::no_vf_at_destination),
    quick("more/late_vf", migrate::late_vf),
    quick("more/again_after_cancel", abort::again),
    quick("more/cancel_20", abort::often),
    quick("more/delayed_eject", migrate::delayed_eject),
    quick("more/surprise", unfit::surprise),
    quick("more/vf_link", links::vf),
    quick("more/standby_link", links::standby),
    quick("more/both_links", links::both),
    quick("more/announce", migrate::announce),
    quick("more/smaller_mtu", unfit::smaller_mtu),
    quick("more/second_vf", unfit::second_vf),
    quick("more/changed_mac", unfit::changed_mac),
    quick("more/sleep_on_virtio", power::sleep_on_virtio),
    quick("more/sleep_on_vf", power::sleep_on_vf),
    quick("more/sleep_then_migrate", power::sleep_then_migrate),
    quick("more/sleep_in_wait_unplug", power::sleep_in_wait_unplug),
    quick("more/reset_on_virtio", power::reset_on_virtio),
];

/// Runs a scenario. Once per process.
///
/// # Errors
///
/// There is none of that name, or it does not pass: why.
pub fn run(name: &str, args: &ScenarioArgs) -> Result<()> {
    let scenario = SCENARIOS.iter().find(|one| one.name == name);
    let scenario = scenario.with_context(|| format!("there is no scenario {name}"))?;
    let image = args.image.as_deref();
    let image = image.context("which image? --image or NETKVM_SYS says")?;
    let options = WorldOptions::new(args.seed, &DriverImage::read(image)?);
    let rack = RackOptions {
        qemu: args.qemu.clone(),
        hotplug: args.hotplug,
        ring: args.ring,
    };
    let mut stage = Stage::new(&options, rack)?;
    let played = (scenario.run)(&mut stage).and_then(|allowed| {
        stage.settle(allowed)?;
        Ok(allowed)
    });
    let allowed = played.inspect_err(|_| eprint!("{}", stage.describe()))?;
    stage.take_down(allowed)
}
