//! What is migrated: the devices, and how the guest gets from one host to the next.

use std::sync::Arc;

use anyhow::Result;

use crate::report::Details;
use crate::world::backend::Backend;
use crate::world::{MILLISECOND_NS, VfPlug, WithdrawalTimes, World};

/// The devices of a run and what a host does with them.
pub trait Rig {
    /// Its name, for the report.
    fn name(&self) -> &'static str;

    /// What makes the adapter's device; `None`: it is the embedded one.
    fn backend(&self) -> Option<Arc<dyn Backend>>;

    /// How often the guest migrates.
    fn hops(&self) -> u32;

    /// Time from one look at the traffic to the next, ns: as often it gets more bytes to send.
    fn tick_ns(&self) -> u64 {
        MILLISECOND_NS / 4
    }

    /// Makes a world ready that has just started.
    fn prepare(&self, _world: &mut World) {}

    /// Plugs the VF and starts it. The driver has taken STANDBY.
    ///
    /// # Errors
    ///
    /// It does not appear, or does not start.
    fn plug(&mut self, world: &mut World) -> Result<()>;

    /// The migration begins: the host asks for the VF, and the guest gives it back.
    ///
    /// # Errors
    ///
    /// There is no VF, or the host does not ask.
    fn withdraw(&mut self, world: &mut World) -> Result<WithdrawalTimes>;

    /// The guest moves to the other host, where it goes on with virtio.
    ///
    /// # Errors
    ///
    /// It does not arrive.
    fn cross(&mut self, world: &World) -> Result<()>;

    /// What else there is to tell, once everything is taken down: facts for the report, and what went
    /// wrong at the devices.
    fn end(&mut self) -> (Option<Details>, Vec<String>);
}

/// The embedded devices. Both hosts are alike, so the guest only loses its VF for a while.
pub struct Embedded;

impl Rig for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn backend(&self) -> Option<Arc<dyn Backend>> {
        None
    }

    fn hops(&self) -> u32 {
        1
    }

    fn plug(&mut self, world: &mut World) -> Result<()> {
        world.plug_vf(&VfPlug::default())
    }

    fn withdraw(&mut self, world: &mut World) -> Result<WithdrawalTimes> {
        world.withdraw_vf()
    }

    fn cross(&mut self, _world: &World) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> (Option<Details>, Vec<String>) {
        (None, Vec::new())
    }
}
