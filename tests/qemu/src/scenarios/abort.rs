//! Migrations that are cancelled.

use anyhow::Result;
use ndis_host::sched;
use qapi::qmp::{self, MigrationStatus};
use scenarios::world::{MILLISECOND_NS, SECOND_NS};

use super::LIMIT_NS;
use super::events::{expect_none, expect_order};
use super::stage::{Path, Stage};
use super::verdict::{Allowed, Outcome};
use crate::migration::Departure;

/// What a source may say that still sends when its migration is cancelled: the other end is gone, or it is told
/// to stop in the middle of memory.
const SAID: [&str; 2] = [
    "Unable to write to socket: Broken pipe",
    "failed to save SaveStateEntry",
];

/// A cancelled migration costs nothing.
pub(super) const CANCELLED: Outcome = Ok(Allowed {
    lost: 0,
    twice: 0,
    link_downs: 0,
    failed: 0,
    log: &[],
    said: &SAID,
});

/// Cancelled while it is active, without failover: both cards are there, and virtio carries as ever.
pub(super) fn off(stage: &mut Stage) -> Outcome {
    let cards = stage.start_without_failover()?;
    let departure = stage.depart()?;
    departure.wait_until_active(LIMIT_NS)?;
    stage.cancel()?;
    stage.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
    drop(departure);
    stage.expect_both(&cards)?;
    expect_none(&stage.told()?, &["UNPLUG_PRIMARY", "FAILOVER_NEGOTIATED"])?;
    CANCELLED
}

/// As [`off`], with a driver that has not taken STANDBY: the primary stays hidden.
pub(super) fn guest_off(stage: &mut Stage) -> Outcome {
    stage.start_without_standby()?;
    let departure = stage.depart()?;
    departure.wait_until_active(LIMIT_NS)?;
    stage.cancel()?;
    stage.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
    drop(departure);
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), false)])?;
    stage.expect_carrier(Path::Virtio)?;
    expect_none(&stage.told()?, &["UNPLUG_PRIMARY", "FAILOVER_NEGOTIATED"])?;
    CANCELLED
}

/// Cancelled before the guest has ejected the VF, which it then does all the same: it gets it back.
pub(super) fn wait_unplug(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    stage.cancel_before_eject(500 * MILLISECOND_NS)?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    CANCELLED
}

/// Cancelled when the guest has ejected the VF: it gets it back.
pub(super) fn active(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    stage.cancel_after_eject()?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    CANCELLED
}

/// Cancelled, and the guest never ejects the VF, which carries all the time. QEMU gives up after 30 s.
pub(super) fn timeout(stage: &mut Stage) -> Outcome {
    /// QEMU looks 120 times, every 250 ms, and needs some time besides.
    const PATIENCE_NS: u64 = 29 * SECOND_NS;
    const LIMIT_NS: u64 = 10 * SECOND_NS;
    stage.start_on_vf()?;
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
    stage.cancel()?;
    stage.stays(MigrationStatus::cancelling, PATIENCE_NS)?;
    stage.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
    drop(departure);
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), true)])?;
    stage.expect_carrier(Path::Vf)?;
    Ok(Allowed {
        said: &["partially unplugged device on failure", SAID[0], SAID[1]],
        ..Allowed::default()
    })
}

/// A migration that was cancelled, before and after the eject, is followed by one that arrives.
pub(super) fn again(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    stage.cancel_before_eject(0)?;
    stage.cancel_after_eject()?;
    stage.migrate_pair()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    CANCELLED
}

/// Twenty migrations are begun and cancelled; the VF goes and comes each time.
pub(super) fn often(stage: &mut Stage) -> Outcome {
    const TIMES: usize = 20;
    stage.start_on_vf()?;
    for time in 0..TIMES {
        if time % 2 == 0 {
            stage.cancel_before_eject(0)?;
        } else {
            stage.cancel_after_eject()?;
        }
    }
    CANCELLED
}

impl Stage {
    /// The migration is to be given up.
    pub(super) fn cancel(&self) -> Result<()> {
        self.order(&qmp::migrate_cancel {})
    }

    /// A migration begins and is cancelled `for_ns` before the guest ejects the VF; until then it is not
    /// over. The VF comes back, and carries.
    fn cancel_before_eject(&mut self, for_ns: u64) -> Result<()> {
        let from = self.told()?.len();
        let departure = self.depart()?;
        self.await_request()?;
        self.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
        self.cancel()?;
        self.stays(MigrationStatus::cancelling, for_ns)?;
        self.expect_carrier(Path::Vf)?;
        self.world.withdraw_vf()?;
        self.expect_carrier(Path::Virtio)?;
        self.return_vf(departure, from, "MIGRATION cancelling")
    }

    /// As above, cancelled when the guest has ejected the VF.
    fn cancel_after_eject(&mut self) -> Result<()> {
        let from = self.told()?.len();
        let departure = self.depart()?;
        self.await_request()?;
        self.world.withdraw_vf()?;
        departure.wait_until_active(LIMIT_NS)?;
        self.expect_carrier(Path::Virtio)?;
        self.cancel()?;
        self.return_vf(departure, from, "MIGRATION active")
    }

    /// The cancelled migration ends, and the VF carries again.
    fn return_vf(&mut self, departure: Departure, from: usize, before: &str) -> Result<()> {
        self.becomes(MigrationStatus::cancelled, LIMIT_NS)?;
        drop(departure);
        self.plug_primary()?;
        self.expect_vf()?;
        // Events come on their own way.
        sched::sleep(MILLISECOND_NS);
        let told = self.told()?;
        let told = told.get(from..).unwrap_or_default();
        expect_order(
            told,
            &["UNPLUG_PRIMARY primary0", before, "MIGRATION cancelled"],
        )?;
        expect_none(told, &["STOP", "MIGRATION completed"])
    }
}
