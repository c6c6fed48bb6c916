//! Devices without hardware, driven by native miniports or by loaded drivers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ndis_sys::{IF_TYPE_ETHERNET_CSMACD, NdisMedium802_3, NdisPhysicalMedium802_3};

use super::device_objects;
use super::devices::{self, DeviceId, Function};
use super::drivers::DriverId;
use crate::ndis::native::Miniport;
use crate::ndis::node::{DeviceNode, DeviceObjects, MessageSink, Resources};
use crate::ndis::{drivers, modules};
use crate::registry::{self, CURRENT_CONTROL_SET, Value};
use crate::sched::BatonCell;

/// Device setup class of network adapters.
const NET_CLASS: &str = "{4d36e972-e325-11ce-bfc1-08002be10318}";

static COUNT: BatonCell<u32> = BatonCell::new(0);

/// The node of a device that has no hardware.
struct NativeNode {
    key: String,
    objects: DeviceObjects,
    gone: AtomicBool,
}

impl DeviceNode for NativeNode {
    fn driver_key(&self) -> String {
        self.key.clone()
    }

    fn objects(&self) -> DeviceObjects {
        self.objects
    }

    fn resources(&self) -> Resources {
        Resources::default()
    }

    fn config_read(&self, _offset: u32, _data: &mut [u8]) -> usize {
        0
    }

    fn config_write(&self, _offset: u32, _data: &[u8]) -> usize {
        0
    }

    fn map(&self, _start: u64, _length: usize) -> Option<*mut u8> {
        None
    }

    fn unmap(&self, _address: *mut u8) {}

    fn connect_messages(&self, _sink: MessageSink) -> bool {
        false
    }

    fn disconnect_messages(&self) {}

    fn unplug(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Adds a device that a native miniport drives: a VF, say. `make` is called at each start.
///
/// The media keywords of Ethernet are put into its driver key, and `settings` over them.
pub fn add_native_device(
    name: &str,
    settings: &[(&str, Value)],
    make: impl Fn() -> Arc<dyn Miniport> + Send + 'static,
) -> DeviceId {
    let driver = drivers::add(modules::native(name), None);
    let make = Box::new(make);
    add(name, settings, 0, Function::Native { driver, make })
}

/// Adds a device without hardware for a loaded driver, with keywords as [`add_native_device`].
pub fn add_root_device(name: &str, settings: &[(&str, Value)], driver: DriverId) -> DeviceId {
    let object = super::drivers::object_of(driver);
    add(
        name,
        settings,
        object,
        Function::Image(BatonCell::new(driver)),
    )
}

fn add(name: &str, settings: &[(&str, Value)], driver: usize, function: Function) -> DeviceId {
    let number = COUNT.with(|count| {
        *count += 1;
        *count
    });
    let guid = format!("{{4E415449-0000-4000-8000-{number:012X}}}");
    let key = format!(r"{CURRENT_CONTROL_SET}\Control\Class\{NET_CLASS}\9{number:03}");
    registry::with(|registry| {
        let key = registry.create(&key);
        key.set("NetCfgInstanceId", Value::Sz(guid.clone()));
        key.set("DriverDesc", Value::Sz(name.to_owned()));
        key.set("*IfType", Value::Dword(u32::from(IF_TYPE_ETHERNET_CSMACD)));
        key.set("*MediaType", Value::Dword(NdisMedium802_3 as u32));
        key.set(
            "*PhysicalMediaType",
            Value::Dword(NdisPhysicalMedium802_3 as u32),
        );
        for (name, value) in settings {
            key.set(name, value.clone());
        }
    });
    let node = Arc::new(NativeNode {
        key,
        objects: device_objects::create(driver),
        gone: AtomicBool::new(false),
    });
    devices::add(guid, function, node)
}
