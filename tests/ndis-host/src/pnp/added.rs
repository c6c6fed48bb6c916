//! Devices of drivers that take part in PnP: AddDevice, the resources, RemoveDevice.

use ndis_sys::{NDIS_STATUS, NDIS_STATUS_FAILURE, NDIS_STATUS_SUCCESS};

use super::devices::{Device, Function};
use super::drivers as images;
use crate::ndis::adapter::{self, Adapter};
use crate::ndis::config;
use crate::ndis::drivers::{self as miniport_drivers, MiniportDriver};

/// The registration that drives a device of an image: that for virtual miniports where the driver
/// key says so (rule 17).
pub(super) fn registration(device: &'static Device) -> Option<&'static MiniportDriver> {
    let Function::Image(image) = &device.function else {
        return None;
    };
    let module = images::module_of(image.with(|image| *image)).ok()?;
    let is_virtual = config::integer(&device.node.driver_key(), "IMMiniport") == Some(1);
    let registered = miniport_drivers::of_module(module);
    let mut wanted = registered.iter();
    let found = wanted.find(|driver| driver.is_intermediate() == is_virtual);
    found.or(registered.first()).copied()
}

/// MiniportAddDevice, if the driver has one.
pub(super) fn device_added(device: &'static Device) {
    let Some(driver) = registration(device) else {
        return;
    };
    let wanted = driver
        .pnp_handlers()
        .is_some_and(|handlers| handlers.MiniportAddDeviceHandler.is_some());
    if !wanted {
        return;
    }
    if let Ok(adapter) = new_adapter(device) {
        let status = adapter.call_add_device();
        device
            .state
            .with(|state| state.added = Some((adapter, status)));
    }
}

fn new_adapter(device: &'static Device) -> Result<&'static Adapter, NDIS_STATUS> {
    let (driver, miniport) = device.new_miniport().ok_or(NDIS_STATUS_FAILURE)?;
    let node = device.node.clone();
    Ok(adapter::create(&device.name(), driver, miniport, node))
}

/// The adapter for a device that starts: that which was added, after its driver has seen the
/// resources, or a new one.
pub(super) fn adapter_for_start(device: &'static Device) -> Result<&'static Adapter, NDIS_STATUS> {
    let Some((adapter, status)) = device.state.with(|state| state.added) else {
        return new_adapter(device);
    };
    if status != NDIS_STATUS_SUCCESS {
        return Err(status);
    }
    adapter.filter_requirements();
    match adapter.call_start_device() {
        NDIS_STATUS_SUCCESS => Ok(adapter),
        status => Err(status),
    }
}

/// MiniportRemoveDevice.
pub(super) fn device_removed(device: &'static Device) {
    let added = device.state.with(|state| state.added.take());
    if let Some((adapter, _)) = added {
        adapter.call_remove_device();
    }
}
