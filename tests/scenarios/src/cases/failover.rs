//! The VF comes, goes, flaps, and is pulled out, under traffic.

use anyhow::{Result, ensure};
use devices::wire::stack::PingPlan;
use ndis_host::sched;
use ndis_sys::NDIS_STATUS_SEND_ABORTED;

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_complete, expect_link_stayed, expect_no_events,
    expect_undisturbed, linger, start_on_vf, start_standby,
};
use crate::world::{AdapterOptions, GUEST_ADDRESS, MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// The VF is there before the adapter starts.
pub(super) fn vf_first(world: &mut World) -> Result<()> {
    world.install_vioprot()?;
    world.plug_vf(&VfPlug::default())?;
    linger(10);
    world.add_adapter(&AdapterOptions::standby())?;
    world.start_adapter()?;
    world.wait_for_vf()?;
    world.wait_for_link(SECOND_NS)?;
    let before = world.adapter().frames();
    let traffic = world.start_traffic(LONG);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let by_virtio = world.adapter().frames() - before;
    let by_vf = world.primary().map_or(0, |vf| vf.frames());
    ensure!(
        by_virtio * 10 < by_vf,
        "virtio carried {by_virtio} frames, the VF {by_vf}"
    );
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Planned removals and returns, again and again. Nothing may show above.
pub(super) fn vf_comes_and_goes(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    come_and_go(world, LONG / 4)?;
    expect_undisturbed(world)
}

/// A VF that takes its time goes with frames in its hands, again and again. What is sent by virtio
/// afterwards does not overtake them.
pub(super) fn slow_vf_goes(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 4;
    let slow = VfPlug {
        tx_delay_ns: Some(MILLISECOND_NS / 4),
        ..VfPlug::default()
    };
    start_standby(world, AdapterOptions::standby())?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.plug_vf(&slow)?;
        world.wait_for_vf()?;
        world.wait_for_bytes(traffic, round * LONG / (2 * ROUNDS), PATIENCE_NS)?;
        world.withdraw_vf()?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// As [`vf_comes_and_goes`], with one way to the switch up to 25 times as long as the other. Frames
/// may overtake each other there; none may be lost, or come twice.
pub(super) fn vf_on_uneven_paths(world: &mut World) -> Result<()> {
    world.use_uneven_paths();
    start_on_vf(world)?;
    come_and_go(world, LONG)?;
    expect_complete(world)?;
    expect_link_stayed(world)
}

/// The stack cancels sends while the VF comes and goes. What is lost, came back as aborted.
pub(super) fn cancelled_sends(world: &mut World) -> Result<()> {
    world.tcpip.cancel_sends(20);
    start_on_vf(world)?;
    come_and_go(world, LONG / 8)?;
    let (account, counters) = (world.ledgers.account(), world.tcpip.counters());
    let aborted = counters
        .frames_failed
        .get(&NDIS_STATUS_SEND_ABORTED)
        .copied()
        .unwrap_or(0);
    let failed: u64 = counters.frames_failed.values().sum();
    ensure!(counters.calls_cancelled > 0, "nothing was cancelled");
    ensure!(
        failed == aborted,
        "sends failed otherwise: {:x?}",
        counters.frames_failed
    );
    let (lost, twice) = (account.to_peer.lost, account.to_peer.totals.duplicated);
    ensure!(
        lost == aborted,
        "{lost} sends lost, {aborted} came back as aborted"
    );
    ensure!(twice == 0, "{twice} sends twice");
    expect_link_stayed(world)
}

/// Four rounds, each under `bytes` of traffic, from when the VF carries.
pub(super) fn come_and_go(world: &mut World, bytes: u64) -> Result<()> {
    const ROUNDS: u64 = 4;
    let traffic = world.start_traffic(ROUNDS * bytes);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * bytes, PATIENCE_NS)?;
        world.withdraw_vf()?;
        linger(5);
        world.plug_vf(&VfPlug::default())?;
        if sched::chance(2) {
            world.wait_for_vf()?;
        } else {
            // It may have to go while it is about to take over.
            linger(150);
        }
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The VF's link goes down and comes up under traffic. Only what the VF's hardware dropped is lost.
pub(super) fn vf_link_flap(world: &mut World) -> Result<()> {
    const FLAPS: u64 = 4;
    start_on_vf(world)?;
    let traffic = world.start_traffic(2 * LONG);
    for flap in 1..=FLAPS {
        world.wait_for_bytes(traffic, flap * LONG / 2, PATIENCE_NS)?;
        world.set_vf_link(false)?;
        linger(300);
        world.set_vf_link(true)?;
        linger(300);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;

    let account = world.ledgers.account();
    let dropped = world
        .primary()
        .map(|vf| vf.hardware().counters())
        .unwrap_or_default();
    let lost = account.to_peer.lost;
    ensure!(
        lost <= dropped.tx_dropped,
        "{lost} sends lost, the VF dropped {}",
        dropped.tx_dropped
    );
    let twice = account.to_peer.totals.duplicated + account.to_guest.totals.duplicated;
    ensure!(twice == 0, "{twice} frames twice");
    expect_no_events()?;
    expect_link_stayed(world)
}

/// The VF is pulled out without notice. Its miniport gives back what was not sent, so no send is
/// lost; receives may be, until PnP has noticed.
pub(super) fn vf_surprise(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    world.pull_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;

    let account = world.ledgers.account();
    let lost = account.to_peer.lost;
    ensure!(lost == 0, "{lost} sends lost");
    let twice = account.to_peer.totals.duplicated + account.to_guest.totals.duplicated;
    ensure!(twice == 0, "{twice} frames twice");
    expect_no_events()?;
    expect_link_stayed(world)
}

/// The guest has nothing to send when its VF's link goes down: its announcements alone tell the
/// switch on the host where it is now.
pub(super) fn quiet_guest(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(SHORT / 10);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    world.set_vf_link(false)?;
    sched::sleep(5 * MILLISECOND_NS);

    let plan = PingPlan::new(GUEST_ADDRESS, MILLISECOND_NS);
    let pings = world.peer.with(|stack, now| stack.start_ping(plan, now));
    sched::sleep(20 * MILLISECOND_NS);
    world.peer.with(|stack, _| stack.stop_ping(pings));
    world.drain();
    let report = world.peer.inspect(|stack| stack.ping(pings));
    ensure!(report.answered > 0, "no ping was answered");
    expect_link_stayed(world)
}
