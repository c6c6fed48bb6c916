//! VFs that the adapter must not use: it carries on without them.

use anyhow::{Context, Result, ensure};
use ndis_host::sched;
use ndis_sys::OID_GEN_CURRENT_PACKET_FILTER;
use neighbours::vf::VfOptions;

use super::steps::{
    LONG, PATIENCE_NS, expect_event, expect_link_stayed, expect_no_events, expect_undisturbed,
    reason, start_on_vf, start_on_virtio,
};
use crate::world::{GUEST_MAC, MILLISECOND_NS, VfPlug, World};

/// Another MAC address: not ours.
pub(super) fn vf_other_mac(world: &mut World) -> Result<()> {
    let mut mac = GUEST_MAC;
    mac[5] ^= 0x40;
    stays_unused(
        world,
        &VfPlug {
            mac,
            ..VfPlug::default()
        },
    )?;
    expect_no_events()
}

/// An MTU below the adapter's: the event log says so.
pub(super) fn vf_small_mtu(world: &mut World) -> Result<()> {
    let options = VfOptions {
        mtu: 1280,
        ..VfOptions::default()
    };
    stays_unused(
        world,
        &VfPlug {
            options,
            ..VfPlug::default()
        },
    )?;
    expect_event(reason::VF_MTU_TOO_SMALL, Some(1280))
}

/// A VF that does not take the packet filter: the event log says so.
pub(super) fn vf_refuses_filter(world: &mut World) -> Result<()> {
    let options = VfOptions {
        refuse_oid: Some(OID_GEN_CURRENT_PACKET_FILTER),
        ..VfOptions::default()
    };
    stays_unused(
        world,
        &VfPlug {
            options,
            ..VfPlug::default()
        },
    )?;
    expect_event(
        reason::VF_REFUSED_SETTING,
        Some(OID_GEN_CURRENT_PACKET_FILTER),
    )
}

/// A second VF with the same MAC address: the first one carries on, the event log says so.
pub(super) fn second_vf_same_mac(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    let second = world.new_vf(&VfPlug::default())?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    ensure!(
        second.frames() == 0,
        "the second VF carried {} frames",
        second.frames()
    );
    world.withdraw(second);
    expect_event(reason::SECOND_VF, None)?;
    expect_undisturbed(world)
}

/// The driver's own adapter is offered to VIOPROT: refused, each time. NDIS may bring the adapter
/// to rest for each offer, so receives may be lost; the stream survives.
pub(super) fn own_adapter_offered(world: &mut World) -> Result<()> {
    start_on_vf(world)?;
    world.offer_own_adapter()?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    world.offer_own_adapter()?;
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let report = world
        .adapter()
        .report()
        .context("the adapter is not initialised")?;
    let protocols: Vec<_> = report
        .bindings
        .iter()
        .map(|b| b.protocol.as_str())
        .collect();
    ensure!(
        protocols == [neighbours::tcpip::SERVICE],
        "bound to the adapter: {protocols:?}"
    );
    expect_no_events()?;
    expect_link_stayed(world)
}

/// Plugs a VF under traffic that virtio carries, and sees that it stays so.
fn stays_unused(world: &mut World, plug: &VfPlug) -> Result<()> {
    start_on_virtio(world)?;
    let traffic = world.start_traffic(LONG);
    world.wait_for_bytes(traffic, LONG / 2, PATIENCE_NS)?;
    world.plug_vf(plug)?;
    // More than the time for which a VF has to be stable before it is used.
    sched::sleep(300 * MILLISECOND_NS);
    world.finish_traffic(traffic, PATIENCE_NS)?;
    let vf = world.primary().context("the VF was plugged")?;
    ensure!(!vf.is_in_use(), "the VF's receive filter is open");
    ensure!(vf.frames() == 0, "the VF carried {} frames", vf.frames());
    expect_undisturbed(world)
}
