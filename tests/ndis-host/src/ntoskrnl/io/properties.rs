//! What a driver asks about its devices, its process and its caller.

use std::ffi::c_void;

use ndis_sys::{
    BOOLEAN, DEVICE_OBJECT, HANDLE, KPROCESSOR_MODE, KernelMode, NTSTATUS, STATUS_BUFFER_TOO_SMALL,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};

use super::super::{Table, enter, handle};
use crate::pnp;
use crate::registry::{self, CURRENT_CONTROL_SET, Value};
use crate::sched::{self, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL};
use crate::verifier;

/// DEVICE_REGISTRY_PROPERTY.
const DESCRIPTION: i32 = 0;
const CLASS_NAME: i32 = 5;
const DRIVER_KEY_NAME: i32 = 7;
const BUS_NUMBER: i32 = 14;
/// PLUGPLAY_REGKEY_DRIVER.
const DRIVER_KEY: u32 = 2;
/// Process of the system.
const SYSTEM_PROCESS: usize = 4;

pub(super) fn exports() -> Table {
    exports! {
        "IoGetDeviceProperty" => device_property,
        "IoGetDevicePropertyData" => device_property_data,
        "IoOpenDeviceRegistryKey" => open_device_key,
        "IoGetDmaAdapter" => dma_adapter,
        "PsGetCurrentProcessId" => process_id,
        "PsGetCurrentThreadId" => thread_id,
        "IoGetCurrentProcess" => current_process,
        "ExGetPreviousMode" => previous_mode,
        "SeSinglePrivilegeCheck" => privilege_check,
        "__C_specific_handler" => exception_handler,
        "_local_unwind" => local_unwind,
    }
}

/// The driver key of the device that a physical device object stands for.
fn key_of(device: *mut DEVICE_OBJECT) -> Option<String> {
    pnp::driver_key_of_object(device.addr())
}

/// `IoGetDeviceProperty`: description, class, driver key or bus number. At PASSIVE.
///
/// # Safety
///
/// `length` bytes of `buffer` and `result` can be written.
unsafe extern "efiapi" fn device_property(
    device: *mut DEVICE_OBJECT,
    property: i32,
    length: u32,
    buffer: *mut u8,
    result: *mut u32,
) -> NTSTATUS {
    enter("IoGetDeviceProperty", PASSIVE_LEVEL);
    let Some(key) = key_of(device) else {
        return STATUS_INVALID_PARAMETER;
    };
    let description = || {
        registry::with(|registry| {
            let key = registry.key(&key)?;
            key.value("DriverDesc").map(Value::data)
        })
    };
    let class_root = format!(r"{CURRENT_CONTROL_SET}\Control\Class\");
    let data = match property {
        DESCRIPTION => description(),
        CLASS_NAME => Some(Value::Sz("Net".to_owned()).data()),
        DRIVER_KEY_NAME => {
            let name = key.strip_prefix(&class_root).unwrap_or(&key);
            Some(Value::Sz(name.to_owned()).data())
        }
        BUS_NUMBER => Some(0_u32.to_le_bytes().to_vec()),
        _ => None,
    };
    let Some(data) = data else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    // SAFETY: by contract.
    unsafe {
        result.write(data.len() as u32);
        if (length as usize) < data.len() {
            return STATUS_BUFFER_TOO_SMALL;
        }
        buffer.copy_from(data.as_ptr(), data.len());
    }
    STATUS_SUCCESS
}

/// `IoGetDevicePropertyData`: no device has unified properties here. At PASSIVE.
unsafe extern "efiapi" fn device_property_data(_device: *mut DEVICE_OBJECT) -> NTSTATUS {
    enter("IoGetDevicePropertyData", PASSIVE_LEVEL);
    STATUS_OBJECT_NAME_NOT_FOUND
}

/// `IoOpenDeviceRegistryKey`: the driver key of a device. At PASSIVE.
///
/// # Safety
///
/// `key` can be written.
unsafe extern "efiapi" fn open_device_key(
    device: *mut DEVICE_OBJECT,
    kind: u32,
    _access: u32,
    key: *mut HANDLE,
) -> NTSTATUS {
    enter("IoOpenDeviceRegistryKey", PASSIVE_LEVEL);
    let Some(path) = key_of(device).filter(|_| kind & DRIVER_KEY != 0) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: by contract.
    unsafe { key.write(handle::open(path)) };
    STATUS_SUCCESS
}

/// `IoGetDmaAdapter`: none for a device that NDIS drives; it has NdisMRegisterScatterGatherDma. At
/// PASSIVE.
unsafe extern "efiapi" fn dma_adapter(_device: *mut DEVICE_OBJECT) -> *mut c_void {
    enter("IoGetDmaAdapter", PASSIVE_LEVEL);
    std::ptr::null_mut()
}

/// `PsGetCurrentProcessId`: drivers run in the system process. Any level.
unsafe extern "efiapi" fn process_id() -> usize {
    enter("PsGetCurrentProcessId", HIGH_LEVEL);
    SYSTEM_PROCESS
}

/// `PsGetCurrentThreadId`. Any level.
unsafe extern "efiapi" fn thread_id() -> usize {
    enter("PsGetCurrentThreadId", HIGH_LEVEL);
    sched::thread_object()
}

/// `IoGetCurrentProcess`: something to compare, not to look into. Any level.
unsafe extern "efiapi" fn current_process() -> usize {
    enter("IoGetCurrentProcess", HIGH_LEVEL);
    SYSTEM_PROCESS
}

/// `ExGetPreviousMode`: threads of drivers have never been in user mode. At DISPATCH or below.
unsafe extern "efiapi" fn previous_mode() -> KPROCESSOR_MODE {
    enter("ExGetPreviousMode", DISPATCH_LEVEL);
    KernelMode
}

/// `SeSinglePrivilegeCheck`: the kernel has every privilege, and a program that runs here is an
/// administrator's. At PASSIVE.
unsafe extern "efiapi" fn privilege_check(_privilege: i64, _mode: KPROCESSOR_MODE) -> BOOLEAN {
    enter("SeSinglePrivilegeCheck", PASSIVE_LEVEL);
    1
}

/// `__C_specific_handler`: unwind tables name it. Exceptions are not dispatched here: a fault of a
/// driver ends the run, so nobody calls it but a driver that is broken.
unsafe extern "efiapi" fn exception_handler() -> i32 {
    verifier::fatal(0, "__C_specific_handler called: no exception is dispatched")
}

/// `_local_unwind`, as [`exception_handler`].
unsafe extern "efiapi" fn local_unwind() {
    verifier::fatal(0, "_local_unwind called: no exception is dispatched")
}
