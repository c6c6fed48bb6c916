//! The Rtl routines, which name keys relative to well-known ones.

use std::ffi::c_void;

use ndis_sys::{
    NTSTATUS, RTL_REGISTRY_ABSOLUTE, RTL_REGISTRY_SERVICES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
};

use super::change::bytes_of;
use crate::ntoskrnl::{enter, handle, text};
use crate::registry::{self, CURRENT_CONTROL_SET, SERVICES, Value, utf16};
use crate::sched::{self, PASSIVE_LEVEL};

/// RTL_REGISTRY_CONTROL.
const CONTROL: u32 = 2;
/// RTL_REGISTRY_HANDLE: the path is a handle.
const HANDLE_FLAG: u32 = 0x4000_0000;
/// RTL_REGISTRY_OPTIONAL.
const OPTIONAL: u32 = 0x8000_0000;

/// RTL_QUERY_REGISTRY_TABLE.
#[repr(C)]
struct Query {
    routine: Option<QueryRoutine>,
    flags: u32,
    name: *const u16,
    entry_context: *mut c_void,
    default_type: u32,
    default_data: *mut c_void,
    default_length: u32,
}

type QueryRoutine = unsafe extern "efiapi" fn(
    *const u16,
    u32,
    *mut c_void,
    u32,
    *mut c_void,
    *mut c_void,
) -> NTSTATUS;

/// Flags of a query.
const SUBKEY: u32 = 1;
const TOPKEY: u32 = 2;
const REQUIRED: u32 = 4;
const NO_VALUE: u32 = 8;
const DIRECT: u32 = 0x20;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("RtlCheckRegistryKey", check as *const ()),
        ("RtlCreateRegistryKey", create as *const ()),
        ("RtlWriteRegistryValue", write as *const ()),
        ("RtlDeleteRegistryValue", delete as *const ()),
        ("RtlQueryRegistryValues", query as *const ()),
        ("RtlQueryRegistryValuesEx", query as *const ()),
    ]
}

/// The key that a path is relative to, and the path; `None` for a root that there is not.
///
/// # Safety
///
/// `path` is zero-terminated, or a handle where `relative_to` says so.
unsafe fn resolve(relative_to: u32, path: *const u16) -> Option<String> {
    if relative_to & HANDLE_FLAG != 0 {
        return handle::path(path.cast_mut().cast());
    }
    // SAFETY: by contract.
    let path = unsafe { text::read_terminated(path) };
    match relative_to & !OPTIONAL {
        RTL_REGISTRY_ABSOLUTE => Some(path),
        RTL_REGISTRY_SERVICES => Some(format!(r"{SERVICES}\{path}")),
        CONTROL => Some(format!(r"{CURRENT_CONTROL_SET}\Control\{path}")),
        _ => None,
    }
}

/// `RtlCheckRegistryKey`: whether a key is there. At PASSIVE.
///
/// # Safety
///
/// As for [`resolve`].
unsafe extern "efiapi" fn check(relative_to: u32, path: *const u16) -> NTSTATUS {
    enter("RtlCheckRegistryKey", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let Some(path) = (unsafe { resolve(relative_to, path) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    if registry::with(|registry| registry.key(&path).is_some()) {
        STATUS_SUCCESS
    } else {
        STATUS_OBJECT_NAME_NOT_FOUND
    }
}

/// `RtlCreateRegistryKey`. At PASSIVE.
///
/// # Safety
///
/// As for [`resolve`].
unsafe extern "efiapi" fn create(relative_to: u32, path: *const u16) -> NTSTATUS {
    enter("RtlCreateRegistryKey", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let Some(path) = (unsafe { resolve(relative_to, path) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    registry::with(|registry| {
        registry.create(&path);
    });
    STATUS_SUCCESS
}

/// `RtlWriteRegistryValue`. At PASSIVE.
///
/// # Safety
///
/// As for [`resolve`]; the name is zero-terminated; `length` bytes of `data` can be read.
unsafe extern "efiapi" fn write(
    relative_to: u32,
    path: *const u16,
    name: *const u16,
    kind: u32,
    data: *const c_void,
    length: u32,
) -> NTSTATUS {
    enter("RtlWriteRegistryValue", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (path, name, bytes) = unsafe {
        let Some(path) = resolve(relative_to, path) else {
            return STATUS_INVALID_PARAMETER;
        };
        (path, text::read_terminated(name), bytes_of(data, length))
    };
    let Some(value) = Value::from_data(kind, bytes) else {
        return STATUS_INVALID_PARAMETER;
    };
    registry::with(|registry| registry.create(&path).set(&name, value));
    STATUS_SUCCESS
}

/// `RtlDeleteRegistryValue`. At PASSIVE.
///
/// # Safety
///
/// As for [`resolve`]; the name is zero-terminated.
unsafe extern "efiapi" fn delete(relative_to: u32, path: *const u16, name: *const u16) -> NTSTATUS {
    enter("RtlDeleteRegistryValue", PASSIVE_LEVEL);
    // SAFETY: by contract.
    let (path, name) = unsafe {
        let Some(path) = resolve(relative_to, path) else {
            return STATUS_INVALID_PARAMETER;
        };
        (path, text::read_terminated(name))
    };
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

/// `RtlQueryRegistryValues`, `RtlQueryRegistryValuesEx`: a table of values, each handed to a
/// routine or put into its place. At PASSIVE.
///
/// # Safety
///
/// As for [`resolve`]; the table ends with an entry without routine and name.
unsafe extern "efiapi" fn query(
    relative_to: u32,
    path: *const u16,
    table: *mut Query,
    context: *mut c_void,
    _environment: *mut c_void,
) -> NTSTATUS {
    enter("RtlQueryRegistryValues", PASSIVE_LEVEL);
    // SAFETY: by contract, here and below.
    unsafe {
        let Some(root) = resolve(relative_to, path) else {
            return STATUS_INVALID_PARAMETER;
        };
        if !registry::with(|registry| registry.key(&root).is_some()) {
            return if relative_to & OPTIONAL != 0 {
                STATUS_SUCCESS
            } else {
                STATUS_OBJECT_NAME_NOT_FOUND
            };
        }
        let mut key = root.clone();
        let mut at = table;
        while (*at).routine.is_some() || (*at).flags & (SUBKEY | DIRECT) != 0 {
            let entry = &*at;
            if entry.flags & TOPKEY != 0 {
                key.clone_from(&root);
            }
            if entry.flags & SUBKEY != 0 {
                key = format!(r"{key}\{}", text::read_terminated(entry.name));
            } else if entry.flags & NO_VALUE == 0 {
                let status = query_one(entry, &key, context);
                if status < 0 {
                    return status;
                }
            }
            at = at.add(1);
        }
    }
    STATUS_SUCCESS
}

/// One value of a table.
unsafe fn query_one(entry: &Query, key: &str, context: *mut c_void) -> NTSTATUS {
    // SAFETY: the callers' contract.
    unsafe {
        let name = text::read_terminated(entry.name);
        let value = registry::with(|registry| registry.key(key)?.value(&name).cloned());
        let (kind, mut data) = match value {
            Some(value) => (value.kind(), value.data()),
            None if entry.flags & REQUIRED != 0 => return STATUS_OBJECT_NAME_NOT_FOUND,
            None if entry.default_type & 0xff == 0 => return STATUS_SUCCESS,
            None => {
                let length = default_length(entry);
                let data = bytes_of(entry.default_data, length).to_vec();
                (entry.default_type & 0xff, data)
            }
        };
        if entry.flags & DIRECT != 0 {
            return put_directly(entry, kind, &data);
        }
        let Some(routine) = entry.routine else {
            return STATUS_SUCCESS;
        };
        let length = data.len() as u32;
        let name = utf16(&name);
        let bytes = data.as_mut_ptr().cast();
        let own = entry.entry_context;
        sched::in_driver(|| routine(name.as_ptr(), kind, bytes, length, context, own))
    }
}

/// A default that is text may leave its length out.
unsafe fn default_length(entry: &Query) -> u32 {
    let is_text = matches!(entry.default_type & 0xff, 1 | 2);
    if entry.default_length == 0 && is_text && !entry.default_data.is_null() {
        // SAFETY: such a default is zero-terminated.
        let text = unsafe { text::read_terminated(entry.default_data.cast()) };
        return 2 * (text.encode_utf16().count() as u32 + 1);
    }
    entry.default_length
}

/// Puts a number or a text into the caller's place.
unsafe fn put_directly(entry: &Query, kind: u32, data: &[u8]) -> NTSTATUS {
    // SAFETY: the place fits the type, by the flag's contract.
    unsafe {
        match (kind, data.first_chunk::<4>()) {
            (4, Some(number)) => entry
                .entry_context
                .cast::<u32>()
                .write_unaligned(u32::from_le_bytes(*number)),
            (1 | 2, _) => {
                let string: *mut UNICODE_STRING = entry.entry_context.cast();
                if (*string).Buffer.is_null() || data.len() > usize::from((*string).MaximumLength) {
                    return STATUS_INVALID_PARAMETER;
                }
                (*string)
                    .Buffer
                    .cast::<u8>()
                    .copy_from(data.as_ptr(), data.len());
                (*string).Length = data.len().saturating_sub(2) as u16;
            }
            _ => return STATUS_INVALID_PARAMETER,
        }
    }
    STATUS_SUCCESS
}
