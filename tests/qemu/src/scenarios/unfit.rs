//! VFs that vanish, or do not fit.

use anyhow::ensure;
use ndis_host::registry::Value;
use scenarios::world::{AdapterOptions, GUEST_MAC};

use super::stage::{Path, Stage};
use super::verdict::{Allowed, NOTHING, Outcome};
use crate::backend::STANDBY;
use crate::bus::Port;
use crate::card::Card;
use crate::process::Failover;

/// The driver's entries in the event log.
const MTU_TOO_SMALL: u32 = 0x101;
const SECOND_VF: u32 = 0x102;

/// The VF is out of its slot before anybody knows, under load: what it was sent is lost. What it had to send
/// and has not sent goes out by virtio, and the rest of a list of which it has sent a part: with that part.
pub(super) fn surprise(stage: &mut Stage) -> Outcome {
    /// What is in the VF's rings, and what it is sent until PnP has noticed.
    const MOST_LOST: u64 = 600;
    const LIST: u64 = 16;
    stage.rack.start(vec![Some(stage.standby()), None])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.add_primary()?;
    stage.expect_vf()?;
    let before = stage.link_changes();
    let traffic = stage.world.start_traffic(2_000_000);
    stage
        .world
        .wait_for_bytes(traffic, 500_000, super::LIMIT_NS)?;
    stage.world.pull_other_vf()?;
    stage.world.finish_traffic(traffic, 2 * super::LIMIT_NS)?;
    stage.expect_carrier(Path::Virtio)?;
    ensure!(before == stage.link_changes(), "the link was told of");
    Ok(Allowed {
        lost: MOST_LOST,
        twice: LIST,
        ..Allowed::default()
    })
}

/// A VF with an MTU below the adapter's is not used, and the event log says why.
pub(super) fn smaller_mtu(stage: &mut Stage) -> Outcome {
    let mut primary = stage.primary();
    primary.properties.push("host_mtu=1280".to_owned());
    stage
        .rack
        .start(vec![Some(stage.standby()), Some(primary)])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.plug_primary()?;
    stage.expect_unused_vf()?;
    Ok(Allowed {
        log: &[MTU_TOO_SMALL],
        ..Allowed::default()
    })
}

/// Another NIC with the same address comes while the VF carries: it is not used, and the event log says so.
/// When the VF has gone, virtio carries: the other one was refused.
pub(super) fn second_vf(stage: &mut Stage) -> Outcome {
    let other = stage.rack.card("other0", GUEST_MAC, Failover::None);
    stage.rack.start(vec![
        Some(stage.standby()),
        Some(stage.primary()),
        Some(other),
    ])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.plug_primary()?;
    stage.expect_vf()?;
    let card = Card::find(&stage.machine()?, Port::at(2), "other0")?;
    let second = stage.world.new_other_vf(card.unplugged())?;
    stage.expect_carrier(Path::Vf)?;
    let used = second.is_in_use();
    ensure!(!used, "the second VF's receive filter is open");
    stage.world.withdraw(second);
    stage.expect_carrier(Path::Vf)?;
    Ok(Allowed {
        log: &[SECOND_VF],
        ..Allowed::default()
    })
}

/// The administrator gives the adapter another address than its card has, and its VF: the two are no pair.
pub(super) fn changed_mac(stage: &mut Stage) -> Outcome {
    let mut mac = GUEST_MAC;
    mac[5] ^= 0x20;
    let standby = stage.rack.card(STANDBY, mac, Failover::Standby);
    let primary = stage.primary_with(mac);
    stage
        .rack
        .start(vec![Some(standby), Some(primary.clone())])?;
    let given = GUEST_MAC.map(|byte| format!("{byte:02X}")).concat();
    let options = AdapterOptions::standby().with("NetworkAddress", Value::Sz(given));
    stage.start_driver_with(options)?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.plug_primary()?;
    stage.expect_unused_vf()?;
    NOTHING
}
