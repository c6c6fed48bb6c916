//! A standby without its VF, and VIOPROT's coming and going.

use anyhow::{Context, Result, ensure};
use ndis_host::registry::Value;
use ndis_host::sched;

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_no_events, expect_undisturbed, start_on_vf, start_standby,
};
use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, World};

/// Most time that the driver may take beyond the grace: NDIS's timers tick every 15.6 ms.
const TIMER_SLACK_NS: u64 = 40 * MILLISECOND_NS;

/// No VF comes: the link comes up on virtio when the grace is over, and not before.
pub(super) fn boot_standby_grace(world: &mut World) -> Result<()> {
    let grace_ms = 200 + sched::random_below(800);
    let grace = Value::Sz(grace_ms.to_string());
    let before_ns = sched::now();
    start_standby(
        world,
        AdapterOptions::standby().with("StandbyGraceMs", grace),
    )?;
    let installed_ns = sched::now();
    ensure!(
        !world.tcpip.link_up(),
        "the link is up although no VF has been seen"
    );
    world.wait_for_link(10 * SECOND_NS)?;

    let up_ns = first_up(world)?;
    let earliest = before_ns + grace_ms * MILLISECOND_NS;
    // VIOPROT may have come last, and NDIS need not tell: the driver looks every two seconds.
    let latest = installed_ns + grace_ms * MILLISECOND_NS + 2 * SECOND_NS + TIMER_SLACK_NS;
    ensure!(
        (earliest..=latest).contains(&up_ns),
        "the link came up after {} ms, the grace is {grace_ms} ms",
        (up_ns - before_ns) / MILLISECOND_NS
    );
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Without VIOPROT a standby's link stays down, whatever the grace; with it, it comes up.
pub(super) fn no_vioprot_link_down(world: &mut World) -> Result<()> {
    let grace = Value::Sz("100".to_owned());
    world.add_adapter(&AdapterOptions::standby().with("StandbyGraceMs", grace))?;
    world.start_adapter()?;
    sched::sleep(5 * SECOND_NS);
    ensure!(!world.tcpip.link_up(), "the link is up without VIOPROT");
    let sent = world.adapter().control().counters().tx.frames;
    ensure!(sent == 0, "{sent} frames were sent without VIOPROT");

    world.install_vioprot()?;
    world.wait_for_link(5 * SECOND_NS)?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_undisturbed(world)
}

/// VIOPROT is uninstalled while the VF carries: the link goes down. It is installed again: the
/// link comes back, and the stream goes on.
pub(super) fn uninstall_vioprot_live(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    world.uninstall_vioprot();
    let tcpip = world.tcpip.clone();
    world.wait_for("the link to go down", 5 * SECOND_NS, move || {
        !tcpip.link_up()
    })?;
    let in_use = world.primary().is_some_and(|vf| vf.is_in_use());
    ensure!(!in_use, "the VF's receive filter is still open");
    // The key of the service vanishes some time after it was marked.
    sched::sleep(4 * SECOND_NS);
    ensure!(!world.tcpip.link_up(), "the link is up without VIOPROT");

    world.install_vioprot()?;
    world.wait_for_link(5 * SECOND_NS)?;
    world.wait_for_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    Ok(())
}

/// When the driver first said that the link is up.
fn first_up(world: &World) -> Result<u64> {
    let report = world
        .adapter()
        .report()
        .context("the adapter is not initialised")?;
    let first = report.link_history.iter().find(|(_, up)| *up);
    first
        .map(|(time_ns, _)| *time_ns)
        .context("the link has not come up")
}
