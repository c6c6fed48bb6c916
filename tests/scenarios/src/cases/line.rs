//! The adapter interrupts by a line that it shares, as on a machine that is out of vectors.

use anyhow::{Result, ensure};

use super::{adapter, failover};
use crate::world::World;

/// As [`adapter::boot`].
pub(super) fn boot_on_line(world: &mut World) -> Result<()> {
    world.use_line();
    adapter::boot(world)?;
    expect_no_messages(world)
}

/// As [`failover::vf_surprise`].
pub(super) fn vf_surprise_on_line(world: &mut World) -> Result<()> {
    world.use_line();
    failover::vf_surprise(world)?;
    expect_no_messages(world)
}

fn expect_no_messages(world: &World) -> Result<()> {
    let counters = world.adapter().control().counters();
    let asked = counters.rx.interrupts + counters.tx.interrupts;
    ensure!(asked > 0, "the device never interrupted");
    let sent = counters.messages;
    ensure!(sent == 0, "{sent} messages were sent");
    Ok(())
}
