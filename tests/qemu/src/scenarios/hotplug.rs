//! Cards that come while the machine runs, in any order.

use anyhow::Result;

use super::events::{expect_none, expect_order};
use super::params::NEGOTIATED;
use super::stage::{PRIMARY_PORT, Path, STANDBY_PORT, Stage};
use super::verdict::{NOTHING, Outcome};
use crate::bus::Port;

/// The standby is there, and its driver runs; the primary is added, and is there at once.
pub(super) fn one(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![Some(stage.standby()), None])?;
    stage.start_driver()?;
    stage.expect_negotiated()?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.add_primary()?;
    stage.end_on_vf()
}

/// The primary is there, and the standby is added: until the driver has it, the primary is a NIC of its own.
pub(super) fn one_reverse(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![None, Some(stage.primary())])?;
    let primary = stage.primary();
    stage.expect_visible(&[(&primary, true)])?;
    stage.start_primary()?;
    stage.add_standby()?;
    stage.expect_visible(&[(&primary, true)])?;
    expect_none(&stage.told()?, &["FAILOVER"])?;
    stage.start_driver()?;
    stage.expect_negotiated()?;
    stage.end_on_vf()
}

/// The standby is added, its driver starts, the primary is added.
pub(super) fn two(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![None, None])?;
    stage.add_standby()?;
    let primary = stage.primary();
    stage.expect_visible(&[(&stage.standby(), true), (&primary, false)])?;
    stage.start_driver()?;
    stage.expect_negotiated()?;
    stage.expect_visible(&[(&primary, false)])?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.add_primary()?;
    stage.end_on_vf()
}

/// The primary is added before its standby, so that QEMU does not hide it.
pub(super) fn two_reverse(stage: &mut Stage) -> Outcome {
    stage.rack.start(vec![None, None])?;
    stage.add_primary()?;
    let primary = stage.primary();
    stage.expect_visible(&[(&primary, true)])?;
    stage.add_standby()?;
    stage.expect_visible(&[(&stage.standby(), true), (&primary, true)])?;
    stage.start_driver()?;
    stage.expect_negotiated()?;
    stage.end_on_vf()
}

impl Stage {
    /// The standby is added, and the guest finds it; its driver is not started.
    fn add_standby(&self) -> Result<()> {
        self.rack.add(Port::at(STANDBY_PORT), self.standby())?;
        self.await_card(STANDBY_PORT)
    }

    /// The primary is added, is there, and its driver starts.
    pub(super) fn add_primary(&mut self) -> Result<()> {
        self.rack.add(Port::at(PRIMARY_PORT), self.primary())?;
        self.expect_visible(&[(&self.primary(), true)])?;
        self.plug_primary()
    }

    /// The driver has taken STANDBY. QEMU tells of it with each word of the features that is written while
    /// the bit is set: twice.
    pub(super) fn expect_negotiated(&self) -> Result<()> {
        expect_order(&self.told()?, &[NEGOTIATED])
    }

    /// The VF carries in the end.
    fn end_on_vf(&mut self) -> Outcome {
        self.expect_vf()?;
        self.start_flow_if_none();
        self.expect_carrier(Path::Vf)?;
        self.expect_visible(&[(&self.standby(), true), (&self.primary(), true)])?;
        NOTHING
    }
}
