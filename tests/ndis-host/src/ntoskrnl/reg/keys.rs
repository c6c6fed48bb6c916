//! Keys and values through handles.

use std::ffi::c_void;
use std::mem::offset_of;

use ndis_sys::{
    ACCESS_MASK, HANDLE, KEY_VALUE_INFORMATION_CLASS, KEY_VALUE_PARTIAL_INFORMATION,
    KeyValueBasicInformation, KeyValueFullInformation, KeyValuePartialInformation, NTSTATUS,
    OBJECT_ATTRIBUTES, STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_HANDLE,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::ntoskrnl::{enter, handle, text, thread};
use crate::registry::{self, Value};
use crate::sched::PASSIVE_LEVEL;
use crate::verifier;

/// The key behind a handle has been deleted.
const STATUS_KEY_DELETED: NTSTATUS = 0xC000_017C_u32 as NTSTATUS;

/// `ZwOpenKey`: opens a key by its full path, or relative to another handle. At PASSIVE.
///
/// # Safety
///
/// `key_handle` must be writable; `attributes` must describe a name.
pub(super) unsafe extern "efiapi" fn zw_open_key(
    key_handle: *mut HANDLE,
    _desired_access: ACCESS_MASK,
    attributes: *mut OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    enter("ZwOpenKey", PASSIVE_LEVEL);
    // SAFETY: as the caller promises.
    let path = match unsafe { path_of(attributes) } {
        Ok(path) => path,
        Err(status) => return status,
    };
    if !registry::with(|registry| registry.key(&path).is_some()) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    // SAFETY: as the caller promises.
    unsafe { key_handle.write(handle::open(path)) };
    STATUS_SUCCESS
}

/// The full path that object attributes name.
///
/// # Safety
///
/// `attributes` describes a name.
pub(super) unsafe fn path_of(attributes: *const OBJECT_ATTRIBUTES) -> Result<String, NTSTATUS> {
    // SAFETY: by contract.
    let attributes = unsafe { &*attributes };
    if attributes.Length as usize != size_of::<OBJECT_ATTRIBUTES>() {
        return Err(STATUS_INVALID_PARAMETER);
    }
    // SAFETY: by contract.
    let name = unsafe { text::read(attributes.ObjectName) };
    if attributes.RootDirectory.is_null() {
        return Ok(name);
    }
    let root = handle::path(attributes.RootDirectory).ok_or(STATUS_INVALID_HANDLE)?;
    Ok(format!(r"{root}\{name}"))
}

/// `ZwClose`: closes a handle; one that is not open is a breach of rule 14. At PASSIVE.
///
/// # Safety
///
/// None of its own; it is unsafe to match the imported type.
pub(super) unsafe extern "efiapi" fn zw_close(handle: HANDLE) -> NTSTATUS {
    enter("ZwClose", PASSIVE_LEVEL);
    match handle::close(handle) {
        Some(handle::Target::Thread(object)) => {
            thread::handle_closed(object);
            return STATUS_SUCCESS;
        }
        Some(handle::Target::Key(_)) => return STATUS_SUCCESS,
        None => {}
    }
    verifier::breach(
        14,
        format!("ZwClose of {handle:p}, which is not open (0x93)"),
    );
    STATUS_INVALID_HANDLE
}

/// `ZwQueryValueKey`: a value of an open key. At PASSIVE.
///
/// # Safety
///
/// `value_name` must be readable, `information` writable for `length` bytes, `result_length`
/// writable.
pub(super) unsafe extern "efiapi" fn zw_query_value_key(
    key_handle: HANDLE,
    value_name: *mut UNICODE_STRING,
    class: KEY_VALUE_INFORMATION_CLASS,
    information: *mut c_void,
    length: u32,
    result_length: *mut u32,
) -> NTSTATUS {
    enter("ZwQueryValueKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key_handle) else {
        return STATUS_INVALID_HANDLE;
    };
    // SAFETY: as the caller promises.
    let name = unsafe { text::read(value_name) };
    let value = registry::with(|registry| {
        let key = registry.key(&path).ok_or(STATUS_KEY_DELETED)?;
        key.value(&name)
            .cloned()
            .ok_or(STATUS_OBJECT_NAME_NOT_FOUND)
    });
    let value = match value {
        Ok(value) => value,
        Err(status) => return status,
    };
    let Some((bytes, fixed)) = value_information(class, &name, &value) else {
        return STATUS_INVALID_PARAMETER;
    };
    // SAFETY: as the caller promises.
    unsafe { give(&bytes, fixed, information, length, result_length) }
}

/// Copies what fits of `bytes`, of which the first `fixed` must.
///
/// # Safety
///
/// `information` has `length` bytes; `result_length` can be written.
pub(super) unsafe fn give(
    bytes: &[u8],
    fixed: usize,
    information: *mut c_void,
    length: u32,
    result_length: *mut u32,
) -> NTSTATUS {
    // SAFETY: by contract.
    unsafe { result_length.write(bytes.len() as u32) };
    let length = length as usize;
    if length < fixed {
        return STATUS_BUFFER_TOO_SMALL;
    }
    let copied = length.min(bytes.len());
    // SAFETY: the caller's buffer has `length` bytes, of which no more are written.
    unsafe { information.cast::<u8>().copy_from(bytes.as_ptr(), copied) };
    if copied < bytes.len() {
        STATUS_BUFFER_OVERFLOW
    } else {
        STATUS_SUCCESS
    }
}

/// The bytes of an information class, and how many of them must fit for any to be returned.
pub(super) fn value_information(
    class: KEY_VALUE_INFORMATION_CLASS,
    name: &str,
    value: &Value,
) -> Option<(Vec<u8>, usize)> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let data = value.data();
    let title_index = 0;
    let (header, tail) = match class {
        KeyValueBasicInformation => (vec![title_index, value.kind(), name.len() as u32], name),
        KeyValuePartialInformation => (vec![title_index, value.kind(), data.len() as u32], data),
        KeyValueFullInformation => {
            // Five words, then the name, then the data.
            let data_offset = 20 + name.len() as u32;
            let lengths = [data.len() as u32, name.len() as u32];
            let header = [title_index, value.kind(), data_offset]
                .into_iter()
                .chain(lengths);
            (header.collect(), [name, data].concat())
        }
        _ => return None,
    };
    let fixed = header.len() * size_of::<u32>();
    debug_assert!(
        class != KeyValuePartialInformation
            || fixed == offset_of!(KEY_VALUE_PARTIAL_INFORMATION, Data)
    );
    let header = header.into_iter().flat_map(u32::to_le_bytes);
    Some((header.chain(tail).collect(), fixed))
}
