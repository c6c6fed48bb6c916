//! Text in the forms of the kernel.

use std::ffi::c_void;

use ndis_sys::UNICODE_STRING;

use super::enter;
use crate::sched::HIGH_LEVEL;

/// Longest string that a UNICODE_STRING can hold, in characters, its terminator not counted.
const LONGEST: usize = (u16::MAX as usize - 2) / 2;

/// `RtlInitUnicodeString`: describes a zero-terminated text, or nothing when `source` is null. Any
/// level.
///
/// # Safety
///
/// `destination` must be writable, `source` null or zero-terminated.
pub(crate) unsafe extern "efiapi" fn rtl_init_unicode_string(
    destination: *mut UNICODE_STRING,
    source: *const u16,
) {
    enter("RtlInitUnicodeString", HIGH_LEVEL);
    let (length, maximum) = if source.is_null() {
        (0, 0)
    } else {
        // SAFETY: as the caller promises.
        let length = 2 * unsafe { length(source) }.min(LONGEST);
        (length as u16, length as u16 + 2)
    };
    let string = UNICODE_STRING {
        Length: length,
        MaximumLength: maximum,
        Buffer: source.cast_mut(),
    };
    // SAFETY: as the caller promises.
    unsafe { destination.write(string) };
}

/// The text of a UNICODE_STRING; what is no valid UTF-16 becomes U+FFFD.
///
/// # Safety
///
/// `string` must be readable, and its buffer for its length.
pub unsafe fn read(string: *const UNICODE_STRING) -> String {
    // SAFETY: as the caller promises.
    let string = unsafe { &*string };
    let characters = usize::from(string.Length) / 2;
    if characters == 0 {
        return String::new();
    }
    // SAFETY: as the caller promises.
    let words = unsafe { std::slice::from_raw_parts(string.Buffer, characters) };
    String::from_utf16_lossy(words)
}

/// The text of a zero-terminated string of UTF-16.
///
/// # Safety
///
/// `start` must point to a zero-terminated string.
pub unsafe fn read_terminated(start: *const u16) -> String {
    // SAFETY: as the caller promises.
    let length = unsafe { length(start) };
    // SAFETY: `length` words come before the terminator.
    String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(start, length) })
}

/// The text of a zero-terminated string of bytes.
///
/// # Safety
///
/// `start` must point to a zero-terminated string.
pub unsafe fn read_ansi(start: *const c_void) -> String {
    // SAFETY: as the caller promises.
    let text = unsafe { std::ffi::CStr::from_ptr(start.cast()) };
    text.to_string_lossy().into_owned()
}

/// Number of words before the terminator.
///
/// # Safety
///
/// `start` must point to a zero-terminated string.
unsafe fn length(start: *const u16) -> usize {
    // SAFETY: every word up to the terminator is readable, as the caller promises.
    (0..)
        .find(|&index| unsafe { start.add(index).read() } == 0)
        .unwrap_or(0)
}
