//! Devices: what the PnP manager knows of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use ndis_sys::NDIS_STATUS;

use super::added;
use super::drivers::DriverId;
use crate::ndis::adapter::Adapter;
use crate::ndis::drivers::MiniportDriver;
use crate::ndis::handles;
use crate::ndis::native::{AdapterHandle, Miniport};
use crate::ndis::node::DeviceNode;
use crate::registry::{self, Value};
use crate::sched::BatonCell;

/// A device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub u32);

/// Who drives a device.
pub(super) enum Function {
    /// The miniport driver of an image; an update puts another one in its place.
    Image(BatonCell<DriverId>),
    /// A native miniport; the maker is called at each start.
    Native {
        driver: &'static MiniportDriver,
        make: Box<dyn Fn() -> Arc<dyn Miniport> + Send>,
    },
}

/// A device.
pub(super) struct Device {
    pub(super) id: DeviceId,
    /// `{GUID}`: NetCfgInstanceId.
    pub(super) guid: String,
    pub(super) function: Function,
    pub(super) node: Arc<dyn DeviceNode>,
    pub(super) state: BatonCell<State>,
}

/// What changes about a device.
#[derive(Default)]
pub(super) struct State {
    pub(super) adapter: Option<&'static Adapter>,
    /// It was pulled out without notice.
    pub(super) vanished: bool,
    /// The adapter of a device that MiniportAddDevice has seen, and what that returned.
    pub(super) added: Option<(&'static Adapter, NDIS_STATUS)>,
    /// It is in low power.
    pub(super) asleep: bool,
}

// SAFETY: a device is used by the holder of the baton only.
unsafe impl Sync for Device {}

static DEVICES: BatonCell<Vec<&'static Device>> = BatonCell::new(Vec::new());
static COUNT: BatonCell<u32> = BatonCell::new(0);
/// Drivers that have, or have had, a device.
static DRIVERS: BatonCell<BTreeSet<DriverId>> = BatonCell::new(BTreeSet::new());

/// Adds a device that is not started.
pub(super) fn add(guid: String, function: Function, node: Arc<dyn DeviceNode>) -> DeviceId {
    let id = DeviceId(COUNT.with(|count| {
        *count += 1;
        *count
    }));
    let state = BatonCell::new(State::default());
    let device: &'static Device = Box::leak(Box::new(Device {
        id,
        guid,
        function,
        node,
        state,
    }));
    if let Function::Image(driver) = &device.function {
        note_driver(driver.with(|driver| *driver));
    }
    DEVICES.with(|devices| devices.push(device));
    super::components::device_added(id);
    added::device_added(device);
    id
}

/// A device that is there.
///
/// # Panics
///
/// When it was removed.
pub(super) fn get(id: DeviceId) -> &'static Device {
    find(id).unwrap_or_else(|| panic!("device {id:?} has been removed"))
}

/// A device, if it is there.
pub(super) fn find(id: DeviceId) -> Option<&'static Device> {
    DEVICES.with(|devices| devices.iter().find(|device| device.id == id).copied())
}

/// Forgets a device.
pub(super) fn forget(id: DeviceId) {
    if let Some(device) = find(id) {
        added::device_removed(device);
    }
    DEVICES.with(|devices| devices.retain(|device| device.id != id));
}

/// All devices.
pub(super) fn all() -> Vec<&'static Device> {
    DEVICES.with(|devices| devices.clone())
}

/// A driver has a device.
pub(super) fn note_driver(driver: DriverId) {
    DRIVERS.with(|drivers| drivers.insert(driver));
}

/// Whether this driver has, or has had, a device.
pub(super) fn had_driver(driver: DriverId) -> bool {
    DRIVERS.with(|drivers| drivers.contains(&driver))
}

/// Devices that an image drives.
pub(super) fn of_driver(driver: DriverId) -> Vec<&'static Device> {
    let is_of = |device: &&'static Device| matches!(&device.function, Function::Image(of) if of.with(|of| *of) == driver);
    all().into_iter().filter(is_of).collect()
}

/// The device of an adapter.
pub(super) fn of_adapter(adapter: u64) -> Option<&'static Device> {
    all().into_iter().find(|device| {
        device
            .state
            .with(|state| state.adapter.is_some_and(|of| of.handle == adapter))
    })
}

impl Device {
    /// The driver that drives it, and its side of a new start; `None` while there is no driver.
    pub(super) fn new_miniport(
        &'static self,
    ) -> Option<(&'static MiniportDriver, Arc<dyn Miniport>)> {
        match &self.function {
            Function::Native { driver, make } => Some((*driver, make())),
            Function::Image(_) => {
                let driver = added::registration(self)?;
                Some((driver, driver.new_miniport()?))
            }
        }
    }

    /// `\Device\{GUID}`: what bindings and protocols call the adapter.
    pub(super) fn name(&self) -> String {
        format!(r"\Device\{}", self.guid)
    }

    /// The adapter, while the device is started.
    pub(super) fn adapter(&'static self) -> Option<&'static Adapter> {
        let adapter = self.state.with(|state| state.adapter)?;
        handles::lookup::<Adapter>(adapter.handle)
    }
}

/// The adapter of a device, while it is started.
pub fn adapter(device: DeviceId) -> Option<AdapterHandle> {
    find(device)?
        .adapter()
        .map(|adapter| adapter.native_handle())
}

/// Registry path of a device's driver key: the adapter's parameters.
pub fn driver_key(device: DeviceId) -> String {
    get(device).node.driver_key()
}

/// Registry path of the driver key of the device that a device object belongs to.
pub(crate) fn driver_key_of_object(object: usize) -> Option<String> {
    let is_of = |device: &&'static Device| {
        let objects = device.node.objects();
        object == objects.physical || object == objects.functional
    };
    all()
        .into_iter()
        .find(is_of)
        .map(|device| device.node.driver_key())
}

/// Sets a parameter of a device in the registry; a miniport reads it when it starts.
pub fn set_parameter(device: DeviceId, name: &str, value: Value) {
    let key = driver_key(device);
    registry::with(|registry| registry.create(&key).set(name, value));
}
