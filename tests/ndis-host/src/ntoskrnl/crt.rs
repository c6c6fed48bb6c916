//! The part of the C run-time library that ntoskrnl.exe exports.

use std::ffi::c_char;

use super::enter;
use super::format::expand_list;
use crate::sched::HIGH_LEVEL;

/// The routines of this module: name and address.
pub(super) fn exports() -> Vec<(&'static str, *const ())> {
    vec![
        ("strlen", strlen as *const ()),
        ("strnlen", strnlen as *const ()),
        ("strcmp", strcmp as *const ()),
        ("strncmp", strncmp as *const ()),
        ("wcslen", wcslen as *const ()),
        ("wcsnlen", wcsnlen as *const ()),
        ("wcscmp", wcscmp as *const ()),
        ("_vsnprintf", vsnprintf as *const ()),
        ("_vsnwprintf", vsnwprintf as *const ()),
    ]
}

/// Units before the zero, at most `limit`.
unsafe fn length<T: Copy + Default + PartialEq>(text: *const T, limit: usize) -> usize {
    // SAFETY: the callers' contract: the text is zero-terminated, or `limit` units long.
    (0..limit)
        .find(|&at| unsafe { text.add(at).read() } == T::default())
        .unwrap_or(limit)
}

unsafe extern "efiapi" fn strlen(text: *const u8) -> usize {
    enter("strlen", HIGH_LEVEL);
    // SAFETY: zero-terminated, as in C.
    unsafe { length(text, usize::MAX) }
}

unsafe extern "efiapi" fn strnlen(text: *const u8, limit: usize) -> usize {
    enter("strnlen", HIGH_LEVEL);
    // SAFETY: as in C.
    unsafe { length(text, limit) }
}

unsafe extern "efiapi" fn wcslen(text: *const u16) -> usize {
    enter("wcslen", HIGH_LEVEL);
    // SAFETY: zero-terminated, as in C.
    unsafe { length(text, usize::MAX) }
}

unsafe extern "efiapi" fn wcsnlen(text: *const u16, limit: usize) -> usize {
    enter("wcsnlen", HIGH_LEVEL);
    // SAFETY: as in C.
    unsafe { length(text, limit) }
}

/// Compares up to the first zero, and at most `limit` units.
unsafe fn compare<T: Copy + Default + Ord>(left: *const T, right: *const T, limit: usize) -> i32 {
    for at in 0..limit {
        // SAFETY: neither text has ended before.
        let (a, b) = unsafe { (left.add(at).read(), right.add(at).read()) };
        if a != b || a == T::default() {
            return a.cmp(&b) as i32;
        }
    }
    0
}

unsafe extern "efiapi" fn strcmp(left: *const u8, right: *const u8) -> i32 {
    enter("strcmp", HIGH_LEVEL);
    // SAFETY: zero-terminated, as in C.
    unsafe { compare(left, right, usize::MAX) }
}

unsafe extern "efiapi" fn strncmp(left: *const u8, right: *const u8, limit: usize) -> i32 {
    enter("strncmp", HIGH_LEVEL);
    // SAFETY: as in C.
    unsafe { compare(left, right, limit) }
}

unsafe extern "efiapi" fn wcscmp(left: *const u16, right: *const u16) -> i32 {
    enter("wcscmp", HIGH_LEVEL);
    // SAFETY: zero-terminated, as in C.
    unsafe { compare(left, right, usize::MAX) }
}

/// `_vsnprintf`: -1 when the text was cut off; a zero behind it only if there is room.
///
/// # Safety
///
/// As in C; `arguments` is a `va_list` of the Windows convention.
unsafe extern "efiapi" fn vsnprintf(
    buffer: *mut u8,
    room: usize,
    format: *const c_char,
    arguments: *const usize,
) -> i32 {
    enter("_vsnprintf", HIGH_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let text = expand_list(format, arguments);
        put(buffer, room, text.as_bytes())
    }
}

/// `_vsnwprintf`, as [`vsnprintf`] in UTF-16.
///
/// # Safety
///
/// As there.
unsafe extern "efiapi" fn vsnwprintf(
    buffer: *mut u16,
    room: usize,
    format: *const u16,
    arguments: *const usize,
) -> i32 {
    enter("_vsnwprintf", HIGH_LEVEL);
    // SAFETY: by contract.
    unsafe {
        let format = super::text::read_terminated(format);
        let format = std::ffi::CString::new(format).unwrap_or_default();
        let text: Vec<u16> = expand_list(format.as_ptr(), arguments)
            .encode_utf16()
            .collect();
        put(buffer, room, &text)
    }
}

unsafe fn put<T: Copy + Default>(buffer: *mut T, room: usize, text: &[T]) -> i32 {
    let count = text.len().min(room);
    // SAFETY: the callers' contract: `room` units can be written.
    unsafe {
        buffer.copy_from(text.as_ptr(), count);
        if count < room {
            buffer.add(count).write(T::default());
        }
    }
    if count < text.len() { -1 } else { count as i32 }
}
