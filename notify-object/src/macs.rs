//! The adapters that run: their addresses, and what the driver says of its own.

use std::collections::HashMap;

use netcfg::driver::{self, Told};
use netcfg::interfaces::{self, Interface};
use windows::core::GUID;

use crate::policy::Mac;
use crate::standby::Standby;

/// Interfaces by instance identifier, and the driver's word.
pub(crate) struct Macs {
    interfaces: HashMap<GUID, Interface>,
    told: Option<Told>,
}

impl Macs {
    /// Asks the interface table and the driver.
    pub(crate) fn read() -> Self {
        Self {
            interfaces: interfaces::by_instance(),
            told: driver::ask().ok(),
        }
    }

    /// The current address; `None` for an adapter that has not started.
    pub(crate) fn mac(&self, instance: &GUID) -> Option<Mac> {
        self.interfaces.get(instance)?.mac
    }

    /// What is known of a NetKVM adapter's device.
    pub(crate) fn standby(&self, instance: &GUID) -> Standby {
        let all: Vec<Interface> = self.interfaces.values().copied().collect();
        Standby::of(self.told.as_ref(), self.interfaces.get(instance), &all)
    }
}
