//! VIOPROT comes and goes, as the administrator has it.

use anyhow::{Context, Result};
use ndis_host::pnp::{self, DeviceId, ProtocolId};
use neighbours::listener::{self, Listener};

use super::{World, machine};

impl World {
    /// Installs VIOPROT from its INF. Its binding paths are those that the notify object leaves on:
    /// to VFs.
    ///
    /// # Errors
    ///
    /// The INF can't be used.
    pub fn install_vioprot(&mut self) -> Result<()> {
        let vfs: Vec<DeviceId> = self.primary.iter().map(|vf| vf.device()).collect();
        let inf = machine::protocol_inf()?;
        self.vioprot = Some(pnp::install_protocol(inf, machine::PROTOCOL, &vfs)?);
        Ok(())
    }

    /// Switches VIOPROT's binding path to the driver's own adapter on, which the INF allows: so it
    /// is where no notify object has switched it off.
    ///
    /// # Errors
    ///
    /// VIOPROT is not installed.
    pub fn offer_own_adapter(&self) -> Result<()> {
        let vioprot = self.vioprot.context("VIOPROT is not installed")?;
        pnp::set_binding(vioprot, self.adapter().device, true);
        Ok(())
    }

    /// Installs another version of the driver, which is the same image again.
    ///
    /// # Errors
    ///
    /// It can't be loaded, or the adapter does not start with it.
    pub fn update_driver(&mut self) -> Result<()> {
        self.driver = pnp::update_driver(self.driver, self.image.bytes())?;
        pnp::settle();
        Ok(())
    }

    /// Adds a protocol above the adapter that only listens.
    #[must_use]
    pub fn add_listener(&self) -> ProtocolId {
        let adapter = self.adapter().device;
        pnp::add_native_protocol_on(listener::SERVICE, Listener::new(), &[adapter])
    }

    /// Uninstalls VIOPROT.
    pub fn uninstall_vioprot(&mut self) {
        if let Some(vioprot) = self.vioprot.take() {
            pnp::uninstall_protocol(vioprot);
        }
    }
}
