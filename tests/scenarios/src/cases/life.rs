//! Whole lives of the pair: the shortest one, long ones, and random walks.

use anyhow::{Result, ensure};
use ndis_host::registry::Value;
use ndis_host::{pnp, sched};

use super::steps::{
    LONG, PATIENCE_NS, expect_no_events, expect_statistics, expect_undisturbed, linger,
    start_on_vf, start_on_vf_with,
};
use crate::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS, VfPlug, World};

/// Boot, traffic over the VF, failover to virtio, traffic, the VF back, traffic, unload.
pub(super) fn cycle(world: &mut World) -> Result<()> {
    const BYTES: u64 = 12_000;
    let few = || Value::Sz("64".to_owned());
    let options = AdapterOptions::standby()
        .with("*ReceiveBuffers", few())
        .with("*TransmitBuffers", few());
    // What costs most of a life is its frames; the stream has enough of them.
    world.ping_interval_ns = MILLISECOND_NS / 2;
    start_on_vf_with(world, options)?;
    let traffic = world.start_traffic(BYTES);
    world.wait_for_bytes(traffic, BYTES, PATIENCE_NS)?;
    let by_vf = world.primary().map_or(0, |vf| vf.frames());
    ensure!(by_vf > 0, "the VF carried nothing");
    let before = world.adapter().frames();
    world.withdraw_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    ensure!(
        world.adapter().frames() > before,
        "virtio carried nothing after the VF"
    );

    world.plug_vf(&VfPlug::default())?;
    world.wait_for_vf()?;
    // The filter is open; the path is switched after that.
    linger(10);
    let before = world.primary().map_or(0, |vf| vf.frames());
    let traffic = world.start_traffic(BYTES / 4);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let after = world.primary().map_or(0, |vf| vf.frames());
    ensure!(after > before, "the VF that came back carried nothing");
    expect_statistics(world)?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// The VF comes and goes a thousand times in one load of the driver, under pings.
pub(super) fn thousand_vfs(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 1_000;
    start_on_vf(world)?;
    for round in 0..ROUNDS {
        world.withdraw_vf()?;
        linger(2);
        world.plug_vf(&VfPlug::default())?;
        // It is used when it has been stable for a while; most have to go before.
        if round % 50 == 0 {
            world.wait_for_vf()?;
            let traffic = world.start_traffic(LONG / 200);
            world.finish_traffic(traffic, PATIENCE_NS)?;
        } else {
            linger(4);
        }
    }
    world.wait_for_vf()?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Whatever may happen to an adapter and its VF happens in any order, under traffic. The stream
/// survives it.
pub(super) fn random_walk(world: &mut World) -> Result<()> {
    const STEPS: u64 = 12;
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG / 4);
    for _ in 0..STEPS {
        step(world)?;
        linger(1 + sched::random_below(20));
    }
    if world.primary().is_none() {
        world.plug_vf(&VfPlug::default())?;
    }
    world.set_vf_link(true)?;
    world.wait_for_link(10 * SECOND_NS)?;
    world.wait_for_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let account = world.ledgers.account();
    let twice = account.to_peer.totals.duplicated + account.to_guest.totals.duplicated;
    ensure!(twice == 0, "{twice} frames twice");
    Ok(())
}

/// One thing that may happen.
fn step(world: &mut World) -> Result<()> {
    let device = world.adapter().device;
    let is_plugged = world.primary().is_some();
    match sched::random_below(7) {
        0 => {
            pnp::pause_stack(device);
            linger(2);
            pnp::restart_stack(device);
        }
        1 => {
            pnp::disable_device(device);
            linger(2);
            world.start_adapter()?;
        }
        2 => {
            pnp::stop_device(device);
            world.start_adapter()?;
        }
        3 if is_plugged => {
            world.withdraw_vf()?;
        }
        4 if is_plugged => {
            world.pull_vf()?;
        }
        5 if is_plugged => world.set_vf_link(sched::chance(2))?,
        6 => {
            world.uninstall_vioprot();
            linger(5);
            world.install_vioprot()?;
        }
        _ if is_plugged => {}
        _ => world.plug_vf(&VfPlug::default())?,
    }
    Ok(())
}
