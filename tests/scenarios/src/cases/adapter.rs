//! The adapter on its own: start, stop, pause, settings, and its end.

use anyhow::{Result, ensure};
use devices::virtio_net::{Interface, feature};
use devices::wire::stack::PingPlan;
use ndis_host::ndis::limit_dpcs;
use ndis_host::pnp;
use ndis_host::registry::Value;
use ndis_host::sched;

use super::steps::{
    LONG, PATIENCE_NS, SHORT, expect_event, expect_no_events, expect_undisturbed, linger, reason,
    start_on_vf,
};
use crate::world::{AdapterOptions, GUEST_ADDRESS, MILLISECOND_NS, SECOND_NS, World};

/// No failover: load, start, bind, traffic, pauses and restarts under traffic, unload.
pub(super) fn boot(world: &mut World) -> Result<()> {
    start_alone(world)?;
    carry_and_pause(world)
}

/// Traffic, pauses and restarts under traffic.
fn carry_and_pause(world: &World) -> Result<()> {
    const PAUSES: u64 = 8;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_undisturbed(world)?;

    let traffic = world.start_traffic(LONG);
    for pause in 1..=PAUSES {
        world.wait_for_bytes(traffic, pause * LONG / PAUSES, PATIENCE_NS)?;
        pnp::pause_stack(world.adapter().device);
        linger(5);
        pnp::restart_stack(world.adapter().device);
    }
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// As [`boot`], on a device of before virtio 1, with or without what such a device could have; then
/// the administrator disables and enables it. There is no VF: STANDBY is not among the features of
/// such a device.
pub(super) fn boot_on_legacy(world: &mut World) -> Result<()> {
    let (mut offers, mut lacks) = (0, 0);
    for feature in [
        feature::MRG_RXBUF,
        feature::ANY_LAYOUT,
        feature::CTRL_VQ | feature::CTRL_RX,
    ] {
        if sched::chance(2) {
            offers |= feature;
        } else {
            lacks |= feature;
        }
    }
    let options = AdapterOptions {
        offers,
        lacks,
        interface: Some(Interface::Legacy),
        ..AdapterOptions::default()
    };
    world.add_adapter(&options)?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)?;
    let state = world.adapter().control().state();
    ensure!(state.legacy, "the driver does not use the legacy registers");
    ensure!(
        state.features & offers == offers,
        "the driver took {:#x} of {offers:#x}",
        state.features
    );
    carry_and_pause(world)?;

    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    pnp::disable_device(world.adapter().device);
    linger(20);
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// NDIS brings the adapter to rest again and again, while its peer floods it with pings.
pub(super) fn pause_storm(world: &mut World) -> Result<()> {
    const PAUSES: u64 = 150;
    start_alone(world)?;
    // As fast as the slowest machine can answer: what one ping takes is some sixty points.
    let plan = PingPlan::new(GUEST_ADDRESS, 4_000.max(120 * sched::step_ns()));
    let flood = world.peer.with(|stack, now| stack.start_ping(plan, now));
    sched::sleep(MILLISECOND_NS);
    for _ in 0..PAUSES {
        pnp::pause_stack(world.adapter().device);
        pnp::restart_stack(world.adapter().device);
        sched::sleep(1 + sched::random_below(MILLISECOND_NS / 5));
    }
    world.peer.with(|stack, _| stack.stop_ping(flood));
    let pings = world.peer.inspect(|stack| stack.ping(flood));
    ensure!(
        pings.answered > PAUSES,
        "only {} pings were answered",
        pings.answered
    );
    expect_no_events()
}

/// More frames come than the machine can take: a DPC ends all the same, and leaves the rest to the
/// next one.
pub(super) fn flood(world: &mut World) -> Result<()> {
    const POINTS_OF_A_DPC: u64 = 60_000;
    const POINTS_OF_A_PING: u64 = 10;
    start_alone(world)?;
    let step_ns = sched::step_ns();
    limit_dpcs(POINTS_OF_A_DPC * step_ns);
    let plan = PingPlan {
        count: Some(4 * POINTS_OF_A_DPC / POINTS_OF_A_PING),
        ..PingPlan::new(GUEST_ADDRESS, POINTS_OF_A_PING * step_ns)
    };
    let flood = world.peer.with(|stack, now| stack.start_ping(plan, now));
    sched::sleep(5 * POINTS_OF_A_DPC * step_ns);
    let pings = world.peer.inspect(|stack| stack.ping(flood));
    ensure!(pings.answered > 0, "no ping was answered");
    expect_no_events()
}

/// The administrator disables and enables the adapter while its VF carries. The stream outlives it.
pub(super) fn disable_enable(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    pnp::disable_device(world.adapter().device);
    ensure!(
        !world.tcpip.is_bound(),
        "TCP/IP is still bound to a disabled adapter"
    );
    linger(20);
    world.start_adapter()?;
    world.wait_for_link(10 * SECOND_NS)?;
    world.wait_for_vf()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_no_events()
}

/// The virtio device is pulled out under traffic, which the VF or the device itself carries.
pub(super) fn adapter_surprise(world: &mut World) -> Result<()> {
    if sched::chance(2) {
        start_on_vf(world)?;
    } else {
        start_alone(world)?;
    }
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 4, PATIENCE_NS)?;
    world.pull_adapter();
    ensure!(
        !world.tcpip.is_bound(),
        "TCP/IP is still bound to an adapter that is gone"
    );
    traffic.abort(&world.tcpip, &world.peer);
    Ok(())
}

/// Keywords out of their range are taken to its nearest end, and the event log says so; text in
/// place of a number means the default.
pub(super) fn keyword_out_of_range(world: &mut World) -> Result<()> {
    let text = |value: &str| Value::Sz(value.to_owned());
    let options = AdapterOptions::default()
        .with("*JumboPacket", text("99999"))
        .with("*ReceiveBuffers", text("1"))
        .with("*TransmitBuffers", Value::Dword(4_000_000_000))
        .with("StandbyGraceMs", text("soon"));
    world.add_adapter(&options)?;
    world.start_adapter()?;
    for value in [99_999, 1, 4_000_000_000] {
        expect_event(reason::KEYWORD_OUT_OF_RANGE, Some(value))?;
    }
    world.wait_for_link(SECOND_NS)?;
    let traffic = world.start_traffic(SHORT);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    expect_undisturbed(world)
}

/// An adapter without failover, up.
pub(super) fn start_alone(world: &mut World) -> Result<()> {
    world.add_adapter(&AdapterOptions::default())?;
    world.start_adapter()?;
    world.wait_for_link(SECOND_NS)
}
