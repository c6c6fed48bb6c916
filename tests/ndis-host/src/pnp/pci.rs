//! PCI devices.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use devices::pci::{BarKind, PciFunction, PciHost};

use super::device_objects;
use super::devices::{self as device_table, DeviceId, Function};
use super::drivers::{self, DriverId};
use super::slot::{HostSide, Slot};
use crate::inf::{Inf, Installed, Target};
use crate::mmio;
use crate::ndis::node::{
    Access, DeviceNode, DeviceObjects, DmaAccess, Level, LineSink, MessageSink, Resources,
    TableChange,
};
use crate::registry::{self, Value};
use crate::sched::BatonCell;

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
        let messages = self.slot.messages();
        let line = if messages.is_empty() {
            self.slot.line()
        } else {
            None
        };
        Resources {
            memory: self.slot.ranges(BarKind::Memory),
            ports: self.slot.ranges(BarKind::Ports),
            messages,
            line,
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
        self.slot.connect_messages(sink)
    }

    fn disconnect_messages(&self) {
        self.slot.disconnect_messages();
    }

    fn change_message(&self, entry: usize, change: TableChange) -> bool {
        self.slot.change_entry(entry, change)
    }

    fn connect_line(&self, sink: LineSink) -> bool {
        self.slot.connect_line(sink)
    }

    fn disconnect_line(&self) {
        self.slot.disconnect_line();
    }

    fn line_level(&self) -> Level {
        self.slot.line_level()
    }

    fn claim_ports(&self, first: u64, count: u64) -> bool {
        self.slot.claim_ports(first, count)
    }

    fn release_ports(&self, first: u64) {
        mmio::ports::release(first);
    }

    fn map_dma(&self, physical: u64, len: usize, access: DmaAccess) -> u64 {
        self.slot.domain.map(physical, len, access)
    }

    fn unmap_dma(&self, logical: u64, len: usize) {
        self.slot.domain.unmap(logical, len);
    }

    fn message_capability(&self) -> usize {
        self.slot.message_capability()
    }

    fn set_message_targets(&self, cpus: Vec<usize>) {
        self.slot.set_message_targets(cpus);
    }

    fn limit_messages(&self, limit: Option<usize>) {
        self.slot.limit_messages(limit);
    }

    fn set_powered(&self, on: bool) {
        self.slot.set_enabled(on);
    }

    fn power_off(&self) {
        self.slot.power_off();
    }

    fn power_on(&self) {
        self.slot.power_on();
    }

    fn move_resources(&self) {
        self.slot.move_resources();
    }

    fn set_access(&self, access: Access) {
        self.slot.registers().allow(access);
    }

    fn unplug(&self) {
        self.slot.unplug();
    }

    fn is_gone(&self) -> bool {
        self.slot.is_unplugged()
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
        Function::Image(BatonCell::new(driver)),
        node,
    ))
}

/// Grants a device at most so many messages from its next start on, as a machine that is short of
/// vectors does; `Some(0)` leaves it the interrupt line, `None` grants what it has.
pub fn limit_messages(device: DeviceId, limit: Option<usize>) {
    device_table::get(device).node.limit_messages(limit);
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
