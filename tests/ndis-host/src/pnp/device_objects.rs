//! DEVICE_OBJECTs of a device: physical (the bus's) and functional (NDIS's).

use ndis_sys::{
    DEVICE_OBJECT, DO_BUS_ENUMERATED_DEVICE, DRIVER_OBJECT, FILE_DEVICE_PHYSICAL_NETCARD,
    IO_TYPE_DEVICE, Zeroed,
};

use crate::ndis::node::DeviceObjects;

/// The device objects of one device. They live as long as the process, as a driver may look at
/// the physical one for as long as the device is there.
pub(super) fn create(driver_object: usize) -> DeviceObjects {
    let physical = object(0, DO_BUS_ENUMERATED_DEVICE);
    let functional = object(driver_object, 0);
    // SAFETY: both are leaked boxes, made just now.
    unsafe { (*physical).AttachedDevice = functional };
    DeviceObjects {
        physical: physical.expose_provenance(),
        functional: functional.expose_provenance(),
        next: physical.expose_provenance(),
    }
}

fn object(driver_object: usize, flags: u32) -> *mut DEVICE_OBJECT {
    let mut object = Box::new(DEVICE_OBJECT::zeroed());
    object.Type = IO_TYPE_DEVICE;
    object.Size = size_of::<DEVICE_OBJECT>() as u16;
    object.ReferenceCount = 1;
    object.DriverObject = std::ptr::with_exposed_provenance_mut::<DRIVER_OBJECT>(driver_object);
    object.DeviceType = FILE_DEVICE_PHYSICAL_NETCARD;
    object.StackSize = 1;
    object.Flags = flags;
    Box::into_raw(object)
}
