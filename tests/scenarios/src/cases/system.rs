//! What the PnP manager does to a running system: resources move, drivers are exchanged, removals
//! are taken back, protocols come and go.

use anyhow::{Result, anyhow, ensure};
use ndis_host::{pnp, sched};

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_link_stayed, expect_no_events, expect_undisturbed, linger,
    start_on_vf,
};
use crate::world::{AdapterOptions, SECOND_NS, VfPlug, World};

/// The device gets other BAR addresses and vectors under traffic, with or without a VF.
pub(super) fn rebalance(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 3;
    let with_vf = start_anything(world)?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        pnp::rebalance_device(world.adapter().device)
            .map_err(|status| anyhow!("no start with other resources: {status:#x}"))?;
        pnp::settle();
        world.wait_for_link(10 * SECOND_NS)?;
        if with_vf {
            world.wait_for_vf()?;
        }
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// Removals and stops of the adapter and of its VF are asked for and taken back.
pub(super) fn cancelled_removal(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 4;
    start_anything(world)?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        let vf = world.primary().map(|vf| vf.device());
        let device = vf
            .filter(|_| sched::chance(2))
            .unwrap_or(world.adapter().device);
        if sched::chance(2) {
            pnp::cancel_removal(device);
        } else {
            pnp::cancel_stop(device);
        }
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// Another version of the driver is installed under traffic; the stream outlives it.
pub(super) fn driver_update(world: &mut World) -> Result<()> {
    let with_vf = start_anything(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    world.update_driver()?;
    world.wait_for_link(10 * SECOND_NS)?;
    if with_vf {
        world.wait_for_vf()?;
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The VF is there, bound to nothing, before the driver's own adapter and VIOPROT are.
pub(super) fn vf_driver_first(world: &mut World) -> Result<()> {
    world.plug_vf(&VfPlug::default())?;
    linger(20);
    if sched::chance(2) {
        world.install_vioprot()?;
        linger(20);
        world.add_adapter(&AdapterOptions::standby())?;
        world.start_adapter()?;
    } else {
        world.add_adapter(&AdapterOptions::standby())?;
        world.start_adapter()?;
        linger(20);
        world.install_vioprot()?;
    }
    world.wait_for_vf()?;
    world.wait_for_link(SECOND_NS)?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()?;
    expect_undisturbed(world)
}

/// A second protocol is installed above the adapter and removed again, under traffic.
pub(super) fn protocol_live(world: &mut World) -> Result<()> {
    const ROUNDS: u64 = 3;
    start_anything(world)?;
    let traffic = world.start_traffic(LONG);
    for round in 1..=ROUNDS {
        world.wait_for_bytes(traffic, round * LONG / ROUNDS, PATIENCE_NS)?;
        let second = world.add_listener();
        linger(20);
        if sched::chance(3) {
            pnp::disable_device(world.adapter().device);
            world.start_adapter()?;
            world.wait_for_link(10 * SECOND_NS)?;
        }
        pnp::remove_native_protocol(second);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()?;
    expect_link_stayed(world)
}

/// An adapter alone, or a standby with its VF; tells whether it is that.
fn start_anything(world: &mut World) -> Result<bool> {
    let with_vf = sched::chance(2);
    if with_vf {
        start_on_vf(world)?;
    } else {
        world.add_adapter(&AdapterOptions::default())?;
        world.start_adapter()?;
        world.wait_for_link(SECOND_NS)?;
    }
    ensure!(world.tcpip.is_connected(), "TCP/IP is not connected");
    Ok(with_vf)
}
