//! What surprises in QEMU's failover, and what the driver makes of it.

use anyhow::{Context, Result, bail, ensure};
use ndis_host::pnp;
use qapi::qmp::{self, Event, MigrationStatus};
use scenarios::world::{AdapterOptions, GUEST_MAC, MILLISECOND_NS};

use super::LIMIT_NS;
use super::abort::CANCELLED;
use super::events::{count, expect_none, expect_order};
use super::params::NEGOTIATED;
use super::peek;
use super::stage::{PRIMARY_PORT, Path, STANDBY_PORT, Stage};
use super::verdict::{NOTHING, Outcome};
use crate::backend::{PRIMARY, STANDBY};
use crate::bus::Port;
use crate::hotplug::Style;

/// While the standby's driver is stopped QEMU asks for the primary, but does not wait for it. A driver is to
/// be back soon, then; the VF, which stayed, carries again.
pub(super) fn disabled_guest(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    stage.start_driver()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    let from = stage.told()?.len();
    pnp::disable_device(stage.world.adapter().device);
    let departure = stage.depart()?;
    departure.wait_until_active(LIMIT_NS)?;
    let told = stage.told()?;
    let told = told.get(from..).unwrap_or_default();
    expect_order(told, &["UNPLUG_PRIMARY primary0", "MIGRATION active"])?;
    expect_none(told, &["MIGRATION wait"])?;
    stage.cancel()?;
    stage.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
    drop(departure);
    stage.restart_adapter()?;
    stage.world.wait_for_vf()?;
    stage.start_flow();
    stage.expect_carrier(Path::Vf)?;
    CANCELLED
}

/// A device remembers what an earlier driver accepted. A driver that does not take STANDBY after one that
/// has must not have it plug the primary.
pub(super) fn stale_feature_word(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    stage.start_driver()?;
    let before = count(&stage.told()?, NEGOTIATED);
    ensure!(before > 0, "STANDBY was not taken");
    pnp::disable_device(stage.world.adapter().device);
    stage.rack.hide_standby(true);
    stage.restart_adapter()?;
    let after = count(&stage.told()?, NEGOTIATED);
    ensure!(before == after, "taken {before} times, then {after}");
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    NOTHING
}

/// A primary that was shown stays, also before the driver of the next boot has taken STANDBY: its own driver
/// may be first.
pub(super) fn reset_shows_primary(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    stage.start_driver()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    let vf = stage.world.primary().context("a VF")?.device();
    pnp::disable_device(vf);
    pnp::disable_device(stage.world.adapter().device);
    let from = stage.told()?.len();
    stage.reset(&[STANDBY_PORT, PRIMARY_PORT])?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    let told = stage.told()?;
    expect_none(told.get(from..).unwrap_or_default(), &["FAILOVER"])?;
    if pnp::start_device(vf).is_err() {
        bail!("the VF does not start after a reset");
    }
    pnp::settle();
    stage.restart_adapter()?;
    stage.world.wait_for_vf()?;
    stage.start_flow();
    stage.expect_carrier(Path::Vf)?;
    NOTHING
}

/// A driver that does not take STANDBY again leaves the primary where it is: two NICs with one address. Ours
/// has a device that is no standby then, and leaves the other one alone.
pub(super) fn standby_given_up(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    stage.start_driver()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    pnp::disable_device(stage.world.adapter().device);
    stage.rack.hide_standby(true);
    stage.restart_adapter()?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    stage.start_flow();
    stage.expect_unused_vf()?;
    NOTHING
}

/// A primary that comes back after a cancelled migration is as its driver left it: nobody has reset it. Where
/// its slot had no power meanwhile, it has forgotten all.
pub(super) fn stale_bars(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let (machine, port) = (stage.machine()?, Port::at(PRIMARY_PORT));
    let before = peek::registers(&machine, port)?;
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.world.withdraw_vf()?;
    let gone = peek::registers(&machine, port)?;
    ensure!(gone.is_none(), "a card that was ejected answers: {gone:?}");
    departure.wait_until_active(LIMIT_NS)?;
    stage.cancel()?;
    stage.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
    drop(departure);
    stage.await_card(PRIMARY_PORT)?;
    let after = peek::registers(&machine, port)?;
    let (before, after) = (before.context("no card")?, after.context("no card")?);
    let wanted = match stage.rack.options().hotplug {
        Style::Acpi => before.bars,
        Style::Native => [0; 6],
    };
    let is_right = wanted == after.bars && before.bars != [0; 6];
    ensure!(is_right, "{before:x?}, then {after:x?}");
    stage.start_primary()?;
    stage.expect_vf()?;
    CANCELLED
}

/// QEMU pairs by name and shows a primary with another address. The driver pairs by address: it stays on
/// virtio, and a migration asks for the primary all the same.
pub(super) fn other_mac(stage: &mut Stage) -> Outcome {
    let mut mac = GUEST_MAC;
    mac[5] ^= 0x10;
    let primary = stage.primary_with(mac);
    stage
        .rack
        .start(vec![Some(stage.standby()), Some(primary.clone())])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.plug_primary()?;
    stage.expect_visible(&[(&primary, true)])?;
    stage.expect_unused_vf()?;
    let announced = stage.world.ledgers.account().announcements;
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.world.withdraw_vf()?;
    let more = stage.world.ledgers.account().announcements - announced;
    ensure!(more == 0, "{more} announcements although nothing switched");
    departure.wait_until_active(LIMIT_NS)?;
    stage.cross(departure)?;
    stage.expect_carrier(Path::Virtio)?;
    stage.plug_primary()?;
    stage.expect_unused_vf()?;
    NOTHING
}

/// A primary that has to go is there until the guest has ejected it; until then its name is taken.
pub(super) fn duplicate_id(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![Some(stage.standby()), None])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.add_primary()?;
    stage.expect_vf()?;
    let id = PRIMARY.to_owned();
    stage.order(&qmp::device_del { id: id.clone() })?;
    let again = stage.rack.add(Port::at(PRIMARY_PORT), stage.primary());
    let Err(error) = again else {
        bail!("QEMU takes a second {id}");
    };
    let said = format!("{error:#}");
    ensure!(said.contains("uplicate"), "{said}");
    stage.expect_carrier(Path::Vf)?;
    stage.await_request()?;
    stage.world.withdraw_vf()?;
    stage.await_deletion(PRIMARY)?;
    stage.expect_carrier(Path::Virtio)?;
    stage.add_primary()?;
    stage.expect_vf()?;
    NOTHING
}

/// The standby is removed while its primary stays. The VF belongs to nobody then, and is silent; a standby
/// that is added finds it.
pub(super) fn standby_leaves_first(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    stage.start_driver()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    let id = STANDBY.to_owned();
    stage.order(&qmp::device_del { id })?;
    stage.await_request_at(STANDBY_PORT)?;
    stage.world.remove_adapter();
    stage.await_deletion(STANDBY)?;
    stage.expect_visible(&[(&stage.standby(), false), (&stage.primary(), true)])?;
    let vf = stage.world.primary().context("a VF")?;
    ensure!(!vf.is_in_use(), "the VF's receive filter is open");
    stage.rack.add(Port::at(STANDBY_PORT), stage.standby())?;
    stage.await_card(STANDBY_PORT)?;
    stage.world.add_adapter(&AdapterOptions::standby())?;
    stage.world.start_adapter()?;
    stage.world.wait_for_vf()?;
    stage.world.wait_for_link(LIMIT_NS)?;
    stage.start_flow();
    stage.expect_carrier(Path::Vf)?;
    NOTHING
}

impl Stage {
    /// The adapter's driver starts again.
    pub(super) fn restart_adapter(&mut self) -> Result<()> {
        self.world.start_adapter()?;
        self.world.wait_for_link(LIMIT_NS)?;
        ndis_host::sched::sleep(MILLISECOND_NS);
        Ok(())
    }

    /// QEMU has let a card go for good.
    pub(super) fn await_deletion(&self, id: &str) -> Result<()> {
        let machine = self.machine()?;
        self.world.wait_for("the end of a card", LIMIT_NS, || {
            machine.has_told(|event| match event {
                Event::DEVICE_DELETED { data, .. } => data.device.as_deref() == Some(id),
                _ => false,
            })
        })
    }
}
