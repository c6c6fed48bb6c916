//! Migrations that arrive.
//!
//! QEMU's test migrates to a file and has the other half read it. Here each is one live migration, with the
//! driver running on; its halves are looked at under their two names.

use anyhow::{Result, bail, ensure};
use ndis_host::sched;
use qapi::qmp::{self, MigrationStatus};
use scenarios::world::{AdapterOptions, MILLISECOND_NS, SECOND_NS};

use super::LIMIT_NS;
use super::events::{self, expect_none, expect_order};
use super::params::NEGOTIATED;
use super::peek;
use super::stage::{PRIMARY_PORT, Path, STANDBY_PORT, Stage};
use super::verdict::{NOTHING, Outcome};
use crate::backend::PRIMARY;
use crate::bus::Port;
use crate::migration::{Departure, End};
use crate::process::CardOptions;

/// Most time that the guest may take to give the VF back, in real time on a machine with other work.
const MOST_WITHDRAWAL_NS: u64 = 250 * MILLISECOND_NS;
/// More than QEMU's time from one look to the next at whether the primary is ejected.
const WATCH_NS: u64 = 600 * MILLISECOND_NS;

/// What a migration told: at the source since it began, and at the destination.
pub(super) struct Halves {
    pub(super) source: Vec<String>,
    pub(super) destination: Vec<String>,
}

impl Halves {
    /// Without the first so many of the source.
    pub(super) fn since(mut self, from: usize) -> Self {
        self.source = self.source.get(from..).unwrap_or_default().to_vec();
        self
    }
}

/// The primary is asked for, and until the guest has ejected it the migration waits.
pub(super) fn on_out(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let halves = stage.migrate_pair()?;
    expect_order(
        &halves.source,
        &[
            "MIGRATION setup",
            "UNPLUG_PRIMARY primary0",
            "MIGRATION wait-unplug",
            "MIGRATION active",
            "STOP",
            "MIGRATION completed",
        ],
    )?;
    NOTHING
}

/// The destination takes the driver's features over, and shows its own primary.
pub(super) fn on_in(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let halves = stage.migrate_pair()?;
    expect_order(
        &halves.destination,
        &["MIGRATION setup", NEGOTIATED, "RESUME"],
    )?;
    stage.becomes(MigrationStatus::completed, LIMIT_NS)?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    NOTHING
}

/// Without failover nobody is asked for anything.
pub(super) fn off_out(stage: &mut Stage) -> Outcome {
    let cards = stage.start_without_failover()?;
    let halves = stage.migrate_alone()?;
    expect_no_failover(&halves)?;
    expect_order(
        &halves.source,
        &["MIGRATION active", "STOP", "MIGRATION completed"],
    )?;
    stage.expect_both(&cards)?;
    NOTHING
}

/// Both cards arrive, with their drivers.
pub(super) fn off_in(stage: &mut Stage) -> Outcome {
    let cards = stage.start_without_failover()?;
    let halves = stage.migrate_alone()?;
    expect_no_failover(&halves)?;
    expect_order(&halves.destination, &["MIGRATION setup", "RESUME"])?;
    stage.becomes(MigrationStatus::completed, LIMIT_NS)?;
    stage.expect_both(&cards)?;
    NOTHING
}

/// A driver without STANDBY migrates as with any NIC.
pub(super) fn guest_off_out(stage: &mut Stage) -> Outcome {
    stage.start_without_standby()?;
    let halves = stage.migrate_alone()?;
    expect_no_failover(&halves)?;
    expect_order(
        &halves.source,
        &["MIGRATION active", "STOP", "MIGRATION completed"],
    )?;
    NOTHING
}

/// The primary stays hidden at the destination.
pub(super) fn guest_off_in(stage: &mut Stage) -> Outcome {
    stage.start_without_standby()?;
    stage.expect_visible(&[(&stage.primary(), false)])?;
    let halves = stage.migrate_alone()?;
    expect_no_failover(&halves)?;
    expect_order(&halves.destination, &["MIGRATION setup", "RESUME"])?;
    stage.becomes(MigrationStatus::completed, LIMIT_NS)?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), false)])?;
    NOTHING
}

/// The administrator takes the primary away before the migration, and there is none at the destination:
/// nobody waits for anything, and the guest stays on virtio.
pub(super) fn no_vf_at_destination(stage: &mut Stage) -> Outcome {
    stage.move_without_vf()?;
    sched::sleep(SECOND_NS);
    stage.expect_carrier(Path::Virtio)?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), false)])?;
    NOTHING
}

/// As above, with a primary that is added a second later; from there the guest migrates on.
pub(super) fn late_vf(stage: &mut Stage) -> Outcome {
    stage.move_without_vf()?;
    sched::sleep(SECOND_NS);
    stage.add_primary()?;
    stage.expect_vf()?;
    stage.migrate_pair()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    NOTHING
}

/// The guest takes its time: two seconds in which the VF carries, and QEMU waits.
pub(super) fn delayed_eject(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
    stage.stays(MigrationStatus::wait_unplug, 2 * SECOND_NS)?;
    stage.expect_carrier(Path::Vf)?;
    stage.world.withdraw_vf()?;
    departure.wait_until_active(LIMIT_NS)?;
    stage.cross(departure)?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    NOTHING
}

/// QEMU asks the guest to announce itself, five times; the driver does, and acknowledges each.
pub(super) fn announce(stage: &mut Stage) -> Outcome {
    /// Times that QEMU asks: at once, and after 50, 150, 250 and 350 ms more.
    const ASKED: u64 = 5;
    stage.start_on_vf()?;
    let port = Port::at(STANDBY_PORT);
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.world.withdraw_vf()?;
    departure.wait_until_active(LIMIT_NS)?;
    let commands = stage.machine()?.cost(port).commands();
    let announced = stage.world.ledgers.account().announcements;
    stage.cross(departure)?;
    let machine = stage.machine()?;
    stage
        .world
        .wait_for("five acknowledgements", 5 * SECOND_NS, || {
            machine.cost(port).commands() >= commands + ASKED
        })?;
    sched::sleep(50 * MILLISECOND_NS);
    stage.expect_acknowledged()?;
    let more = stage.world.ledgers.account().announcements - announced;
    ensure!(more >= ASKED, "{more} announcements reached the peer");
    stage.plug_primary()?;
    stage.expect_vf()?;
    NOTHING
}

fn expect_no_failover(halves: &Halves) -> Result<()> {
    for told in [&halves.source, &halves.destination] {
        expect_none(
            told,
            &["UNPLUG_PRIMARY", "FAILOVER_NEGOTIATED", "MIGRATION wait"],
        )?;
    }
    Ok(())
}

impl Stage {
    /// A pair without failover: both drivers run, the adapter's carries.
    pub(super) fn start_without_failover(&mut self) -> Result<(CardOptions, CardOptions)> {
        let cards = self.power_up_without_failover()?;
        self.start_driver_with(AdapterOptions::default())?;
        self.start_primary()?;
        self.start_flow();
        self.expect_carrier(Path::Virtio)?;
        // What is migrated is what is there.
        self.rack
            .replace(vec![Some(cards.0.clone()), Some(cards.1.clone())]);
        Ok(cards)
    }

    /// Both cards are there, and virtio carries.
    pub(super) fn expect_both(&self, cards: &(CardOptions, CardOptions)) -> Result<()> {
        self.expect_visible(&[(&cards.0, true), (&cards.1, true)])?;
        self.expect_carrier(Path::Virtio)
    }

    /// From a VF that carries to another machine, whose primary has not been plugged yet. The guest lets
    /// QEMU wait for a while before it gives the VF up.
    pub(super) fn migrate_pair(&mut self) -> Result<Halves> {
        let from = self.told()?.len();
        let links = self.link_changes();
        let announced = self.announcements()?;
        let departure = self.depart()?;
        self.await_request()?;
        self.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
        self.stays(MigrationStatus::wait_unplug, WATCH_NS)?;
        self.expect_carrier(Path::Vf)?;
        let told = self.told()?;
        let told = told.get(from..).unwrap_or_default();
        expect_none(told, &["MIGRATION active", "MIGRATION completed", "STOP"])?;

        let times = self.world.withdraw_vf()?;
        let took_ns = times.ejected_ns - times.requested_ns;
        ensure!(
            took_ns <= MOST_WITHDRAWAL_NS,
            "the guest gave the VF back after {} ms",
            took_ns / MILLISECOND_NS
        );
        departure.wait_until_active(LIMIT_NS)?;
        self.expect_carrier(Path::Virtio)?;
        let more = self.announcements()? - announced;
        ensure!(more > 0, "no announcement when virtio took over");
        let halves = self.cross(departure)?;
        self.expect_carrier(Path::Virtio)?;
        self.expect_acknowledged()?;
        ensure!(links == self.link_changes(), "the link was told of");
        Ok(halves.since(from))
    }

    /// Announcements by virtio: with an address, and without one. There is none after a sleep, since no
    /// protocol tells it again. QEMU's own come after an arrival only.
    fn announcements(&self) -> Result<u64> {
        let wire = self.machine()?.wire(Port::at(STANDBY_PORT));
        Ok(self.world.ledgers.account().announcements + wire.announcements)
    }

    /// To another machine, where nobody is asked for anything.
    fn migrate_alone(&mut self) -> Result<Halves> {
        let from = self.told()?.len();
        let links = self.link_changes();
        let departure = self.depart()?;
        departure.wait_until_active(LIMIT_NS)?;
        self.expect_carrier(Path::Virtio)?;
        let halves = self.cross(departure)?;
        self.expect_carrier(Path::Virtio)?;
        self.expect_acknowledged()?;
        ensure!(links == self.link_changes(), "the link was told of");
        Ok(halves.since(from))
    }

    /// Crosses to the destination.
    pub(super) fn cross(&self, departure: Departure) -> Result<Halves> {
        self.world.ledgers.begin_phase("as it crosses");
        let End::Moved(mut left) = departure.cross()?.end else {
            bail!("the guest stays where it was");
        };
        self.world.ledgers.begin_phase("after the arrival");
        let source = events::names(left.monitor.events()?);
        sched::outside(|| left.quit())?;
        self.becomes(MigrationStatus::completed, LIMIT_NS)?;
        Ok(Halves {
            source,
            destination: self.told()?,
        })
    }

    /// A primary that was added, and carries, is removed again; then the guest migrates.
    fn move_without_vf(&mut self) -> Result<()> {
        self.rack.start(vec![Some(self.standby()), None])?;
        self.start_driver()?;
        self.start_flow();
        self.add_primary()?;
        self.expect_vf()?;
        self.remove_primary()?;
        let halves = self.migrate_alone()?;
        expect_order(&halves.destination, &[NEGOTIATED, "RESUME"])?;
        expect_none(&halves.source, &["UNPLUG_PRIMARY", "MIGRATION wait"])
    }

    /// The administrator removes the primary, and the guest lets it go.
    pub(super) fn remove_primary(&mut self) -> Result<()> {
        let id = PRIMARY.to_owned();
        self.order(&qmp::device_del { id })?;
        self.await_request()?;
        self.world.withdraw_vf()?;
        self.await_deletion(PRIMARY)?;
        self.rack.forget(Port::at(PRIMARY_PORT));
        Ok(())
    }

    /// The device does not wait for an announcement any more.
    pub(super) fn expect_acknowledged(&self) -> Result<()> {
        let machine = self.machine()?;
        self.world
            .wait_for("the acknowledgement of the announcement", SECOND_NS, || {
                peek::wants_announcement(&machine, Port::at(STANDBY_PORT)).is_ok_and(|it| !it)
            })
    }
}
