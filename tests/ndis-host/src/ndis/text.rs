//! Counted UTF-16 strings of Windows.

use ndis_sys::{NDIS_STRING, UNICODE_STRING};

/// Reads a counted string.
///
/// # Safety
///
/// `string` points to a UNICODE_STRING whose buffer holds `Length` bytes.
pub(crate) unsafe fn read(string: *const UNICODE_STRING) -> String {
    // SAFETY: the caller's contract.
    let UNICODE_STRING { Length, Buffer, .. } = unsafe { *string };
    if Buffer.is_null() {
        return String::new();
    }
    // SAFETY: as above.
    let units = unsafe { std::slice::from_raw_parts(Buffer, usize::from(Length) / 2) };
    String::from_utf16_lossy(units)
}

/// A counted string with its own, NUL-terminated, buffer.
#[derive(Debug)]
pub(crate) struct OwnedString {
    units: Vec<u16>,
}

impl OwnedString {
    /// Copies `text`.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            units: text.encode_utf16().chain([0]).collect(),
        }
    }

    /// The counted string; it lives as long as `self`.
    pub(crate) fn as_raw(&mut self) -> NDIS_STRING {
        let bytes = (self.units.len() - 1) * 2;
        let mut string: NDIS_STRING = ndis_sys::zeroed();
        string.Length = u16::try_from(bytes).unwrap_or(u16::MAX);
        string.MaximumLength = string.Length.saturating_add(2);
        string.Buffer = self.units.as_mut_ptr();
        string
    }
}
