//! DriverEntry, the device, unload.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use control_device::{DEVICE, LINK};
use ndis_sys::{
    BOOLEAN, DEVICE_OBJECT, DRIVER_OBJECT, FILE_DEVICE_NETWORK, IRP_MJ_CLEANUP, IRP_MJ_CLOSE,
    IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::{exchange, table};

#[cfg_attr(
    windows,
    link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Makes a device of the driver. At PASSIVE_LEVEL.
    fn IoCreateDevice(
        driver: *mut DRIVER_OBJECT,
        extension_size: u32,
        name: *mut UNICODE_STRING,
        device_type: u32,
        characteristics: u32,
        exclusive: BOOLEAN,
        device: *mut *mut DEVICE_OBJECT,
    ) -> NTSTATUS;

    /// Removes a device. At PASSIVE_LEVEL.
    fn IoDeleteDevice(device: *mut DEVICE_OBJECT);

    /// Gives a device a name that programs see. At PASSIVE_LEVEL.
    fn IoCreateSymbolicLink(link: *mut UNICODE_STRING, device: *mut UNICODE_STRING) -> NTSTATUS;

    /// Removes such a name. At PASSIVE_LEVEL.
    fn IoDeleteSymbolicLink(link: *mut UNICODE_STRING) -> NTSTATUS;
}

/// The device, while the driver is loaded.
static MADE: AtomicPtr<DEVICE_OBJECT> = AtomicPtr::new(ptr::null_mut());

const LONGEST: usize = 32;
const _: () = assert!(DEVICE.len() <= LONGEST && LINK.len() <= LONGEST);

/// A name as the kernel takes it.
struct Name {
    units: [u16; LONGEST],
    bytes: u16,
}

impl Name {
    fn new(text: &str) -> Self {
        let mut units = [0; LONGEST];
        let mut bytes = 0;
        for (unit, of_text) in units.iter_mut().zip(text.encode_utf16()) {
            *unit = of_text;
            bytes += 2;
        }
        Self { units, bytes }
    }

    /// Valid as long as the name.
    fn string(&mut self) -> UNICODE_STRING {
        UNICODE_STRING {
            Length: self.bytes,
            MaximumLength: self.bytes,
            Buffer: self.units.as_mut_ptr(),
        }
    }
}

/// The image's entry point.
///
/// # Safety
///
/// Called by the I/O manager at PASSIVE_LEVEL, once, with valid arguments.
#[expect(
    unreachable_pub,
    reason = "the image's entry point, which the linker knows by name"
)]
// SAFETY: no other item of this image exports the name.
#[unsafe(no_mangle)]
pub unsafe extern "efiapi" fn DriverEntry(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the path is an argument of DriverEntry.
    let status = unsafe { table::open(path) };
    if status != STATUS_SUCCESS {
        return status;
    }
    // SAFETY: the object is the one of this driver, of which nobody else knows yet.
    let driver = unsafe { &mut *object };
    driver.DriverUnload = Some(unload);
    for (number, routine) in (0u8..).zip(&mut driver.MajorFunction) {
        match number {
            IRP_MJ_CREATE | IRP_MJ_CLEANUP | IRP_MJ_CLOSE => *routine = Some(exchange::nod),
            IRP_MJ_DEVICE_CONTROL => *routine = Some(exchange::control),
            _ => {}
        }
    }
    let (mut name, mut link) = (Name::new(DEVICE), Name::new(LINK));
    let (mut name, mut link) = (name.string(), link.string());
    // SAFETY: names and object are valid; the device is written before it can be asked for.
    let status = unsafe {
        IoCreateDevice(
            object,
            0,
            &raw mut name,
            FILE_DEVICE_NETWORK,
            0,
            0,
            MADE.as_ptr(),
        )
    };
    if status != STATUS_SUCCESS {
        table::close();
        return status;
    }
    // SAFETY: both names are valid.
    let status = unsafe { IoCreateSymbolicLink(&raw mut link, &raw mut name) };
    if status != STATUS_SUCCESS {
        // SAFETY: the device is ours, and has no name that a program could have opened it by.
        unsafe { IoDeleteDevice(MADE.load(Ordering::Acquire)) };
        table::close();
    }
    status
}

unsafe extern "efiapi" fn unload(_object: *mut DRIVER_OBJECT) {
    let mut link = Name::new(LINK);
    let mut link = link.string();
    // SAFETY: DriverEntry has made both; the last handle is closed before a driver is unloaded.
    unsafe {
        IoDeleteSymbolicLink(&raw mut link);
        IoDeleteDevice(MADE.load(Ordering::Acquire));
    }
    table::close();
}
