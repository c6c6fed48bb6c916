//! PCI devices.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use devices::pci::{PciFunction, PciHost};

use super::device_objects;
use super::devices::{self as device_table, DeviceId, Function};
use super::drivers::{self, DriverId};
use super::slot::{HostSide, Slot};
use crate::inf::{Inf, Installed, Target};
use crate::mmio;
use crate::ndis::node::{DeviceNode, DeviceObjects, MessageSink, Resources};
use crate::registry::{self, Value};

/// The node of a PCI device.
struct PciNode {
    slot: &'static Slot,
    key: String,
    objects: DeviceObjects,
}

impl DeviceNode for PciNode {
    fn driver_key(&self) -> String {
        self.key.clone()
    }

    fn objects(&self) -> DeviceObjects {
        self.objects
    }

    fn resources(&self) -> Resources {
        Resources {
            memory: self.slot.memory(),
            messages: self.slot.messages(),
        }
    }

    fn config_read(&self, offset: u32, data: &mut [u8]) -> usize {
        let Ok(offset) = u16::try_from(offset) else {
            return 0;
        };
        self.slot.config_read(offset, data);
        data.len()
    }

    fn config_write(&self, offset: u32, data: &[u8]) -> usize {
        let Ok(offset) = u16::try_from(offset) else {
            return 0;
        };
        self.slot.config_write(offset, data);
        data.len()
    }

    fn map(&self, start: u64, length: usize) -> Option<*mut u8> {
        self.slot.map(start, length)
    }

    fn unmap(&self, address: *mut u8) {
        mmio::unmap(address);
    }

    fn connect_messages(&self, sink: MessageSink) -> bool {
        self.slot.connect(sink)
    }

    fn disconnect_messages(&self) {
        self.slot.disconnect();
    }

    fn set_powered(&self, on: bool) {
        self.slot.set_enabled(on);
    }

    fn unplug(&self) {
        self.slot.unplug();
    }
}

/// Adds a PCI device that an image drives, and installs it from its INF. It is not started.
///
/// `build` makes the function; it is given the machine. `settings` go into the driver key over
/// what the INF puts there.
///
/// # Errors
///
/// When the driver is not loaded, or the INF has no model for the device.
pub fn add_pci_device(
    driver: DriverId,
    inf: &Inf,
    settings: &[(&str, Value)],
    build: impl FnOnce(Arc<dyn PciHost>) -> Box<dyn PciFunction>,
) -> anyhow::Result<DeviceId> {
    drivers::module_of(driver)?;
    let slot = Slot::create();
    slot.plug(build(Arc::new(HostSide(slot))));
    let installed = install(inf, &slot.hardware_ids())?;
    registry::with(|registry| {
        let key = registry.create(&installed.driver_key);
        for (name, value) in settings {
            key.set(name, value.clone());
        }
    });
    let objects = device_objects::create(drivers::object_of(driver));
    let node = Arc::new(PciNode {
        slot,
        key: installed.driver_key,
        objects,
    });
    Ok(device_table::add(
        installed.instance,
        Function::Image(driver),
        node,
    ))
}

/// Installs the most specific identifier that the INF knows.
fn install(inf: &Inf, ids: &[String]) -> anyhow::Result<Installed> {
    let target = Target::default();
    let mut last = None;
    for id in ids {
        match registry::with(|registry| inf.install(id, &target, registry)) {
            Ok(installed) => return Ok(installed),
            Err(error) => last = Some(error),
        }
    }
    let error = last.ok_or_else(|| anyhow!("the device has no identifier"))?;
    Err(error).with_context(|| format!("installing {}", ids.join(", ")))
}
