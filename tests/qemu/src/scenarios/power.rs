//! The guest sleeps, or the machine is reset.

use anyhow::{Result, ensure};
use ndis_host::{pnp, sched};
use qapi::qmp::{self, Event, MigrationStatus};
use scenarios::world::MILLISECOND_NS;

use super::LIMIT_NS;
use super::stage::{Path, STANDBY_PORT, Stage};
use super::verdict::{Allowed, NOTHING, Outcome};
use crate::bus::{self, Port};
use crate::card::CardSide;

/// How long the guest sleeps, and how long for QEMU, which looks every 250 ms, to see it.
const SLEEP_NS: u64 = 50 * MILLISECOND_NS;
const LONG_SLEEP_NS: u64 = 600 * MILLISECOND_NS;
/// What the peer sends meanwhile, and while the guest wakes up; and what the cards had when they lost their
/// power.
const MOST_LOST: u64 = 2_000;

/// What a sleep costs. NDIS halts the adapter for it, so its link goes down, too.
const SLEPT: Outcome = Ok(Allowed {
    lost: MOST_LOST,
    twice: 0,
    link_downs: 1,
    failed: MOST_LOST,
    log: &[],
    said: &[],
});

/// The guest sleeps before it has a VF: STANDBY is taken again, and the primary that comes then carries.
pub(super) fn sleep_on_virtio(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![Some(stage.standby()), None])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.sleep_and_wake(SLEEP_NS)?;
    stage.expect_carrier(Path::Virtio)?;
    stage.add_primary()?;
    stage.expect_vf()?;
    SLEPT
}

/// The guest sleeps while the VF carries.
pub(super) fn sleep_on_vf(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    stage.sleep_and_wake(SLEEP_NS)?;
    stage.world.wait_for_vf()?;
    stage.expect_carrier(Path::Vf)?;
    SLEPT
}

/// As above; then it migrates.
pub(super) fn sleep_then_migrate(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    stage.sleep_and_wake(SLEEP_NS)?;
    stage.world.wait_for_vf()?;
    stage.expect_carrier(Path::Vf)?;
    stage.migrate_pair()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    SLEPT
}

/// The guest sleeps while QEMU waits for the VF. For its device that is the end of STANDBY, so QEMU waits no
/// longer; the guest lets the VF go when it is awake, and still in time.
pub(super) fn sleep_in_wait_unplug(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let departure = stage.depart()?;
    stage.await_request()?;
    stage.becomes(MigrationStatus::wait_unplug, LIMIT_NS)?;
    stage.sleep_and_wake(LONG_SLEEP_NS)?;
    departure.wait_until_active(LIMIT_NS)?;
    stage.world.wait_for_vf()?;
    stage.expect_carrier(Path::Vf)?;
    stage.world.withdraw_vf()?;
    stage.expect_carrier(Path::Virtio)?;
    stage.cross(departure)?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    SLEPT
}

/// The machine is reset before there is a primary; the driver of the next boot finds its device as a new one.
pub(super) fn reset_on_virtio(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![Some(stage.standby()), None])?;
    stage.start_driver()?;
    pnp::disable_device(stage.world.adapter().device);
    stage.reset(&[STANDBY_PORT])?;
    stage.restart_adapter()?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.add_primary()?;
    stage.expect_vf()?;
    NOTHING
}

impl Stage {
    fn sleep_and_wake(&self, for_ns: u64) -> Result<()> {
        pnp::sleep_system();
        sched::sleep(for_ns);
        pnp::resume_system();
        pnp::settle();
        ensure!(
            self.world.tcpip.is_bound(),
            "TCP/IP was unbound by the sleep"
        );
        self.world.wait_for_link(LIMIT_NS)
    }

    /// The machine is reset, with the drivers of the cards behind these ports stopped; firmware sets the bus
    /// up again.
    pub(super) fn reset(&self, ports: &[usize]) -> Result<()> {
        let machine = self.machine()?;
        self.order(&qmp::system_reset {})?;
        self.world.wait_for("the reset", LIMIT_NS, || {
            machine.has_told(|event| matches!(event, Event::RESET { .. }))
        })?;
        machine.try_with(|core| {
            let places = core.places().len();
            bus::set_up(&mut core.qtest, places)?;
            for port in ports {
                let side = CardSide::find(&mut core.qtest, Port::at(*port))?;
                core.place_at(Port::at(*port))?.card = Some(side);
            }
            Ok(())
        })
    }
}
