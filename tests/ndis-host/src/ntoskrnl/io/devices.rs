//! Device objects and the stacks that they form.

use std::collections::BTreeMap;
use std::ptr;

use ndis_sys::{
    DEVICE_OBJECT, DO_DEVICE_INITIALIZING, DRIVER_DISPATCH, DRIVER_OBJECT, IO_TYPE_DEVICE,
    IRP_MJ_MAXIMUM_FUNCTION, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING, Zeroed,
};

use super::names;
use super::security::{READ, Security, WRITE, Who};
use crate::ntoskrnl::{enter, text};
use crate::sched::{APC_LEVEL, BatonCell, DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::verifier;

/// STATUS_OBJECT_NAME_COLLISION.
const NAME_COLLISION: NTSTATUS = 0xC000_0035_u32 as NTSTATUS;

/// Dispatch routines of a device that are not those of its driver.
pub(crate) type Dispatch = [Option<DRIVER_DISPATCH>; IRP_MJ_MAXIMUM_FUNCTION as usize + 1];

struct Device {
    driver: usize,
    name: String,
    dispatch: Option<Box<Dispatch>>,
    /// Who may open it; `None`: everybody.
    security: Option<Security>,
    /// References of drivers.
    references: u32,
    /// Files that were not closed yet.
    files: u32,
    /// Of them, those that the driver was not asked to close.
    open: u32,
    deleted: bool,
}

static DEVICES: BatonCell<BTreeMap<usize, Device>> = BatonCell::new(BTreeMap::new());

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("IoCreateDevice", create_device as *const ()),
        ("IoDeleteDevice", delete_device as *const ()),
        ("IoAttachDeviceToDeviceStack", attach as *const ()),
        ("IoDetachDevice", detach as *const ()),
        (
            "IoGetAttachedDeviceReference",
            attached_reference as *const (),
        ),
        ("IoGetDeviceObjectPointer", object_pointer as *const ()),
    ]
}

fn with<R>(device: usize, body: impl FnOnce(&mut Device) -> R) -> Option<R> {
    DEVICES.with(|devices| devices.get_mut(&device).map(body))
}

/// Whether a device object is one that a driver made and has not deleted.
pub(super) fn is_live(device: usize) -> bool {
    with(device, |device| !device.deleted).unwrap_or(false)
}

/// The dispatch routine of a device for a major function.
pub(super) fn dispatch_of(device: *mut DEVICE_OBJECT, major: u8) -> Option<DRIVER_DISPATCH> {
    let index = usize::from(major);
    let own = with(device.addr(), |device| {
        device.dispatch.as_ref().map(|table| table[index])
    });
    match own.flatten() {
        Some(routine) => routine,
        // SAFETY: a live device object names its driver's object.
        None => unsafe { (*(*device).DriverObject).MajorFunction[index] },
    }
}

/// Makes a device object. The name is empty for one without.
///
/// # Errors
///
/// The name is taken.
///
/// # Safety
///
/// `driver` is a live driver object.
pub(crate) unsafe fn create(
    driver: *mut DRIVER_OBJECT,
    extension: usize,
    name: &str,
    kind: u32,
    characteristics: u32,
    dispatch: Option<Box<Dispatch>>,
) -> Result<*mut DEVICE_OBJECT, NTSTATUS> {
    // Extension and object are one block, as drivers know.
    let words = (size_of::<DEVICE_OBJECT>() + extension).div_ceil(16);
    let block: &'static mut [u128] = Box::leak(vec![0_u128; words].into_boxed_slice());
    let object: *mut DEVICE_OBJECT = block.as_mut_ptr().cast();
    let address = object.expose_provenance();
    if !name.is_empty() && !names::add_device(name, address) {
        return Err(NAME_COLLISION);
    }
    // SAFETY: the block is long enough and aligned; the driver's object is live.
    unsafe {
        object.write(DEVICE_OBJECT::zeroed());
        (*object).Type = IO_TYPE_DEVICE;
        (*object).Size = (size_of::<DEVICE_OBJECT>() + extension) as u16;
        (*object).DriverObject = driver;
        (*object).NextDevice = (*driver).DeviceObject;
        (*object).Flags = DO_DEVICE_INITIALIZING;
        (*object).Characteristics = characteristics;
        (*object).DeviceType = kind;
        (*object).StackSize = 1;
        if extension > 0 {
            (*object).DeviceExtension = object.add(1).cast();
        }
        (*driver).DeviceObject = object;
    }
    let device = Device {
        driver: driver.addr(),
        name: name.to_owned(),
        dispatch,
        security: None,
        references: 0,
        files: 0,
        open: 0,
        deleted: false,
    };
    DEVICES.with(|devices| devices.insert(address, device));
    Ok(object)
}

/// Says who may open a device object.
pub(crate) fn secure(object: *mut DEVICE_OBJECT, security: Security) {
    with(object.addr(), |device| device.security = Some(security));
}

/// Opens a file of a device for `who`: the rights that it has there, which may be none.
pub(super) fn open_file(device: usize, who: Who) -> u32 {
    let rights = with(device, |device| {
        device.files += 1;
        device.open += 1;
        let security = device.security.as_ref();
        security.map_or(READ | WRITE, |security| security.rights_of(who))
    });
    rights.unwrap_or(0)
}

/// The driver is about to be asked to close a file of a device.
pub(super) fn begin_close(device: usize) {
    with(device, |device| device.open -= 1);
}

/// A file of a device is closed.
pub(super) fn end_close(device: usize) {
    with(device, |device| device.files -= 1);
}

/// Whether a program has this device open.
pub(crate) fn is_open(device: usize) -> bool {
    with(device, |device| device.open > 0).unwrap_or(false)
}

/// Whether a program has a device of this driver open.
pub(crate) fn has_open_files(driver: usize) -> bool {
    DEVICES.with(|devices| {
        let mut own = devices.values().filter(|device| device.driver == driver);
        own.any(|device| device.files > 0)
    })
}

/// Deletes a device object. Open files keep it in memory; nobody may find it any more.
///
/// # Safety
///
/// `object` was made by [`create`].
pub(crate) unsafe fn delete(object: *mut DEVICE_OBJECT, call: &str) {
    let state = with(object.addr(), |device| {
        let was_live = !std::mem::replace(&mut device.deleted, true);
        (was_live, device.name.clone(), device.driver)
    });
    let Some((true, name, driver)) = state else {
        verifier::fatal(15, format!("{call}: {object:p} is no device object"));
    };
    names::remove_device(&name);
    // SAFETY: the driver's object is live while its code runs; the list holds its devices.
    unsafe { unlink(ptr::with_exposed_provenance_mut(driver), object) };
}

unsafe fn unlink(driver: *mut DRIVER_OBJECT, object: *mut DEVICE_OBJECT) {
    // SAFETY: by contract.
    unsafe {
        let mut link = &raw mut (*driver).DeviceObject;
        while !(*link).is_null() {
            if *link == object {
                *link = (*object).NextDevice;
                return;
            }
            link = &raw mut (**link).NextDevice;
        }
    }
}

/// Device objects that a driver has left, in words.
pub(crate) fn leaks_of(driver: usize) -> Vec<String> {
    DEVICES.with(|devices| {
        let live = devices.values().filter(|device| !device.deleted);
        live.filter(|device| device.driver == driver)
            .map(|device| format!("its device object {}", device.name))
            .collect()
    })
}

/// Counts a reference, or takes one back.
pub(super) fn reference(device: usize, add: bool) {
    let known = with(device, |device| {
        device.references = if add {
            device.references + 1
        } else {
            device.references.saturating_sub(1)
        };
    });
    verifier::insist(215, known.is_some(), || {
        format!("{device:#x} is no device object")
    });
}

/// `IoCreateDevice`. At APC or below.
///
/// # Safety
///
/// The driver object is the caller's; the name is null or valid; `object` can be written.
unsafe extern "efiapi" fn create_device(
    driver: *mut DRIVER_OBJECT,
    extension: u32,
    name: *mut UNICODE_STRING,
    kind: u32,
    characteristics: u32,
    _exclusive: u8,
    object: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    enter("IoCreateDevice", APC_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let name = if name.is_null() {
            String::new()
        } else {
            text::read(name)
        };
        match create(
            driver,
            extension as usize,
            &name,
            kind,
            characteristics,
            None,
        ) {
            Ok(made) => {
                object.write(made);
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }
}

/// `IoDeleteDevice`. At APC or below.
///
/// # Safety
///
/// The device object is the caller's.
unsafe extern "efiapi" fn delete_device(object: *mut DEVICE_OBJECT) {
    enter("IoDeleteDevice", APC_LEVEL);
    // SAFETY: by contract; checked there.
    unsafe { delete(object, "IoDeleteDevice") }
}

/// `IoAttachDeviceToDeviceStack`: puts a device on top of a stack; what was on top. At DISPATCH or
/// below.
///
/// # Safety
///
/// Both are live device objects.
unsafe extern "efiapi" fn attach(
    source: *mut DEVICE_OBJECT,
    target: *mut DEVICE_OBJECT,
) -> *mut DEVICE_OBJECT {
    enter("IoAttachDeviceToDeviceStack", DISPATCH_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let top = top_of(target);
        (*top).AttachedDevice = source;
        (*source).StackSize = (*top).StackSize + 1;
        top
    }
}

/// `IoDetachDevice`: takes what is attached to a device off it. At DISPATCH or below.
///
/// # Safety
///
/// A live device object.
unsafe extern "efiapi" fn detach(target: *mut DEVICE_OBJECT) {
    enter("IoDetachDevice", DISPATCH_LEVEL);
    // SAFETY: by contract.
    unsafe {
        (*target).AttachedDevice = ptr::null_mut();
    }
}

unsafe fn top_of(mut device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    // SAFETY: the members of a stack are live.
    unsafe {
        while !(*device).AttachedDevice.is_null() {
            device = (*device).AttachedDevice;
        }
    }
    device
}

/// `IoGetAttachedDeviceReference`: the top of a stack, referenced. At DISPATCH or below.
///
/// # Safety
///
/// A live device object.
unsafe extern "efiapi" fn attached_reference(device: *mut DEVICE_OBJECT) -> *mut DEVICE_OBJECT {
    enter("IoGetAttachedDeviceReference", DISPATCH_LEVEL);
    // SAFETY: by contract.
    let top = unsafe { top_of(device) };
    if is_live(top.addr()) {
        reference(top.addr(), true);
    }
    top
}

/// `IoGetDeviceObjectPointer`: the top of the stack of a named device; the file object that holds
/// it is the device itself here. At PASSIVE.
///
/// # Safety
///
/// The name is valid; the others can be written.
unsafe extern "efiapi" fn object_pointer(
    name: *mut UNICODE_STRING,
    _access: u32,
    file: *mut *mut std::ffi::c_void,
    device: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    enter("IoGetDeviceObjectPointer", PASSIVE_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let Some(found) = names::resolve(&text::read(name)) else {
            return ndis_sys::STATUS_OBJECT_NAME_NOT_FOUND;
        };
        let top = top_of(ptr::with_exposed_provenance_mut(found));
        reference(top.addr(), true);
        file.write(top.cast());
        device.write(top);
    }
    STATUS_SUCCESS
}
