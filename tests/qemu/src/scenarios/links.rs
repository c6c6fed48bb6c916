//! Links that go down and come up.

use anyhow::{Result, ensure};
use ndis_host::sched;
use qapi::qmp;
use scenarios::world::MILLISECOND_NS;

use super::LIMIT_NS;
use super::stage::{Path, Stage};
use super::verdict::{Allowed, NOTHING, Outcome};
use crate::backend::{PRIMARY, STANDBY};

/// Frames that a card may have had in its hands when its link went down, each way: as many as go in the
/// time that the driver has for an interrupt on a machine with other work.
const MOST_LOST: u64 = 200;
/// How often.
const TIMES: usize = 3;

/// The VF's link goes down and comes up: virtio carries meanwhile, and nobody above hears of it.
pub(super) fn vf(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let before = stage.link_changes();
    for _ in 0..TIMES {
        stage.set_link(PRIMARY, false)?;
        sched::sleep(20 * MILLISECOND_NS);
        stage.expect_carrier(Path::Virtio)?;
        stage.set_link(PRIMARY, true)?;
        stage.expect_carrier(Path::Vf)?;
    }
    ensure!(before == stage.link_changes(), "the link was told of");
    Ok(Allowed {
        lost: TIMES as u64 * MOST_LOST,
        ..Allowed::default()
    })
}

/// The standby's link goes down and comes up while the VF carries: it is of no importance.
pub(super) fn standby(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    let before = stage.link_changes();
    for _ in 0..TIMES {
        stage.set_link(STANDBY, false)?;
        stage.expect_carrier(Path::Vf)?;
        stage.set_link(STANDBY, true)?;
        stage.expect_carrier(Path::Vf)?;
    }
    ensure!(before == stage.link_changes(), "the link was told of");
    NOTHING
}

/// Both links go down: so does the adapter's. It comes up with the first of the two.
pub(super) fn both(stage: &mut Stage) -> Outcome {
    stage.start_on_vf()?;
    for first in [STANDBY, PRIMARY] {
        let before = stage.link_changes();
        stage.set_link(STANDBY, false)?;
        stage.set_link(PRIMARY, false)?;
        let tcpip = stage.world.tcpip.clone();
        stage
            .world
            .wait_for("the link to go down", LIMIT_NS, move || !tcpip.link_up())?;
        sched::sleep(20 * MILLISECOND_NS);
        stage.set_link(first, true)?;
        stage.world.wait_for_link(LIMIT_NS)?;
        let (path, second) = match first {
            STANDBY => (Path::Virtio, PRIMARY),
            _ => (Path::Vf, STANDBY),
        };
        stage.expect_carrier(path)?;
        stage.set_link(second, true)?;
        stage.expect_carrier(Path::Vf)?;
        let told = stage.link_changes() - before;
        ensure!(told == 2, "the link was told of {told} times");
    }
    // TCP and pings go on, but nobody carries for a while.
    Ok(Allowed {
        lost: 4 * MOST_LOST,
        link_downs: 2,
        failed: MOST_LOST,
        ..Allowed::default()
    })
}

impl Stage {
    /// Moves the link of a card.
    fn set_link(&self, card: &str, up: bool) -> Result<()> {
        let name = card.to_owned();
        self.order(&qmp::set_link { name, up })
    }
}
