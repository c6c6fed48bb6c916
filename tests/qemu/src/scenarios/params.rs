//! Command lines: which card is there, and when.

use anyhow::{Result, ensure};
use scenarios::world::{AdapterOptions, GUEST_MAC};

use super::events::{expect_none, expect_order};
use super::stage::{PRIMARY_PORT, Path, Stage};
use super::verdict::{Allowed, NOTHING, Outcome};
use crate::backend::{PRIMARY, STANDBY};
use crate::bus::Port;
use crate::process::{CardOptions, Failover};

/// QEMU's event when the driver has taken STANDBY.
pub(super) const NEGOTIATED: &str = "FAILOVER_NEGOTIATED standby0";

/// A primary without a name is refused; with one it is taken, and carries.
pub(super) fn error_id(stage: &mut Stage) -> Outcome {
    let nameless = CardOptions {
        id: String::new(),
        ..stage.primary()
    };
    refused(
        stage,
        "port1",
        &nameless,
        "Device with failover_pair_id needs to have id",
    )
}

/// A primary where no card comes and goes is refused.
pub(super) fn error_pcie(stage: &mut Stage) -> Outcome {
    let primary = stage.primary();
    let why = "Bus 'pcie.0' does not support hotplugging";
    refused(stage, "pcie.0", &primary, why)?;
    // QEMU remembers it, and tries again when STANDBY is taken.
    Ok(Allowed {
        said: &["does not support hotplugging"],
        ..Allowed::default()
    })
}

/// What is refused leaves no trace: the driver starts, and a right primary comes.
fn refused(stage: &mut Stage, bus: &str, primary: &CardOptions, why: &str) -> Outcome {
    stage.rack.start(vec![Some(stage.standby()), None])?;
    let port = Port::at(PRIMARY_PORT);
    let Err(error) = stage.rack.add_on(bus, port, primary) else {
        anyhow::bail!("QEMU takes {primary:?} on {bus}");
    };
    let said = format!("{error:#}");
    ensure!(said.contains(why), "{said}, not {why}");
    let primary = stage.primary();
    stage.expect_visible(&[(&stage.standby(), true), (&primary, false)])?;
    stage.start_driver()?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.rack.add(port, primary)?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    NOTHING
}

/// Before the driver starts the standby is there and the primary is not.
pub(super) fn on(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    let (standby, primary) = (stage.standby(), stage.primary());
    stage.expect_visible(&[(&standby, true), (&primary, false)])?;
    expect_none(&stage.told()?, &["FAILOVER"])?;
    stage.start_driver()?;
    stage.plug_primary()?;
    stage.expect_vf()?;
    stage.start_flow();
    stage.expect_carrier(Path::Vf)?;
    NOTHING
}

/// The primary names another standby, and has another address: QEMU takes it for a NIC like any other,
/// and so does the driver.
pub(super) fn on_mismatch(stage: &mut Stage) -> Outcome {
    let mut mac = GUEST_MAC;
    mac[5] ^= 0x10;
    let elsewhere = Failover::PrimaryOf("standby1".to_owned());
    let primary = stage.rack.card(PRIMARY, mac, elsewhere);
    let standby = stage.standby();
    stage
        .rack
        .start(vec![Some(standby.clone()), Some(primary.clone())])?;
    stage.expect_visible(&[(&standby, true), (&primary, true)])?;
    stage.start_driver()?;
    expect_order(&stage.told()?, &[NEGOTIATED])?;
    stage.start_flow();
    stage.start_primary()?;
    stage.expect_unused_vf()?;
    stage.expect_visible(&[(&standby, true), (&primary, true)])?;
    NOTHING
}

/// Without failover both are there, and the driver, whose device is no standby, has no VF, even where it
/// has the same address.
pub(super) fn off(stage: &mut Stage) -> Outcome {
    let (standby, primary) = stage.power_up_without_failover()?;
    stage.expect_visible(&[(&standby, true), (&primary, true)])?;
    stage.start_driver_with(AdapterOptions::default())?;
    stage.expect_visible(&[(&standby, true), (&primary, true)])?;
    stage.start_flow();
    stage.start_primary()?;
    stage.expect_unused_vf()?;
    expect_none(&stage.told()?, &["FAILOVER"])?;
    NOTHING
}

/// The driver takes STANDBY, and the primary appears.
pub(super) fn enabled(stage: &mut Stage) -> Outcome {
    stage.power_up()?;
    let (standby, primary) = (stage.standby(), stage.primary());
    stage.start_driver()?;
    stage.expect_negotiated()?;
    stage.start_flow();
    stage.expect_carrier(Path::Virtio)?;
    stage.plug_primary()?;
    stage.expect_visible(&[(&standby, true), (&primary, true)])?;
    stage.expect_vf()?;
    NOTHING
}

/// A driver that does not take STANDBY never sees the primary.
pub(super) fn guest_off(stage: &mut Stage) -> Outcome {
    stage.start_without_standby()?;
    stage.expect_carrier(Path::Virtio)?;
    stage.expect_visible(&[(&stage.standby(), true), (&stage.primary(), false)])?;
    expect_none(&stage.told()?, &["FAILOVER"])?;
    NOTHING
}

impl Stage {
    /// Starts QEMU with both cards, and `failover=off`.
    pub(super) fn power_up_without_failover(&self) -> Result<(CardOptions, CardOptions)> {
        let standby = self.rack.card(STANDBY, GUEST_MAC, Failover::None);
        let primary = self.primary();
        self.rack
            .start(vec![Some(standby.clone()), Some(primary.clone())])?;
        Ok((standby, primary))
    }

    /// From the power-up of a pair to an adapter whose driver has not taken STANDBY, with traffic.
    pub(super) fn start_without_standby(&mut self) -> Result<()> {
        self.power_up()?;
        self.rack.hide_standby(true);
        self.start_driver_with(AdapterOptions::default())?;
        self.start_flow();
        Ok(())
    }

    /// The VF stays unused for longer than a fit one would take to carry.
    pub(super) fn expect_unused_vf(&self) -> Result<()> {
        const LONGER_NS: u64 = 300_000_000;
        ndis_host::sched::sleep(LONGER_NS);
        let used = self.world.primary().is_some_and(|vf| vf.is_in_use());
        ensure!(!used, "the VF's receive filter is open");
        self.expect_carrier(Path::Virtio)
    }
}
