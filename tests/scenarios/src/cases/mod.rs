//! Named scenarios: each is one life of the machine, and passes or names what went wrong.
//!
//! Whatever else a case looks at, it passes only if the judge has found no breach by the time that
//! the driver is unloaded, no memory is left, and the device was not misused.

mod adapter;
mod adversary;
mod commands;
mod device;
mod failover;
mod faults;
mod life;
mod line;
mod loading;
mod oids;
mod power;
mod query;
mod receive;
mod standby;
mod steps;
mod system;
mod unfit_vf;

use anyhow::{Result, bail, ensure};

use crate::world::{World, WorldOptions};

/// One life of the machine.
enum Life {
    /// Runs in a world whose driver is loaded, and is unloaded afterwards.
    InWorld(fn(&mut World) -> Result<()>),
    /// Runs in a world that ends with the case: the machine is off, or has crashed.
    LastInWorld(fn(&mut World) -> Result<()>),
    /// Starts the machine itself.
    Bare(fn(&WorldOptions) -> Result<()>),
}

/// How often an exploration draws a case: the cheaper, the oftener.
#[derive(Clone, Copy)]
enum Share {
    /// A few milliseconds of the build machine.
    Often = 60,
    /// Ten times that.
    Sometimes = 8,
    /// A second.
    Seldom = 1,
    /// Some seconds: only by its name.
    Never = 0,
}

struct Case {
    name: &'static str,
    share: Share,
    life: Life,
}

const fn world(name: &'static str, share: Share, run: fn(&mut World) -> Result<()>) -> Case {
    let life = Life::InWorld(run);
    Case { name, share, life }
}

const fn last(name: &'static str, share: Share, run: fn(&mut World) -> Result<()>) -> Case {
    let life = Life::LastInWorld(run);
    Case { name, share, life }
}

const fn bare(name: &'static str, share: Share, run: fn(&WorldOptions) -> Result<()>) -> Case {
    let life = Life::Bare(run);
    Case { name, share, life }
}

use Share::{Never, Often, Seldom, Sometimes};

#[rustfmt::skip]
const CASES: &[Case] = &[
    world("boot", Seldom, adapter::boot),
    world("pause_storm", Seldom, adapter::pause_storm),
    world("flood", Sometimes, adapter::flood),
    world("disable_enable", Sometimes, adapter::disable_enable),
    world("adapter_surprise", Often, adapter::adapter_surprise),
    world("keyword_out_of_range", Often, adapter::keyword_out_of_range),
    world("boot_standby_grace", Often, standby::boot_standby_grace),
    world("no_vioprot_link_down", Often, standby::no_vioprot_link_down),
    world("uninstall_vioprot_live", Sometimes, standby::uninstall_vioprot_live),
    world("vf_first", Sometimes, failover::vf_first),
    world("vf_comes_and_goes", Sometimes, failover::vf_comes_and_goes),
    world("slow_vf_goes", Sometimes, failover::slow_vf_goes),
    world("vf_on_uneven_paths", Seldom, failover::vf_on_uneven_paths),
    world("cancelled_sends", Sometimes, failover::cancelled_sends),
    world("vf_link_flap", Seldom, failover::vf_link_flap),
    world("quiet_guest", Often, failover::quiet_guest),
    world("vf_surprise", Seldom, failover::vf_surprise),
    world("oid_sweep", Seldom, oids::oid_sweep),
    world("oid_faults", Seldom, oids::oid_faults),
    world("vf_other_mac", Sometimes, unfit_vf::vf_other_mac),
    world("second_vf_same_mac", Sometimes, unfit_vf::second_vf_same_mac),
    world("vf_small_mtu", Sometimes, unfit_vf::vf_small_mtu),
    world("vf_refuses_filter", Sometimes, unfit_vf::vf_refuses_filter),
    world("own_adapter_offered", Sometimes, unfit_vf::own_adapter_offered),
    world("device_used_id", Often, device::device_used_id),
    world("device_used_length", Often, device::device_used_length),
    world("device_num_buffers", Often, device::device_num_buffers),
    world("device_breaks_under_vf", Sometimes, device::device_breaks_under_vf),
    world("device_capability", Often, device::device_capability),
    world("device_never_resets", Often, device::device_never_resets),
    world("device_features_refused", Often, device::device_features_refused),
    world("boot_on_line", Seldom, line::boot_on_line),
    world("vf_surprise_on_line", Seldom, line::vf_surprise_on_line),
    world("sleep_resume", Sometimes, power::sleep_resume),
    world("sleep_resume_vf", Sometimes, power::sleep_resume_vf),
    world("sleep_loses_vf", Sometimes, power::sleep_loses_vf),
    world("sleep_brings_vf", Sometimes, power::sleep_brings_vf),
    world("hibernate_changed_device", Sometimes, power::hibernate_changed_device),
    last("shutdown", Sometimes, power::shutdown),
    last("bugcheck", Sometimes, power::bugcheck),
    world("rebalance", Sometimes, system::rebalance),
    world("cancelled_removal", Sometimes, system::cancelled_removal),
    world("driver_update", Sometimes, system::driver_update),
    world("vf_driver_first", Sometimes, system::vf_driver_first),
    world("protocol_live", Sometimes, system::protocol_live),
    world("adversary_boot", Seldom, adversary::adversary_boot),
    world("adversary_failover", Seldom, adversary::adversary_failover),
    world("cycle", Often, life::cycle),
    world("random_walk", Often, life::random_walk),
    world("thousand_vfs", Never, life::thousand_vfs),
    world("init_refused", Often, faults::init_refused),
    world("start_out_of_memory", Often, faults::start_out_of_memory),
    world("vf_out_of_memory", Sometimes, faults::vf_out_of_memory),
    world("traffic_out_of_memory", Sometimes, faults::traffic_out_of_memory),
    world("no_scatter_gather", Sometimes, faults::no_scatter_gather),
    world("adapter_vanishes", Often, faults::adapter_vanishes),
    world("vf_vanishes", Sometimes, faults::vf_vanishes),
    world("interrupts_disturbed", Sometimes, faults::interrupts_disturbed),
    world("single_buffers", Sometimes, receive::single_buffers),
    world("jumbo_mergeable", Sometimes, receive::jumbo_mergeable),
    world("jumbo_single", Sometimes, receive::jumbo_single),
    world("frames_too_long", Sometimes, receive::frames_too_long),
    world("runts", Sometimes, receive::runts),
    world("device_scatters", Sometimes, receive::device_scatters),
    world("filter_follows", Sometimes, commands::filter_follows),
    world("filter_with_changed_address", Often, commands::filter_with_changed_address),
    world("announcement_asked_for", Often, commands::announcement_asked_for),
    world("announcement_refused", Sometimes, commands::announcement_refused),
    world("commands_answered_badly", Sometimes, commands::commands_answered_badly),
    world("commands_never_answered", Often, commands::commands_never_answered),
    world("control_queue_breaks", Sometimes, commands::control_queue_breaks),
    world("telling_doorbells", Sometimes, commands::telling_doorbells),
    world("boot_on_legacy", Sometimes, adapter::boot_on_legacy),
    world("query_follows_the_path", Sometimes, query::query_follows_the_path),
    world("query_tells_reasons", Sometimes, query::query_tells_reasons),
    world("query_two_adapters", Sometimes, query::query_two_adapters),
    world("query_bad_requests", Sometimes, query::query_bad_requests),
    world("query_while_it_changes", Seldom, query::query_while_it_changes),
    bare("truncated_image", Often, loading::truncated_image),
];

/// Names of all cases.
pub const NAMES: [&str; CASES.len()] = {
    let mut names = [""; CASES.len()];
    let mut at = 0;
    while at < CASES.len() {
        names[at] = CASES[at].name;
        at += 1;
    }
    names
};

/// The case that an exploration runs for `draw`, any number.
#[must_use]
pub fn drawn(draw: u64) -> &'static str {
    let whole: u64 = CASES.iter().map(|case| case.share as u64).sum();
    let mut left = draw % whole;
    for case in CASES {
        let share = case.share as u64;
        if left < share {
            return case.name;
        }
        left -= share;
    }
    unreachable!("the remainder is below the sum of all shares")
}

/// The case of a name.
fn find(name: &str) -> Result<&'static Case> {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        bail!("there is no such case; there are: {}", NAMES.join(", "));
    };
    Ok(case)
}

/// Makes sure that there is a case of this name.
///
/// # Errors
///
/// There is none; which there are.
pub fn expect_known(name: &str) -> Result<()> {
    find(name).map(|_| ())
}

/// Runs the case `name` in this process, which can run only one.
///
/// # Errors
///
/// There is no such case, or the driver did not pass; why.
pub fn run(name: &str, options: &WorldOptions) -> Result<()> {
    let case = find(name)?;
    match case.life {
        Life::InWorld(case) => run_in_world(options, case),
        Life::LastInWorld(case) => run_to_the_end(options, case),
        Life::Bare(case) => case(options),
    }
}

fn run_in_world(options: &WorldOptions, case: fn(&mut World) -> Result<()>) -> Result<()> {
    let mut world = World::start(options)?;
    case(&mut world).inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.finish();
    ensure!(ending.is_clean(), "{ending}");
    Ok(())
}

/// Nothing is taken down afterwards: there is nobody left to do it.
fn run_to_the_end(options: &WorldOptions, case: fn(&mut World) -> Result<()>) -> Result<()> {
    let mut world = World::start(options)?;
    case(&mut world).inspect_err(|_| eprint!("{}", world.describe()))?;
    let ending = world.left();
    ensure!(ending.is_clean(), "{ending}");
    std::mem::forget(world);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_case_is_drawn_as_often_as_its_share_says() {
        let whole: u64 = CASES.iter().map(|case| case.share as u64).sum();
        let mut drawn_times: BTreeMap<&str, u64> = BTreeMap::new();
        for draw in whole..2 * whole {
            *drawn_times.entry(drawn(draw)).or_default() += 1;
        }
        let shares = CASES.iter().map(|case| (case.name, case.share as u64));
        let shares = shares.filter(|(_, share)| *share > 0);
        assert_eq!(drawn_times, shares.collect());
    }
}
