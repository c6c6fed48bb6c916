//! Keys are made and deleted, values set and deleted.

use std::ffi::c_void;

use ndis_sys::{
    HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
};

use super::keys::path_of;
use crate::ntoskrnl::{enter, handle, text};
use crate::registry::{self, Value};
use crate::sched::PASSIVE_LEVEL;

/// REG_CREATED_NEW_KEY.
const CREATED: u32 = 1;
/// REG_OPENED_EXISTING_KEY.
const OPENED: u32 = 2;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("ZwCreateKey", create as *const ()),
        ("ZwSetValueKey", set_value as *const ()),
        ("ZwDeleteKey", delete as *const ()),
        ("ZwDeleteValueKey", delete_value as *const ()),
        ("ZwFlushKey", flush as *const ()),
    ]
}

/// `ZwCreateKey`: opens a key, which is made if it is not there. At PASSIVE.
///
/// # Safety
///
/// `key` can be written, `attributes` describes a name, `disposition` is null or can be written.
unsafe extern "efiapi" fn create(
    key: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    _title: u32,
    _class: *mut UNICODE_STRING,
    _options: u32,
    disposition: *mut u32,
) -> NTSTATUS {
    enter("ZwCreateKey", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let path = match unsafe { path_of(attributes) } {
        Ok(path) => path,
        Err(status) => return status,
    };
    let was_there = registry::with(|registry| {
        let was_there = registry.key(&path).is_some();
        registry.create(&path);
        was_there
    });
    // SAFETY: by contract.
    unsafe {
        if !disposition.is_null() {
            disposition.write(if was_there { OPENED } else { CREATED });
        }
        key.write(handle::open(path));
    }
    STATUS_SUCCESS
}

/// `ZwSetValueKey`. At PASSIVE.
///
/// # Safety
///
/// The name is valid; `size` bytes of `data` can be read.
unsafe extern "efiapi" fn set_value(
    key: HANDLE,
    name: *mut UNICODE_STRING,
    _title: u32,
    kind: u32,
    data: *mut c_void,
    size: u32,
) -> NTSTATUS {
    enter("ZwSetValueKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    // SAFETY: by contract.
    let (name, bytes) = unsafe { (text::read(name), bytes_of(data, size)) };
    let Some(value) = Value::from_data(kind, bytes) else {
        return STATUS_INVALID_PARAMETER;
    };
    registry::with(|registry| registry.create(&path).set(&name, value));
    STATUS_SUCCESS
}

/// The bytes of a value.
///
/// # Safety
///
/// `size` bytes of `data` can be read, or `size` is zero.
pub(super) unsafe fn bytes_of<'a>(data: *const c_void, size: u32) -> &'a [u8] {
    if size == 0 || data.is_null() {
        return &[];
    }
    // SAFETY: by contract.
    unsafe { std::slice::from_raw_parts(data.cast(), size as usize) }
}

/// `ZwDeleteKey`. At PASSIVE.
unsafe extern "efiapi" fn delete(key: HANDLE) -> NTSTATUS {
    enter("ZwDeleteKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    registry::with(|registry| registry.delete(&path));
    STATUS_SUCCESS
}

/// `ZwDeleteValueKey`. At PASSIVE.
///
/// # Safety
///
/// The name is valid.
unsafe extern "efiapi" fn delete_value(key: HANDLE, name: *mut UNICODE_STRING) -> NTSTATUS {
    enter("ZwDeleteValueKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    // SAFETY: by contract.
    let name = unsafe { text::read(name) };
    let was_there = registry::with(|registry| {
        let key = registry.key_mut(&path);
        key.is_some_and(|key| key.remove(&name))
    });
    if was_there {
        STATUS_SUCCESS
    } else {
        STATUS_OBJECT_NAME_NOT_FOUND
    }
}

/// `ZwFlushKey`: the registry is in memory. At PASSIVE.
unsafe extern "efiapi" fn flush(key: HANDLE) -> NTSTATUS {
    enter("ZwFlushKey", PASSIVE_LEVEL);
    if handle::path(key).is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_INVALID_HANDLE
    }
}
