//! Changes while the system runs: a removal or a stop that is taken back, other resources, and
//! another driver.

use ndis_sys::{
    NDIS_STATUS, NdisDevicePnPEventQueryRemoved, NdisDevicePnPEventQueryStopped,
    NetEventCancelRemoveDevice,
};

use super::binder;
use super::devices::{self, DeviceId, Function};
use super::drivers::{self, DriverId};
use super::life;
use crate::ndis::adapter::Adapter;
use crate::ndis::bindings::events;
use crate::{registry, sched};

/// A removal is asked for and taken back (IRP_MN_CANCEL_REMOVE_DEVICE); the device goes on.
/// PASSIVE.
pub fn cancel_removal(device: DeviceId) {
    ask_and_cancel(device, NdisDevicePnPEventQueryRemoved);
}

/// A stop is asked for and taken back (IRP_MN_CANCEL_STOP_DEVICE); the device goes on. PASSIVE.
pub fn cancel_stop(device: DeviceId) {
    ask_and_cancel(device, NdisDevicePnPEventQueryStopped);
}

fn ask_and_cancel(device: DeviceId, event: i32) {
    binder::settle();
    let Some(adapter) = devices::get(device).adapter() else {
        return;
    };
    let _stack = adapter.own_stack();
    adapter.notify(event);
    life::query_remove(adapter);
    sched::sleep(1 + sched::random_below(1_000_000));
    tell_cancelled(adapter);
}

fn tell_cancelled(adapter: &'static Adapter) {
    for binding in adapter.bindings() {
        let (code, none) = (NetEventCancelRemoveDevice, std::ptr::null_mut());
        events::deliver(binding.protocol, Some(binding), code, none, 0);
    }
}

/// The PnP manager needs the resources of a device elsewhere: it is stopped, and started again
/// with other BAR addresses and vectors (2.6). PASSIVE; [`super::settle`] waits for its binds.
///
/// # Errors
///
/// As [`super::start_device`].
pub fn rebalance_device(device: DeviceId) -> Result<(), NDIS_STATUS> {
    life::stop_device(device);
    devices::get(device).node.move_resources();
    life::start_device(device)
}

/// Another version of a driver is installed (2.8): its devices are removed in order, the image is
/// unloaded, the new one is loaded, and the devices start again. PASSIVE; [`super::settle`] waits
/// for their binds.
///
/// # Errors
///
/// The new image does not load; the devices are there, without a driver. A device that does not
/// start with it is an error, too.
pub fn update_driver(old: DriverId, file: &[u8]) -> anyhow::Result<DriverId> {
    let service = drivers::service_of_driver(old)?;
    let devices = devices::of_driver(old);
    let started: Vec<_> = devices
        .iter()
        .filter(|device| device.adapter().is_some())
        .collect();
    for device in &started {
        life::disable_device(device.id);
    }
    drivers::unload_driver_of(old);
    registry::with(|registry| {
        registry.create(&format!(r"{}\{service}", registry::SERVICES));
    });
    let new = drivers::load_driver(file, &service)?;
    for device in &devices {
        if let Function::Image(driver) = &device.function {
            driver.with(|driver| *driver = new);
            devices::note_driver(new);
        }
    }
    for device in started {
        life::start_device(device.id).map_err(|status| {
            anyhow::anyhow!(
                "{} does not start with its new driver: {status:#x}",
                device.guid
            )
        })?;
    }
    Ok(new)
}
