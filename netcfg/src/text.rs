//! Strings across the COM edge.

use std::ptr;

use windows::Win32::System::Com::{CoTaskMemAlloc, CoTaskMemFree};
use windows::core::PWSTR;

/// Takes over a string that a COM method has handed out, and frees it. Null is the empty string.
///
/// # Safety
///
/// `text` is null, or a null-terminated string from `CoTaskMemAlloc` that nobody else will free.
#[must_use]
pub unsafe fn take(text: PWSTR) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: a null-terminated string, by our contract.
    let taken = unsafe { String::from_utf16_lossy(text.as_wide()) };
    // SAFETY: the caller gives this allocation of COM's allocator to us alone.
    unsafe { CoTaskMemFree(Some(text.as_ptr().cast())) };
    taken
}

/// Copies `text` into memory that the receiver frees with `CoTaskMemFree`; null if there is none left.
#[must_use]
pub fn hand_out(text: &str) -> PWSTR {
    let wide: Vec<u16> = text.encode_utf16().chain([0]).collect();
    // SAFETY: no contract but a size; the answer is checked below.
    let memory: *mut u16 = unsafe { CoTaskMemAlloc(size_of_val(wide.as_slice())) }.cast();
    if !memory.is_null() {
        // SAFETY: the allocation is new and has the size of `wide`.
        unsafe { ptr::copy_nonoverlapping(wide.as_ptr(), memory, wide.len()) };
    }
    PWSTR(memory)
}
