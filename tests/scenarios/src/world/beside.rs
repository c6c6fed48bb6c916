//! A second adapter in the same machine, on a wire of its own.

use std::sync::Arc;

use anyhow::{Context, Result};
use devices::wire::{MacAddress, Switch};
use ndis_host::pnp;
use neighbours::ledgers::Ledgers;

use super::backend::Backend;
use super::{World, guest_port, hosts};

/// The service of the TCP/IP above it.
const SERVICE: &str = "tcpip2";

impl World {
    /// A world beside this one: another adapter of the same driver, with a TCP/IP, a wire and a peer of its
    /// own. Its device is one of `backend`; `mac` is the address of that and of its VF. VIOPROT is installed
    /// already, and is that of both. To be finished before this one, which unloads the drivers.
    ///
    /// # Errors
    ///
    /// VIOPROT is not installed, or the driver of VFs can't be loaded.
    pub fn beside(&mut self, backend: Arc<dyn Backend>, mac: MacAddress) -> Result<Self> {
        let vioprot = self.vioprot.context("VIOPROT is not installed")?;
        let vf_driver = self.load_vf_driver()?;
        let switch = Switch::new(self.clock.clone());
        let ledgers = Ledgers::new(mac, "start");
        let tcpip = hosts::tcpip(self.seed, mac, &ledgers);
        let peer = hosts::peer(self.seed, self.clock.clone(), &switch, &ledgers);
        let port = guest_port();
        let tcpip_component = pnp::add_native_protocol(SERVICE, tcpip.clone());
        Ok(Self {
            seed: self.seed,
            clock: self.clock.clone(),
            switch,
            standby_port: port,
            vf_port: port,
            image: self.image.clone(),
            driver: self.driver,
            vf_driver: Some(vf_driver),
            is_guest: true,
            backend: Some(backend),
            adapter: None,
            vioprot: Some(vioprot),
            primary: None,
            messages: self.messages,
            plugged: 0,
            ping_interval_ns: self.ping_interval_ns,
            misuses: Vec::new(),
            tcpip,
            tcpip_component: Some(tcpip_component),
            peer,
            ledgers,
        })
    }
}
