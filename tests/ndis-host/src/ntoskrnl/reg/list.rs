//! What is in a key.

use std::ffi::c_void;

use ndis_sys::{
    HANDLE, KEY_VALUE_INFORMATION_CLASS, NTSTATUS, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
};

use super::keys::{give, value_information};
use crate::ntoskrnl::{enter, handle};
use crate::registry::{self, Key};
use crate::sched::PASSIVE_LEVEL;

/// STATUS_NO_MORE_ENTRIES.
const NO_MORE_ENTRIES: NTSTATUS = 0x8000_001A_u32 as NTSTATUS;
/// KEY_INFORMATION_CLASS.
const KEY_BASIC: i32 = 0;
const KEY_FULL: i32 = 2;

pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("ZwEnumerateKey", enumerate as *const ()),
        ("ZwEnumerateValueKey", enumerate_values as *const ()),
        ("ZwQueryKey", query as *const ()),
    ]
}

fn words(name: &str) -> Vec<u8> {
    name.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// KEY_BASIC_INFORMATION: time, title, length of the name, name.
fn basic(name: &str) -> (Vec<u8>, usize) {
    let name = words(name);
    let mut bytes = vec![0; 12];
    bytes.extend((name.len() as u32).to_le_bytes());
    let fixed = bytes.len();
    bytes.extend(name);
    (bytes, fixed)
}

/// KEY_FULL_INFORMATION: time, title, class (there is none), and then counts.
fn full(key: &Key) -> (Vec<u8>, usize) {
    const NO_CLASS: u32 = u32::MAX;
    let name_bytes = |name: &str| 2 * name.encode_utf16().count() as u32;
    let keys = key.subkeys().map(|(name, _)| name_bytes(name));
    let values = key.values().map(|(name, _)| name_bytes(name));
    let data = key.values().map(|(_, value)| value.data().len() as u32);
    let mut bytes = vec![0; 12];
    for word in [
        NO_CLASS,
        0,
        key.subkeys().count() as u32,
        keys.max().unwrap_or(0),
        0,
        key.values().count() as u32,
        values.max().unwrap_or(0),
        data.max().unwrap_or(0),
    ] {
        bytes.extend(word.to_le_bytes());
    }
    let fixed = bytes.len();
    (bytes, fixed)
}

/// `ZwEnumerateKey`: the key with a number below another. At PASSIVE.
///
/// # Safety
///
/// `information` has `length` bytes; `result` can be written.
unsafe extern "efiapi" fn enumerate(
    key: HANDLE,
    index: u32,
    class: i32,
    information: *mut c_void,
    length: u32,
    result: *mut u32,
) -> NTSTATUS {
    enter("ZwEnumerateKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    let answer = registry::with(|registry| {
        let (name, below) = registry.key(&path)?.subkeys().nth(index as usize)?;
        Some(match class {
            KEY_BASIC => Some(basic(name)),
            KEY_FULL => Some(full(below)),
            _ => None,
        })
    });
    match answer {
        None => NO_MORE_ENTRIES,
        Some(None) => STATUS_INVALID_PARAMETER,
        // SAFETY: by contract.
        Some(Some((bytes, fixed))) => unsafe { give(&bytes, fixed, information, length, result) },
    }
}

/// `ZwEnumerateValueKey`: the value with a number. At PASSIVE.
///
/// # Safety
///
/// As for [`enumerate`].
unsafe extern "efiapi" fn enumerate_values(
    key: HANDLE,
    index: u32,
    class: KEY_VALUE_INFORMATION_CLASS,
    information: *mut c_void,
    length: u32,
    result: *mut u32,
) -> NTSTATUS {
    enter("ZwEnumerateValueKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    let answer = registry::with(|registry| {
        let (name, value) = registry.key(&path)?.values().nth(index as usize)?;
        Some(value_information(class, name, value))
    });
    match answer {
        None => NO_MORE_ENTRIES,
        Some(None) => STATUS_INVALID_PARAMETER,
        // SAFETY: by contract.
        Some(Some((bytes, fixed))) => unsafe { give(&bytes, fixed, information, length, result) },
    }
}

/// `ZwQueryKey`. At PASSIVE.
///
/// # Safety
///
/// As for [`enumerate`].
unsafe extern "efiapi" fn query(
    key: HANDLE,
    class: i32,
    information: *mut c_void,
    length: u32,
    result: *mut u32,
) -> NTSTATUS {
    enter("ZwQueryKey", PASSIVE_LEVEL);
    let Some(path) = handle::path(key) else {
        return STATUS_INVALID_HANDLE;
    };
    let name = path.rsplit('\\').next().unwrap_or(&path);
    let answer = registry::with(|registry| {
        let key = registry.key(&path)?;
        match class {
            KEY_BASIC => Some(basic(name)),
            KEY_FULL => Some(full(key)),
            _ => None,
        }
    });
    match answer {
        None => STATUS_INVALID_PARAMETER,
        // SAFETY: by contract.
        Some((bytes, fixed)) => unsafe { give(&bytes, fixed, information, length, result) },
    }
}
